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

const largeBody = 256 << 20

// BenchmarkReader256MiB pairs the verifying reader with SHA-256 alone over the same reads, round by round, and reports
// the ratio of the fastest rounds: whatever else runs on the machine only ever adds.
func BenchmarkReader256MiB(b *testing.B) {
	buf := make([]byte, 64<<10)
	drain := func(w io.Writer, r io.Reader) time.Duration {
		start := time.Now()
		// Hidden behind structs, so that every byte goes through buf on both sides.
		if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	sum := sha256.New()
	drain(sum, &zeros{largeBody})
	d, err := Parse([]string{field(SHA256, sum.Sum(nil))})
	if err != nil {
		b.Fatal(err)
	}
	bare, verified := time.Hour, time.Hour
	b.SetBytes(2 * largeBody)
	b.ReportAllocs()
	for b.Loop() {
		bare = min(bare, drain(sha256.New(), &zeros{largeBody}))
		verified = min(verified, drain(io.Discard, NewReader(io.NopCloser(&zeros{largeBody}), d)))
	}
	b.ReportMetric(float64(verified)/float64(bare), "x-sha256")
}
