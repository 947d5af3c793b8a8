package holdfast

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
)

// What a Transport remembers of servers is bounded: servers choose it. A signature has room for 64 components, of which
// the Transport's own are at most 7.
const (
	maxOrigins     = 100
	maxAsked       = 32             // components that one origin may ask to be covered
	maxCover       = 24             // components of Transport.Cover
	maxAcceptBytes = 4 << 10        // of Accept-Signature
	maxNonceBytes  = 1 << 10        // of DPoP-Nonce; what a server sends back to itself needs no more
	maxClockOffset = 24 * time.Hour // beyond it a clock isn't skewed, but wrong, and certificates fail as well
	minClockOffset = 2 * time.Second
)

// transportMemory is what a Transport learned, by origin. The zero value is empty.
type transportMemory struct {
	mu      sync.Mutex // guards what follows
	origins map[originKey]*originState
	uses    uint64 // counts calls of at
}

// originState is what one origin taught.
type originState struct {
	used   uint64        // transportMemory.uses when it was last asked for; guarded by its mu
	offset atomic.Int64  // the server's clock minus ours, in nanoseconds
	begin  chan struct{} // has room for the one SignURL that begins a session

	mu       sync.Mutex // guards what follows
	nonce    string
	asked    []httpsig.Component // covered since the server asked for it
	beside   bool                // the server asked for a signature beside the DPoP proof
	signers  map[signerKind]*httpsig.Signer
	sessions transportSessions
}

// signerKind tells apart the message signatures that are made for one origin.
type signerKind struct {
	tag      string
	digested bool // the body has a Content-Digest
	streamed bool // the body is covered chunk by chunk
	offered  bool // the request offers a session
}

// at returns what is remembered of an origin. To make room, the origin that was called least recently is forgotten.
func (m *transportMemory) at(k originKey) *originState {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses++
	s, ok := m.origins[k]
	if !ok {
		if m.origins == nil {
			m.origins = make(map[originKey]*originState)
		}
		if len(m.origins) >= maxOrigins {
			m.forgetOldest()
		}
		s = &originState{signers: make(map[signerKind]*httpsig.Signer), begin: make(chan struct{}, 1)}
		m.origins[k] = s
	}
	s.used = m.uses
	return s
}

func (m *transportMemory) forgetOldest() {
	var oldest originKey
	least := m.uses
	for k, s := range m.origins {
		if s.used < least {
			oldest, least = k, s.used
		}
	}
	delete(m.origins, oldest)
}

// now is the time by the origin's clock.
func (s *originState) now(t *Transport) time.Time {
	return t.now().Add(time.Duration(s.offset.Load()))
}

func (s *originState) lastNonce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nonce
}

func (s *originState) wantsDigest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.asked, func(c httpsig.Component) bool { return c.Name() == digestComponent.Name() })
}

func (s *originState) wantsBeside() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beside
}

// signer returns the signer for a kind of request, with everything covered that t and the origin want.
func (s *originState) signer(t *Transport, kind signerKind) (*httpsig.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if signer, ok := s.signers[kind]; ok {
		return signer, nil
	}
	cfg := httpsig.SignerConfig{
		Key: t.Signer, Tag: kind.tag,
		Now: func() time.Time { return s.now(t) },
	}
	cfg.Components, cfg.Optional = s.coverage(t, kind)
	if kind.tag == TagHTTPSigToken {
		cfg.KeyID, cfg.PublicKey, cfg.Alg = t.runtime.keyID, t.runtime.pub, t.runtime.pub != nil
	}
	signer, err := httpsig.NewSigner(cfg)
	if err != nil {
		return nil, err
	}
	s.signers[kind] = signer
	return signer, nil
}

var (
	tokenComponents   = httpsig.Components(`"@method"`, `"@target-uri"`, `"content-digest"`)
	authComponent     = httpsig.Components(`"authorization"`)[0]
	contentComponents = httpsig.Components(`"content-type"`, `"content-encoding"`)
)

// coverage returns what must be covered, and what is covered where a request has it. Its caller holds mu.
func (s *originState) coverage(t *Transport, kind signerKind) (required, optional []httpsig.Component) {
	switch kind.tag {
	case TagHTTPSigToken:
		required = slices.Clone(tokenComponents)
		optional = append(optional, authComponent)
	case TagProof:
		required = slices.Clone(besideComponents)
	default:
		required = slices.Clone(httpsigComponents)
	}
	if kind.digested {
		required = addComponent(required, digestComponent)
		if kind.tag != TagHTTPSigToken {
			// A digest alone leaves open what its bytes mean (RFC 9530, section 6.3).
			optional = append(optional, contentComponents...)
		}
	}
	if kind.streamed {
		required = addComponent(required, streamComponent)
		optional = append(optional, contentComponents...)
	}
	if kind.offered {
		required = addComponent(required, offerComponent)
	}
	for _, list := range [][]httpsig.Component{t.cover, s.asked} {
		for _, c := range list {
			if !hasComponent(required, c) {
				optional = addComponent(optional, c)
			}
		}
	}
	return required, optional
}

