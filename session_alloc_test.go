//go:build !race

package holdfast_test

import (
	"net/http"
	"testing"

	"github.com/holdfast-project/holdfast"
)

// TestSessionAllocs holds what a request in a session may allocate in the verifier.
func TestSessionAllocs(t *testing.T) {
	const runs = 100
	for _, tc := range []struct {
		name    string
		tickets int
		want    float64
	}{
		{"ticket remembered", 0, 4}, // URI, signature, proof, verdict
		{"ticket opened each time", -1, 29},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t).withSessions()
			w.config.Sessions.Tickets = tc.tickets
			v := w.verifier(holdfast.Policy{})
			s := w.session(v)
			requests := make([]*http.Request, runs+1) // one to warm up
			for i := range requests {
				requests[i] = w.mac(request("GET", target, ""), s)
			}
			i := 0
			got := testing.AllocsPerRun(runs, func() {
				if _, err := v.Check(requests[i]); err != nil {
					t.Fatal(err)
				}
				i++
			})
			if got > tc.want {
				t.Errorf("%v allocations, want at most %v", got, tc.want)
			}
		})
	}
}
