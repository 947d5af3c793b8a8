package gateway

import (
	"io"
	"net/http"

	"github.com/holdfast-project/holdfast"
)

// watchedBody is a request's body on its way to the upstream. It tells how the body ended.
//
// A body with a covered digest fails where it would end, and keeps its last byte until then (contentdigest.NewReader):
// an upstream gets neither the end nor, where the length was announced, the whole of a changed one.
type watchedBody struct {
	io.ReadCloser
	ended bool
	done  func(error) // called once, with io.EOF or what went wrong
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !b.ended {
		b.ended = true
		b.done(err)
	}
	return n, err
}

// bodyRefusal is what the client is told about its body.
func bodyRefusal(err error) *holdfast.Refusal {
	if refusal, ok := holdfast.BodyRefusal(err); ok {
		return refusal
	}
	return &holdfast.Refusal{Reason: ReasonBody, Part: "body", Status: http.StatusBadRequest, Err: err}
}
