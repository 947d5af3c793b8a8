package holdfast

import (
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast/keys"
)

// Transport adds to each request the proof that its token needs. With a Source it calls resources; without one it
// signs requests to a token endpoint, so that it serves as the client of golang.org/x/oauth2's own grants.
// It is safe for concurrent use and must not be copied after first use.
type Transport struct {
	// Base makes the requests. If nil, http.DefaultTransport.
	Base http.RoundTripper
	// Source gives access tokens. A token's type (DPoP, httpsig, Bearer) chooses the proof. If nil, requests are token
	// requests and Scheme chooses it.
	Source oauth2.TokenSource
	// Signer holds the key that tokens are bound to. Required.
	Signer *keys.Signer
	// Scheme of token requests. If empty, DPoP.
	Scheme Scheme
	// Cover lists further components to sign wherever a request has them, before a server asks for them: "@query",
	// "content-type", …. Servers that ask are answered anyway.
	Cover []string
	// DigestBody covers the body with a Content-Digest where its bytes can be had (GetBody, or up to BodyLimit).
	DigestBody bool
	// InsecureAllowBearer sends tokens of type Bearer as they are: whoever sees one can use it. Otherwise they are refused.
	InsecureAllowBearer bool
	// Trace, if set, is told of every request as it is sent, proofs included, for tools that show them.
	Trace func(*Attempt)
	Now   func() time.Time
}

// Attempt is one request as sent by a Transport.
type Attempt struct {
	Request *http.Request // don't change or read its body
	Scheme  Scheme
	Base    []byte // the signature base, or the DPoP proof's claims
	// Because is why it is a retry: "use_dpop_nonce", "coverage", "replayed", "clock", or "" for the first.
	Because string
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) { panic("stub") }
