package popstream

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"
	"time"
)

const benchBody = 4 << 20

// discard keeps io.Copy from taking another way than through Write or Read.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// benchPaired runs work beside HMAC-SHA-256 over the same payload, chunk by chunk, round by round, and reports the
// ratio of the fastest rounds: whatever else runs on the machine only ever adds.
func benchPaired(b *testing.B, chunk int, work func()) {
	payload := numbered(benchBody)
	h := hmac.New(sha256.New, testKey.secret[:])
	var sum [tagSize]byte
	primitive := func() {
		for rest := payload; len(rest) > 0; rest = rest[chunk:] {
			h.Reset()
			h.Write(rest[:chunk])
			h.Sum(sum[:0])
		}
	}
	took := func(f func()) time.Duration {
		start := time.Now()
		f()
		return time.Since(start)
	}
	bare, framed := time.Hour, time.Hour
	b.SetBytes(2 * benchBody)
	b.ReportAllocs()
	for b.Loop() {
		bare = min(bare, took(primitive))
		framed = min(framed, took(work))
	}
	b.ReportMetric(float64(framed)/float64(bare), "x-hmac")
}

var benchChunks = []struct {
	name string
	size int
}{{"4K", 4 << 10}, {"16K", 16 << 10}, {"64K", 64 << 10}, {"256K", 256 << 10}, {"1M", 1 << 20}}

// BenchmarkVerify reads a body from memory: with Read into a buffer of 32 KiB, and with WriteTo.
func BenchmarkVerify(b *testing.B) {
	buf := make([]byte, 32<<10)
	for _, c := range benchChunks {
		framed := join(testOracle.full(numbered(benchBody), c.size))
		body := bytes.NewReader(nil)
		check := func(n int64, err error) {
			if n != benchBody || err != nil {
				b.Fatal(n, err)
			}
		}
		b.Run("chunk="+c.name+"/read", func(b *testing.B) {
			benchPaired(b, c.size, func() {
				body.Reset(framed)
				r := NewReader(io.NopCloser(body), testKey, Params{Chunk: c.size})
				check(io.CopyBuffer(discard{}, struct{ io.Reader }{r}, buf))
			})
		})
		b.Run("chunk="+c.name+"/copy", func(b *testing.B) {
			benchPaired(b, c.size, func() {
				body.Reset(framed)
				check(io.Copy(discard{}, NewReader(io.NopCloser(body), testKey, Params{Chunk: c.size})))
			})
		})
	}
}

// BenchmarkFrame frames a body from memory.
func BenchmarkFrame(b *testing.B) {
	payload := numbered(benchBody)
	buf := make([]byte, 32<<10)
	for _, c := range benchChunks {
		p := Params{Chunk: c.size}
		b.Run(fmt.Sprintf("chunk=%s/writer", c.name), func(b *testing.B) {
			benchPaired(b, c.size, func() {
				w := NewWriter(discard{}, testKey, p)
				w.Write(payload)
				w.Close()
			})
		})
		b.Run(fmt.Sprintf("chunk=%s/framer", c.name), func(b *testing.B) {
			body := bytes.NewReader(nil)
			benchPaired(b, c.size, func() {
				body.Reset(payload)
				io.CopyBuffer(discard{}, struct{ io.Reader }{NewFramer(body, testKey, p)}, buf)
			})
		})
	}
}
