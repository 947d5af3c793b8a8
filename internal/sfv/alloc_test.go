//go:build !race

package sfv

import "testing"

func TestAllocs(t *testing.T) {
	lines := []string{signatureInput}
	dict, err := ParseDictionary(lines...)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 1024)
	var p Parser
	bytesValue := Bytes(buf[:64])
	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"parse Signature-Input", 3, func() { ParseDictionary(lines...) }}, // members, items, parameters
		{"parse Signature", 1, func() { ParseDictionary("sig1=:cHhjUXc2RzNBanRNQlFqd284WHprWmYvYndzNUxlbGJhTWs=:") }},
		{"parse again", 0, func() { p.ParseDictionary(lines...); p.Reset() }},
		{"serialise", 0, func() { AppendDictionary(buf, dict) }},
		{"decode", 0, func() { bytesValue.AppendBytes(buf) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, tc.f); got > tc.want {
				t.Errorf("%v allocations, want at most %v", got, tc.want)
			}
		})
	}
}
