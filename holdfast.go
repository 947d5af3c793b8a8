// Package holdfast is the two front doors: [Verifier] checks that a request was made by the holder of its token's key and
// says what it said when it was signed; [Transport] makes such requests.
package holdfast

import "time"

// Scheme is how a request proved possession. The names are those of the Authorization field where there is one.
type Scheme string

// The schemes.
const (
	SchemeDPoP    Scheme = "DPoP"    // RFC 9449
	SchemeHTTPSig Scheme = "HTTPSig" // draft-richer-oauth-httpsig-03
	SchemeBearer  Scheme = "Bearer"  // RFC 6750: nothing was proved
)

// defaultFreshness is how old a proof may be where a configuration doesn't say.
const defaultFreshness = 60 * time.Second
