package popsession

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"io"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// Secret is one of the fleet's secrets: whoever has it can open every ticket that was sealed under it, and make more. It
// prints as [redacted].
type Secret struct {
	ID  string // 1 to 16 printable ASCII characters; it travels in the ticket
	Key []byte // at least 32 bytes
	// NotBefore is when nodes begin to seal under this secret. If zero, always. They open its tickets before that, too:
	// so a new secret is given to all nodes first, and no honest ticket is refused while it comes in.
	NotBefore time.Time
}

// Format writes [redacted], whatever the verb.
func (Secret) Format(w fmt.State, _ rune) { io.WriteString(w, redacted) }

// ServerConfig configures a Server.
type ServerConfig struct {
	// Secrets of the fleet, at least one of which is in force; at most 16. Tickets are sealed under the one in force with
	// the latest NotBefore, and opened under any. To rotate, add one with a NotBefore by which all nodes know it, and
	// remove the old one MaxLifetime after that: with [Server.Rotate], or when nodes start anew.
	Secrets []Secret
	// Lifetime of a session. If zero, 5 minutes; at most MaxLifetime.
	Lifetime time.Duration
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

// Format writes [redacted], whatever the verb: Secrets are in it.
func (ServerConfig) Format(w fmt.State, _ rune) { io.WriteString(w, redacted) }

// Server answers offers and opens tickets. It holds nothing of a session, and is safe for concurrent use.
type Server struct {
	sealing  atomic.Pointer[sealer]
	lifetime time.Duration
	now      func() time.Time
}

func (s *Server) sealer() *sealer { return s.sealing.Load() }

const defaultLifetime = 5 * time.Minute

// NewServer checks cfg and copies it.
func NewServer(cfg ServerConfig) (*Server, error) {
	s := &Server{lifetime: cfg.Lifetime, now: cfg.Now}
	if s.lifetime == 0 {
		s.lifetime = defaultLifetime
	}
	if s.lifetime < time.Second || s.lifetime > MaxLifetime {
		return nil, fmt.Errorf("popsession: Lifetime is %v, want 1s to %v", s.lifetime, MaxLifetime)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, s.Rotate(cfg.Secrets)
}

// Rotate puts other secrets in the place of all that there are, under the rules of ServerConfig.Secrets. After an error
// nothing has changed. Tickets under a secret that is gone are refused from now on: so one that was stolen is taken away
// at once, and clients prove their keys again.
func (s *Server) Rotate(secrets []Secret) error {
	next, err := newSealer(secrets, s.now())
	if err != nil {
		return err
	}
	s.sealing.Store(next)
	return nil
}

// Offered is an offer that was parsed. The zero value is refused.
type Offered struct {
	shares [len(curves)]*ecdh.PublicKey // by place of the curve in curves; nil where there is none
}

// maxOffer bounds the field: both shares, and room for other members.
const maxOffer = 1 << 10

// ParseOffer reads the lines of PoP-Session-Offer. Its errors are *Error with BadOffer. Members for curves that it doesn't
// know are ignored, but one that it knows must be there, and those must be good. Use it only on an offer that the
// request's proof covers.
func ParseOffer(lines []string) (Offered, error) {
	dict, err := parseField(lines, maxOffer, BadOffer)
	if err != nil {
		return Offered{}, err
	}
	var o Offered
	for i, c := range curves {
		m := dict.Get(string(c))
		if m == nil {
			continue
		}
		var ok bool
		if o.shares[i], ok = c.parseShare(bytesOf(m)); !ok {
			return Offered{}, refuse(BadOffer, string(c))
		}
	}
	if _, share := o.choose(); share == nil {
		return Offered{}, refuse(BadOffer, "curve")
	}
	return o, nil
}

// Curves returns the known curves that were offered.
func (o Offered) Curves() []Curve {
	var offered []Curve
	for i, share := range o.shares {
		if share != nil {
			offered = append(offered, curves[i])
		}
	}
	return offered
}

// choose returns the curve to answer on, and the client's share.
func (o Offered) choose() (Curve, *ecdh.PublicKey) {
	for i, share := range o.shares {
		if share != nil {
			return curves[i], share
		}
	}
	return "", nil
}

// Answer makes a session for an offer that the proof covered: the value of PoP-Session, to be sent with Cache-Control:
// no-store, and what its ticket holds. It answers on P256 if that was offered. The session ends after the server's
// lifetime, or at g.Until or g.TokenExpires if that is sooner.
//
// The errors are *Error with Incomplete, Expired (less than a second is left), BadOffer, or TooLarge: the request itself
// was good, and can be answered without a session.
func (s *Server) Answer(o Offered, g Grant) (field string, t *Ticket, err error) {
	curve, peer := o.choose()
	if peer == nil {
		return "", nil, refuse(BadOffer, "")
	}
	if err := g.check(); err != nil {
		return "", nil, err
	}
	// Rounded as the ticket holds them, so that the session is the same wherever it is looked at.
	t = &Ticket{Grant: g.rounded(), Issued: milliseconds(s.now())}
	lifetime := t.Grant.lifetime(t.Issued, s.lifetime)
	if lifetime < time.Second {
		return "", nil, refuse(Expired, "")
	}
	t.Expires = t.Issued.Add(lifetime)
	rand.Read(t.ID[:]) // never fails
	own, err := curve.group().GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, fmt.Errorf("popsession: making an ephemeral key: %w", err)
	}
	share := own.PublicKey().Bytes()
	a := agreement{
		binding:     &t.Binding,
		clientShare: peer.Bytes(), serverShare: share, id: t.ID,
		own: own, peer: peer, refuseAs: BadOffer, refuseAsPart: string(curve),
	}
	if t.Keys, err = a.keys(); err != nil {
		return "", nil, err
	}
	sealed, err := s.sealer().seal(t)
	if err != nil {
		return "", nil, err
	}
	field, err = writeAnswer(sealed, curve, share, t.ID, lifetime)
	if err != nil {
		return "", nil, err
	}
	return field, t, nil
}

func writeAnswer(sealed []byte, curve Curve, share []byte, id ID, lifetime time.Duration) (string, error) {
	b, err := sfv.AppendDictionary(make([]byte, 0, len(sealed)*4/3+256), sfv.Dictionary{
		{Key: "ticket", Value: sfv.Bytes(sealed)},
		{Key: "share", Value: sfv.Bytes(share), Params: sfv.Params{{Key: "curve", Value: sfv.String(string(curve))}}},
		{Key: "id", Value: sfv.Bytes(id[:])},
		{Key: "expires", Value: sfv.Integer(int64(lifetime / time.Second))},
	})
	return string(b), err
}

// check refuses a grant that lacks what later requests are judged by, or that a ticket can't hold: its texts are UTF-8.
func (g *Grant) check() error {
	if err := g.Binding.check(); err != nil {
		return err
	}
	for _, required := range []struct {
		part   string
		absent bool
	}{
		{"confirmation", g.Confirmation == ""},
		{"scheme", g.Scheme == ""},
		{"time of proof", g.ProvedAt.IsZero()},
		{"end", g.Until.IsZero()},
	} {
		if required.absent {
			return refuse(Incomplete, required.part)
		}
	}
	texts := [...][]string{
		{g.Issuer, g.Subject, g.ClientID, g.TokenID, g.Confirmation, g.Scheme, g.Algorithm}, g.TokenAudience, g.Scope,
	}
	for _, list := range texts {
		for _, text := range list {
			if !utf8.ValidString(text) {
				return refuse(Incomplete, "text")
			}
		}
	}
	return nil
}

// lifetime returns how long a session of g may last from now: whole seconds, as the client is told.
func (g *Grant) lifetime(now time.Time, most time.Duration) time.Duration {
	end := now.Add(most)
	if g.Until.Before(end) {
		end = g.Until
	}
	if !g.TokenExpires.IsZero() && g.TokenExpires.Before(end) {
		end = g.TokenExpires
	}
	return end.Sub(now).Truncate(time.Second)
}
