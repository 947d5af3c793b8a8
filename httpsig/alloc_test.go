//go:build !race

package httpsig

import (
	"context"
	"testing"
)

// TestAllocs holds what a request may allocate, beyond what the primitives themselves do.
func TestAllocs(t *testing.T) {
	cases := benchCases(t)
	c := &cases[2] // hmac-sha256, whose primitive allocates nothing here
	m, v, source, _ := signedBench(t, c)
	unsigned := benchMessage()
	var scratch [256]byte
	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"verify", 3, func() { v.Verify(context.Background(), m, source) }}, // list, signature, components
		{"sign", 9, func() { c.signer.Sign(unsigned) }},
		{"canonical key", 0, func() { m.lines("x-request-id", false) }},
		{"query parameter", 0, func() { appendPercent(scratch[:0], "a%20b+c") }},
		{"authority", 0, func() {
			target, _ := parseTarget(m.TargetURI)
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
