package contentdigest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestTrailerReader(t *testing.T) {
	const body = "the body that was digested"
	unsigned := errors.New("the trailer isn't signed")
	for _, tc := range []struct {
		name  string
		field string
		err   error
		want  string
	}{
		{"same", Sum(SHA256, []byte(body)), nil, "match"},
		{"sha-512 beside it", Sum(SHA256, []byte(body)) + ", " + Sum(SHA512, []byte("?")), nil, "match"},
		{"another", Sum(SHA256, []byte(body+"!")), nil, "mismatch"},
		{"no sha-256", Sum(SHA512, []byte(body)), nil, "unsupported"},
		{"refused", Sum(SHA256, []byte(body)), unsigned, "refused"},
	} {
		for split, f := range map[string]func(io.Reader) io.Reader{"one byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader} {
			t.Run(tc.name+"/"+split, func(t *testing.T) {
				source, calls := &counted{Reader: f(strings.NewReader(body))}, 0
				r := NewTrailerReader(io.NopCloser(source), func() (Digests, error) {
					calls++
					if !source.ended {
						t.Error("asked before the body had ended")
					}
					d, err := Parse([]string{tc.field})
					return d, errors.Join(err, tc.err)
				})
				got, err := io.ReadAll(r)
				if tc.err != nil {
					if !errors.Is(err, tc.err) {
						t.Errorf("got %v, want %v", err, tc.err)
					}
				} else if reason := reasonOf(t, err); reason != tc.want {
					t.Errorf("got %s, want %s", reason, tc.want)
				}
				if err != nil && len(got) >= len(body) {
					t.Error("the whole of a refused body was handed out")
				}
				if _, again := r.Read(make([]byte, 1)); again == nil || calls != 1 {
					t.Errorf("read on: got %v after %d calls, want the same end and one", again, calls)
				}
			})
		}
	}
}

// counted notes the end of a reader.
type counted struct {
	io.Reader
	ended bool
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.ended = c.ended || err == io.EOF
	return n, err
}
