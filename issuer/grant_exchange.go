package issuer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/internal/strictjson"
)

// The token types of token exchange (RFC 8693, section 3).
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

const (
	exchangeSection = "RFC 8693, section 2.1"
	// maxActors bounds how many parties a token names that act one for another.
	maxActors = 8
)

// Exchange is what a client may do by token exchange (RFC 8693). Whatever it gets is bound to the key of its own proof.
//
// It may exchange tokens that were issued to it, proving the key that they are bound to, and tokens for audiences whose
// server it is (Client.Introspect): it was sent those. Any other token isn't its own, and is refused.
type Exchange struct {
	// Impersonate leaves the actor out: the new token doesn't say that somebody else acts. Actors that are in the old token
	// stay. If false, the client, or the subject of its actor_token, becomes the actor.
	Impersonate bool
	// RequireActor demands an actor_token, bound to the key of the proof: the client acts for another service.
	RequireActor bool
	// RequireSubjectKey demands the proof by the key that the old token is bound to, also of servers.
	RequireSubjectKey bool
	// Outside lists the issuers of [Config.Outside] whose tokens it may bring.
	Outside []string
}

// Outside is another issuer whose tokens, bound to nothing, become bound tokens of ours by exchange.
type Outside struct {
	// Issuer is its identifier, as in iss.
	Issuer string
	// Verify checks an ID or access token of it, and that it was issued for us. An *Error is the refusal, as Unavailable where
	// the issuer can't be asked; any other error says that the token isn't good.
	Verify func(ctx context.Context, token string) (OutsideToken, error)
}

// OutsideToken is what a verified token of another issuer says.
type OutsideToken struct {
	Subject string // ours is to be: never one that a user of this issuer could have
	Expires time.Time
}

// actor is a party that acts for the subject, and whom it acts for in turn (RFC 8693, section 4.1).
type actor struct {
	Subject  string `json:"sub"`
	ClientID string `json:"client_id,omitempty"`
	Issuer   string `json:"iss,omitempty"`
	Actor    *actor `json:"act,omitempty"`
}

func (a *actor) depth() int {
	n := 0
	for ; a != nil; a = a.Actor {
		n++
	}
	return n
}

// exchangeToken finds what a token may be exchanged for (RFC 8693, section 2.1). The new token is never more than the
// old one: no more scope, no longer life, and the same grant, so that it is revoked with it.
func (s *Server) exchangeToken(ctx context.Context, is *issuance) (basis, error) {
	f := is.form
	if kind := f.get("requested_token_type"); kind != "" && kind != typeAccessToken && kind != typeJWT {
		return basis{}, &Error{Reason: ExchangeRefused, Section: exchangeSection, Part: "requested_token_type"}
	}
	if f.get("subject_token") == "" || f.get("subject_token_type") == "" {
		return basis{}, &Error{Reason: FormRefused, Section: exchangeSection, Part: "subject_token"}
	}
	old, err := s.subjectToken(ctx, is)
	if err != nil {
		return basis{}, err
	}
	b := basis{subject: old.Subject, old: &old, use: s.useOnce}
	if b.actor, err = s.actorOf(ctx, is, old); err != nil {
		return basis{}, err
	}
	if b.audience, err = is.caller.audienceFor(f.get("resource"), f.get("audience")); err != nil {
		return basis{}, err
	}
	b.scope, err = exchangedScope(is.caller.client, old, f.get("scope"))
	return b, err
}

// exchangedScope is what both the client and the old token have, as far as it was asked for. A token of another issuer
// limits nothing: its scopes aren't ours.
func exchangedScope(c *client, old claims, asked string) ([]string, error) {
	if old.Issuer != "" {
		had := strings.Fields(old.Scope)
		return narrowed(slices.DeleteFunc(slices.Clone(c.Scope), func(s string) bool { return !slices.Contains(had, s) }), asked)
	}
	return narrowed(c.Scope, asked)
}

// subjectToken verifies the token that is to be exchanged, and that it is the client's to exchange.
func (s *Server) subjectToken(ctx context.Context, is *issuance) (claims, error) {
	text, kind := is.form.get("subject_token"), is.form.get("subject_token_type")
	if iss := issuerOf(text); iss != s.issuer {
		return s.outsideToken(ctx, is, iss, text, kind)
	}
	old, err := s.ownToken(ctx, text, kind, "subject_token")
	if err != nil {
		return claims{}, err
	}
	own, served := old.ClientID == is.caller.ID, slices.Contains(is.caller.Introspect, old.Audience)
	switch {
	case !own && !served:
		return claims{}, &Error{Reason: ExchangeDenied, Section: "RFC 8693, section 5", Part: "subject_token", Expected: "issued to this client, or for its own audience"}
	case own && !served || is.caller.Exchange.RequireSubjectKey:
		if err := is.proof.meets(old.Confirmation); err != nil {
			return claims{}, err
		}
	}
	return old, nil
}

