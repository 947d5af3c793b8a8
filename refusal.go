package holdfast

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// The reasons that are this package's own. The others are those of the packages dpop, httpsig, contentdigest and
// accesstoken.
const (
	ReasonURL                    = "external-url"            // the external URL can't be told
	ReasonCredentialMissing      = "credential-missing"      // no Authorization field
	ReasonCredentialAmbiguous    = "credential-ambiguous"    // more than one way of sending a token
	ReasonCredentialMalformed    = "credential-malformed"    // not a scheme and one token
	ReasonSchemeRefused          = "scheme-refused"          // not a scheme that the policy accepts
	ReasonDowngrade              = "downgrade"               // a bound token under another scheme than its confirmation asks for
	ReasonUnbound                = "token-unbound"           // a bearer token where none is accepted
	ReasonBindingUnsupported     = "binding-unsupported"     // a confirmation that this verifier can't check
	ReasonCoverage               = "coverage"                // the proof holds but covers too little
	ReasonSessionRefused         = "session-refused"         // the policy wants a signature, or a session of another scheme
	ReasonScope                  = "insufficient-scope"      // the token lacks a scope
	ReasonReplayed               = "replayed"                // the proof was used before
	ReasonRestarted              = "restarted"               // made before this node's memory begins: sign again
	ReasonReplayFull             = "replay-full"             // no room to remember another proof
	ReasonTokenRevoked           = "token-revoked"           // the token, or all of its key, client or subject
	ReasonSessionRevoked         = "session-revoked"         // the session: prove the key again
	ReasonRevocationsUnavailable = "revocations-unavailable" // the list of revocations can't be asked
	ReasonReplayUnavailable      = "replay-unavailable"      // the guard can't be asked
)

// Refusal is why a request was refused: an error for the log, and an answer for the peer, which says less.
type Refusal struct {
	// Reason is stable and machine-readable: one of this package's, or of the package whose check failed.
	Reason  string
	Section string // the standard's, such as "RFC 9449, section 4.3, step 9"
	// Part, Expected and Got tell which part differed. They never hold key or token bytes.
	Part     string
	Expected string
	Got      string

	Status    int         // 400, 401, 403, 413 or 503
	ErrorCode string      // the `error` of WWW-Authenticate (RFC 6750, section 3.1; RFC 9449, section 7.1), or ""
	Header    http.Header // WWW-Authenticate, DPoP-Nonce, Accept-Signature, Retry-After

	Err error // of the package whose check failed, for errors.As
}

// Error describes the refusal for the log.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("refused: ")
	b.WriteString(r.Reason)
	if r.Section != "" {
		fmt.Fprintf(&b, " (%s)", r.Section)
	}
	if r.Part != "" {
		fmt.Fprintf(&b, ": %s", r.Part)
	}
	if r.Expected != "" || r.Got != "" {
		fmt.Fprintf(&b, ": expected %q, got %q", r.Expected, r.Got)
	}
	return b.String()
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// problem is the body of a refusal (RFC 9457), with the reason as its one extension member.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Reason string `json:"reason"`
}

// ServeHTTP answers the peer: status, challenge and reason, without what was expected or found.
func (r *Refusal) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	for name, values := range r.Header {
		h[name] = values
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.Status)
	if req.Method == http.MethodHead {
		return
	}
	// A failed write means that the peer is gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(problem{Title: http.StatusText(r.Status), Status: r.Status, Reason: r.Reason})
}
