//go:build !race

package httpsig

import (
	"context"
	"testing"
)

// TestAllocs holds what a request may allocate, beyond what the primitives themselves do.
func TestAllocs(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	key, err := NewHMACKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	signer := newTestSigner(t, SignerConfig{Secret: secret, Components: benchComponents})
	signed := func(components []Component) *Message {
		m := benchMessage()
		fields, err := newTestSigner(t, SignerConfig{Secret: secret, Components: components}).Sign(m)
		if err != nil {
			t.Fatal(err)
		}
		fields.Add(m.Header)
		return m
	}
	v := newTestVerifier(t, Config{})
	verify := func(m *Message, source KeySource) func() {
		return func() {
			if _, err := v.Verify(context.Background(), m, source); err != nil {
				t.Fatal(err)
			}
		}
	}
	unsigned := benchMessage()
	var scratch [256]byte
	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"verify", 1, verify(signed(benchComponents), only(key))},
		{"verify seven components", 2, verify(signed(append(Components("@scheme", "@path"), benchComponents...)), only(key))},
		// The key and its state: of crypto/hmac are all but two.
		{"verify by a key of one use", 8, verify(signed(benchComponents), func(context.Context, *Input) (*Key, error) {
			return NewHMACKey(secret)
		})},
		{"sign", 3, func() { // nonce, Signature-Input, Signature
			if _, err := signer.Sign(unsigned); err != nil {
				t.Fatal(err)
			}
		}},
		{"canonical key", 0, func() { unsigned.lines("x-request-id", false) }},
		{"query parameter", 0, func() { appendPercent(scratch[:0], "a%20b+c") }},
		{"authority", 0, func() {
			target, _ := parseTarget(unsigned.TargetURI)
			target.appendAuthority(scratch[:0])
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, tc.f); got > tc.want {
				t.Errorf("%v allocations, want at most %v", got, tc.want)
			}
		})
	}
}
