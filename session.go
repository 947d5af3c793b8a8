package holdfast

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// Sessions lets clients prove their key once and then authenticate each request by a MAC (docs/protocol.md, section 5).
type Sessions struct {
	// Secrets of the fleet: every node that has them opens every node's tickets. Required. Later ones come by
	// [Verifier.RotateSecrets].
	Secrets []popsession.Secret
	// Lifetime of a session. If zero, 5 minutes; at most 10.
	Lifetime time.Duration
	// Windows remember the counters of sessions. Required.
	Windows replay.Window
	// Tickets is how many opened tickets are remembered, which saves opening them again. If zero, 10,000; negative: none.
	Tickets int
}

// SessionInfo is what a verdict says about the session that a request belongs to.
type SessionInfo struct {
	ID        popsession.ID
	Scheme    Scheme    // that it was established by
	Algorithm string    // of that proof
	ProvedAt  time.Time // when, by the client's clock; for mTLS by the server's
	Began     time.Time
	Ends      time.Time
}

var (
	offerComponent  = httpsig.Components(`"pop-session-offer"`)[0]
	streamComponent = httpsig.Components(`"pop-stream"`)[0]
)

const (
	defaultTickets = 10_000
	// sessionLabel is the label of answers' signatures.
	sessionLabel = "pop-session"
	// sessionDeclined is what a route that takes no session answers to an offer.
	sessionDeclined = "refused"
)

// sessionProofs maps how a session began to what its answer's signature covers of that request.
var sessionProofs = map[Scheme]string{SchemeDPoP: `"dpop";req`, SchemeHTTPSig: `"signature";req`, SchemeMTLS: `"authorization";req`}

// sessions is a Sessions that was checked, with what it remembers.
type sessions struct {
	server   *popsession.Server
	windows  replay.Window
	verifier *httpsig.Verifier
	answers  map[Scheme]*httpsig.Signer // scheme of the proof → what signs the answer to it
	opened   atomic.Pointer[ticketCache]
	tickets  int // the size of opened
	now      func() time.Time
}

func newSessions(cfg *Sessions, signer *keys.Signer, now func() time.Time) (*sessions, error) {
	if cfg.Windows == nil {
		return nil, errors.New("holdfast: config: Sessions: Windows is required")
	}
	if signer == nil {
		return nil, errors.New("holdfast: config: Sessions: Signer is required with them")
	}
	s := &sessions{windows: cfg.Windows, now: now, answers: map[Scheme]*httpsig.Signer{}}
	var err error
	if s.server, err = popsession.NewServer(popsession.ServerConfig{Secrets: cfg.Secrets, Lifetime: cfg.Lifetime, Now: now}); err != nil {
		return nil, err
	}
	// The age of a request is judged against the client's clock, which the ticket tells: see resume.
	s.verifier, err = httpsig.NewVerifier(httpsig.Config{
		Tag: TagSession, One: true, Required: httpsigComponents, RequiredParams: []string{"created", "nonce", "tag"},
		RefusedParams: []string{"alg", "keyid", "pub"}, Algorithms: []httpsig.Algorithm{httpsig.HMACSHA256},
		Skew: 365 * 24 * time.Hour, Now: now,
	})
	if err != nil {
		return nil, err
	}
	for scheme, proof := range sessionProofs {
		s.answers[scheme], err = httpsig.NewSigner(httpsig.SignerConfig{
			Key: signer, Label: sessionLabel, Tag: TagSessionAnswer, KeyID: signer.Public().KeyID(), Nonce: httpsig.NoNonce,
			Components: httpsig.Components(`"pop-session"`, `"pop-session-offer";req`, proof), Now: now,
		})
		if err != nil {
			return nil, err
		}
	}
	if s.tickets = max(cfg.Tickets, 0); cfg.Tickets == 0 {
		s.tickets = defaultTickets
	}
	s.opened.Store(newTicketCache(s.tickets))
	return s, nil
}

// RotateSecrets puts other fleet secrets in the place of those of [Sessions], for all Verifiers that share it
// ([Verifier.With]). After an error nothing has changed. Sessions under a secret that is gone end at once: their clients
// prove their keys again.
func (v *Verifier) RotateSecrets(secrets []popsession.Secret) error {
	if v.sessions == nil {
		return errors.New("holdfast: secrets for sessions, of which there are none")
	}
	if err := v.sessions.server.Rotate(secrets); err != nil {
		return err
	}
	// What was opened under the old ones. A request that is opening a ticket under them now keeps it in the old cache.
	v.sessions.opened.Store(newTicketCache(v.sessions.tickets))
	return nil
}

// ticket is an opened one.
type ticket struct {
	*popsession.Ticket
	secret  []byte // of the client's messages
	answers sessionResponses
	key     *httpsig.Key
	token   accesstoken.Token
}

