package holdfast

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"

	"github.com/holdfast-project/holdfast/contentdigest"
)

// clientBody is a request's body, as far as it can be had more than once. A body without GetBody is buffered if it
// has to be digested, or if it says that it is short; any other is one-way.
type clientBody struct {
	none  bool
	first io.ReadCloser                 // for the first attempt; nil once handed on or closed
	get   func() (io.ReadCloser, error) // another copy; nil for a one-way body
	sum   string                        // Content-Digest, once it was worked out
}

// newClientBody takes over r's body, unless it fails.
func newClientBody(r *http.Request, wanted bool) (*clientBody, error) {
	b := &clientBody{first: r.Body, get: r.GetBody}
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		b.none = true
		return b, nil
	case b.get != nil, r.ContentLength > defaultBodyLimit, r.ContentLength <= 0 && !wanted:
		return b, nil
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, defaultBodyLimit+1))
	if err != nil {
		return nil, &TransportError{Reason: TransportBodyUnusable, Detail: "reading it", Err: err}
	}
	if len(head) > defaultBodyLimit {
		b.first = &joinedBody{Reader: io.MultiReader(bytes.NewReader(head), r.Body), Closer: r.Body}
		return b, nil
	}
	b.close()
	b.get = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
	return b, nil
}

// joinedBody reads from one place and closes another.
type joinedBody struct {
	io.Reader
	io.Closer
}

// replayable tells whether the request can be sent again.
func (b *clientBody) replayable() bool { return b.none || b.get != nil }

// attach gives out a body to send; it is net/http's to close from here on.
func (b *clientBody) attach(out *http.Request) error {
	if b.none {
		return nil
	}
	out.GetBody = b.get
	if b.first != nil {
		out.Body, b.first = b.first, nil
		return nil
	}
	body, err := b.get()
	if err != nil {
		return &TransportError{Reason: TransportBodyUnusable, Detail: "getting it again", Err: err}
	}
	out.Body = body
	return nil
}

// close closes what was not handed on.
func (b *clientBody) close() {
	if b.first != nil {
		// The body is dropped unread; how its closing went concerns nobody.
		_ = b.first.Close()
		b.first = nil
	}
}

// digest returns the Content-Digest of a replayable body (RFC 9530, section 2), hashed as it streams by.
func (b *clientBody) digest() (string, error) {
	if b.sum != "" {
		return b.sum, nil
	}
	hash := sha256.New()
	if !b.none {
		body, err := b.get()
		if err != nil {
			return "", &TransportError{Reason: TransportBodyUnusable, Detail: "getting it for its digest", Err: err}
		}
		_, err = io.Copy(hash, body)
		if closeErr := body.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return "", &TransportError{Reason: TransportBodyUnusable, Detail: "reading it for its digest", Err: err}
		}
	}
	b.sum = contentdigest.Field(contentdigest.SHA256, hash.Sum(nil))
	return b.sum, nil
}
