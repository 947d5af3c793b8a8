package contentdigest

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"io"
)

// hashes are the running digests of a body, of the algorithms that its field names.
type hashes struct {
	want           Digests
	sha256, sha512 hash.Hash // nil where not wanted
	length         int64     // of the body so far
}

func newHashes(d Digests) *hashes {
	h := &hashes{want: d}
	if d.sha256 != nil {
		h.sha256 = sha256.New()
	}
	if d.sha512 != nil {
		h.sha512 = sha512.New()
	}
	return h
}

// Write implements io.Writer. It never fails.
func (h *hashes) Write(p []byte) (int, error) {
	h.length += int64(len(p))
	if h.sha256 != nil {
		h.sha256.Write(p)
	}
	if h.sha512 != nil {
		h.sha512.Write(p)
	}
	return len(p), nil
}

// verify tells whether what was written is what was digested.
func (h *hashes) verify() error {
	if h.sha256 == nil && h.sha512 == nil {
		return &Error{Reason: Absent}
	}
	if h.sha256 != nil && subtle.ConstantTimeCompare(h.sha256.Sum(nil), h.want.sha256) != 1 {
		return h.mismatch(SHA256, h.want.sha256)
	}
	if h.sha512 != nil && subtle.ConstantTimeCompare(h.sha512.Sum(nil), h.want.sha512) != 1 {
		return h.mismatch(SHA512, h.want.sha512)
	}
	return nil
}

// mismatch tells the log what the field says and how long the body was that came: one that was cut short shows by that.
func (h *hashes) mismatch(alg Algorithm, want []byte) error {
	if len(want) > sha512.Size {
		return &Error{Reason: Mismatch, Algorithm: alg, Detail: fmt.Sprintf("a digest of %d bytes", len(want))}
	}
	return &Error{Reason: Mismatch, Algorithm: alg, Detail: fmt.Sprintf("%s for a body of %d bytes", Field(alg, want), h.length)}
}

// NewReader returns a body that is verified while it is read, in constant memory. Where a digest differs, the read that
// would end the body returns an *Error with reason Mismatch instead of io.EOF, and so does every later one. An error of
// body is returned as it is.
//
// The bytes before the end are handed out unverified: act on them only after io.EOF, and undo it on any other error.
// Only the last byte waits until everything matches, so that whoever stops at the announced length, or at the end of a
// value, instead of reading on doesn't get the whole of a body that differs. Close closes body, and verifies nothing.
func NewReader(body io.ReadCloser, d Digests) io.ReadCloser {
	return &reader{body: body, hashes: newHashes(d)}
}

// NewTrailerReader is [NewReader] for a body whose digest comes behind it. digests is called once, when the body has
// ended, so that the trailer is there; an error of it ends the body instead of io.EOF. The digest must be a sha-256: others
// beside it aren't checked.
func NewTrailerReader(body io.ReadCloser, digests func() (Digests, error)) io.ReadCloser {
	return &reader{body: body, hashes: &hashes{sha256: sha256.New()}, late: digests}
}

type reader struct {
	body   io.ReadCloser
	hashes *hashes
	late   func() (Digests, error) // what tells the digests at the end, or nil
	err    error                   // what ended the body: io.EOF only if it matches
	kept   bool                    // last is a byte that waits
	last   byte
	one    [1]byte // room for a byte where the caller's is taken by last
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.err == nil {
		n, idle := r.fill(p)
		if n > 0 || idle {
			return n, nil
		}
	}
	if r.err == io.EOF && r.kept {
		p[0], r.kept = r.last, false
		return 1, io.EOF
	}
	return 0, r.err
}

// fill reads once from the body and returns how many bytes of p may go: all but the newest. It hands out nothing of a
// read that ended in an error. idle says that the body had nothing to give.
func (r *reader) fill(p []byte) (n int, idle bool) {
	room := p
	if r.kept {
		if room = p[1:]; len(room) == 0 {
			room = r.one[:]
		}
	}
	n, r.err = r.body.Read(room)
	r.hashes.Write(room[:n])
	if r.err == io.EOF {
		if bad := r.verify(); bad != nil {
			r.err = bad
		}
	}
	if n == 0 || (r.err != nil && r.err != io.EOF) {
		return 0, r.err == nil
	}
	newest := room[n-1]
	if r.kept {
		p[0] = r.last
	} else {
		n--
	}
	r.kept, r.last = true, newest
	return n, false
}

// verify judges a body that has ended.
func (r *reader) verify() error {
	if r.late == nil {
		return r.hashes.verify()
	}
	d, err := r.late()
	if err != nil {
		return err
	}
	if d.sha256 == nil {
		return &Error{Reason: Unsupported, Detail: "no sha-256"}
	}
	r.hashes.want = d
	return r.hashes.verify()
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.body.Close() }

// ReadAll reads the whole body and verifies it before it returns any of it. A body of more than limit bytes gives
// reason TooLarge; no more than one byte beyond the limit is read.
func ReadAll(body io.Reader, d Digests, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, max(limit, limit+1)))
	if err != nil {
		return nil, fmt.Errorf("contentdigest: reading the body: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, &Error{Reason: TooLarge, Detail: fmt.Sprintf("more than %d bytes", limit)}
	}
	if err := d.Verify(data); err != nil {
		return nil, err
	}
	return data, nil
}