// open opens a ticket for a request to uri, or remembers it.
func (s *sessions) open(sealed, uri string, now time.Time) (*ticket, error) {
	cache := s.opened.Load() // before the ticket is opened: see RotateSecrets
	t := cache.find(sealed)
	if t != nil && now.Before(t.Expires) && t.isFor(uri) {
		return t, nil
	}
	audience, err := popsession.Audience(uri)
	if err != nil {
		return nil, err
	}
	opened, err := s.server.Open(sealed, audience)
	if err != nil {
		return nil, err
	}
	t = &ticket{Ticket: opened, secret: opened.Keys.RequestSecret(), answers: sessionResponses{secret: opened.Keys.ResponseSecret()}, token: tokenOf(opened)}
	if t.key, err = httpsig.NewHMACKey(t.secret); err != nil {
		return nil, err
	}
	cache.keep(sealed, t)
	return t, nil
}

// isFor tells whether uri is of the ticket's audience. The audience is in its normal form, with which a URI mostly begins.
func (t *ticket) isFor(uri string) bool {
	if rest, ok := strings.CutPrefix(uri, t.Audience); ok && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0) {
		return true
	}
	audience, err := popsession.Audience(uri)
	return err == nil && audience == t.Audience
}

func (t *ticket) info() SessionInfo {
	return SessionInfo{
		ID: t.ID, Scheme: Scheme(t.Scheme), Algorithm: t.Algorithm, ProvedAt: t.ProvedAt, Began: t.Issued, Ends: t.Expires,
	}
}

// tokenOf is the token that the session began with, as far as the ticket holds it.
func tokenOf(t *popsession.Ticket) accesstoken.Token {
	c := accesstoken.Confirmation{Binding: accesstoken.Binding(t.Confirmation)}
	if c.Binding == accesstoken.BoundX5T {
		c.Certificate = t.Thumbprint
	} else {
		c.Thumbprint = t.Thumbprint
	}
	return accesstoken.Token{
		Issuer: t.Issuer, Subject: t.Subject, ClientID: t.ClientID, ID: t.TokenID, Audience: t.TokenAudience, Scope: t.Scope,
		Expires: t.TokenExpires, Hash: t.TokenHash, Confirmation: c,
	}
}

// ticketCache remembers opened tickets, bounded. It is a speed-up only.
type ticketCache struct {
	size    int
	mu      sync.RWMutex
	tickets map[string]*ticket // sealed → opened; guarded by mu
}

func newTicketCache(size int) *ticketCache {
	return &ticketCache{size: size, tickets: map[string]*ticket{}}
}

func (c *ticketCache) find(sealed string) *ticket {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tickets[sealed]
}

// keep remembers a ticket. A full cache drops any other: looking for the best one would take all requests' time.
func (c *ticketCache) keep(sealed string, t *ticket) {
	if c.size == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.tickets {
		if len(c.tickets) < c.size {
			break
		}
		delete(c.tickets, old)
	}
	c.tickets[sealed] = t
}

// resume verifies a request of a session: ticket, policy, MAC, freshness by the client's clock, coverage.
func (v *Verifier) resume(r *http.Request, cred credential, uri, special string) (*accesstoken.Token, *proof, error) {
	now := v.sessions.now()
	t, err := v.sessions.open(cred.token, uri, now)
	if err != nil {
		return nil, nil, err
	}
	if err := v.checkRevoked(r.Context(), &t.token, &t.ID); err != nil {
		return nil, nil, err
	}
	if err := v.admitSession(t, now); err != nil {
		return nil, nil, err
	}
	sig, err := v.verifySignature(v.sessions.verifier, r, t.key, uri, special)
	if err != nil {
		return nil, nil, err
	}
	in := sig.Input()
	counter, err := popsession.ParseCounter(in.Nonce())
	if err != nil {
		return nil, nil, err
	}
	made, err := v.checkAge(in.Created(), t.ClockOffset)
	if err != nil {
		return nil, nil, err
	}
	p := &sessionProof{
		proof: proof{
			scheme: SchemeSession, key: t.Thumbprint, algorithm: string(httpsig.HMACSHA256), made: in.Created(),
			own: ownSignatureOf(r, in), answers: &t.answers,
		},
		mark: replay.Mark{Owner: t.Thumbprint, Session: t.ID, Counter: counter, Made: made, Until: t.Expires},
		info: t.info(),
	}
	p.proof.mark, p.proof.session = &p.mark, &p.info
	return &t.token, &p.proof, v.coverSession(r, &p.proof, t, sig)
}

// sessionProof is a proof with what it points to, in one allocation.
type sessionProof struct {
	proof
	mark replay.Mark
	info SessionInfo
}

// admitSession tells whether the policy takes a MAC from this session.
func (v *Verifier) admitSession(t *ticket, now time.Time) error {
	switch {
	case v.rules.RequireSignature:
		return &Refusal{Reason: ReasonSessionRefused, Part: "Authorization scheme", Expected: v.rules.schemeNames(), Got: string(SchemeSession)}
	case !v.rules.accepts(Scheme(t.Scheme)):
		return &Refusal{Reason: ReasonSessionRefused, Part: "session", Expected: v.rules.schemeNames(), Got: t.Scheme}
	case v.rules.MaxSessionAge > 0 && now.Sub(t.Issued) > v.rules.MaxSessionAge:
		return &Refusal{Reason: string(popsession.Expired), Part: "session", Expected: "at most " + v.rules.MaxSessionAge.String() + " old"}
	}
	return nil
}

