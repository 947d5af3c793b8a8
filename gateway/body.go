package gateway

import (
	"errors"
	"io"
	"net/http"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
)

// heldBody is a request's body on its way to the upstream. It tells how the body ended.
type heldBody struct {
	io.ReadCloser
	// hold keeps the last byte back until the body has ended well. A body of announced length would otherwise be whole
	// at the upstream before its digest is known to differ.
	hold bool
	last byte
	kept bool        // last holds a byte
	err  error       // how the body ended
	done func(error) // called once, with err
}

// Read implements io.Reader.
func (b *heldBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	if b.err == nil {
		n = b.fill(p)
	}
	if b.err == io.EOF && b.kept && n < len(p) {
		p[n], b.kept = b.last, false
		n++
	}
	if b.kept && b.err == io.EOF {
		return n, nil // no room: the next call releases the byte
	}
	return n, b.err
}

// fill reads into p and returns how many of its bytes may go.
func (b *heldBody) fill(p []byte) int {
	if !b.hold {
		n, err := b.ReadCloser.Read(p)
		b.end(err)
		return n
	}
	var extra [1]byte
	room := p
	if b.kept {
		p[0] = b.last
		if room = p[1:]; len(room) == 0 {
			room = extra[:]
		}
	}
	n, err := b.ReadCloser.Read(room)
	b.end(err)
	if n == 0 {
		return 0
	}
	b.last = room[n-1]
	if b.kept {
		return n // with the byte that was kept before, and without the one that now is
	}
	b.kept = true
	return n - 1
}

func (b *heldBody) end(err error) {
	if err != nil {
		b.err = err
		b.done(err)
	}
}

// bodyRefusal is what the client is told about its body.
func bodyRefusal(err error) *holdfast.Refusal {
	if e, ok := errors.AsType[*contentdigest.Error](err); ok {
		return &holdfast.Refusal{
			Reason: string(e.Reason), Section: "RFC 9530, section 2", Part: "content-digest", Got: e.Detail,
			Status: http.StatusBadRequest, ErrorCode: "invalid_request", Err: err,
		}
	}
	return &holdfast.Refusal{Reason: ReasonBody, Part: "body", Status: http.StatusBadRequest, Err: err}
}
