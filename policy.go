package holdfast

// Policy is what a route demands of its requests. The zero value demands a proof by the token's key and verifies a
// covered body digest while the body is read.
type Policy struct {
	// Schemes accepted. If empty, DPoP and HTTPSig. A Bearer here is what Bearer (below) is for, and refused.
	Schemes []Scheme
	// Cover lists components that a signature by the token's key must cover, beyond what its scheme covers anyway:
	// "@query", "content-type", `"@query-param";name="id"`, … A DPoP proof covers @method and the URL without its query,
	// so a policy that wants more gets an RFC 9421 signature beside the proof (401 with Accept-Signature says so).
	Cover []string
	// CoverBody demands a covered Content-Digest on every request with a body.
	CoverBody bool
	// Body says how a covered body is verified.
	Body BodyMode
	// BodyLimit bounds BodyBuffered, in bytes. If zero, 1 MiB.
	BodyLimit int64
	// Scope lists scopes that the token must have, all of them.
	Scope []string
	// Bearer says what happens to unbound bearer tokens. The zero value refuses them.
	Bearer BearerMode
	// Replay says how often a proof may be used. The zero value is ReplayNode.
	Replay ReplayLevel
}

// BodyMode is how a body with a covered digest is verified.
type BodyMode int

// The modes.
const (
	// BodyStreamed verifies while the handler reads: the last read fails instead of ending.
	BodyStreamed BodyMode = iota
	// BodyBuffered verifies before the handler runs, up to Policy.BodyLimit.
	BodyBuffered
)

// BearerMode is what happens to unbound tokens. Bound tokens are never accepted as Bearer, whatever the mode.
type BearerMode int

// The modes.
const (
	BearerRefused BearerMode = iota
	// InsecureBearerObserved lets unbound tokens through and reports each to the observers, so that the last ones can be
	// found before they are refused. Whoever holds a copy of such a token gets in.
	InsecureBearerObserved
)

// ReplayLevel names a guarantee (design: at most once per node, or not at all).
type ReplayLevel int

// The levels.
const (
	ReplayNode ReplayLevel = iota
	// InsecureReplayOff doesn't remember proofs: a copied request works until it is too old.
	InsecureReplayOff
)
