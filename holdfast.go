// Package holdfast is the two front doors: [Verifier] checks that a request was made by the holder of its token's key
// and says what it said when it was signed; [Transport] makes such requests.
//
// Most servers want [NewVerifier] and [Verifier.Handler], and read who called from [FromContext]. What is checked, and
// in which order, is the life of a request in ARCHITECTURE.md. What is not checked: whether the caller may do what it
// asks for, beyond the scopes that a [Policy] names.
package holdfast

import "time"

// Scheme is how a request proves possession: by its name in the Authorization field, where it has one of its own. Compare
// schemes only after parsing: on the wire they are case-insensitive (RFC 9110, section 11.1).
type Scheme string

// The schemes.
const (
	SchemeDPoP    Scheme = "DPoP"    // RFC 9449
	SchemeHTTPSig Scheme = "HTTPSig" // draft-richer-oauth-httpsig-03
	SchemeBearer  Scheme = "Bearer"  // RFC 6750: nothing is proved
	// SchemeMTLS is a connection with the certificate that the token is bound to (RFC 8705, section 3). Its tokens are sent
	// as Bearer.
	SchemeMTLS Scheme = "mTLS"
	// SchemeSession resumes a session that DPoP, HTTPSig or mTLS began: docs/protocol.md, section 5.
	SchemeSession Scheme = "PoP-Session"
	// SchemeSignedURL is a URL that a session's key signed for one use: docs/protocol.md, section 7. It isn't an
	// Authorization scheme.
	SchemeSignedURL Scheme = "signed URL"
)

// wire is the scheme's name in the Authorization field.
func (s Scheme) wire() string {
	if s == SchemeMTLS {
		return string(SchemeBearer)
	}
	return string(s)
}

// The tags of message signatures (RFC 9421, section 2.3).
const (
	// TagProof marks a signature beside a DPoP proof, by the same key, that covers what the proof can't.
	TagProof = "holdfast-proof"
	// TagHTTPSig marks the signature of a resource request (draft-richer-oauth-httpsig-03).
	TagHTTPSig = "httpsig-oauth"
	// TagHTTPSigToken marks the signature of a token request (draft-richer-oauth-httpsig-03).
	TagHTTPSigToken = "httpsig-oauth-token-request"
	// TagSession marks the MAC of a session's request, TagSessionAnswer the signature of the answer that begins one.
	TagSession       = "pop-session"
	TagSessionAnswer = "pop-session-answer"
	// TagResponse marks the signature of the response to a verified request (docs/protocol.md, section 8).
	TagResponse = "pop-response"
)

const (
	defaultFreshness = 60 * time.Second
	defaultSkew      = 5 * time.Second
	defaultBodyLimit = 1 << 20
)
