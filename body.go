package holdfast

import (
	"bytes"
	"io"
	"net/http"

	"github.com/holdfast-project/holdfast/contentdigest"
)

// bufferBody reads and verifies r's body before anybody else sees it.
func bufferBody(r *http.Request, digests contentdigest.Digests, limit int64) error {
	if r.ContentLength > limit {
		return &contentdigest.Error{Reason: contentdigest.TooLarge, Detail: "announced length"}
	}
	data, err := contentdigest.ReadAll(r.Body, digests, limit)
	if err != nil {
		return err
	}
	r.Body = verifiedBody{Reader: bytes.NewReader(data), original: r.Body}
	r.ContentLength = int64(len(data))
	return nil
}

// verifiedBody is a buffered body that still closes the connection's.
type verifiedBody struct {
	io.Reader
	original io.Closer
}

func (b verifiedBody) Close() error { return b.original.Close() }
