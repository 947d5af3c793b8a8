package holdfast_test

import (
	"net/http"
	"testing"

	"github.com/holdfast-project/holdfast"
)

// BenchmarkSession is the verifier's pass of a request in a session: the MAC included, making the request not.
func BenchmarkSession(b *testing.B) {
	for _, bc := range []struct {
		name    string
		tickets int
	}{{"remembered", 0}, {"opened", -1}} {
		b.Run(bc.name, func(b *testing.B) {
			w := newWorld(b).withSessions()
			w.config.Sessions.Tickets = bc.tickets
			v := w.verifier(holdfast.Policy{})
			s := w.session(v)
			var requests []*http.Request
			b.ReportAllocs()
			for b.Loop() {
				if len(requests) == 0 {
					b.StopTimer()
					for range 500 {
						requests = append(requests, w.mac(request(http.MethodGet, target, ""), s))
					}
					b.StartTimer()
				}
				last := len(requests) - 1
				if _, err := v.Check(requests[last]); err != nil {
					b.Fatal(err)
				}
				requests = requests[:last]
			}
		})
	}
}
