package holdfast

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/popstream"
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

// streamKey is what the key of a chunk-authenticated body is derived from.
type streamKey struct{ secret, signature []byte }

// guardStream makes only verified chunks of r's body readable (docs/protocol.md, section 6). The length of what comes
// out isn't known before its end.
func (v *Verifier) guardStream(r *http.Request, k *streamKey) error {
	params, err := popstream.ParseParams(r.Header[popstream.Header])
	if err != nil {
		return err
	}
	if r.Body == nil {
		r.Body = http.NoBody // it lacks its last chunk
	}
	body := popstream.NewReader(r.Body, popstream.BodyKey(k.secret, k.signature), params)
	r.Header.Del("Content-Length")
	r.Body, r.ContentLength = body, -1
	if v.rules.Body == BodyStreamed {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(body, v.rules.BodyLimit))
	if err == nil {
		// The stream must end here, which also verifies its end.
		if _, err = body.Read(make([]byte, 1)); err == nil {
			err = &contentdigest.Error{Reason: contentdigest.TooLarge}
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r.Body, r.ContentLength = verifiedBody{Reader: bytes.NewReader(data), original: body}, int64(len(data))
	return nil
}

// verifiedBody is a buffered body that still closes the connection's.
type verifiedBody struct {
	io.Reader
	original io.Closer
}

func (b verifiedBody) Close() error { return b.original.Close() }
