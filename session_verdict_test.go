package holdfast_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-project/holdfast"
)

// TestVerdictsShareNothing: one verdict's lists are no other's memory, whatever comes between the two.
func TestVerdictsShareNothing(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{})
	s := w.session(v)
	for _, tc := range []struct {
		name string
		next func() *http.Request
		want []string
	}{
		{"session", func() *http.Request { return w.mac(request("GET", target, ""), s) }, []string{`"@method"`, `"@target-uri"`, `"authorization"`}},
		{"DPoP", func() *http.Request { return w.prove(request("GET", target, ""), boundToken) }, []string{"@method", "@scheme", "@authority", "@path"}},
		{"signature beside a DPoP proof", func() *http.Request { return w.beside(w.prove(request("GET", target, ""), boundToken)) }, []string{`"@method"`, `"@target-uri"`, `"authorization"`, `"dpop"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			first, err := v.Check(tc.next())
			if err != nil {
				t.Fatal(err)
			}
			for _, between := range []*http.Request{
				w.mac(request("POST", target, ""), s, "host"), w.beside(w.prove(request("POST", target, ""), boundToken), "host"), tc.next(),
			} {
				if _, err := v.Check(between); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(first.Covered, tc.want) {
				t.Errorf("got %q, want %q", first.Covered, tc.want)
			}
			// Those of one kind that can't differ may be one list.
			last, err := v.Check(tc.next())
			if err != nil {
				t.Fatal(err)
			}
			if first.Session != nil && first.Session == last.Session || !slices.Equal(last.Covered, tc.want) {
				t.Errorf("got %q, want %q in a verdict of its own", last.Covered, tc.want)
			}
		})
	}
}