func hasComponent(list []httpsig.Component, c httpsig.Component) bool {
	id := c.String()
	return slices.ContainsFunc(list, func(other httpsig.Component) bool { return other.String() == id })
}

func addComponent(list []httpsig.Component, c httpsig.Component) []httpsig.Component {
	if hasComponent(list, c) {
		return list
	}
	return append(list, c)
}

// learnNonce keeps the nonce of any answer (RFC 9449, section 8.2) and tells whether there was one.
func (s *originState) learnNonce(h http.Header) bool {
	lines := h["Dpop-Nonce"]
	if len(lines) != 1 || !validNonce(lines[0]) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonce = lines[0]
	return true
}

// validNonce tells whether n is 1*NQCHAR (RFC 9449, section 8.1) of bounded length.
func validNonce(n string) bool {
	if n == "" || len(n) > maxNonceBytes {
		return false
	}
	for i := range len(n) {
		if c := n[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// learnClock takes over the server's time from Date and tells whether that makes a difference.
func (s *originState) learnClock(h http.Header, ours time.Time) bool {
	lines := h["Date"]
	if len(lines) != 1 {
		return false
	}
	theirs, err := http.ParseTime(lines[0])
	if err != nil {
		return false
	}
	offset := theirs.Sub(ours)
	if offset.Abs() > maxClockOffset {
		return false
	}
	if before := time.Duration(s.offset.Load()); (offset - before).Abs() < minClockOffset {
		return false // Date is in whole seconds
	}
	s.offset.Store(int64(offset))
	return true
}

// learnCoverage takes over what the server asks to be covered by signatures with tag (RFC 9421, section 5.1), and
// tells whether that is more than was covered before. All that is asked must be possible, or nothing is learned.
func (s *originState) learnCoverage(t *Transport, lines []string, tag string) bool {
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	if size == 0 || size > maxAcceptBytes {
		return false
	}
	requests, err := httpsig.ParseAcceptSignature(lines)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	required, optional := s.coverage(t, signerKind{tag: tag})
	asked, answerable := slices.Clone(s.asked), false
	for _, r := range requests {
		if !willSign(r, tag) {
			continue
		}
		answerable = true
		for _, c := range r.Components {
			if !hasComponent(required, c) && !hasComponent(optional, c) {
				asked = addComponent(asked, c)
			}
			if len(asked) > maxAsked {
				return false
			}
		}
	}
	first := tag == TagProof && answerable && !s.beside
	if len(asked) == len(s.asked) && !first {
		return false
	}
	s.asked, s.beside = asked, s.beside || first
	clear(s.signers)
	return true
}

// willSign tells whether a signature with tag can be what the server asks for. The server doesn't choose the tag: one
// key signs requests of several kinds, and each kind has its own.
func willSign(r httpsig.Request, tag string) bool {
	for _, p := range r.Params {
		switch {
		case p.Name == "created" && p.Value == "", p.Name == "nonce" && p.Value == "":
		case p.Name == "tag" && (p.Value == "" || p.Value == tag):
		default:
			return false
		}
	}
	return !slices.ContainsFunc(r.Components, func(c httpsig.Component) bool { return !askable(c) })
}

// askable tells whether a server may ask for c. Parameters that need a field to have a certain structure are the
// caller's to choose: asked for by a server, they could make every later request to it fail.
func askable(c httpsig.Component) bool {
	params := componentParams(c)
	return coverable(c) && (params == "" || params == ";bs" || c.Name() == "@query-param")
}

func componentParams(c httpsig.Component) string {
	return strings.TrimPrefix(c.String(), `"`+c.Name()+`"`)
}

// coverable tells whether a request's signature may cover c: a component of the request itself that is on the wire as
// it was signed. net/http sets the framing fields and drops the others.
func coverable(c httpsig.Component) bool {
	params := componentParams(c)
	switch c.Name() {
	case "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query":
		return params == ""
	case "@query-param":
		return strings.HasPrefix(params, `;name="`) && !hasParam(params, "req") && !hasParam(params, "tr")
	case "connection", "content-length", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "signature", "signature-input":
		return false
	}
	return !strings.HasPrefix(c.Name(), "@") && !hasParam(params, "req") && !hasParam(params, "tr")
}

// hasParam looks for a parameter in the serialised parameters of a component, outside quoted values.
func hasParam(params, name string) bool {
	quoted := false
	for i := 0; i < len(params); i++ {
		switch {
		case quoted && params[i] == '\\':
			i++
		case params[i] == '"':
			quoted = !quoted
		case !quoted && params[i] == ';':
			end := i + 1 + len(name)
			if strings.HasPrefix(params[i+1:], name) && (end == len(params) || params[end] == ';' || params[end] == '=') {
				return true
			}
		}
	}
	return false
}
