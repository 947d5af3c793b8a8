package holdfast

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/popstream"
)

// What a Transport asks for. The tag stands for the components that every such signature covers. Frames are for sessions.
const (
	acceptResponse = `pop-response=("content-digest");created;tag="pop-response"`
	acceptFrames   = acceptResponse + `, pop-response-stream=("pop-stream");created;tag="pop-response"`
)

// askForSignature asks for a signed response, in the encoding that is signed: net/http would undo its own before anybody
// could verify it.
func (c *call) askForSignature(h http.Header) {
	if !c.t.RequireSignedResponses {
		return
	}
	ask := acceptResponse
	c.nonce = ""
	switch {
	case c.session.in != nil:
		ask = acceptFrames
	case c.scheme == SchemeBearer || c.scheme == SchemeMTLS:
		// Nothing in the request is this request's alone, so the nonce is.
		c.nonce = rand.Text()
		ask += `;nonce="` + c.nonce + `"`
	}
	h["Accept-Signature"] = []string{ask}
	if h["Accept-Encoding"] == nil {
		h["Accept-Encoding"] = []string{"identity"}
	}
}

// checkResponseRules prepares the verification of responses.
func (t *Transport) checkResponseRules() error {
	switch {
	case !t.RequireSignedResponses:
		return nil
	case t.Source == nil:
		return misconfigured("RequireSignedResponses is for resources: it needs a Source", nil)
	case len(t.ResourceKeys) == 0:
		return misconfigured("RequireSignedResponses needs ResourceKeys: without them the other end of a session may be an edge", nil)
	}
	t.responses = make(map[Scheme]*httpsig.Verifier)
	for scheme, proof := range map[Scheme]httpsig.Component{
		SchemeDPoP: dpopOfRequest, SchemeHTTPSig: usualSignatureOfRequest, SchemeSession: usualSignatureOfRequest,
		SchemeMTLS: authorizationOfRequest, SchemeBearer: authorizationOfRequest,
	} {
		v, err := httpsig.NewVerifier(httpsig.Config{
			Tag: TagResponse, One: true, RequiredParams: []string{"created", "tag"}, RefusedParams: []string{"alg", "pub"},
			Required: append([]httpsig.Component{statusComponent, proof}, requestComponents...),
			Skew:     365 * 24 * time.Hour, Now: t.now, // it answers a request that was just made
		})
		if err != nil {
			return misconfigured("RequireSignedResponses", err)
		}
		t.responses[scheme] = v
	}
	return nil
}

// protect verifies the response that the caller is to get. Nothing of one that is refused is handed out.
func (c *call) protect(out *http.Request, resp *http.Response) (*http.Response, error) {
	if !c.t.RequireSignedResponses {
		return resp, nil
	}
	if err := c.verifyResponse(out, resp); err != nil {
		_ = resp.Body.Close() // how that goes concerns nobody
		return nil, err
	}
	return resp, nil
}

// verifyResponse verifies the signature, and makes the body verify the content.
func (c *call) verifyResponse(out *http.Request, resp *http.Response) error {
	m := &httpsig.Message{Status: resp.StatusCode, Header: resp.Header, Request: httpsig.RequestMessage(out, c.target.uri)}
	check := responseCheck{t: c.t, scheme: c.scheme, session: c.session.in, nonce: c.nonce, message: m}
	sig, err := check.verify(out.Context())
	if e, ok := errors.AsType[*httpsig.Error](err); ok && e.Reason == httpsig.Missing {
		if _, announced := resp.Trailer["Signature-Input"]; announced && c.session.in == nil && mayHaveContent(out, resp) {
			check.awaitTrailer(out.Context(), resp)
			return nil
		}
		return unsigned(resp)
	}
	if err != nil {
		return mismatch("signature", err)
	}
	if err := checkResponseFields(sig.Input(), resp.Header); err != nil {
		return err
	}
	if !mayHaveContent(out, resp) {
		return nil
	}
	return c.verifyContent(sig, resp)
}

// responseCheck is what the signature of a response is verified by.
type responseCheck struct {
	t       *Transport
	scheme  Scheme            // of the request's proof
	session *transportSession // that the request was made in, or nil
	nonce   string            // that was asked for, or ""
	message *httpsig.Message
}

// verify verifies the one signature of a response, without its content.
func (c *responseCheck) verify(ctx context.Context) (*httpsig.Signature, error) {
	scheme := c.scheme
	if c.session != nil {
		scheme = SchemeSession
	}
	sigs, err := c.t.responses[scheme].Verify(ctx, c.message, c.key)
	if err != nil {
		return nil, err
	}
	return sigs[0], nil // the policy takes one
}

