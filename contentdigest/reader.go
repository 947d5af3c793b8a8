package contentdigest

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
)

// hashes are the running digests of a body, of the algorithms that its field names.
type hashes struct {
	want           Digests
	sha256, sha512 hash.Hash // nil where not wanted
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
		return &Error{Reason: Mismatch, Algorithm: SHA256}
	}
	if h.sha512 != nil && subtle.ConstantTimeCompare(h.sha512.Sum(nil), h.want.sha512) != 1 {
		return &Error{Reason: Mismatch, Algorithm: SHA512}
	}
	return nil
}

// NewReader returns a body that is verified while it is read, in constant memory. Where a digest differs, the read that
// would end the body returns an *Error with reason Mismatch instead of io.EOF, and so does every later one. The bytes
// before the end are handed out unverified: a caller that acts on them before the end acts on what anybody may have
// sent. Close closes body, and verifies nothing.
func NewReader(body io.ReadCloser, d Digests) io.ReadCloser {
	return &reader{body: body, hashes: newHashes(d)}
}

type reader struct {
	body   io.ReadCloser
	hashes *hashes
	err    error // what ended the body
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.body.Read(p)
	r.hashes.Write(p[:n])
	if err == nil {
		return n, nil
	}
	r.err = err
	if errors.Is(err, io.EOF) {
		if bad := r.hashes.verify(); bad != nil {
			r.err = bad
		}
	}
	return n, r.err
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
