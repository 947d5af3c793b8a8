package holdfast

import (
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/popsession"
)

// What a Transport keeps of sessions is bounded for each origin, and so is how often it offers one.
const (
	transportMaxSlots    = 8                // tokens with sessions
	transportMaxPaths    = 100              // paths that take no session
	transportQuiet       = 60 * time.Second // without offers, after an origin didn't answer one
	transportOfferWait   = 10 * time.Second // for the answer to an offer, before another request offers as well
	transportLeast       = 10 * time.Second // of a session's life, to use it: a request takes time, and clocks differ
	transportLeastOneWay = 30 * time.Second // the same, for a body that can't be sent again
	transportLeastLife   = 4 * time.Second  // of a session, to be worth an offer each time
)

// leastLeft is how much of a session's life must be left to use it. Of a short one it is a share, so that it can be used
// and renewed at all: before it is too old even for a body that can't be sent again.
func leastLeft(life time.Duration, oneWay bool) time.Duration {
	if oneWay {
		return min(transportLeastOneWay, life*3/16)
	}
	return min(transportLeast, life/8)
}

// transportSessions are the sessions with one origin. The zero value has none.
type transportSessions struct {
	slots      []*transportSlot // by token; the last is the one used last
	paths      map[string]bool  // those that want a proof of each request
	quietUntil time.Time        // no offer before
}

// transportSlot is the session of one token.
type transportSlot struct {
	token   string
	session *transportSession // or nil
	offer   *transportOffer   // the one that waits for its answer, or nil
}

// transportSession is a session, with what its requests are made from.
type transportSession struct {
	ticket         string
	authorization  string
	secret         []byte        // of requests
	responseKey    *httpsig.Key  // of responses
	responseSecret []byte        // the same, for frames
	offset         time.Duration // of the client's clock when it proved its key: the ticket tells the server
	life           time.Duration
	renew, ends    time.Time
	nonce          func() string
	signers        map[signerKind]*httpsig.Signer // guarded by originState.mu
	asked          int                            // originState.asked that signers cover, as a number; guarded by it
}

// transportOffer is an offer that waits for its answer.
type transportOffer struct {
	offer  *popsession.Offer
	token  string
	since  time.Time     // when a request took it on
	sent   time.Time     // when the request was sent, the last time
	offset time.Duration // of the clock that its proof was made by
}

// newTransportSession prepares s. It returns nil for a session that is too short to be of use.
func newTransportSession(s *popsession.Session, sent time.Time, offset time.Duration) *transportSession {
	life := s.Expires().Sub(sent)
	responseSecret := s.Keys().ResponseSecret()
	responseKey, err := httpsig.NewHMACKey(responseSecret)
	if life < transportLeastLife || err != nil {
		return nil
	}
	return &transportSession{
		ticket:        s.Ticket(),
		authorization: string(SchemeSession) + " " + s.Ticket(),
		secret:        s.Keys().RequestSecret(),
		responseKey:   responseKey, responseSecret: responseSecret,
		offset: offset,
		life:   life,
		renew:  sent.Add(life * 3 / 4),
		ends:   s.Expires(),
		nonce: func() string {
			n, err := s.NextCounter()
			if err != nil {
				return "" // refused by the server, which ends the session
			}
			return strconv.FormatUint(n, 10)
		},
	}
}

// lasts tells whether the session is still good for a request that is made now.
func (s *transportSession) lasts(now time.Time, oneWay bool) bool {
	return s != nil && s.ends.Sub(now) >= leastLeft(s.life, oneWay)
}

// slot returns what there is for a token. To make room, the token that was used least recently is forgotten.
func (s *transportSessions) slot(token string) *transportSlot {
	i := slices.IndexFunc(s.slots, func(slot *transportSlot) bool { return slot.token == token })
	if i >= 0 && i == len(s.slots)-1 {
		return s.slots[i]
	}
	slot := &transportSlot{token: token}
	switch {
	case i >= 0:
		slot = s.slots[i]
		s.slots = slices.Delete(s.slots, i, i+1)
	case len(s.slots) == transportMaxSlots:
		s.slots = slices.Delete(s.slots, 0, 1)
	}
	s.slots = append(s.slots, slot)
	return slot
}

// find returns what there is for a token, or nil.
func (s *transportSessions) find(token string) *transportSlot {
	for _, slot := range s.slots {
		if slot.token == token {
			return slot
		}
	}
	return nil
}

// sessionWish is what a request wants of the sessions of its origin.
type sessionWish struct {
	token, path string
	oneWay      bool // its body can't be sent again
	prove       bool // a session refused it before
	insist      bool // it offers although another request has offered and waits for the answer
}

// session returns the session to make a request in, or the offer to send with a full proof, or neither. Only one request
// offers at a time; whoever comes meanwhile goes on without.
func (s *originState) session(w sessionWish, now time.Time) (*transportSession, *transportOffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions.paths[w.path] {
		return nil, nil
	}
	slot := s.sessions.slot(w.token)
	alive := slot.session.lasts(now, false)
	// A renewal waits for a request that can be sent again, in case it is refused.
	due := !alive || !w.oneWay && !now.Before(slot.session.renew)
	free := slot.offer == nil || w.insist || now.Sub(slot.offer.since) > transportOfferWait
	if due && free && !now.Before(s.sessions.quietUntil) {
		slot.offer = &transportOffer{token: w.token, since: now}
		return nil, slot.offer
	}
	if w.prove || !slot.session.lasts(now, w.oneWay) {
		return nil, nil
	}
	return slot.session, nil
}

// settle ends an offer that was answered: with a session, or with nil for none that can be used.
func (s *originState) settle(o *transportOffer, session *transportSession, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.sessions.find(o.token)
	if slot != nil && slot.offer == o {
		slot.offer = nil
	}
	switch {
	case session == nil:
		s.sessions.quietUntil = now.Add(transportQuiet)
	case slot != nil:
		slot.session = session
	}
}

// withdraw ends an offer that wasn't answered.
func (s *originState) withdraw(o *transportOffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot := s.sessions.find(o.token); slot != nil && slot.offer == o {
		slot.offer = nil
	}
}

// drop forgets a session that the origin doesn't accept any more.
func (s *originState) drop(token string, session *transportSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot := s.sessions.find(token); slot != nil && slot.session == session {
		slot.session = nil
	}
}

// proveEach remembers a path that takes no session. Of too many, any one is forgotten.
func (s *originState) proveEach(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions.paths == nil {
		s.sessions.paths = make(map[string]bool)
	}
	for old := range s.sessions.paths {
		if len(s.sessions.paths) < transportMaxPaths {
			break
		}
		delete(s.sessions.paths, old)
	}
	s.sessions.paths[path] = true
}

// sessionSigner returns what signs a kind of request in a session.
func (s *originState) sessionSigner(t *Transport, session *transportSession, kind signerKind) (*httpsig.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session.asked != len(s.asked) { // it only grows
		session.signers, session.asked = nil, len(s.asked)
	}
	if signer, ok := session.signers[kind]; ok {
		return signer, nil
	}
	cfg := httpsig.SignerConfig{
		Secret: session.secret, Tag: TagSession, Nonce: session.nonce,
		Now: func() time.Time { return t.now().Add(session.offset) },
	}
	cfg.Components, cfg.Optional = s.coverage(t, kind)
	signer, err := httpsig.NewSigner(cfg)
	if err != nil {
		return nil, err
	}
	if session.signers == nil {
		session.signers = make(map[signerKind]*httpsig.Signer)
	}
	session.signers[kind] = signer
	return signer, nil
}
