package httpsig

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// benchMessage is a GET of which a signature covers five components.
func benchMessage() *Message {
	return &Message{
		Method:    "GET",
		TargetURI: "https://api.example.com/v1/accounts/2c5a/transactions?limit=50&cursor=eyJpZCI6MTIzfQ",
		Header: http.Header{
			"Accept":        {"application/json"},
			"Authorization": {"HTTPSig eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUifQ.c2lnbmF0dXJl"},
			"Content-Type":  {"application/json"},
			"X-Request-Id":  {"7d3b5a2e-6f0d-4c36-8a2c-3a2b1c0d9e8f"},
		},
	}
}

var benchComponents = Components("@method", "@target-uri", "authorization", "content-type", "x-request-id")

// benchCase is an algorithm with its bare primitives.
type benchCase struct {
	name   string
	signer *Signer
	key    *Key
	sign   func(base []byte) []byte
	verify func(base, signature []byte) bool
}

func benchCases(tb testing.TB) []benchCase {
	tb.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	pub, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	secret := []byte("0123456789abcdef0123456789abcdef")
	mac := func(base []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(base)
		return h.Sum(nil)
	}
	cases := []benchCase{
		{
			name: "ES256",
			sign: func(base []byte) []byte {
				digest := sha256.Sum256(base)
				signature, err := ecdsa.SignASN1(rand.Reader, ec, digest[:])
				if err != nil {
					tb.Fatal(err)
				}
				return signature
			},
			verify: func(base, signature []byte) bool {
				digest := sha256.Sum256(base)
				return ecdsa.VerifyASN1(&ec.PublicKey, digest[:], signature)
			},
		},
		{
			name:   "Ed25519",
			sign:   func(base []byte) []byte { return ed25519.Sign(ed, base) },
			verify: func(base, signature []byte) bool { return ed25519.Verify(pub, base, signature) },
		},
		{
			name:   "HMAC",
			sign:   mac,
			verify: func(base, signature []byte) bool { return hmac.Equal(mac(base), signature) },
		},
	}
	cases[0].signer, cases[0].key = benchPair(tb, ec, ECDSAP256SHA256)
	cases[1].signer, cases[1].key = benchPair(tb, ed, Ed25519)
	cases[2].signer = newTestSigner(tb, SignerConfig{Secret: secret, Components: benchComponents, KeyID: "client-1", Tag: "bench"})
	if cases[2].key, err = NewHMACKey(secret); err != nil {
		tb.Fatal(err)
	}
	return cases
}

func benchPair(tb testing.TB, private crypto.Signer, alg Algorithm) (*Signer, *Key) {
	tb.Helper()
	signer, err := keys.NewSigner(private, "", joseOf(alg))
	if err != nil {
		tb.Fatal(err)
	}
	key, err := NewKey(signer.Public(), alg)
	if err != nil {
		tb.Fatal(err)
	}
	return newTestSigner(tb, SignerConfig{Key: signer, Components: benchComponents, KeyID: "client-1", Tag: "bench"}), key
}

func newTestSigner(tb testing.TB, cfg SignerConfig) *Signer {
	tb.Helper()
	s, err := NewSigner(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// signedBench returns a signed message, a verifier for it, and the base.
func signedBench(tb testing.TB, c *benchCase) (*Message, *Verifier, KeySource, []byte) {
	tb.Helper()
	m := benchMessage()
	fields, err := c.signer.Sign(m)
	if err != nil {
		tb.Fatal(err)
	}
	fields.Add(m.Header)
	v, err := NewVerifier(Config{Tag: "bench", Required: benchComponents[:3], RequiredParams: []string{"nonce"}, MaxAge: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	source := func(context.Context, *Input) (*Key, error) { return c.key, nil }
	sigs, err := v.Verify(context.Background(), m, source)
	if err != nil {
		tb.Fatal(err)
	}
	base, err := Base(m, sigs[0].Input(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return m, v, source, base
}

func BenchmarkVerify(b *testing.B) {
	for _, c := range benchCases(b) {
		m, v, source, base := signedBench(b, &c)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), m, source); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			signature := c.sign(base)
			for b.Loop() {
				if !c.verify(base, signature) {
					b.Fatal("bad signature")
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for _, c := range benchCases(b) {
		_, _, _, base := signedBench(b, &c)
		m := benchMessage()
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.signer.Sign(m); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.sign(base)
			}
		})
	}
}
