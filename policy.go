package holdfast

import (
	"errors"
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
	// Schemes accepted, of DPoP, HTTPSig and mTLS. If empty, all three; with RequireSignature, the first two. mTLS works
	// on servers that end TLS themselves and ask clients for certificates (tls.Config.ClientAuth): behind an edge, the
	// connection is the edge's.
	Schemes []Scheme
	// Cover lists components that a signature by the token's key must cover: "@query", "content-type", …. A header
	// field is demanded where the request has it: one that was removed breaks the signature that covers it, and one
	// that was added is uncovered. A DPoP proof covers "@method", "@scheme", "@authority" and "@path"; where a policy
	// wants more, a DPoP request needs a message signature beside its proof, and the refusal says so in Accept-Signature.
	// With mTLS the connection covers all of a request.
	Cover []string
	// CoverBody demands a covered Content-Digest on every request with a body, except with mTLS.
	CoverBody bool
	// Body says how a covered body is verified.
	Body BodyMode
	// BodyLimit bounds BodyBuffered, and in both modes bodies whose digest is in the trailer, in bytes. If zero, 1 MiB.
	BodyLimit int64
	// Scope lists scopes that the token must have, all of them.
	Scope []string
	// RequireSignature demands a signature for each request: a session's MAC, which any node of the fleet could make, is
	// refused, and so is mTLS, which leaves nothing to show to others.
	RequireSignature bool
	// MaxSessionAge refuses the MACs of older sessions, so that the client proves its key again. If zero, as long as a
	// session lasts.
	MaxSessionAge time.Duration
	// SignResponses signs every response, and not only those to requests that ask for it (docs/protocol.md, section 8). It
	// needs Config.Signer. Refusals and responses to signed URLs are never signed.
	SignResponses bool
	// CoverResponse lists header fields that the signatures of responses cover where a response has them, beyond
	// content-type, content-encoding and location.
	CoverResponse []string
	// ResponseBuffer is how much of a response that is to be signed may wait for its end, so that the digest can be in the
	// header, in bytes. If zero, 64 KiB. Longer ones, and those that the handler flushes, are signed as streams.
	ResponseBuffer int64
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
	// InsecureReplayOff doesn't remember proofs: whoever recorded a request can repeat it until it is too old, or use a
	// signed URL until it ends.
	InsecureReplayOff
)

// rules is a Policy that was checked and compiled.
type rules struct {
	Policy
	fields   []fieldRule         // header fields that must be covered where a request has them
	response []httpsig.Component // covered where a response has them
	unbarred bool                // derived components are demanded that a DPoP proof doesn't cover
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
	var err error
	if p.Schemes, err = p.schemes(); err != nil {
		return rules{}, err
	}
	if p.BodyLimit == 0 {
		p.BodyLimit = defaultBodyLimit
	}
	if p.BodyLimit < 0 {
		return rules{}, fmt.Errorf("holdfast: policy: negative body limit")
	}
	if p.ResponseBuffer == 0 {
		p.ResponseBuffer = defaultResponseBuffer
	}
	if p.ResponseBuffer < 0 {
		return rules{}, fmt.Errorf("holdfast: policy: negative response buffer")
	}
	p.Scope = slices.Clone(p.Scope)
	out := rules{Policy: p, response: responseComponents}
	for _, id := range p.CoverResponse {
		c, err := httpsig.ParseComponent(id)
		if err != nil {
			return rules{}, fmt.Errorf("holdfast: policy: cover of responses: %w", err)
		}
		if !coverableInResponse(c) {
			return rules{}, fmt.Errorf("holdfast: policy: cover of responses: %s isn't a field that can be covered", c)
		}
		out.response = addComponent(slices.Clip(out.response), c)
	}
	for _, id := range p.Cover {
		if err := out.demand(id); err != nil {
			return rules{}, err
		}
	}
	return out, nil
}

// schemes returns the schemes that are accepted.
func (p *Policy) schemes() ([]Scheme, error) {
	switch {
	case len(p.Schemes) == 0 && p.RequireSignature:
		return []Scheme{SchemeDPoP, SchemeHTTPSig}, nil
	case len(p.Schemes) == 0:
		return []Scheme{SchemeDPoP, SchemeHTTPSig, SchemeMTLS}, nil
	}
	for _, s := range p.Schemes {
		switch {
		case s == SchemeMTLS && p.RequireSignature:
			return nil, errors.New("holdfast: policy: RequireSignature refuses mTLS, which signs no request: leave out one of them")
		case s != SchemeDPoP && s != SchemeHTTPSig && s != SchemeMTLS:
			return nil, fmt.Errorf("holdfast: policy: scheme %q isn't DPoP, HTTPSig or mTLS", s)
		}
	}
	return slices.Clone(p.Schemes), nil
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
