package holdfast

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
)

// Policy is what a route demands of its requests. The zero value demands a proof by the token's key, refuses bearer
// tokens, and verifies a covered body digest while the body is read.
type Policy struct {
	// Schemes accepted, of DPoP and HTTPSig. If empty, both.
	Schemes []Scheme
	// Cover lists components that a signature by the token's key must cover: "@query", "content-type", …. A header
	// field is demanded where the request has it: one that was removed breaks the signature that covers it, and one
	// that was added is uncovered. A DPoP proof covers "@method", "@scheme", "@authority" and "@path"; where a policy
	// wants more, a DPoP request needs a message signature beside its proof, and the refusal says so in Accept-Signature.
	Cover []string
	// CoverBody demands a covered Content-Digest on every request with a body.
	CoverBody bool
	// Body says how a covered body is verified.
	Body BodyMode
	// BodyLimit bounds BodyBuffered, in bytes. If zero, 1 MiB.
	BodyLimit int64
	// Scope lists scopes that the token must have, all of them.
	Scope []string
	// RequireSignature demands a signature for each request: a session's MAC, which any node of the fleet could make, is
	// refused.
	RequireSignature bool
	// MaxSessionAge refuses the MACs of older sessions, so that the client proves its key again. If zero, as long as a
	// session lasts.
	MaxSessionAge time.Duration
	// Bearer says what happens to unbound tokens. The zero value refuses them.
	Bearer BearerMode
	// Replay says how often a proof may be used. The zero value is ReplayNode.
	Replay ReplayLevel
}

// BodyMode is how a body with a covered digest is verified.
type BodyMode int

// The modes.
const (
	// BodyStreamed verifies while the handler reads: the last read fails instead of ending, so a handler that acts
	// before the end of the body acts on unverified bytes.
	BodyStreamed BodyMode = iota
	// BodyBuffered verifies before the handler runs, up to Policy.BodyLimit.
	BodyBuffered
)

// BearerMode is what happens to unbound tokens. Bound tokens are never accepted as Bearer, whatever the mode.
type BearerMode int

// The modes.
const (
	BearerRefused BearerMode = iota
	// InsecureBearerObserved lets unbound tokens through, whatever else the policy wants covered, and shows each to the
	// observers, so that the last ones can be found before they are refused. Whoever holds a copy of such a token gets in.
	InsecureBearerObserved
)

// ReplayLevel names a guarantee.
type ReplayLevel int

// The levels.
const (
	// ReplayNode accepts a proof at most once at this Verifier's guard.
	ReplayNode ReplayLevel = iota
	// InsecureReplayOff doesn't remember proofs: whoever recorded a request can repeat it until it is too old.
	InsecureReplayOff
)

// rules is a Policy that was checked and compiled.
type rules struct {
	Policy
	fields   []fieldRule // header fields that must be covered where a request has them
	unbarred bool        // derived components are demanded that a DPoP proof doesn't cover
}

// fieldRule is one demanded header field.
type fieldRule struct {
	component httpsig.Component
	field     string // canonical name
}

// coveredByDPoP are the components that htm and htu amount to (RFC 9449, section 4.2).
var coveredByDPoP = []string{"@method", "@scheme", "@authority", "@path"}

// coveredByTarget are the components that follow from "@method" and "@target-uri", which every message signature here
// must cover.
var coveredByTarget = []string{"@method", "@target-uri", "@scheme", "@authority", "@path", "@query", "@query-param", "@request-target"}

func compile(p Policy) (rules, error) {
	if len(p.Schemes) == 0 {
		p.Schemes = []Scheme{SchemeDPoP, SchemeHTTPSig}
	}
	p.Schemes = slices.Clone(p.Schemes)
	for _, s := range p.Schemes {
		if s != SchemeDPoP && s != SchemeHTTPSig {
			return rules{}, fmt.Errorf("holdfast: policy: scheme %q isn't DPoP or HTTPSig", s)
		}
	}
	if p.BodyLimit == 0 {
		p.BodyLimit = defaultBodyLimit
	}
	if p.BodyLimit < 0 {
		return rules{}, fmt.Errorf("holdfast: policy: negative body limit")
	}
	p.Scope = slices.Clone(p.Scope)
	out := rules{Policy: p}
	for _, id := range p.Cover {
		if err := out.demand(id); err != nil {
			return rules{}, err
		}
	}
	return out, nil
}

// demand adds one component of Policy.Cover.
func (u *rules) demand(id string) error {
	c, err := httpsig.ParseComponent(id)
	if err != nil {
		return fmt.Errorf("holdfast: policy: cover: %w", err)
	}
	name := c.Name()
	if !strings.HasPrefix(name, "@") {
		if s := c.String(); strings.Contains(s, ";req") || strings.Contains(s, ";tr") {
			return fmt.Errorf("holdfast: policy: cover: %s: responses and trailers can't be demanded of a request", s)
		}
		u.fields = append(u.fields, fieldRule{component: c, field: http.CanonicalHeaderKey(name)})
		return nil
	}
	if !slices.Contains(coveredByTarget, name) {
		return fmt.Errorf("holdfast: policy: cover: %s isn't a component of requests", c)
	}
	if !slices.Contains(coveredByDPoP, name) {
		u.unbarred = true
	}
	return nil
}

// demanded lists the header fields that r must have covered.
func (u *rules) demanded(r *http.Request, hasBody bool) []httpsig.Component {
	var out []httpsig.Component
	for _, f := range u.fields {
		if _, ok := r.Header[f.field]; ok || f.field == "Host" {
			out = append(out, f.component)
		}
	}
	if u.CoverBody && hasBody {
		out = append(out, digestComponent)
	}
	return out
}

// exceedsDPoP tells whether r needs a signature beside a DPoP proof.
func (u *rules) exceedsDPoP(demanded []httpsig.Component) bool {
	return u.unbarred || len(demanded) > 0
}
