package issuer

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A whole token request, without the network: one signature verified, one made.
func BenchmarkToken(b *testing.B) {
	f := newFixture(b, nil)
	handler := f.Handler()
	b.Run("DPoP/ES256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			q := request("any")
			f.addProof(b, q, nil)
			r, w := q.http(), httptest.NewRecorder()
			b.StartTimer()
			handler.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				b.Fatalf("got %d %s", w.Code, w.Body)
			}
		}
	})
}
