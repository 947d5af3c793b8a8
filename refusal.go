package holdfast

import "net/http"

// Refusal is why a request was refused: an error for the log, and an answer for the peer, which says less.
type Refusal struct {
	// Reason is stable and machine-readable: one of this package's or of the package that refused.
	Reason  string
	Section string // the standard's, such as "RFC 9449, section 4.3, step 9"
	// Part, Expected and Got tell which part differed. They never hold key or token bytes.
	Part     string
	Expected string
	Got      string

	Status    int    // 400, 401, 403, 413, 503
	ErrorCode string // the `error` of WWW-Authenticate, such as "invalid_token"; "" for a request without credentials
	// Header holds the answer's fields: WWW-Authenticate, DPoP-Nonce, Accept-Signature, Retry-After.
	Header http.Header

	Err error // what refused, for errors.As
}

// Error describes the refusal for the log.
func (r *Refusal) Error() string { panic("stub") }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// ServeHTTP answers the peer with status, challenge and a short problem text that gives nothing away.
func (r *Refusal) ServeHTTP(w http.ResponseWriter, req *http.Request) { panic("stub") }
