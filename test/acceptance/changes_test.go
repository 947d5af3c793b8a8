package acceptance

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const (
	changeChunks = 8
	changeSize   = 100 // of a chunk
)

// change is something that somebody in the middle does to a body of eight chunks.
type change struct {
	name   string
	edit   func(f, other [][]byte) [][]byte // other are the frames of an earlier request of the session
	whole  int                              // chunks that may reach the API
	reason string                           // "" for one that isn't refused
}

func flip(frame []byte, at int) []byte {
	frame = slices.Clone(frame)
	frame[(at+len(frame))%len(frame)] ^= 1
	return frame
}

// relength is a frame that says another length.
func relength(frame []byte, edit func(uint32) uint32) []byte {
	frame = slices.Clone(frame)
	binary.BigEndian.PutUint32(frame, edit(binary.BigEndian.Uint32(frame)))
	return frame
}

const lastBit = 1 << 31

// third is an edit of frame number 3.
func third(edit func(frame []byte) []byte) func(f, other [][]byte) [][]byte {
	return func(f, _ [][]byte) [][]byte { f[3] = edit(f[3]); return f }
}

var changes = []change{
	{"none", func(f, _ [][]byte) [][]byte { return f }, changeChunks, ""},
	{"shorter length", third(func(b []byte) []byte { return relength(b, func(n uint32) uint32 { return n - 1 }) }), 3, "stream-tag"},
	{"longer length", third(func(b []byte) []byte { return relength(b, func(n uint32) uint32 { return n + 1 }) }), 3, "stream-tag"},
	{"length beyond the chunk size", third(func(b []byte) []byte { return relength(b, func(n uint32) uint32 { return 1 << 20 }) }), 3, "stream-chunk-large"},
	{"no length", third(func(b []byte) []byte { return relength(b, func(n uint32) uint32 { return 0 }) }), 3, "stream-chunk-empty"},
	{"first octet of a payload", third(func(b []byte) []byte { return flip(b, 4) }), 3, "stream-tag"},
	{"last octet of a payload", third(func(b []byte) []byte { return flip(b, -33) }), 3, "stream-tag"},
	{"first octet of a tag", third(func(b []byte) []byte { return flip(b, -32) }), 3, "stream-tag"},
	{"last octet of a tag", third(func(b []byte) []byte { return flip(b, -1) }), 3, "stream-tag"},
	{"last bit set", third(func(b []byte) []byte { return relength(b, func(n uint32) uint32 { return n | lastBit }) }), 3, "stream-tag"},
	{"last bit taken off", func(f, _ [][]byte) [][]byte {
		f[len(f)-1] = relength(f[len(f)-1], func(n uint32) uint32 { return n &^ lastBit })
		return f
	}, changeChunks, ""}, // the reason depends on whether the last chunk is empty: see want
	{"order", func(f, _ [][]byte) [][]byte { f[3], f[4] = f[4], f[3]; return f }, 3, "stream-tag"},
	{"the last one first", func(f, _ [][]byte) [][]byte { return append(f[len(f)-1:], f[:len(f)-1]...) }, 0, "stream-tag"},
	{"duplicate", func(f, _ [][]byte) [][]byte { return slices.Insert(f, 4, f[3]) }, 4, "stream-tag"},
	{"drop", func(f, _ [][]byte) [][]byte { return slices.Delete(f, 3, 4) }, 3, "stream-tag"},
	{"a chunk of another request", func(f, other [][]byte) [][]byte { f[3] = other[3]; return f }, 3, "stream-tag"},
	{"all chunks of another request", func(_, other [][]byte) [][]byte { return other }, 0, "stream-tag"},
	{"truncated between chunks", func(f, _ [][]byte) [][]byte { return f[:3] }, 3, "stream-truncated"},
	{"truncated in a chunk", func(f, _ [][]byte) [][]byte { return append(f[:3], f[3][:50]) }, 3, "stream-truncated"},
	{"truncated to nothing", func(f, _ [][]byte) [][]byte { return nil }, 0, "stream-truncated"},
	{"an octet after the end", func(f, _ [][]byte) [][]byte { return append(f, []byte{0}) }, changeChunks, "stream-trailing"},
	{"the last chunk twice", func(f, _ [][]byte) [][]byte { return append(f, f[len(f)-1]) }, changeChunks, "stream-trailing"},
}