// checkAge judges when a request was made. The offset is the client's clock minus ours as the session began, and includes
// how long that proof was on its way, which can't be told from a slow clock; so the request may be fresh either by the
// client's clock so corrected or as it is. It returns the earlier of the two times: what is remembered since a start must
// not depend on the friendlier reading.
func (v *Verifier) checkAge(created time.Time, offset time.Duration) (earlier time.Time, err error) {
	// Read only now: a signature in the trailer may be made, and is known, long after its request began.
	now, corrected := v.sessions.now(), created.Add(-offset)
	err = v.fresh(now.Sub(corrected))
	if err != nil && v.fresh(now.Sub(created)) == nil {
		err = nil
	}
	if corrected.Before(created) {
		created = corrected
	}
	return created, err
}

func (v *Verifier) fresh(age time.Duration) error {
	switch skew := max(v.skew, 0); {
	case age > v.age+skew:
		return &httpsig.Error{Reason: httpsig.TooOld, Section: "3.2.1", Part: "created", Expected: "at most " + v.age.String() + " ago"}
	case age < -skew:
		return &httpsig.Error{Reason: httpsig.InFuture, Section: "3.2.1", Part: "created", Expected: "not in the future"}
	}
	return nil
}

// coverSession checks coverage. In a session a body is always covered, as a whole or chunk by chunk.
func (v *Verifier) coverSession(r *http.Request, p *proof, t *ticket, sig *httpsig.Signature) error {
	in := sig.Input()
	streams, body := in.Covers(streamComponent), hasBody(r)
	demanded := v.rules.demanded(r, false)
	switch {
	case streams && (in.Covers(digestComponent) || in.Covers(trailerDigestComponent)):
		return &Refusal{Reason: ReasonCoverage, Part: "body", Expected: "content-digest or pop-stream", Got: "both", ErrorCode: codeInvalidSignature}
	case body && !streams:
		demanded = append(demanded, digestComponent)
	}
	if err := v.cover(p, SchemeSession, sig, demanded); err != nil {
		return err
	}
	if streams {
		p.bodyCovered = true
		p.stream = &streamKey{secret: t.secret, signature: sig.Value()}
	}
	return nil
}

// offerOf returns the offer in r if the proof covers it, or nil. An offer that isn't covered means nothing: anybody may
// have added it.
func (v *Verifier) offerOf(r *http.Request, covered bool) *popsession.Offered {
	lines := r.Header["Pop-Session-Offer"]
	if v.sessions == nil || !covered || len(lines) != 1 {
		return nil
	}
	offered, err := popsession.ParseOffer(lines)
	if err != nil {
		return nil // a client that offers what we don't know goes on without a session
	}
	return &offered
}

// offerHash is what a DPoP proof's claim `pso` must be.
func offerHash(r *http.Request) string {
	lines := r.Header["Pop-Session-Offer"]
	if len(lines) != 1 {
		return ""
	}
	sum := sha256.Sum256([]byte(lines[0]))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// answer makes the session that a verified request offered, and returns the fields that tell the client. Without them
// the request is as good as it was, so nothing here can fail it.
func (v *Verifier) answer(r *http.Request, p *proof, token *accesstoken.Token, uri string) http.Header {
	if v.rules.RequireSignature {
		return http.Header{"Pop-Session": {sessionDeclined}}
	}
	audience, err := popsession.Audience(uri)
	if err != nil {
		return nil
	}
	until := token.Expires
	if !p.until.IsZero() && p.until.Before(until) {
		until = p.until
	}
	field, _, err := v.sessions.server.Answer(*p.offer, popsession.Grant{
		Binding: popsession.Binding{Thumbprint: p.key, TokenHash: token.Hash, Audience: audience},
		Issuer:  token.Issuer, Subject: token.Subject, ClientID: token.ClientID, TokenID: token.ID,
		TokenAudience: token.Audience, Scope: token.Scope, TokenExpires: token.Expires,
		Confirmation: string(token.Confirmation.Binding), Scheme: string(p.scheme), Algorithm: p.algorithm,
		ProvedAt: p.made, ClockOffset: p.made.Sub(v.sessions.now()), Until: until,
	})
	if err != nil {
		return nil
	}
	h := http.Header{"Pop-Session": {field}, "Cache-Control": {"no-store"}}
	fields, err := v.sessions.answers[p.scheme].Sign(&httpsig.Message{
		Status: http.StatusOK, Header: h, Request: httpsig.RequestMessage(r, uri),
	})
	if err != nil {
		return nil
	}
	fields.Add(h)
	return h
}

// writeAnswer adds the fields of a new session to an answer.
func writeAnswer(w http.ResponseWriter, answer http.Header) {
	for name, values := range answer {
		w.Header()[name] = append(slices.Clip(w.Header()[name]), values...)
	}
}
