package accesstoken

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// BenchmarkVerify puts the verification of a DPoP-bound token beside its bare primitive, for the ratio.
func BenchmarkVerify(b *testing.B) {
	s := newJWTSuite(b)
	token := s.token(b, jwtCase{claims: object{
		"jti": "5f0c2a9e-6b1d-4a51-9e83-0c1d2a7b9f10", "cnf": object{"jkt": rfc9449Thumbprint},
	}})
	v := s.verifier(b, jwtCase{})
	b.Run("ES256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ES256/bare", func(b *testing.B) {
		key, digest, signature := bareES256(b, s.signer, token)
		for b.Loop() {
			if !ecdsa.VerifyASN1(key, digest[:], signature) {
				b.Fatal("bad signature")
			}
		}
	})
}

// bareES256 signs the same bytes in the form of the bare primitive.
func bareES256(b *testing.B, s *keys.Signer, token string) (key *ecdsa.PublicKey, digest [32]byte, signature []byte) {
	b.Helper()
	private, err := ecdsa.GenerateKey(s.Public().Key().(*ecdsa.PublicKey).Curve, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest = sha256.Sum256([]byte(token[:strings.LastIndex(token, ".")]))
	signature, err = ecdsa.SignASN1(rand.Reader, private, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return &private.PublicKey, digest, signature
}

func BenchmarkCache(b *testing.B) {
	next := &counting{lifetime: time.Hour, now: time.Now}
	c := NewCache(next, CacheConfig{MaxAge: time.Hour})
	token := strings.Repeat("t", 500)
	if _, err := c.Verify(b.Context(), token); err != nil {
		b.Fatal(err)
	}
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("hash", func(b *testing.B) {
		text := []byte(token)
		for b.Loop() {
			sha256.Sum256(text)
		}
	})
}
