package holdfast

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
)

// proofTrailer are the fields of a message whose content is covered by its trailer (RFC 9421, section 2.1.4).
var proofTrailer = []string{"Content-Digest", "Signature-Input", "Signature"}

func dropProofTrailer(t http.Header) {
	for _, name := range proofTrailer {
		delete(t, name)
	}
}

// awaitTrailer reads the body of a request whose signature can't be verified before its trailer is there, and buffers it
// whatever the policy's mode is: nothing of it is verified before its end.
func (v *Verifier) awaitTrailer(r *http.Request) error {
	if !needsTrailer(r) {
		return nil
	}
	limit := v.rules.BodyLimit
	data, err := io.ReadAll(io.LimitReader(r.Body, limit))
	if err == nil {
		var n int
		if n, err = io.ReadFull(r.Body, make([]byte, 1)); n > 0 {
			return &contentdigest.Error{Reason: contentdigest.TooLarge, Detail: "with a signature that covers its trailer"}
		}
	}
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading the body: %w", err)
	}
	r.Body = &bufferedBody{Reader: bytes.NewReader(data), data: data, original: r.Body}
	return nil
}

// needsTrailer tells whether r announces a digest in its trailer that its signature covers, or may cover if the signature
// is there, too.
func needsTrailer(r *http.Request) bool {
	if _, announced := r.Trailer["Content-Digest"]; !announced || r.Body == nil {
		return false
	}
	if r.Header["Signature-Input"] == nil && r.Header["Signature"] == nil {
		_, announced := r.Trailer["Signature-Input"]
		return announced
	}
	inputs, err := httpsig.ParseInputs(r.Header)
	return err == nil && slices.ContainsFunc(inputs, func(in *httpsig.Input) bool { return in.Covers(trailerDigestComponent) })
}

// bufferedBody is the body of a request that waited for its trailer.
type bufferedBody struct {
	*bytes.Reader
	data     []byte
	original io.Closer
}

// Close implements io.Closer.
func (b *bufferedBody) Close() error { return b.original.Close() }

// guardTrailer verifies a body by the covered digest in the trailer, and takes the proof out of that. Other trailers need
// the chunked coding to be passed on, and so no length.
func guardTrailer(r *http.Request) error {
	digests, err := contentdigest.Parse(r.Trailer["Content-Digest"])
	if err != nil {
		return err
	}
	body, ok := r.Body.(*bufferedBody)
	if !ok {
		return &contentdigest.Error{Reason: contentdigest.Absent, Detail: "no body"}
	}
	if err := digests.Verify(body.data); err != nil {
		return err
	}
	dropProofTrailer(r.Trailer)
	if len(r.Trailer) == 0 {
		r.Trailer, r.ContentLength = nil, int64(len(body.data))
	}
	return nil
}
