package popsession

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/sfv"
)

// Offer is a client's half of a session that doesn't exist yet: a fresh ephemeral key for each curve. It is good for one
// session and safe for concurrent use. It prints as [redacted].
type Offer struct {
	field string

	mu   sync.Mutex
	keys map[Curve]*ecdh.PrivateKey // curve → ephemeral key; nil once used. Guarded by mu.
}

// NewOffer makes ephemeral keys for the curves; without any, for P256.
func NewOffer(curves ...Curve) (*Offer, error) {
	if len(curves) == 0 {
		curves = []Curve{P256}
	}
	o := &Offer{keys: make(map[Curve]*ecdh.PrivateKey, len(curves))}
	for _, c := range curves {
		group := c.group()
		if group == nil || o.keys[c] != nil {
			return nil, fmt.Errorf("popsession: unknown or repeated curve %q", c)
		}
		key, err := group.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("popsession: making an ephemeral key: %w", err)
		}
		o.keys[c] = key
	}
	return o, o.write(curves)
}

// write makes the field's value, with the curves in the caller's order.
func (o *Offer) write(curves []Curve) error {
	dict := make(sfv.Dictionary, 0, len(curves))
	for _, c := range curves {
		dict = append(dict, sfv.Member{Key: string(c), Value: sfv.Bytes(o.keys[c].PublicKey().Bytes())})
	}
	field, err := sfv.AppendDictionary(nil, dict)
	o.field = string(field)
	return err
}

// Field returns the value of PoP-Session-Offer. The request's proof must cover it.
func (o *Offer) Field() string { return o.field }

// Format writes [redacted], whatever the verb.
func (*Offer) Format(w fmt.State, _ rune) { io.WriteString(w, redacted) }

// Accept takes the lines of PoP-Session from the answer. b is what the request was proved with; now is when it was sent,
// so that the session ends here before it ends there. The errors are *Error with BadAnswer, UsedOffer or Incomplete;
// after those of BadAnswer and Incomplete the offer is still good.
//
// An answer that doesn't belong to this offer and binding isn't noticed here: its keys are others than the server's, so
// no MAC will hold.
func (o *Offer) Accept(lines []string, b Binding, now time.Time) (*Session, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	answer, err := parseAnswer(lines)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys == nil {
		return nil, refuse(UsedOffer, "")
	}
	own := o.keys[answer.curve]
	if own == nil {
		return nil, refuse(BadAnswer, "curve")
	}
	a := agreement{
		binding:     &b,
		clientShare: own.PublicKey().Bytes(), serverShare: answer.share.Bytes(), id: answer.id,
		own: own, peer: answer.share, refuseAs: BadAnswer, refuseAsPart: "share",
	}
	k, err := a.keys()
	if err != nil {
		return nil, err
	}
	o.keys = nil
	return &Session{
		ticket: base64url.Encode(answer.ticket), id: answer.id, keys: k, expires: now.Add(answer.lifetime),
	}, nil
}

// answer is a parsed PoP-Session.
type answer struct {
	ticket   []byte
	curve    Curve
	share    *ecdh.PublicKey
	id       ID
	lifetime time.Duration
}

// maxAnswer bounds the field: a ticket in Base64, and room for members to come.
const maxAnswer = 8 << 10

func parseAnswer(lines []string) (*answer, error) {
	dict, err := parseField(lines, maxAnswer, BadAnswer)
	if err != nil {
		return nil, err
	}
	var a answer
	if a.ticket = bytesOf(dict.Get("ticket")); len(a.ticket) == 0 || len(a.ticket) > maxSealed {
		return nil, refuse(BadAnswer, "ticket")
	}
	share := dict.Get("share")
	if bytesOf(share) == nil {
		return nil, refuse(BadAnswer, "share")
	}
	curve, _ := share.Params.Get("curve")
	if a.curve = Curve(curve.Text()); curve.Kind() != sfv.KindString || a.curve.group() == nil {
		return nil, refuse(BadAnswer, "curve")
	}
	var ok bool
	if a.share, ok = a.curve.parseShare(bytesOf(share)); !ok {
		return nil, refuse(BadAnswer, "share")
	}
	id := bytesOf(dict.Get("id"))
	if len(id) != len(a.id) {
		return nil, refuse(BadAnswer, "id")
	}
	copy(a.id[:], id)
	seconds := integerOf(dict.Get("expires"))
	if a.lifetime = time.Duration(seconds) * time.Second; seconds < 1 || seconds > int64(MaxLifetime/time.Second) {
		return nil, refuse(BadAnswer, "expires")
	}
	return &a, nil
}

// Session is a client's session: a ticket to send and the keys that go with it. It is safe for concurrent use, belongs
// to one process (a copy elsewhere would repeat counters), and prints as [redacted].
type Session struct {
	ticket  string
	id      ID
	keys    Keys
	expires time.Time
	counter atomic.Uint64 // the last number that was given out
}

// Ticket returns the ticket in base64url, as the scheme PoP-Session of Authorization takes it.
func (s *Session) Ticket() string { return s.ticket }

// ID returns the session's name.
func (s *Session) ID() ID { return s.id }

// Keys returns the session's keys.
func (s *Session) Keys() Keys { return s.keys }

// Expires returns when the session ends.
func (s *Session) Expires() time.Time { return s.expires }

// NextCounter returns the number of the next request: 1 first, and none twice. After MaxCounter it fails with Exhausted.
func (s *Session) NextCounter() (uint64, error) {
	// Looked at before it is added to, so that a caller who goes on can't bring it round to where it began.
	if s.counter.Load() >= MaxCounter {
		return 0, refuse(Exhausted, "")
	}
	n := s.counter.Add(1)
	if n > MaxCounter {
		return 0, refuse(Exhausted, "")
	}
	return n, nil
}

// Format writes [redacted], whatever the verb.
func (*Session) Format(w fmt.State, _ rune) { io.WriteString(w, redacted) }
