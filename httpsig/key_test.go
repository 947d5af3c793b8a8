package httpsig

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-project/holdfast/keys"
)

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signerFor makes a signer for a JOSE algorithm; all RSA ones share a key.
func signerFor(tb testing.TB, alg keys.Algorithm) *keys.Signer {
	tb.Helper()
	switch alg {
	case keys.RS256, keys.RS384, keys.RS512, keys.PS256, keys.PS384, keys.PS512:
		key, err := rsaKey()
		if err != nil {
			tb.Fatal(err)
		}
		signer, err := keys.NewSigner(key, "", alg)
		if err != nil {
			tb.Fatal(err)
		}
		return signer
	}
	signer, err := keys.Generate(alg)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// unbound returns the public key without the algorithm that its signer is bound to.
func unbound(tb testing.TB, s *keys.Signer) *keys.Public {
	tb.Helper()
	pub, err := keys.NewPublic(s.Public().Key(), "", "")
	if err != nil {
		tb.Fatal(err)
	}
	return pub
}

func TestNewKey(t *testing.T) {
	p256, p384, ed, rs := signerFor(t, keys.ES256), signerFor(t, keys.ES384), signerFor(t, keys.Ed25519), signerFor(t, keys.PS512)
	for _, tc := range []struct {
		name string
		pub  *keys.Public
		alg  Algorithm
		ok   bool
	}{
		{"P-256", unbound(t, p256), ECDSAP256SHA256, true},
		{"P-256 for P-384", unbound(t, p256), ECDSAP384SHA384, false},
		{"P-384", unbound(t, p384), ECDSAP384SHA384, true},
		{"P-384 for P-256", unbound(t, p384), ECDSAP256SHA256, false},
		{"Ed25519", unbound(t, ed), Ed25519, true},
		{"Ed25519 for RSA", unbound(t, ed), RSAv15SHA256, false},
		{"RSA-PSS", unbound(t, rs), RSAPSSSHA512, true},
		{"RSA PKCS #1", unbound(t, rs), RSAv15SHA256, true},
		{"RSA for Ed25519", unbound(t, rs), Ed25519, false},
		{"bound to the algorithm", rs.Public(), RSAPSSSHA512, true},
		{"bound to another", rs.Public(), RSAv15SHA256, false},
		{"public key as a secret", unbound(t, ed), HMACSHA256, false},
		{"JOSE name", unbound(t, ed), "Ed25519", false},
		{"unregistered", unbound(t, rs), "rsa-pss-sha256", false},
		{"no algorithm", unbound(t, ed), "", false},
		{"no key", nil, Ed25519, false},
		{"zero key", new(keys.Public), Ed25519, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := NewKey(tc.pub, tc.alg)
			if (err == nil) != tc.ok {
				t.Fatalf("got %v, want success: %v", err, tc.ok)
			}
			if err == nil && (key.Algorithm() != tc.alg || key.Thumbprint() != tc.pub.Thumbprint()) {
				t.Errorf("algorithm %q, thumbprint %s", key.Algorithm(), key.Thumbprint())
			}
		})
	}
}

func TestNewJOSEKey(t *testing.T) {
	for _, tc := range []struct {
		name string
		pub  *keys.Public
		ok   bool
	}{
		{"implied", unbound(t, signerFor(t, keys.ES512)), true},
		{"own", signerFor(t, keys.PS256).Public(), true},
		{"RSA without algorithm", unbound(t, signerFor(t, keys.PS256)), false},
		{"no key", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := NewJOSEKey(tc.pub)
			if (err == nil) != tc.ok {
				t.Fatalf("got %v, want success: %v", err, tc.ok)
			}
			if err == nil && key.Algorithm() != "" {
				t.Errorf("algorithm %q of a JOSE key", key.Algorithm())
			}
		})
	}
}

func TestNewHMACKey(t *testing.T) {
	if _, err := NewHMACKey(make([]byte, 15)); err == nil {
		t.Error("a secret of 15 bytes was accepted")
	}
	secret := make([]byte, 16)
	key, err := NewHMACKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := key.macs.appendMAC(nil, []byte("base"))
	secret[0] = 1 // the key has its own copy
	for name, tc := range map[string]struct {
		mac  []byte
		want bool
	}{
		"right":     {mac, true},
		"cut":       {mac[:31], false},
		"longer":    {append(append([]byte{}, mac...), 0), false},
		"empty":     {nil, false},
		"of zeros":  {make([]byte, 32), false},
		"other bit": {append(append([]byte{}, mac[:31]...), mac[31]^1), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := key.verify([]byte("base"), tc.mac); got != tc.want {
				t.Errorf("verified: %v, want %v", got, tc.want)
			}
		})
	}
	if key.Thumbprint() != (keys.Thumbprint{}) {
		t.Error("an hmac key has a thumbprint")
	}
}

func TestRedacted(t *testing.T) {
	secret := []byte("a secret of more than 16 bytes")
	key, err := NewHMACKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, v := range []any{key, *key, SignerConfig{Secret: secret}} {
			if got := fmt.Sprintf(format, v); got != "[redacted]" {
				t.Errorf("%s of %T prints %q", format, v, got)
			}
		}
	}
}
