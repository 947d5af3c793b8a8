package popsession

import (
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/holdfast-project/holdfast/keys"
)

// Grant is what a ticket says: all that a node must know about the token and the proof that the session began with.
// Times are kept to the millisecond.
type Grant struct {
	Binding
	Issuer, Subject, ClientID, TokenID string
	TokenAudience, Scope               []string
	TokenExpires                       time.Time     // zero if the token doesn't say
	Confirmation                       string        // the member of `cnf` that was proved, such as "jkt"
	Scheme, Algorithm                  string        // how it was proved
	ProvedAt                           time.Time     // when, by the client's clock
	ClockOffset                        time.Duration // the client's clock minus ours, to the millisecond
	Until                              time.Time     // the end of the token's or the certificate's life, the earlier one
}

// Ticket is an opened ticket.
type Ticket struct {
	Grant
	ID      ID
	Keys    Keys
	Issued  time.Time
	Expires time.Time // the ticket is refused from then on
}

// Open opens a ticket in base64url, as Authorization has it, for a request to audience. Its errors are *Error with
// UnknownTicket or Expired.
func (s *Server) Open(ticket, audience string) (*Ticket, error) {
	now := s.now()
	sealer := s.sealer()
	plain, err := sealer.open(ticket, audience, now)
	if err != nil {
		return nil, err
	}
	t, err := sealer.codec.decode(plain)
	if err != nil {
		return nil, err
	}
	t.Audience = audience
	switch {
	case !now.Before(t.Expires):
		return nil, refuse(Expired, "")
	case t.Issued.After(now.Add(fleetSkew)):
		return nil, refuse(UnknownTicket, "issued ahead")
	}
	return t, nil
}

// fleetSkew is how far another node's clock may be ahead of ours. Beyond it a ticket would outlive MaxLifetime by more,
// and no request of its session could be fresh on both nodes.
const fleetSkew = time.Minute

// rounded returns a copy of g with times as a ticket holds them.
func (g *Grant) rounded() Grant {
	r := *g
	r.TokenAudience, r.Scope = slices.Clone(g.TokenAudience), slices.Clone(g.Scope)
	r.TokenExpires, r.ProvedAt, r.Until = milliseconds(g.TokenExpires), milliseconds(g.ProvedAt), milliseconds(g.Until)
	r.ClockOffset = g.ClockOffset.Truncate(time.Millisecond)
	return r
}

// milliseconds drops what is finer, and the monotonic reading. The zero time stays.
func milliseconds(t time.Time) time.Time { return fromMillis(toMillis(t)) }

func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// contents is what is sealed: a map with integer keys (RFC 8949). The audience isn't in it: it is what the seal is
// bound to.
type contents struct {
	Fixed         []byte   `cbor:"1,keyasint"` // fixedLen octets
	Issued        int64    `cbor:"2,keyasint"` // Unix milliseconds, as all times here
	Expires       int64    `cbor:"3,keyasint"`
	Issuer        string   `cbor:"4,keyasint,omitempty"`
	Subject       string   `cbor:"5,keyasint,omitempty"`
	ClientID      string   `cbor:"6,keyasint,omitempty"`
	TokenID       string   `cbor:"7,keyasint,omitempty"`
	TokenAudience []string `cbor:"8,keyasint,omitempty"`
	Scope         []string `cbor:"9,keyasint,omitempty"`
	TokenExpires  int64    `cbor:"10,keyasint,omitempty"`
	Confirmation  string   `cbor:"11,keyasint"`
	Scheme        string   `cbor:"12,keyasint"`
	Algorithm     string   `cbor:"13,keyasint,omitempty"`
	ProvedAt      int64    `cbor:"14,keyasint"`
	ClockOffset   int64    `cbor:"15,keyasint,omitempty"` // milliseconds
	Until         int64    `cbor:"16,keyasint"`
}

// fixedLen is the length of what is in every ticket and has one length: K_req, K_res, the session's id, the thumbprint
// and the token's hash, one after the other: one allocation for Open instead of five.
const fixedLen = 32 + 32 + 16 + 32 + 32

