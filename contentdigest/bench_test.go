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
// the ratio.
func BenchmarkReader256MiB(b *testing.B) {
	sum := sha256.New()
	buf := make([]byte, 64<<10)
	if _, err := io.CopyBuffer(sum, &zeros{largeBody}, buf); err != nil {
		b.Fatal(err)
	}
	d := Digests{sha256: sum.Sum(nil)}
	var bare, verified time.Duration
	b.SetBytes(largeBody)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		h := sha256.New()
		if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{&zeros{largeBody}}, buf); err != nil {
			b.Fatal(err)
		}
		bare += time.Since(start)
		start = time.Now()
		r := NewReader(io.NopCloser(&zeros{largeBody}), d)
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); err != nil {
			b.Fatal(err)
		}
		verified += time.Since(start)
	}
	b.ReportMetric(float64(verified)/float64(bare), "x-sha256")
}