// key finds the key of a signature: the session's, or the resource's that it names. A key that was pinned without a kid
// answers to any.
func (c *responseCheck) key(_ context.Context, in *httpsig.Input) (*httpsig.Key, error) {
	if !in.Covers(streamComponent) && in.Nonce() != c.nonce {
		return nil, errors.New("another nonce than was asked for")
	}
	if c.session != nil {
		if _, named := in.Param("keyid"); named {
			return nil, errors.New("in a session, the key is the session's")
		}
		return c.session.responseKey, nil
	}
	for i, pub := range c.t.ResourceKeys {
		if kid := pub.KeyID(); kid == in.KeyID() || kid == "" {
			return c.t.answerKeys[i], nil
		}
	}
	return nil, errors.New("none of the ResourceKeys")
}

// checkResponseFields refuses a response with a field that says what its content is, or where to go, and isn't covered.
func checkResponseFields(in *httpsig.Input, h http.Header) error {
	for _, c := range responseComponents {
		if len(h[http.CanonicalHeaderKey(c.Name())]) > 0 && !in.Covers(c) {
			return responseUncovered(c.Name())
		}
	}
	return nil
}

// mayHaveContent tells whether the response to out may have content (RFC 9110, section 6.4.1). What a switched protocol
// sends is none.
func mayHaveContent(out *http.Request, resp *http.Response) bool {
	return out.Method != http.MethodHead && bodyAllowed(resp.StatusCode)
}

// verifyContent lets only content through that the signature covers.
func (c *call) verifyContent(sig *httpsig.Signature, resp *http.Response) error {
	digested, framed := sig.Input().Covers(digestComponent), sig.Input().Covers(streamComponent)
	switch {
	case digested == framed, framed && c.session.in == nil:
		return responseUncovered("content")
	case framed && sig.Input().Nonce() == "":
		return responseUncovered("nonce") // frames of another response may have the same key
	case framed:
		return c.unframe(sig, resp)
	}
	digests, err := contentdigest.Parse(resp.Header["Content-Digest"])
	if err == nil && resp.ContentLength == 0 {
		err = digests.Verify(nil) // callers don't read what isn't there
	}
	if err != nil {
		return mismatch("content", err)
	}
	resp.Body = protectedBody{contentdigest.NewReader(resp.Body, digests)}
	return nil
}

// unframe makes the body the payload of its frames.
func (c *call) unframe(sig *httpsig.Signature, resp *http.Response) error {
	params, err := popstream.ParseParams(resp.Header[popstream.Header])
	if err != nil {
		return mismatch("content", err)
	}
	resp.Body = protectedBody{popstream.NewReader(resp.Body, popstream.BodyKey(c.session.in.responseSecret, sig.Value()), params)}
	delete(resp.Header, popstream.Header)
	delete(resp.Header, "Content-Length")
	resp.ContentLength = -1
	return nil
}

// awaitTrailer makes the body verify, at its end, the signature and the digest in the trailer.
func (c *responseCheck) awaitTrailer(ctx context.Context, resp *http.Response) {
	m := c.message
	m.Header = m.Header.Clone() // the caller may change the response's before it has read the body
	dropSignatures(m.Header)
	resp.Body = protectedBody{contentdigest.NewTrailerReader(resp.Body, func() (contentdigest.Digests, error) {
		defer dropProofTrailer(resp.Trailer)
		m.Trailer = resp.Trailer
		sig, err := c.verify(ctx)
		if err != nil {
			return contentdigest.Digests{}, mismatch("signature in the trailer", err)
		}
		if err := checkResponseFields(sig.Input(), m.Header); err != nil {
			return contentdigest.Digests{}, err
		}
		if !sig.Input().Covers(trailerDigestComponent) {
			return contentdigest.Digests{}, responseUncovered("content")
		}
		return contentdigest.Parse(m.Trailer["Content-Digest"])
	})}
}

// protectedBody tells of content that isn't what was signed.
type protectedBody struct{ io.ReadCloser }

// Read implements io.Reader.
func (b protectedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	_, digest := errors.AsType[*contentdigest.Error](err)
	_, stream := errors.AsType[*popstream.Error](err)
	if digest || stream {
		err = mismatch("content", err)
	}
	return n, err
}

func mismatch(part string, err error) error {
	return &TransportError{Reason: TransportResponseMismatch, Part: part, Err: err}
}

func responseUncovered(part string) error {
	return &TransportError{Reason: TransportResponseCoverage, Part: part}
}

// unsigned refuses a response without signature. Refusals are of this kind: what they say is told, as the word of whoever
// sent it.
func unsigned(resp *http.Response) error {
	e := &TransportError{Reason: TransportResponseUnsigned, Part: "signature", Status: resp.StatusCode, Problem: problemOf(resp)}
	e.Detail = fmt.Sprintf("status %d", e.Status)
	if e.Problem != "" {
		e.Detail += ", " + e.Problem
	}
	return e
}

// problemOf returns the reason from a refusal's body (docs/protocol.md, section 3), if it looks like one.
func problemOf(resp *http.Response) string {
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/problem+json" {
		return ""
	}
	const most, longest = 4 << 10, 64
	var told problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, most)).Decode(&told); err != nil || len(told.Reason) > longest {
		return ""
	}
	strange := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' }
	if strings.ContainsFunc(told.Reason, strange) {
		return ""
	}
	return told.Reason
}
