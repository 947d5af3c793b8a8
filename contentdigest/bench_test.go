package contentdigest

import (
	"crypto/sha256"
	"io"
	"testing"
	"time"
)

// zeros is a body of n zero bytes.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.n))
	z.n -= int64(n)
	return n, nil
}

// BenchmarkReader256MiB pairs the verifying reader with SHA-256 alone over the same reads. Both take turns slice by slice,
// and the ratio is that of their fastest slices: whatever else runs on the machine only ever adds.
func BenchmarkReader256MiB(b *testing.B) {
	const body, slice = 256 << 20, 4 << 20
	buf := make([]byte, 64<<10)
	drain := func(w io.Writer, r io.Reader) time.Duration {
		start := time.Now()
		// Hidden behind a struct, so that every byte goes through buf on both sides.
		if _, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(r, slice), buf); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, &zeros{body}); err != nil {
		b.Fatal(err)
	}
	d, err := Parse([]string{Field(SHA256, sum.Sum(nil))})
	if err != nil {
		b.Fatal(err)
	}
	bare, verified := time.Hour, time.Hour
	b.SetBytes(2 * body)
	b.ReportAllocs()
	for b.Loop() {
		h, in := sha256.New(), &zeros{body}
		r := NewReader(io.NopCloser(&zeros{body}), d)
		for range body / slice {
			bare = min(bare, drain(h, in))
			verified = min(verified, drain(io.Discard, r))
		}
		if n, err := r.Read(buf); n != 0 || err != io.EOF {
			b.Fatalf("got %d bytes more and %v, want io.EOF", n, err)
		}
	}
	b.ReportMetric(float64(verified)/float64(bare), "x-sha256")
}
