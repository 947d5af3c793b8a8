package contentdigest

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// TestReader reads every way in which a body can end, through readers that split it in every way.
func TestReader(t *testing.T) {
	const body = "the body that was digested"
	lost := errors.New("connection lost")
	splits := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
	}
	tests := []struct {
		name string
		sent string
		want string
	}{
		{"same", body, "match"},
		{"changed", strings.Replace(body, "body", "Body", 1), "mismatch"},
		{"cut short", body[:10], "mismatch"},
		{"longer", body + "!", "mismatch"},
		{"empty", "", "mismatch"},
		{"connection lost", body, "lost"},
	}
	for _, tc := range tests {
		for split, f := range splits {
			t.Run(tc.name+"/"+split, func(t *testing.T) {
				var in io.Reader = strings.NewReader(tc.sent)
				if tc.want == "lost" {
					in = io.MultiReader(in, iotest.ErrReader(lost))
				}
				r := NewReader(io.NopCloser(f(in)), parsed(t, body))
				_, err := io.Copy(io.Discard, r)
				if tc.want == "lost" {
					if !errors.Is(err, lost) {
						t.Errorf("got %v, want the connection's error", err)
					}
				} else if got := reasonOf(t, err); got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
				if n, again := r.Read(make([]byte, 8)); n != 0 || again == nil || (err != nil && !errors.Is(again, err)) {
					t.Errorf("read on: got %d bytes and %v, want the same end", n, again)
				}
			})
		}
	}
}

// TestReaderBehaves holds the reader to the contract of io.Reader, through readers that split a body in every way.
func TestReaderBehaves(t *testing.T) {
	for _, body := range []string{"", "x", "xy", strings.Repeat("the body", 100)} {
		for _, f := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			r := NewReader(io.NopCloser(f(strings.NewReader(body))), parsed(t, body))
			if err := iotest.TestReader(r, []byte(body)); err != nil {
				t.Errorf("%d bytes: %v", len(body), err)
			}
		}
	}
}

// TestReaderKeepsLastByte: whoever stops at the announced length never sees the error that ends the body.
func TestReaderKeepsLastByte(t *testing.T) {
	const sent = "another body"
	buf := make([]byte, len(sent))
	for size := 1; size <= len(sent); size++ {
		var in io.Reader = strings.NewReader(sent)
		r := NewReader(io.NopCloser(in), parsed(t, "the body"))
		n, err := 0, error(nil)
		for n < len(sent) && err == nil {
			var m int
			m, err = r.Read(buf[n:min(n+size, len(sent))])
			n += m
		}
		if n >= len(sent) || reasonOf(t, err) != "mismatch" {
			t.Errorf("reads of %d: got %d of %d bytes and %v, want fewer and a mismatch", size, n, len(sent), err)
		}
	}
}

// TestReaderEndsWithTheBody: nothing of the read that brought the end is handed out with a mismatch, and nothing later.
func TestReaderEndsWithTheBody(t *testing.T) {
	r := NewReader(io.NopCloser(iotest.DataErrReader(strings.NewReader("another body"))), parsed(t, "the body"))
	for range 3 {
		if n, err := r.Read(make([]byte, 100)); n != 0 || reasonOf(t, err) != "mismatch" {
			t.Errorf("got %d bytes and %v, want none and a mismatch", n, err)
		}
	}
}

func TestReaderWithoutDigests(t *testing.T) {
	_, err := io.ReadAll(NewReader(io.NopCloser(strings.NewReader("")), Digests{}))
	if got := reasonOf(t, err); got != "absent" {
		t.Errorf("got %s, want absent", got)
	}
}

type closer struct {
	io.Reader
	err error
}

func (c closer) Close() error { return c.err }

func TestReaderCloses(t *testing.T) {
	want := errors.New("closing failed")
	if got := NewReader(closer{nil, want}, parsed(t, "")).Close(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestReaderMemory reads a body far larger than what may be held for it.
func TestReaderMemory(t *testing.T) {
	const size = 64 << 20
	buf := make([]byte, 32<<10)
	var before, after runtime.MemStats
	d := parsed(t, "the body")
	runtime.ReadMemStats(&before)
	_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{NewReader(io.NopCloser(&zeros{size}), d)}, buf)
	runtime.ReadMemStats(&after)
	if got := reasonOf(t, err); got != "mismatch" {
		t.Errorf("got %s, want mismatch", got)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
		t.Errorf("%d bytes were allocated, want at most 64 KiB", got)
	}
}

// countingReader counts what is taken from an endless body.
type countingReader struct{ n int64 }

func (c *countingReader) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestHazardBodyReadWithoutBound(t *testing.T) {
	var endless countingReader
	_, err := ReadAll(&endless, parsed(t, ""), 1000)
	if e := (*Error)(nil); !errors.As(err, &e) || e.Reason != TooLarge {
		t.Fatalf("got %v, want %s", err, TooLarge)
	}
	if endless.n > 1001 {
		t.Errorf("%d bytes were read, want no more than 1001", endless.n)
	}
}

func TestHazardBodySwappedUnderCoveredDigest(t *testing.T) {
	if _, err := ReadAll(strings.NewReader("another body"), parsed(t, "the body"), 1000); reasonOf(t, err) != "mismatch" {
		t.Errorf("got %v, want a mismatch", err)
	}
}

func TestReadAll(t *testing.T) {
	got, err := ReadAll(strings.NewReader("the body"), parsed(t, "the body"), 8)
	if err != nil || string(got) != "the body" {
		t.Errorf("got %q, %v", got, err)
	}
	lost := errors.New("connection lost")
	if got, err := ReadAll(iotest.ErrReader(lost), parsed(t, ""), 8); !errors.Is(err, lost) || got != nil {
		t.Errorf("got %q, %v, want the connection's error", got, err)
	}
}

// FuzzReader changes a body in one place and reads it in pieces.
func FuzzReader(f *testing.F) {
	f.Add([]byte("the body"), uint(3), byte(1), uint(2))
	f.Fuzz(func(t *testing.T, body []byte, at uint, flip byte, piece uint) {
		sent := bytes.Clone(body)
		if len(sent) > 0 {
			sent[at%uint(len(sent))] ^= flip
		}
		r := NewReader(io.NopCloser(bytes.NewReader(sent)), parsed(t, string(body)))
		_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, piece%64+1))
		if (err == nil) != bytes.Equal(sent, body) {
			t.Errorf("changed %t, error %v", !bytes.Equal(sent, body), err)
		}
	})
}
