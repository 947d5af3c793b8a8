package holdfast

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/keys"
)

// Verdict is what a verified request proved. Only [Verifier.Check] makes one; it must not be changed.
type Verdict struct {
	Token  *accesstoken.Token
	Scheme Scheme
	// Key is the key that signed; zero for Bearer. For mTLS it is the certificate's thumbprint (x5t#S256), also in the
	// sessions that it begins: Token.Confirmation tells which of the two it is.
	Key       keys.Thumbprint
	Algorithm string // of the proof; for mTLS, what the certificate's key is for: "ECDSA", "RSA" or "Ed25519"
	// Covered lists what the proof covers, as component identifiers. For DPoP: "@method" and, as its htu, "@scheme",
	// "@authority" and "@path". For mTLS none: nothing is signed, and the connection covers the whole request, body
	// included, as far as this server and no further.
	Covered []string
	// BodyCovered tells whether the body's digest is covered. If so, reading the body verifies it.
	BodyCovered bool
	// ProofTime is when the client says it made the proof; for mTLS, when the request came.
	ProofTime time.Time
	TargetURI string       // the external URL that was checked
	Session   *SessionInfo // nil, unless Scheme is SchemeSession

	answer   http.Header // fields that tell the client of a new session, or nil
	response *response   // how the answer is signed, or nil
	verifier *Verifier   // that reached it
}

type verdictKey struct{}

// FromContext returns the verdict of the request that a handler behind [Verifier.Handler] serves.
func FromContext(ctx context.Context) (*Verdict, bool) {
	v, ok := ctx.Value(verdictKey{}).(*Verdict)
	return v, ok
}
