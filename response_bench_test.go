package holdfast_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast"
)

// nowhere is a response that nobody reads.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkResponse measures a whole pass of the Verifier in a session, with a handler that answers 1 KiB, or 1 MiB in 32 KiB
// writes: unsigned, signed by a digest, and in frames.
func BenchmarkResponse(b *testing.B) {
	w := newWorld(b).withSessions()
	v := w.verifier(holdfast.Policy{Replay: holdfast.InsecureReplayOff})
	s := w.session(v)
	for _, size := range []struct {
		name   string
		writes []int
	}{{"1K", []int{1 << 10}}, {"1M", slices.Repeat([]int{32 << 10}, 32)}} {
		content := []byte(strings.Repeat("x", 32<<10))
		h := v.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/octet-stream")
			for _, n := range size.writes {
				rw.Write(content[:n])
			}
		}))
		for name, ask := range map[string]string{
			"unsigned": "", "digest": `pop-response=("content-digest");created;tag="pop-response"`,
			"frames": `pop-response=("content-digest");created;tag="pop-response", pop-response-stream=("pop-stream");created;tag="pop-response"`,
		} {
			b.Run(name+"/"+size.name, func(b *testing.B) {
				r := w.mac(request("GET", target, ""), s)
				if ask != "" {
					r.Header.Set("Accept-Signature", ask)
				}
				b.ReportAllocs()
				for b.Loop() {
					out := nowhere{http.Header{}}
					h.ServeHTTP(out, r)
					if signed := out.h["Signature"] != nil || out.h["Trailer"] != nil; signed != (ask != "") {
						b.Fatalf("got %v", out.h)
					}
				}
			})
		}
	}
}