// TestChangedBody has somebody in the middle change bodies chunk by chunk. The API gets what came before the change and
// never sees an end; where the route buffers, it gets nothing.
func TestChangedBody(t *testing.T) {
	t.Parallel()
	s := open(t, binaries.asTests, perConnection)
	s.addGateway(sessionsText(5*time.Minute, time.Time{}, "a"))
	s.awaitReady()
	c, m := s.clientBetween()
	s.begin(c)
	var payload []byte
	for i := range changeChunks {
		payload = append(payload, bytes.Repeat([]byte{'a' + byte(i)}, changeSize)...)
	}
	var other [][]byte
	m.change(nil, editFrames(t, func(f [][]byte) [][]byte { other = slices.Clone(f); return f }))
	if status, reason := s.put(c, "/first", payload); status != http.StatusOK || len(other) < changeChunks {
		t.Fatalf("unchanged: %d %s, %d frames", status, reason, len(other))
	}
	for _, route := range []string{"/", "/buffered/"} {
		for i, tc := range changes {
			t.Run(tc.name+" to "+route, func(t *testing.T) {
				m.change(nil, editFrames(t, func(f [][]byte) [][]byte { return tc.edit(f, other) }))
				target := fmt.Sprintf("%schanges/%d", route, i)
				status, reason := s.put(c, target, payload)
				if tc.name == "none" {
					if status != http.StatusOK {
						t.Errorf("got %d %s", status, reason)
					}
					return
				}
				if status != http.StatusBadRequest || tc.reason != "" && reason != tc.reason {
					t.Errorf("got %d %s, want 400 %s", status, reason, tc.reason)
				}
				got := s.api.arrived(target)
				if got.whole || len(got.bytes) > tc.whole*changeSize || !bytes.HasPrefix(payload, got.bytes) {
					t.Errorf("the API got %d octets (end: %t), want at most %d and no end", len(got.bytes), got.whole, tc.whole*changeSize)
				}
				if route == "/buffered/" && got.times > 0 {
					t.Error("the API was asked before all was verified")
				}
			})
		}
	}
	// What came later than each case's own look.
	if want := int64(2 + 2); s.api.served.Load() != want {
		t.Errorf("the API saw %d ends, want %d", s.api.served.Load(), want)
	}
}

// TestCutBody ends the connection in the middle of a body: that is no end for the API either.
func TestCutBody(t *testing.T) {
	t.Parallel()
	s := open(t, binaries.asTests, perConnection)
	s.addGateway(sessionsText(5*time.Minute, time.Time{}, "a"))
	s.awaitReady()
	c, m := s.clientBetween()
	s.begin(c)
	payload := bytes.Repeat([]byte("x"), changeChunks*changeSize)
	m.change(func(head string) string { return strings.Replace(head, "Pop-Stream", "X-Stream", 1) }, nil)
	if status, reason := s.put(c, "/unannounced", payload); status != http.StatusUnauthorized || s.api.arrived("/unannounced").times > 0 {
		t.Errorf("announcement taken away: got %d %s", status, reason)
	}
	s.begin(c)
	m.change(nil, func(r io.Reader) io.Reader { return cutAfter(r, 3*(changeSize+36)) })
	s.put(c, "/cut", payload)
	if got := s.api.arrived("/cut"); got.whole || len(got.bytes) > 3*changeSize {
		t.Errorf("the API got %d octets (end: %t)", len(got.bytes), got.whole)
	}
}

// editFrames changes a framed body as a whole.
func editFrames(t *testing.T, edit func([][]byte) [][]byte) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		body, err := io.ReadAll(r)
		if err != nil {
			return failing{err}
		}
		var frames [][]byte
		for len(body) > 0 {
			n := 4 + int(binary.BigEndian.Uint32(body)&^lastBit) + 32
			frames, body = append(frames, body[:n:n]), body[n:]
		}
		return bytes.NewReader(bytes.Join(edit(frames), nil))
	}
}

// put sends a body whose length nobody knows, a chunk each 100 octets, and returns status and reason of the answer. One
// that came before the end of the body must end the connection: what is left of the body is no request.
func (s *stage) put(c *client, target string, payload []byte) (status int, reason string) {
	s.t.Helper()
	var each []io.Reader // a read doesn't reach past one of them
	for chunk := range slices.Chunk(payload, changeSize) {
		each = append(each, bytes.NewReader(chunk))
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, s.balancer.origin+target, iotest.DataErrReader(io.MultiReader(each...)))
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := c.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusBadRequest && !strings.HasPrefix(target, "/buffered/") && !res.Close {
		s.t.Errorf("%s: the connection goes on behind a body that was refused", target)
	}
	var problem struct{ Reason string }
	json.NewDecoder(res.Body).Decode(&problem)
	return res.StatusCode, problem.Reason
}
