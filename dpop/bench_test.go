package dpop

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/holdfast-project/holdfast/keys"
)

// BenchmarkVerify runs all checks, nonce and ath included, with the client's key new to the verifier or known. The bare
// rows are the signature alone, than which nothing can be cheaper.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []keys.Algorithm{keys.ES256, keys.Ed25519} {
		b.Run(string(alg)+"/known", func(b *testing.B) { benchmarkVerify(b, alg, true) })
		b.Run(string(alg)+"/new", func(b *testing.B) { benchmarkVerify(b, alg, false) })
		b.Run(string(alg)+"/bare", func(b *testing.B) { benchmarkBare(b, alg) })
	}
}

func benchmarkVerify(b *testing.B, alg keys.Algorithm, known bool) {
	f := newFixture(b, alg)
	nonces := newNonces(b, "bench", &clock{now})
	v := newVerifier(b, Config{Nonces: nonces})
	r := f.with(b, f.header, f.claims.with("nonce", nonces.Issue()))
	b.ReportAllocs()
	for b.Loop() {
		if !known {
			v.keys.young, v.keys.old = nil, nil
		}
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkBare(b *testing.B, alg keys.Algorithm) {
	digest := sha256.Sum256([]byte("message"))
	var verify func() bool
	switch alg {
	case keys.ES256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		verify = func() bool { return ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) }
	case keys.Ed25519:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		signature := ed25519.Sign(private, digest[:])
		verify = func() bool { return ed25519.Verify(public, digest[:], signature) }
	}
	b.ReportAllocs()
	for b.Loop() {
		if !verify() {
			b.Fatal("not verified")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	signer := generate(b, keys.ES256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Sign(signer, Params{Method: "GET", TargetURI: target, Token: token, Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNonces(b *testing.B) {
	n := newNonces(b, "bench", &clock{now})
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Check(n.Issue()); err != nil {
			b.Fatal(err)
		}
	}
}
