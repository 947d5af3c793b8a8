package popstream

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"io"
)

// NewReader returns the payload of a framed body. It hands out no octet whose tag doesn't hold, and ends in io.EOF only
// behind a last chunk that holds and where body ends, too. Any other end is an error, which every later read repeats: an
// *Error for what the sender did, the error of body as it is.
//
// So whoever passes the payload on must end that stream with an error where this one does; what was handed out before is
// authentic, but not the whole. Close closes body, and verifies nothing.
func NewReader(body io.ReadCloser, k Key, p Params) io.ReadCloser {
	return &reader{body: body, tags: newTagger(k), chunk: p.chunk(), err: p.check(k)}
}

type reader struct {
	body  io.ReadCloser
	tags  tagger
	chunk int
	buf   []byte // payload and tag of the newest chunk
	plain []byte // of buf: verified and not yet handed out
	last  bool   // the newest chunk is the last one
	head  [headSize]byte
	err   error // what ended the stream; the next read after plain returns it
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.plain) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.advance()
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: io.Copy saves the copy of each chunk.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(r.plain) > 0 {
			n, err := w.Write(r.plain)
			if err == nil && n != len(r.plain) {
				err = io.ErrShortWrite
			}
			total += int64(n)
			r.plain = r.plain[n:]
			if err != nil {
				return total, err
			}
			continue
		}
		if r.err == io.EOF {
			return total, nil
		}
		if r.err != nil {
			return total, r.err
		}
		r.advance()
	}
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.body.Close() }

// advance takes the next chunk into plain, or sets err.
func (r *reader) advance() {
	if r.last {
		r.err = r.end()
	} else {
		r.plain, r.err = r.open()
	}
	if r.err != nil {
		r.plain, r.buf = nil, nil
	}
}

// open reads the next chunk and returns its payload, verified.
func (r *reader) open() ([]byte, error) {
	if err := r.fill(r.head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(r.head[:])
	last := length&lastBit != 0
	n := int(length &^ lastBit)
	switch {
	case n > r.chunk:
		return nil, r.refuse(TooLarge, fmt.Sprintf("%d bytes, more than the %d that were announced", n, r.chunk))
	case n == 0 && !last:
		return nil, r.refuse(EmptyChunk, "")
	}
	if err := r.read(n + tagSize); err != nil {
		return nil, err
	}
	payload, tag := r.buf[:n], r.buf[n:]
	if !hmac.Equal(r.tags.tag(payload, last), tag) {
		return nil, r.refuse(BadTag, "")
	}
	r.tags.seq++
	r.last = last
	return payload, nil
}

// firstRead is what is allocated before anything of a chunk has come.
const firstRead = 8 << 10

// read reads n octets into buf, which grows with what comes: an announced length alone costs its sender more than us.
func (r *reader) read(n int) error {
	r.buf = r.buf[:0]
	for len(r.buf) < n {
		have, want := len(r.buf), n
		if cap(r.buf) < n {
			if twice := max(firstRead, 2*have); twice+tagSize < n {
				want = twice
			}
			r.buf = append(make([]byte, 0, want), r.buf...)
		}
		r.buf = r.buf[:want]
		if err := r.fill(r.buf[have:]); err != nil {
			return err
		}
	}
	return nil
}

// fill reads all of p.
func (r *reader) fill(p []byte) error {
	switch _, err := io.ReadFull(r.body, p); err {
	case io.EOF, io.ErrUnexpectedEOF:
		return r.refuse(Truncated, "")
	default:
		return err
	}
}

// end returns io.EOF if body ends here.
func (r *reader) end() error {
	switch _, err := io.ReadFull(r.body, r.head[:1]); err {
	case nil:
		return r.refuse(Trailing, "")
	default:
		return err
	}
}

// refuse makes an error about the chunk at hand.
func (r *reader) refuse(reason Reason, detail string) *Error {
	return &Error{Reason: reason, Chunk: r.tags.seq, Detail: detail}
}
