package popstream

import (
	"errors"
	"io"
	"slices"
)

// Writer frames what is written to it. It keeps at most one chunk. It isn't safe for concurrent use.
type Writer struct {
	w     io.Writer
	tags  tagger
	chunk int
	frame []byte // room for the length, then the payload so far
	err   error  // what ended the stream: errClosed if all went well
}

var errClosed = errors.New("popstream: write to a closed stream")

// NewWriter returns a Writer to w, for instance to an http.ResponseWriter. Each chunk is one call of w.Write.
func NewWriter(w io.Writer, k Key, p Params) *Writer {
	return &Writer{w: w, tags: newTagger(k), chunk: p.chunk(), frame: make([]byte, headSize, headSize+tagSize), err: p.check(k)}
}

// Write implements io.Writer. A full chunk is sent when there is more, because it could be the last one.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && w.err == nil {
		room := w.chunk - (len(w.frame) - headSize)
		if room == 0 {
			w.send(false)
			continue
		}
		n := min(len(p), room)
		w.grow(n)
		w.frame = append(w.frame, p[:n]...)
		p, written = p[n:], written+n
	}
	return written, w.err
}

// Flush sends what there is as a chunk, and nothing if there is nothing. Flushing what lies behind w is for the caller.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.frame) > headSize {
		w.send(false)
	}
	return w.err
}

// Close sends the last chunk. Closing again does nothing. It doesn't close what lies behind w. A stream that isn't closed
// is one that the recipient refuses at its end: that is how to abort.
func (w *Writer) Close() error {
	if w.err == nil {
		w.send(true)
		if w.err == nil {
			w.err, w.frame = errClosed, nil
		}
	}
	if w.err == errClosed {
		return nil
	}
	return w.err
}

// grow makes room for n more octets and the tag: the double each time, but never more than a full frame.
func (w *Writer) grow(n int) {
	need := len(w.frame) + n + tagSize
	if need > cap(w.frame) {
		size := min(max(need, 2*cap(w.frame)), w.chunk+overhead)
		w.frame = append(make([]byte, 0, size), w.frame...)
	}
}

// send sends the chunk at hand.
func (w *Writer) send(last bool) {
	frame := w.tags.seal(w.frame, last)
	n, err := w.w.Write(frame)
	if err == nil && n != len(frame) {
		err = io.ErrShortWrite
	}
	w.frame, w.err = frame[:headSize], err
}

// NewFramer returns src framed, for the body of an http.Request of unknown length. What one read of src gives is sent
// as one chunk, without waiting for more, so that both directions can talk at once. An error of src ends the framing
// without a last chunk. Close closes src if it is an io.Closer.
func NewFramer(src io.Reader, k Key, p Params) io.ReadCloser { return newFramer(src, -1, k, p) }

// NewSizedFramer is like NewFramer for n octets, in full chunks: what it gives has [FramedLength]. If src has fewer or
// more, the framing ends in an error and without a last chunk.
func NewSizedFramer(src io.Reader, n int64, k Key, p Params) io.ReadCloser {
	f := newFramer(src, n, k, p)
	if n < 0 && f.err == nil {
		f.err = errors.New("popstream: negative length")
	}
	return f
}

func newFramer(src io.Reader, n int64, k Key, p Params) *framer {
	f := &framer{src: src, left: n, tags: newTagger(k), chunk: p.chunk(), err: p.check(k)}
	if n >= 0 {
		f.chunk = int(min(int64(f.chunk), n))
	}
	return f
}

type framer struct {
	src   io.Reader
	left  int64 // octets still to come from src; negative if unknown
	tags  tagger
	chunk int
	frame []byte // the newest frame
	out   []byte // of frame: not yet handed out
	err   error  // what ended the stream; the next read after out returns it
}

// Read implements io.Reader.
func (f *framer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(f.out) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.advance()
	}
	n := copy(p, f.out)
	f.out = f.out[n:]
	if n == 0 {
		return 0, f.err
	}
	return n, nil
}

// Close implements io.Closer.
func (f *framer) Close() error {
	if c, ok := f.src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// advance takes the next frame into out, unless src has nothing to give, and sets err where the stream ends.
func (f *framer) advance() {
	f.frame = slices.Grow(f.frame[:0], f.chunk+overhead)[:headSize+f.chunk]
	read := f.readSome
	if f.left >= 0 {
		read = f.readFull
	}
	n, err := read(f.frame[headSize:])
	f.err = err
	if err == io.EOF || err == nil && n > 0 {
		f.out = f.tags.seal(f.frame[:headSize+n], err == io.EOF)
	}
}

// readSome reads once.
func (f *framer) readSome(p []byte) (int, error) { return f.src.Read(p) }

// readFull reads all of p or all that is left, and returns io.EOF with the end, which must then be the end of src, too.
func (f *framer) readFull(p []byte) (int, error) {
	n, err := io.ReadFull(f.src, p[:min(int64(len(p)), f.left)])
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	f.left -= int64(n)
	if err != nil || f.left > 0 {
		return n, err
	}
	var one [1]byte
	if more, err := io.ReadFull(f.src, one[:]); more > 0 {
		return n, errors.New("popstream: the body is longer than it was said to be")
	} else {
		return n, err
	}
}
