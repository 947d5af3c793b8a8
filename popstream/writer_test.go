package popstream

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestWriter(t *testing.T) {
	write := func(sizes ...int) func(*Writer) {
		return func(w *Writer) {
			payload := numbered(100)
			for _, n := range sizes {
				if n == 0 {
					w.Flush()
				}
				w.Write(payload[:n])
				payload = payload[n:]
			}
		}
	}
	for _, tc := range []struct {
		name string
		use  func(*Writer)
		want [][]byte
	}{
		{"nothing", write(), testOracle.frames(nil)},
		{"less than a chunk", write(5), testOracle.frames(numbered(5))},
		{"a chunk, which is the last", write(16), testOracle.frames(numbered(16))},
		{"more than a chunk", write(17), testOracle.frames(numbered(17), 16)},
		{"many chunks at once", write(64), testOracle.full(numbered(64), 16)},
		{"small writes", write(5, 5, 5, 5, 5), testOracle.frames(numbered(25), 16)},
		{"flush", write(5, 0, 5), testOracle.frames(numbered(10), 5)},
		{"flush of nothing", write(0, 0, 5), testOracle.frames(numbered(5))},
		{"flush twice", write(5, 0, 0, 5), testOracle.frames(numbered(10), 5)},
		{"flush of a full chunk", write(16, 0, 5), testOracle.frames(numbered(21), 16)},
		{"flush before the end", write(5, 0), testOracle.frames(numbered(5), 5)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out frameLog
			w := NewWriter(&out, testKey, Params{Chunk: 16})
			tc.use(w)
			for range 2 { // closing again does nothing
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, out.frames); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// frameLog keeps what each call of Write was given, and fails from call number failAt on.
type frameLog struct {
	frames [][]byte
	failAt int
	err    error
	short  bool
}

func (l *frameLog) Write(p []byte) (int, error) {
	if l.failAt > 0 && len(l.frames)+1 >= l.failAt {
		if l.short {
			return len(p) - 1, nil
		}
		return 0, l.err
	}
	l.frames = append(l.frames, bytes.Clone(p))
	return len(p), nil
}

func TestWriterAfterClose(t *testing.T) {
	var out frameLog
	w := NewWriter(&out, testKey, Params{})
	w.Close()
	if n, err := w.Write([]byte("x")); n != 0 || err == nil {
		t.Errorf("write: got %d, %v", n, err)
	}
	if err := w.Flush(); err == nil {
		t.Error("flush: accepted")
	}
	if len(out.frames) != 1 {
		t.Errorf("got %d frames, want 1", len(out.frames))
	}
}

// TestWriterFails: after a chunk that may be half written nothing more is sent, and the stream can't be closed cleanly.
func TestWriterFails(t *testing.T) {
	broken := errors.New("connection lost")
	for _, tc := range []struct {
		name string
		out  frameLog
		want error
	}{
		{"error", frameLog{failAt: 2, err: broken}, broken},
		{"short write", frameLog{failAt: 2, short: true}, io.ErrShortWrite},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := NewWriter(&tc.out, testKey, Params{Chunk: 16})
			if n, err := w.Write(numbered(40)); n != 32 || err != tc.want {
				t.Errorf("got %d, %v, want 32, %v", n, err, tc.want)
			}
			tc.out.failAt = 0
			for _, f := range []func() error{w.Flush, w.Close, w.Close} {
				if err := f(); err != tc.want {
					t.Errorf("afterwards: got %v, want %v", err, tc.want)
				}
			}
			if len(tc.out.frames) != 1 {
				t.Errorf("got %d frames, want 1", len(tc.out.frames))
			}
		})
	}
}

func TestFramer(t *testing.T) {
	for _, tc := range []struct {
		name string
		src  io.Reader
		want [][]byte
	}{
		{"nothing", strings.NewReader(""), testOracle.frames(nil)},
		{"one read", bytes.NewReader(numbered(5)), testOracle.frames(numbered(5), 5)},
		{"end with the data", iotest.DataErrReader(bytes.NewReader(numbered(5))), testOracle.frames(numbered(5))},
		{"chunks", bytes.NewReader(numbered(37)), testOracle.frames(numbered(37), 16, 16, 5)},
		{"small reads", iotest.OneByteReader(bytes.NewReader(numbered(3))), testOracle.frames(numbered(3), 1, 1, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := iotest.TestReader(NewFramer(tc.src, testKey, Params{Chunk: 16}), join(tc.want)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSizedFramer(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 32, 37} {
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			src := wrap(bytes.NewReader(numbered(n)))
			got, err := io.ReadAll(NewSizedFramer(src, int64(n), testKey, Params{Chunk: 16}))
			if err != nil || !bytes.Equal(got, join(testOracle.full(numbered(n), 16))) {
				t.Errorf("%d octets: got %x, %v", n, got, err)
			}
			if want := FramedLength(int64(n), 16); int64(len(got)) != want {
				t.Errorf("%d octets: got %d framed, want %d", n, len(got), want)
			}
		}
	}
}

// TestSizedFramerRefuses: a body of another length than announced has no last chunk.
func TestSizedFramerRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		have int
		n    int64
	}{
		{"shorter", 31, 32},
		{"shorter by a chunk", 16, 32},
		{"nothing", 0, 32},
		{"longer", 33, 32},
		{"longer than nothing", 1, 0},
		{"negative", 0, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			framed, err := io.ReadAll(NewSizedFramer(bytes.NewReader(numbered(tc.have)), tc.n, testKey, Params{Chunk: 16}))
			if err == nil {
				t.Fatal("accepted")
			}
			if _, err := io.ReadAll(open(framed, testKey, 16)); reasonOf(t, err) != Truncated {
				t.Errorf("the recipient: got %v, want %s", err, Truncated)
			}
		})
	}
}

// TestFramerPassesErrors: an error of the source isn't an end.
func TestFramerPassesErrors(t *testing.T) {
	broken := errors.New("disk failed")
	for _, tc := range []struct {
		name   string
		framer func(io.Reader) io.ReadCloser
	}{
		{"unknown length", func(r io.Reader) io.ReadCloser { return NewFramer(r, testKey, Params{Chunk: 16}) }},
		{"known length", func(r io.Reader) io.ReadCloser { return NewSizedFramer(r, 32, testKey, Params{Chunk: 16}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			src := io.MultiReader(bytes.NewReader(numbered(16)), iotest.ErrReader(broken))
			framed, err := io.ReadAll(tc.framer(src))
			if err != broken || !bytes.Equal(framed, testOracle.frame(0, numbered(16), false)) {
				t.Errorf("got %x, %v, want one chunk and %v", framed, err, broken)
			}
		})
	}
}

// TestFramerIsPrompt: what the source gave is on its way before the source gives more, and a source that has nothing to
// give makes no chunk.
func TestFramerIsPrompt(t *testing.T) {
	src := &steps{[]string{"hello", "", "world"}}
	f := NewFramer(src, testKey, Params{})
	buf := make([]byte, 100)
	for seq, want := range []string{"hello", "", "world"} {
		n, err := f.Read(buf)
		if want == "" {
			if n != 0 || err != nil {
				t.Errorf("got %x, %v, want nothing", buf[:n], err)
			}
			continue
		}
		if frame := testOracle.frame(seq/2, []byte(want), false); err != nil || !bytes.Equal(buf[:n], frame) {
			t.Errorf("got %x, %v, want %x", buf[:n], err, frame)
		}
		if len(src.list) != 2-seq {
			t.Errorf("%s: the source was asked for more", want)
		}
	}
}

// steps gives one text a read.
type steps struct{ list []string }

func (s *steps) Read(p []byte) (int, error) {
	if len(s.list) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.list[0])
	s.list = s.list[1:]
	return n, nil
}