// ownToken verifies an access token of ours, as it came in a parameter.
func (s *Server) ownToken(ctx context.Context, text, kind, part string) (claims, error) {
	if kind != typeAccessToken && kind != typeJWT {
		return claims{}, &Error{Reason: ExchangeRefused, Section: exchangeSection, Part: part + "_type"}
	}
	c, ok := s.open(text)
	if !ok {
		return claims{}, &Error{Reason: ExchangeRefused, Section: exchangeSection, Part: part}
	}
	revoked, err := s.store.TokenRevoked(ctx, c.ID, c.GrantID)
	if err != nil {
		return claims{}, storeRefusal(err, Unavailable, part)
	}
	if revoked {
		return claims{}, &Error{Reason: ExchangeRefused, Section: exchangeSection, Part: part, Expected: "not revoked"}
	}
	return c, nil
}

// outsideToken verifies a token of another issuer. Nothing binds it; what comes of it is bound.
func (s *Server) outsideToken(ctx context.Context, is *issuance, iss, text, kind string) (claims, error) {
	refused := func(part string, err error) error {
		return &Error{Reason: ExchangeRefused, Section: exchangeSection, Part: part, Err: err}
	}
	i := slices.IndexFunc(s.outside, func(o Outside) bool { return o.Issuer == iss })
	switch {
	case i < 0:
		return claims{}, refused("subject_token", nil)
	case !slices.Contains(is.caller.Exchange.Outside, iss):
		return claims{}, &Error{Reason: ExchangeDenied, Section: "RFC 8693, section 5", Part: "subject_token", Expected: "of an issuer that this client may bring tokens of"}
	case kind != typeIDToken && kind != typeAccessToken && kind != typeJWT:
		return claims{}, refused("subject_token_type", nil)
	case is.proof == nil:
		return claims{}, &Error{Reason: ProofMissing, Section: exchangeSection} // or a bearer token would become another
	}
	verified, err := s.outside[i].Verify(ctx, text)
	if e, ok := errors.AsType[*Error](err); ok {
		return claims{}, e
	}
	if err != nil {
		return claims{}, refused("subject_token", err)
	}
	if verified.Subject == "" || !verified.Expires.After(s.now()) {
		return claims{}, refused("subject_token", errors.New("without a subject, or expired"))
	}
	return claims{Subject: verified.Subject, Expires: verified.Expires.Unix()}, nil
}

// issuerOf returns the iss of a JWT that nobody has verified: only to choose who verifies it.
func issuerOf(token string) string {
	parsed, err := jws.Parse(token, maxToken)
	if err != nil {
		return ""
	}
	var iss string
	err = strictjson.Object(parsed.Payload, func(name string, v strictjson.Value) (err error) {
		if name == "iss" {
			iss, err = v.String()
		}
		return err
	})
	if err != nil {
		return ""
	}
	return iss
}

// actorOf returns who acts for the subject from now on, outermost first. Nobody who acted before is lost.
func (s *Server) actorOf(ctx context.Context, is *issuance, old claims) (*actor, error) {
	text, policy := is.form.get("actor_token"), is.caller.Exchange
	if (text == "") != (is.form.get("actor_token_type") == "") {
		return nil, &Error{Reason: FormRefused, Section: exchangeSection, Part: "actor_token_type"}
	}
	next := &actor{Subject: is.caller.ID, ClientID: is.caller.ID, Actor: old.Actor}
	switch {
	case text != "":
		c, err := s.ownToken(ctx, text, is.form.get("actor_token_type"), "actor_token")
		if err != nil {
			return nil, err
		}
		if c.Confirmation == nil {
			return nil, &Error{Reason: ExchangeRefused, Section: exchangeSection, Part: "actor_token", Expected: "bound to a key"}
		}
		if err := is.proof.meets(c.Confirmation); err != nil {
			return nil, err
		}
		next.Subject, next.ClientID = c.Subject, c.ClientID
	case policy.RequireActor:
		return nil, &Error{Reason: ExchangeRefused, Section: exchangeSection, Part: "actor_token", Expected: "one that is bound to the proof's key"}
	}
	if may := old.MayAct; may != nil && (may.Subject != next.Subject || may.ClientID != "" && may.ClientID != next.ClientID) {
		return nil, &Error{Reason: ExchangeDenied, Section: "RFC 8693, section 4.4", Part: "may_act"}
	}
	if text == "" && policy.Impersonate {
		return old.Actor, nil
	}
	if next.depth() > maxActors {
		return nil, &Error{Reason: ExchangeRefused, Section: "RFC 8693, section 4.1", Part: "act", Expected: "at most 8 actors"}
	}
	return next, nil
}
