package holdfast

import (
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// Transport adds to each request the proof that its token needs. With a Source it calls resources; without one it
// signs requests to a token endpoint, so that it serves as the client of golang.org/x/oauth2's own grants.
//
// It answers by itself what a server refuses only for the moment: a nonce to use (RFC 9449, sections 8 and 9), more to
// cover (Accept-Signature, RFC 9421, section 5.1; only for resources, and only with components of the request), a proof
// that was seen before, a proof whose time is wrong, a session that is over. Each is answered once, with at most four
// attempts for a request, each with a proof of its own. Anything else, an error of Base included, is the caller's.
//
// With resources that know sessions (docs/protocol.md, section 5), one request proves the key and begins a session; later
// ones carry its ticket and a MAC. Their bodies are then always covered: by a digest up to 1 MiB, and chunk by chunk
// (package popstream) where they are longer or of unknown length. Where a server doesn't know sessions or refuses one,
// requests carry full proofs as before, and no request is ever made with less. The server's answers are protected only with
// RequireSignedResponses.
//
// Only a request whose body can be sent again is sent again: one without a body, with GetBody, or of up to 1 MiB if its
// length is known or it is to be digested, which is buffered. Any other body is one-way: the refusal is then the
// response, and a later request has what it taught. A server that demands nonces should be sent something else first.
//
// Nonces, wanted coverage and the server's clock are remembered for 100 origins. The clock is believed only where TLS
// or the loopback interface vouches for the answer, only when a server finds a proof's time wrong or from before it started,
// or when a session begins with Certificate, whose proof has no time, up to a day, and for that origin alone. So a server,
// or an edge that ends its TLS, can get proofs dated up to a day ahead out of a client; they are good only for that origin.
// Server nonces (RFC 9449, section 11.2) make them worthless.
//
// A request's URL, headers and body are never written to. Requests that bring a DPoP, Signature-Input or Signature
// field are refused, and to resources also those with Authorization: nothing is overwritten in silence. A redirect within
// the origin gets a proof of its own; one that leaves it is refused. To follow it, stop at http.ErrUseLastResponse
// and make a new request.
//
// What is signed is what net/http will send: non-ASCII hosts must be in their xn-- form, and fields that net/http adds
// or rewrites by itself are covered only where the caller set them (User-Agent, Accept-Encoding) or never
// (Content-Length). Header keys must be canonical, as Header.Set makes them. Fields that a further RoundTripper below
// adds are not covered.
//
// It is safe for concurrent use. Its fields must not change, and it must not be copied, after first use.
type Transport struct {
	// Base makes the requests. If nil, http.DefaultTransport.
	Base http.RoundTripper
	// Source gives the access token of each request. Its type (DPoP, httpsig, Bearer) chooses the proof. If nil, requests
	// are token requests and Scheme chooses it.
	Source oauth2.TokenSource
	// Signer holds the key that tokens are bound to. Required, unless all tokens are bound to Certificate.
	Signer *keys.Signer
	// Certificate is the client's certificate that Base presents: the leaf of its tls.Config's Certificates. If set, tokens
	// of type Bearer are taken to be bound to it (RFC 8705), and are sent over https only. That Base does present it is for
	// the caller to see to: without it such a token is refused by a server that knows its binding, and is a bearer token at
	// any other. The connection covers all of such a request, so Cover and DigestBody count in its sessions only. A renewed
	// certificate is another one, and needs another Transport. Only with a Source.
	Certificate *x509.Certificate
	// Scheme of token requests, DPoP or HTTPSig. If empty, DPoP. Only without a Source.
	Scheme Scheme
	// Preregistered names the Signer's key by its key id in HTTPSig token requests, for a client whose key the
	// authorization server knows. Otherwise each of them introduces the key itself (draft-richer-oauth-httpsig-03).
	Preregistered bool
	// Cover lists further components to sign wherever a request has them, before a server asks for them: "@query",
	// "content-type", …. A DPoP request then has a signature beside its proof.
	Cover []string
	// DigestBody covers every body with a Content-Digest, and refuses one-way bodies over 1 MiB, which can't be digested
	// before they are sent. Bodies with GetBody are read twice. A Content-Digest that the caller set is used as it is.
	DigestBody bool
	// InsecureAllowBearer sends tokens of type Bearer as they are: whoever sees one can use it. Otherwise they are refused.
	InsecureAllowBearer bool
	// NoSessions gives every request a full proof.
	NoSessions bool
	// ResourceKeys are the keys of the resource, fetched before (resourcemeta.Fetch) or pinned. If set, a session begins
	// only with an answer that one of them signed, so that no edge can put itself in between. If empty, sessions protect
	// requests only, and an edge that ends TLS may learn a session's keys, which no server accepts.
	ResourceKeys []*keys.Public
	// RequireSignedResponses asks for signed responses (docs/protocol.md, section 8) and refuses others, with a
	// *TransportError; it needs ResourceKeys. A response is verified when the caller gets it, and its content while it is
	// read: chunk by chunk if it comes in frames, which only those in a session do; else by a digest, so that only the end of
	// the body tells that it is what was signed. A long response outside a session may be signed in its trailer: until the
	// end of its body, not even the status is verified. Which of the three it is, is the server's choice; all end in an
	// error in place of io.EOF where the content differs.
	//
	// Covered are the status, the request, the content, content-type, content-encoding and location, and what the server's
	// policy adds; other fields, and trailers, are as little verified as without. A server's refusals are unsigned: their
	// status and reason are in the error. Responses are asked for in the identity encoding, unless the request has
	// Accept-Encoding; Base must not change content.
	RequireSignedResponses bool
	// Trace, if set, is told of every request before it is sent, proofs included, for tools that show them.
	Trace func(*Attempt)
	// Now tells the time. If nil, time.Now.
	Now func() time.Time

	once       sync.Once
	err        error // what is wrong with the fields above
	cover      []httpsig.Component
	runtime    runtimeKey
	answers    map[Scheme]*httpsig.Verifier // scheme of the proof → what the answer to an offer must be
	responses  map[Scheme]*httpsig.Verifier // scheme of the proof → what the signature of a response must be
	answerKeys []*httpsig.Key
	memory     transportMemory
}

// Attempt is one request as sent by a Transport.
type Attempt struct {
	Request *http.Request // don't change or read its body
	Scheme  Scheme
	Base    []byte // the signature base, or the DPoP proof's claims
	Beside  []byte // the base of the signature beside a DPoP proof, if there is one
	// Because is why it is a retry: "use_dpop_nonce", "coverage", "replayed", "clock", "session" after a session was
	// refused, or "" for the first.
	Because string
}

// maxAttempts bounds how often one request is sent.
const maxAttempts = 4

// RoundTrip implements http.RoundTripper. Errors are *TransportError, or Base's.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := t.newCall(r)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // the RoundTripper's contract; there is nothing to tell
		}
		return nil, err
	}
	return t.send(c)
}

// send makes a call's attempts.
func (t *Transport) send(c *call) (*http.Response, error) {
	defer c.body.close() // does nothing once the body was handed on
	defer c.withdrawOffer()
	tried := make([]string, 0, maxAttempts)
	for because, attempts := "", 1; ; attempts++ {
		if because == becauseSession {
			tried = tried[:0] // what is refused of a full proof is another matter
		}
		tried = append(tried, because)
		out, err := c.attempt(because)
		if err != nil {
			return nil, err
		}
		resp, err := t.base().RoundTrip(out)
		if err != nil {
			return nil, err
		}
		if resp.Request == nil {
			resp.Request = out // a redirect is judged by it
		}
		c.settleOffer(out, resp)
		because = c.learn(resp)
		if because == "" || slices.Contains(tried, because) || attempts == maxAttempts || !c.body.replayable() {
			return c.protect(out, resp)
		}
		discard(resp.Body)
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

func (t *Transport) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// discard ends a response that was answered, so that its connection can be used again where that costs little.
func discard(body io.ReadCloser) {
	const most = 64 << 10
	// If either fails, the connection isn't used again; the next attempt doesn't depend on it.
	_, _ = io.CopyN(io.Discard, body, most)
	_ = body.Close()
}