// fixed returns where the parts of contents.Fixed belong.
func (t *Ticket) fixed(k *secrets) [5][]byte {
	return [...][]byte{k.request[:], k.response[:], t.ID[:], t.Thumbprint[:], t.TokenHash[:]}
}

// codec turns tickets into octets and back.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newCodec() (c codec, err error) {
	// Core deterministic encoding (RFC 8949, section 4.2.1).
	if c.enc, err = cbor.CoreDetEncOptions().EncMode(); err != nil {
		return codec{}, fmt.Errorf("popsession: %w", err)
	}
	c.dec, err = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4, // the least that can be set; two are used
		MaxMapPairs:       32,
		MaxArrayElements:  maxSealed, // each takes an octet
	}.DecMode()
	if err != nil {
		return codec{}, fmt.Errorf("popsession: %w", err)
	}
	return c, nil
}

func (c codec) encode(t *Ticket) ([]byte, error) {
	fixed := make([]byte, 0, fixedLen)
	k := t.Keys.reveal()
	for _, part := range t.fixed(&k) {
		fixed = append(fixed, part...)
	}
	plain, err := c.enc.Marshal(&contents{
		Fixed: fixed, Issued: toMillis(t.Issued), Expires: toMillis(t.Expires),
		Issuer: t.Issuer, Subject: t.Subject, ClientID: t.ClientID, TokenID: t.TokenID,
		TokenAudience: t.TokenAudience, Scope: t.Scope, TokenExpires: toMillis(t.TokenExpires),
		Confirmation: t.Confirmation, Scheme: t.Scheme, Algorithm: t.Algorithm, ProvedAt: toMillis(t.ProvedAt),
		ClockOffset: t.ClockOffset.Milliseconds(), Until: toMillis(t.Until),
	})
	if err != nil {
		return nil, fmt.Errorf("popsession: encoding a ticket: %w", err)
	}
	return plain, nil
}

// decode reads what a node of the fleet has sealed. It is checked all the same: the node may run another version.
func (c codec) decode(plain []byte) (*Ticket, error) {
	var in contents
	if c.dec.Unmarshal(plain, &in) != nil || len(in.Fixed) != fixedLen {
		return nil, refuse(UnknownTicket, "contents")
	}
	t, rest := new(Ticket), in.Fixed
	var k secrets
	for _, part := range t.fixed(&k) {
		rest = rest[copy(part, rest):]
	}
	t.Keys = newKeys(k)
	t.Issued, t.Expires = fromMillis(in.Issued), fromMillis(in.Expires)
	t.Issuer, t.Subject, t.ClientID, t.TokenID = in.Issuer, in.Subject, in.ClientID, in.TokenID
	t.TokenAudience, t.Scope, t.TokenExpires = in.TokenAudience, in.Scope, fromMillis(in.TokenExpires)
	t.Confirmation, t.Scheme, t.Algorithm, t.ProvedAt = in.Confirmation, in.Scheme, in.Algorithm, fromMillis(in.ProvedAt)
	t.ClockOffset, t.Until = time.Duration(in.ClockOffset)*time.Millisecond, fromMillis(in.Until)
	if !t.whole() {
		return nil, refuse(UnknownTicket, "contents")
	}
	return t, nil
}

// whole tells whether nothing is missing that requests are judged by. The audience comes later.
func (t *Ticket) whole() bool {
	life := t.Expires.Sub(t.Issued)
	return t.Thumbprint != keys.Thumbprint{} && t.Confirmation != "" && t.Scheme != "" &&
		!t.ProvedAt.IsZero() && !t.Until.IsZero() && !t.Issued.IsZero() && 0 < life && life <= MaxLifetime
}

// Format writes [redacted] in place of the keys, and nothing of the token but its id.
func (t Ticket) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "session %x of token id %q until %v, keys %v", t.ID, t.TokenID, t.Expires, t.Keys)
}
