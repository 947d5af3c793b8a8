package holdfast

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// Config configures a Verifier.
type Config struct {
	// Tokens verifies access tokens. Required.
	Tokens accesstoken.Verifier
	// Replay remembers proofs. Required unless every policy switches replay off.
	Replay replay.Guard
	// External says what this server is called from outside. Required.
	External External
	// Policy is what requests must fulfil. Handlers for routes with other needs use [Verifier.With].
	Policy Policy
	// Nonces, if set, challenges clients for server nonces (RFC 9449, section 9): proofs then depend on no clock of theirs.
	Nonces *dpop.Nonces
	// DPoPAlgorithms and HTTPSigAlgorithms accepted in proofs. If empty, ECDSA and Ed25519; RSA only if named.
	DPoPAlgorithms []keys.Algorithm
	// Freshness is how old a proof may be. If zero, 60 s.
	Freshness time.Duration
	// Skew is how far a proof may lie in the future. If zero, 5 s.
	Skew time.Duration
	// Observers see every verdict and refusal, after it is reached and before the handler runs.
	Observers []Observer
	// Realm is named in challenges, if set.
	Realm string
	Now   func() time.Time
}

// External says how a server learns its own external URL. Exactly one of Origin and the connection rules.
type External struct {
	// Origin is the fixed external origin, "https://api.example", with an optional path prefix that a gateway stripped:
	// the external URL is Origin followed by the raw request target. If set, nothing else counts.
	Origin string
	// TrustedPeers may say with X-Forwarded-Proto, X-Forwarded-Host (and Forwarded) what the client called.
	// From any other peer these fields are ignored. Without Origin and TrustedPeers, scheme and host are those of the
	// connection and its Host field.
	TrustedPeers []netip.Prefix
}

// Observer is told what was decided. Exactly one of verdict and refusal is set. It must not block.
type Observer interface {
	Observe(ctx context.Context, r *http.Request, verdict *Verdict, refusal *Refusal)
}

// Verifier checks requests: the life of a request, in ARCHITECTURE.md. It is safe for concurrent use.
type Verifier struct{}

// NewVerifier checks cfg and copies it.
func NewVerifier(cfg Config) (*Verifier, error) { panic("stub") }

// With returns a Verifier that shares everything but the policy.
func (v *Verifier) With(p Policy) (*Verifier, error) { panic("stub") }

// Check verifies r and returns what it proved, or a *Refusal. On success r.Body is replaced by one that verifies where
// a digest is covered, so hand this r on, not a clone made before. Nothing of the body is read before the proof holds.
func (v *Verifier) Check(r *http.Request) (*Verdict, error) { panic("stub") }

// Handler calls next for verified requests, with the verdict in their context, and answers the others.
func (v *Verifier) Handler(next http.Handler) http.Handler { panic("stub") }
