package popstream

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// A body of three chunks, and the frames of another message with the same payload.
var (
	testPayload = numbered(37)
	testOracle  = newOracle(testSecret, testSignature)
	otherOracle = newOracle(testSecret, bytes.Repeat([]byte{0x5b}, 32))
)

const testChunk = 16

func testFrames() [][]byte { return testOracle.full(testPayload, testChunk) }

func otherFrames() [][]byte { return otherOracle.full(testPayload, testChunk) }

// alter is one change of a framed body.
type alter struct {
	name     string
	framed   []byte
	want     Reason
	chunk    uint64 // that the error names
	released int    // octets that may have been handed out: those of the chunks before
}

// alters has a row for each way to change a body, which differs from an honest one in one thing.
func alters() []alter {
	f := testFrames
	flip := func(chunk, at int, bit byte) []byte {
		frames := f()
		frames[chunk][at] ^= bit
		return join(frames)
	}
	one := testOracle.frame
	const tagAt = headSize + testChunk
	return []alter{
		{"payload, first octet", flip(0, headSize, 1), BadTag, 0, 0},
		{"payload, last octet", flip(1, tagAt-1, 0x80), BadTag, 1, 16},
		{"tag, first octet", flip(1, tagAt, 1), BadTag, 1, 16},
		{"tag, last octet", flip(2, len(f()[2])-1, 0x80), BadTag, 2, 32},
		{"last bit set", flip(0, 0, 0x80), BadTag, 0, 0},
		{"last bit cleared", flip(2, 0, 0x80), BadTag, 2, 32},
		{"length one less", flip(2, 3, 1), BadTag, 2, 32}, // 5 to 4
		{"length one more", flip(2, 3, 2), Truncated, 2, 32},
		{"length beyond the announced", flip(1, 3, 1), TooLarge, 1, 16}, // 16 to 17
		{"length far beyond the announced", flip(1, 0, 0x7f), TooLarge, 1, 16},
		{"length zero", flip(1, 3, 16), EmptyChunk, 1, 16},
		{"swapped", join([][]byte{f()[1], f()[0], f()[2]}), BadTag, 0, 0},
		{"swapped later", join([][]byte{f()[0], f()[2], f()[1]}), BadTag, 1, 16},
		{"duplicate", join([][]byte{f()[0], f()[0], f()[1], f()[2]}), BadTag, 1, 16},
		{"first dropped", join(f()[1:]), BadTag, 0, 0},
		{"middle dropped", join([][]byte{f()[0], f()[2]}), BadTag, 1, 16},
		{"last dropped", join(f()[:2]), Truncated, 2, 32},
		{"last alone", f()[2], BadTag, 0, 0},
		{"chunk of another message", join([][]byte{f()[0], otherFrames()[1], f()[2]}), BadTag, 1, 16},
		{"end of another message", join([][]byte{f()[0], f()[1], otherFrames()[2]}), BadTag, 2, 32},
		{"body of another message", join(otherFrames()), BadTag, 0, 0},
		{"cut in a length", join(f())[:2*(testChunk+overhead)+2], Truncated, 2, 32},
		{"cut behind a length", join(f())[:2*(testChunk+overhead)+headSize], Truncated, 2, 32},
		{"cut in a payload", join(f())[:2*(testChunk+overhead)+headSize+3], Truncated, 2, 32},
		{"cut behind a payload", join(f())[:2*(testChunk+overhead)+headSize+5], Truncated, 2, 32},
		{"cut in a tag", join(f())[:len(join(f()))-1], Truncated, 2, 32},
		{"nothing", nil, Truncated, 0, 0},
		{"empty chunk in between", join([][]byte{f()[0], one(1, nil, false), f()[2]}), EmptyChunk, 1, 16},
		{"chunk larger than announced", join([][]byte{f()[0], one(1, testPayload[:17], true)}), TooLarge, 1, 16},
		{"octet behind the end", append(join(f()), 0), Trailing, 3, 37},
		{"chunk behind the end", append(join(f()), one(3, testPayload, true)...), Trailing, 3, 37},
		{"body twice", append(join(f()), join(f())...), Trailing, 3, 37},
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, tc := range alters() {
		t.Run(tc.name, func(t *testing.T) {
			r := open(tc.framed, testKey, testChunk)
			got, err := io.ReadAll(r)
			if reason := reasonOf(t, err); reason != tc.want {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			if e, _ := errors.AsType[*Error](err); e.Chunk != tc.chunk {
				t.Errorf("got chunk %d, want %d", e.Chunk, tc.chunk)
			}
			if !bytes.Equal(got, testPayload[:tc.released]) {
				t.Errorf("released %x, want %x", got, testPayload[:tc.released])
			}
			for range 2 {
				if n, again := r.Read(make([]byte, 1)); n != 0 || again != err {
					t.Errorf("afterwards: got %d, %v, want the same error", n, again)
				}
			}
			var copied bytes.Buffer
			if _, err := io.Copy(&copied, open(tc.framed, testKey, testChunk)); reasonOf(t, err) != tc.want {
				t.Errorf("copying: got %v, want %s", err, tc.want)
			}
			if !bytes.Equal(copied.Bytes(), got) {
				t.Errorf("copied %x, want %x", copied.Bytes(), got)
			}
		})
	}
}

// TestReaderRefusesEveryFlip changes each bit of a body and cuts it at each octet.
func TestReaderRefusesEveryFlip(t *testing.T) {
	framed := join(testFrames())
	check := func(what string, at int, changed []byte) {
		t.Helper()
		got, err := io.ReadAll(open(changed, testKey, testChunk))
		chunk := at / (testChunk + overhead)
		if reasonOf(t, err) == "" || !bytes.Equal(got, testPayload[:chunk*testChunk]) {
			t.Errorf("%s at %d: got %d octets, %v", what, at, len(got), err)
		}
	}
	for at := range framed {
		for bit := range 8 {
			changed := slices.Clone(framed)
			changed[at] ^= 1 << bit
			check("bit flipped", at, changed)
		}
		check("cut", at, framed[:at])
		check("octet removed", at, slices.Delete(slices.Clone(framed), at, at+1))
		check("octet inserted", at, slices.Insert(slices.Clone(framed), at, framed[at]+1))
	}
}

func TestReaderAccepts(t *testing.T) {
	for _, tc := range []struct {
		name   string
		n      int
		frames [][]byte
	}{
		{"empty", 0, testOracle.frames(nil)},
		{"one octet", 1, testOracle.frames(numbered(1))},
		{"one full chunk", 16, testOracle.frames(numbered(16))},
		{"full chunks and an empty last one", 32, testOracle.frames(numbered(32), 16, 16)},
		{"many", 37, testOracle.full(numbered(37), 16)},
		{"small chunks", 10, testOracle.frames(numbered(10), 1, 2, 3, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := iotest.TestReader(open(join(tc.frames), testKey, testChunk), numbered(tc.n)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReaderSplits reads a body through every way in which its octets can come, into buffers of every size.
func TestReaderSplits(t *testing.T) {
	framed := join(testFrames())
	for _, tc := range []struct {
		name string
		wrap func(io.Reader) io.Reader
	}{
		{"at once", func(r io.Reader) io.Reader { return r }},
		{"one by one", iotest.OneByteReader},
		{"halves", iotest.HalfReader},
		{"end with the data", iotest.DataErrReader},
		{"one by one, end with the data", func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for size := 1; size <= len(testPayload)+1; size++ {
				src := tc.wrap(bytes.NewReader(framed))
				r := NewReader(io.NopCloser(src), testKey, Params{Chunk: testChunk})
				var got []byte
				for buf := make([]byte, size); ; {
					n, err := r.Read(buf)
					got = append(got, buf[:n]...)
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(got, testPayload) {
					t.Fatalf("size %d: got %x", size, got)
				}
			}
		})
	}
	for cut := range framed {
		src := io.MultiReader(bytes.NewReader(framed[:cut]), bytes.NewReader(framed[cut:]))
		got, err := io.ReadAll(NewReader(io.NopCloser(src), testKey, Params{Chunk: testChunk}))
		if err != nil || !bytes.Equal(got, testPayload) {
			t.Fatalf("cut at %d: got %x, %v", cut, got, err)
		}
	}
}

// TestReaderIsPrompt hands out each chunk before anything behind it has come.
func TestReaderIsPrompt(t *testing.T) {
	frames := testFrames()
	src := new(bytes.Buffer)
	r := NewReader(io.NopCloser(src), testKey, Params{Chunk: testChunk})
	for i, frame := range frames {
		src.Write(frame)
		buf := make([]byte, 100)
		if n, err := r.Read(buf); err != nil || !bytes.Equal(buf[:n], frame[headSize:len(frame)-tagSize]) {
			t.Fatalf("chunk %d: got %x, %v", i, buf[:n], err)
		}
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d, %v, want io.EOF", n, err)
	}
}

// TestReaderPassesErrors: what isn't the sender's doing isn't called so, wherever it happens.
func TestReaderPassesErrors(t *testing.T) {
	broken := errors.New("connection lost")
	framed := join(testFrames())
	for at := range len(framed) + 1 {
		src := io.MultiReader(bytes.NewReader(framed[:at]), iotest.ErrReader(broken))
		got, err := io.ReadAll(NewReader(io.NopCloser(src), testKey, Params{Chunk: testChunk}))
		if err != broken || !bytes.HasPrefix(testPayload, got) {
			t.Fatalf("at %d: got %x, %v, want %v", at, got, err, broken)
		}
	}
}

// A chunk that is announced too large is refused before any of it is read.
func TestReaderDoesNotReadTooLarge(t *testing.T) {
	framed := testOracle.frame(0, numbered(17), true)
	src := bytes.NewReader(framed)
	if _, err := io.ReadAll(NewReader(io.NopCloser(src), testKey, Params{Chunk: 16})); reasonOf(t, err) != TooLarge {
		t.Fatalf("got %v, want %s", err, TooLarge)
	}
	if read := len(framed) - src.Len(); read != headSize {
		t.Errorf("read %d octets, want %d", read, headSize)
	}
}

func TestZeroKeyIsRefused(t *testing.T) {
	framed := join(newOracle(nil, nil).full(testPayload, testChunk))
	if got, err := io.ReadAll(open(framed, Key{}, testChunk)); err != errNoKey || len(got) > 0 {
		t.Errorf("reader: got %x, %v, want %v", got, err, errNoKey)
	}
	if n, err := NewWriter(io.Discard, Key{}, Params{}).Write(testPayload); n != 0 || err != errNoKey {
		t.Errorf("writer: got %d, %v, want %v", n, err, errNoKey)
	}
	if err := NewWriter(io.Discard, Key{}, Params{}).Close(); err != errNoKey {
		t.Errorf("closing the writer: got %v, want %v", err, errNoKey)
	}
	if got, err := io.ReadAll(NewFramer(bytes.NewReader(testPayload), Key{}, Params{})); err != errNoKey || len(got) > 0 {
		t.Errorf("framer: got %x, %v, want %v", got, err, errNoKey)
	}
}

func TestBadParamsAreRefused(t *testing.T) {
	for _, chunk := range []int{-1, MaxChunk + 1} {
		if got, err := io.ReadAll(open(join(testFrames()), testKey, chunk)); err == nil {
			t.Errorf("reader, chunk %d: got %x", chunk, got)
		}
		if err := NewWriter(io.Discard, testKey, Params{Chunk: chunk}).Close(); err == nil {
			t.Errorf("writer, chunk %d: accepted", chunk)
		}
		if got, err := io.ReadAll(NewSizedFramer(bytes.NewReader(nil), 0, testKey, Params{Chunk: chunk})); err == nil {
			t.Errorf("framer, chunk %d: got %x", chunk, got)
		}
	}
}

// closer notes whether it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return errors.New("closed") }

func TestCloseClosesBody(t *testing.T) {
	for _, tc := range []struct {
		name string
		wrap func(*closer) io.Closer
	}{
		{"reader", func(c *closer) io.Closer { return NewReader(c, testKey, Params{}) }},
		{"framer", func(c *closer) io.Closer { return NewFramer(c, testKey, Params{}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &closer{Reader: bytes.NewReader(nil)}
			if err := tc.wrap(c).Close(); err == nil || !c.closed {
				t.Errorf("got %v, closed %t", err, c.closed)
			}
		})
	}
	if err := NewFramer(struct{ io.Reader }{}, testKey, Params{}).Close(); err != nil {
		t.Errorf("without Close: got %v", err)
	}
}

// A writer that takes less than it is given ends the copy.
func TestWriteToShortWriter(t *testing.T) {
	broken := errors.New("disk full")
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"silently", nil, io.ErrShortWrite},
		{"with an error", broken, broken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := io.Copy(&shortWriter{tc.err}, open(join(testFrames()), testKey, testChunk))
			if n != testChunk-1 || err != tc.want {
				t.Errorf("got %d, %v, want %d, %v", n, err, testChunk-1, tc.want)
			}
		})
	}
}

// shortWriter takes all but one octet.
type shortWriter struct{ err error }

func (w *shortWriter) Write(p []byte) (int, error) { return len(p) - 1, w.err }
