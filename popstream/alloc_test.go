//go:build !race

package popstream

import (
	"bytes"
	"io"
	"runtime"
	"testing"
)

// zeros gives n zero octets.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.n))
	clear(p[:n])
	z.n -= int64(n)
	return n, nil
}

// TestAllocs: a stream allocates the same, however many chunks it has.
func TestAllocs(t *testing.T) {
	buf := make([]byte, 4096)
	for _, tc := range []struct {
		name string
		run  func(chunks int)
	}{
		{"writer", func(chunks int) {
			w := NewWriter(io.Discard, testKey, Params{Chunk: 4096})
			for range chunks {
				w.Write(buf)
				w.Flush()
			}
			w.Close()
		}},
		{"framer and reader", func(chunks int) {
			r := NewReader(NewFramer(&zeros{int64(chunks) * 4096}, testKey, Params{Chunk: 4096}), testKey, Params{Chunk: 4096})
			for {
				if _, err := r.Read(buf); err != nil {
					return
				}
			}
		}},
		{"sized framer and copied reader", func(chunks int) {
			n := int64(chunks) * 4096
			r := NewReader(NewSizedFramer(&zeros{n}, n, testKey, Params{Chunk: 4096}), testKey, Params{Chunk: 4096})
			io.Copy(io.Discard, r)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			few := testing.AllocsPerRun(20, func() { tc.run(4) })
			many := testing.AllocsPerRun(20, func() { tc.run(104) })
			if few != many {
				t.Errorf("got %v allocations for 4 chunks and %v for 104", few, many)
			}
		})
	}
}

// allocated returns how many bytes f allocates in all, which is at least what it holds at any time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemory: 64 MiB go through in the memory of two chunks.
func TestMemory(t *testing.T) {
	const body = 64 << 20
	for _, chunk := range []int{4 << 10, 64 << 10, 1 << 20} {
		p := Params{Chunk: chunk}
		limit := uint64(2*chunk + 64<<10)
		framer := func() io.ReadCloser { return NewFramer(&zeros{body}, testKey, p) }
		for _, tc := range []struct {
			name string
			run  func()
			want uint64
		}{
			{"framer", func() { io.Copy(io.Discard, struct{ io.Reader }{framer()}) }, limit},
			{"writer", func() { io.Copy(NewWriter(io.Discard, testKey, p), &zeros{body}) }, limit},
			{"framer and reader", func() { io.Copy(io.Discard, NewReader(framer(), testKey, p)) }, 2 * limit},
		} {
			if got := allocated(tc.run); got > tc.want {
				t.Errorf("%s, chunks of %d: got %d bytes, want at most %d", tc.name, chunk, got, tc.want)
			}
		}
	}
}

// TestMemoryFollowsWhatCame: announcing large chunks and sending nothing holds next to nothing.
func TestMemoryFollowsWhatCame(t *testing.T) {
	head := []byte{0x00, 0x10, 0x00, 0x00} // 1 MiB
	for _, sent := range []int{0, 1, 20_000, 100_000, 700_000} {
		body := bytes.NewReader(append(head, make([]byte, sent)...))
		got := allocated(func() {
			_, err := io.ReadAll(NewReader(io.NopCloser(body), testKey, Params{Chunk: MaxChunk}))
			if reasonOf(t, err) != Truncated {
				t.Errorf("got %v, want %s", err, Truncated)
			}
		})
		if limit := uint64(4*sent + 16<<10); got > limit {
			t.Errorf("%d octets sent: got %d bytes allocated, want at most %d", sent, got, limit)
		}
	}
}
