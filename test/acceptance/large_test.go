package acceptance

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
)

const (
	mebi  = 1 << 20
	block = 64 << 10
	frame = 4 + block + 32
)

// blocks is a body made as it is read: blocks that differ only in their number.
type blocks struct {
	left int64
	n    uint64
	buf  [block]byte
	rest []byte
}

func (b *blocks) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if b.left == 0 {
			return 0, io.EOF
		}
		binary.BigEndian.PutUint64(b.buf[:], b.n)
		b.n++
		b.rest = b.buf[:min(int64(block), b.left)]
		b.left -= int64(len(b.rest))
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// TestLargeBody sends gigabytes through a gateway in constant memory: in chunks that are each authenticated, and under a
// digest that is verified while the body passes.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	n := int64(size(256, 4096)) * mebi
	s := open(t, binaries.withoutRaces, perConnection)
	m := s.addGateway(sessionsText(5*time.Minute, time.Time{}, "a"))
	s.awaitReady()
	want := sha256.New()
	if _, err := io.Copy(want, &blocks{left: n}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		edit func(*holdfast.Transport, *http.Request)
	}{
		{"chunks, length known", func(_ *holdfast.Transport, r *http.Request) { r.ContentLength = n }},
		{"chunks, length unknown", func(_ *holdfast.Transport, r *http.Request) { r.ContentLength = -1 }},
		{"digest", func(tr *holdfast.Transport, r *http.Request) {
			tr.DigestBody, r.ContentLength = true, n
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(&blocks{left: n}), nil }
		}},
	} {
		if !*full && tc.name == "chunks, length unknown" {
			continue // as good as the one before
		}
		t.Run(tc.name, func(t *testing.T) {
			target := "/large/" + strings.ReplaceAll(tc.name, " ", "-")
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.balancer.origin+target, io.NopCloser(&blocks{left: n}))
			if err != nil {
				t.Fatal(err)
			}
			c := s.newClient(func(tr *holdfast.Transport) { tc.edit(tr, r) })
			s.begin(c)
			before := memory(t, m.process, "VmRSS")
			began := time.Now()
			res, err := c.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil || string(got) != fmt.Sprintf("PUT %s %x", target, want.Sum(nil)) {
				t.Fatalf("the API got another body: %s %s, %v", res.Status, got, err)
			}
			took := time.Since(began)
			grown := memory(t, m.process, "VmHWM") - before
			t.Logf("%d MiB at %.0f MB/s; the gateway grew by %d KiB, from %d", n/mebi, float64(n)/1e6/took.Seconds(), grown>>10, before>>10)
			if grown > 32*mebi {
				t.Errorf("the gateway grew by %d MiB", grown/mebi)
			}
			if full := c.full.Load(); full > 2 { // a nonce and the offer
				t.Errorf("the body wasn't sent in the session: %d full proofs", full)
			}
		})
	}
}

// memory reads a line of /proc/PID/status, in octets.
func memory(t *testing.T, p *process, line string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("there is no /proc here")
	}
	for l := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(l, line+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in /proc", line)
	return 0
}

// TestFlippedOctet changes one octet of a large body on its way. However late it comes, the API sees no end.
func TestFlippedOctet(t *testing.T) {
	t.Parallel()
	n := int64(size(32, 4096)) * mebi
	s := open(t, binaries.asTests, perConnection)
	s.addGateway(sessionsText(10*time.Minute, time.Time{}, "a"))
	s.awaitReady()
	c, m := s.clientBetween()
	c.DigestBody = false
	framed := n / block * frame
	for _, tc := range []struct {
		name string
		at   int64
	}{
		{"first length", 3}, {"first payload", 4}, {"first tag", 4 + block},
		{"in the middle", framed/2 + 17}, {"last payload", framed - 33}, {"last octet", framed - 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.begin(c)
			var flipped atomic.Bool
			m.change(nil, func(r io.Reader) io.Reader {
				return io.MultiReader(io.LimitReader(r, tc.at), &flipFirst{r: r, done: &flipped})
			})
			target := "/flipped/" + strings.ReplaceAll(tc.name, " ", "-")
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.balancer.origin+target, io.NopCloser(&blocks{left: n}))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = n
			res, err := c.RoundTrip(r)
			m.change(nil, nil)
			if err == nil { // otherwise the connection ended while the body was being sent
				var body bytes.Buffer
				io.Copy(&body, io.LimitReader(res.Body, 1<<10))
				res.Body.Close()
				if res.StatusCode != http.StatusBadRequest {
					t.Errorf("got %s %s, want a refusal", res.Status, body.Bytes())
				}
			}
			if got := s.api.arrived(target); got.whole || !flipped.Load() {
				t.Errorf("the API saw an end: %t, an octet was changed: %t", got.whole, flipped.Load())
			}
		})
	}
	if got, want := s.api.served.Load(), int64(6); got != want { // what began sessions
		t.Errorf("the API saw %d ends, want %d", got, want)
	}
}

// flipFirst changes the first octet that it reads.
type flipFirst struct {
	r    io.Reader
	done *atomic.Bool
}

func (f *flipFirst) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if n > 0 && f.done.CompareAndSwap(false, true) {
		p[0] ^= 1
	}
	return n, err
}
