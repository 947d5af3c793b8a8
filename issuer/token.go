package issuer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/replay"
)

// GrantType is what a token request stands on, by its registered name (RFC 7591, section 2).
type GrantType string

// The grant types.
const (
	CodeGrant         GrantType = "authorization_code"                              // RFC 6749, section 4.1, with PKCE
	RefreshGrant      GrantType = "refresh_token"                                   // RFC 6749, section 6
	ClientCredentials GrantType = "client_credentials"                              // RFC 6749, section 4.4
	ExchangeGrant     GrantType = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
)

// issuance is a token request, as far as its steps have run.
type issuance struct {
	form    form
	caller  caller
	proof   *proof // nil for an unbound token
	basis   basis
	claims  claims
	token   string
	idToken string // or ""
	// refresh is the refresh token to give, or "".
	refresh string
}

// basis is what tokens are issued on: read and checked, but not used up.
type basis struct {
	subject  string
	scope    []string
	audience string
	grant    *store.Grant // that the tokens belong to, or nil
	nonce    string       // of OpenID Connect
	old      *claims      // of the token that is exchanged, or nil; without an iss it was another issuer's
	actor    *actor       // who acts for the subject, or nil
	// use uses it up, together with the claims, in one transaction: the last step.
	use func(ctx context.Context, claims []replay.Claim) error
}

// grantTypes maps each grant type to what finds and checks its basis, without changing anything.
var grantTypes = map[GrantType]func(s *Server, ctx context.Context, is *issuance) (basis, error){
	CodeGrant:         (*Server).authorizationCode,
	RefreshGrant:      (*Server).refreshToken,
	ClientCredentials: (*Server).clientCredentials,
	ExchangeGrant:     (*Server).exchangeToken,
}

// serveToken is the token endpoint (RFC 6749, section 3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	is, err := s.issue(w, r)
	event := is.event()
	if err != nil {
		event.TokenID = "" // nobody got it
		event.Refusal = asError(err)
		if event.Refusal.Reason == NonceNeeded {
			w.Header().Set("DPoP-Nonce", s.nonces.Issue())
		}
		s.observe(r.Context(), event)
		event.Refusal.write(w)
		return
	}
	s.observe(r.Context(), event)
	if s.requireNonce && event.Binding == DPoP {
		w.Header().Set("DPoP-Nonce", s.nonces.Issue())
	}
	writeJSON(w, http.StatusOK, is.answer())
}

// issue lists the steps of a token request. Up to the last two nothing is remembered, so that a request that is refused
// or challenged can be repeated with what was right in it: the same assertion, the same code.
func (s *Server) issue(w http.ResponseWriter, r *http.Request) (is issuance, err error) {
	if is.form, err = readForm(w, r); err != nil {
		return is, err
	}
	if is.caller, err = s.authenticate(r, is.form); err != nil {
		return is, err
	}
	findBasis, err := grantTypeOf(is.form, is.caller.client)
	if err != nil {
		return is, err
	}
	if is.proof, err = s.prove(r, is.form.body, is.caller); err != nil {
		s.countFailure(r, is.caller.client, err)
		return is, err
	}
	if is.basis, err = findBasis(s, r.Context(), &is); err != nil {
		return is, err
	}
	// Signed before anything is claimed: a signer can fail, and must not take the assertion with it.
	if is.claims, is.token, err = s.mint(&is); err != nil {
		return is, err
	}
	if is.idToken, err = s.mintIDToken(&is); err != nil {
		return is, err
	}
	// The proof goes first, because every attempt has a fresh one (RFC 9449, section 7.3), while the rest may be sent
	// again after a refusal: so only a request that succeeds uses it up.
	if err := s.claimProof(r.Context(), is.proof); err != nil {
		return is, err
	}
	return is, is.basis.use(r.Context(), is.caller.claims())
}

// grantTypeOf refuses grant types that aren't ours or the client's.
func grantTypeOf(f form, c *client) (func(*Server, context.Context, *issuance) (basis, error), error) {
	name := GrantType(f.get("grant_type"))
	find := grantTypes[name]
	switch {
	case name == "":
		return nil, &Error{Reason: FormRefused, Section: "RFC 6749, section 4.4.2", Part: "grant_type"}
	case find == nil:
		return nil, &Error{Reason: GrantRefused, Section: "RFC 6749, section 5.2", Part: "grant_type"}
	case !c.uses(name):
		return nil, &Error{Reason: ClientRefused, Section: "RFC 6749, section 5.2", Part: "grant_type"}
	}
	return find, nil
}

// clientCredentials lets a client have tokens in its own name (RFC 6749, section 4.4).
func (s *Server) clientCredentials(_ context.Context, is *issuance) (b basis, err error) {
	b.subject, b.use = is.caller.ID, s.useOnce
	if b.scope, err = narrowed(is.caller.Scope, is.form.get("scope")); err != nil {
		return b, err
	}
	b.audience, err = is.caller.audienceFor(is.form.get("resource"), is.form.get("audience"))
	return b, err
}

// narrowed returns the scope that was asked for, each once, which must have been allowed; or all that is allowed
// (RFC 6749, sections 3.3 and 6).
func narrowed(allowed []string, asked string) ([]string, error) {
	if asked == "" {
		return allowed, nil
	}
	var scope []string
	for s := range strings.SplitSeq(asked, " ") {
		if !slices.Contains(allowed, s) {
			return nil, &Error{Reason: ScopeRefused, Section: "RFC 6749, section 3.3", Part: "scope"}
		}
		if !slices.Contains(scope, s) {
			scope = append(scope, s)
		}
	}
	return scope, nil
}

// audienceFor returns the one audience of the token, named as `resource` (RFC 8707) or `audience`.
func (c *client) audienceFor(resource, audience string) (string, error) {
	refused := &Error{Reason: TargetRefused, Section: "RFC 8707, section 2", Part: "resource"}
	switch {
	case resource != "" && audience != "":
		return "", refused
	case resource == "" && audience == "":
		return c.Audience[0], nil
	}
	named := resource + audience
	if !slices.Contains(c.Audience, named) {
		return "", refused
	}
	return named, nil
}

// claims are those of an access token (RFC 9068, section 2.2), and of an introspection answer (RFC 7662, section 2.2).
type claims struct {
	Issuer       string          `json:"iss"`
	Subject      string          `json:"sub"`
	ClientID     string          `json:"client_id"`
	Audience     string          `json:"aud"`
	Expires      int64           `json:"exp"`
	IssuedAt     int64           `json:"iat"`
	ID           string          `json:"jti"`
	Scope        string          `json:"scope,omitempty"`
	GrantID      string          `json:"grant_id,omitempty"`  // ours: which grant it belongs to
	AuthTime     int64           `json:"auth_time,omitempty"` // RFC 9068, section 2.2.1
	Details      json.RawMessage `json:"authorization_details,omitempty"`
	Actor        *actor          `json:"act,omitempty"`     // RFC 8693, section 4.1
	MayAct       *actor          `json:"may_act,omitempty"` // RFC 8693, section 4.4
	Confirmation json.RawMessage `json:"cnf,omitempty"`
}

// mint signs the access token.
func (s *Server) mint(is *issuance) (claims, string, error) {
	now := s.now()
	c := claims{
		Issuer:   s.issuer,
		Subject:  is.basis.subject,
		ClientID: is.caller.ID,
		Audience: is.basis.audience,
		Expires:  now.Add(s.lifetime).Unix(),
		IssuedAt: now.Unix(),
		ID:       rand.Text(),
		Scope:    strings.Join(is.basis.scope, " "),
	}
	if g := is.basis.grant; g != nil {
		c.GrantID, c.Details = g.ID, g.AuthorizationDetails
		c.Expires = min(c.Expires, g.Expires.Unix())
		if !g.AuthTime.IsZero() {
			c.AuthTime = g.AuthTime.Unix()
		}
	}
	if old := is.basis.old; old != nil {
		c.GrantID, c.AuthTime, c.Actor = old.GrantID, old.AuthTime, is.basis.actor
		c.Expires = min(c.Expires, old.Expires)
	}
	if is.proof != nil {
		c.Confirmation = is.proof.confirmation
	}
	token, err := s.sign(c)
	if err != nil {
		return claims{}, "", &Error{Reason: Unavailable, Part: "token", Err: err}
	}
	return c, token, nil
}

// useOnce uses ids up that last longer than this process.
func (s *Server) useOnce(ctx context.Context, claims []replay.Claim) error {
	for _, c := range claims {
		if err := s.store.UseOnce(ctx, s.now(), c); err != nil {
			return storeRefusal(err, AssertionUsed, "jti")
		}
	}
	return nil
}

// isUnknown tells whether the store knows no such thing.
func isUnknown(err error) bool { return storeReason(err) == store.NotFound }

// storeReason returns why the store refused, or "".
func storeReason(err error) store.Reason {
	if e, ok := errors.AsType[*store.Error](err); ok {
		return e.Reason
	}
	return ""
}

// storeRefusal turns an error of the store into a refusal: an assertion that was used, something that isn't good any
// more, which reason and part name, or a store that can't be asked.
func storeRefusal(err error, reason Reason, part string) *Error {
	e, ok := errors.AsType[*store.Error](err)
	switch {
	case errors.Is(err, replay.ErrReplayed), errors.Is(err, replay.ErrExpired):
		return &Error{Reason: AssertionUsed, Section: "RFC 7523, section 3, step 7", Part: "jti", Err: err}
	case !ok || e.Reason == store.Unavailable:
		return &Error{Reason: Unavailable, Part: "store", Err: err}
	}
	return &Error{Reason: reason, Part: part, Err: err}
}

// claimProof uses a proof up.
func (s *Server) claimProof(ctx context.Context, p *proof) error {
	if p == nil || p.claim == nil {
		return nil
	}
	err := s.replay.Claim(ctx, *p.claim)
	used := p.used
	used.Err = err
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replay.ErrReplayed), errors.Is(err, replay.ErrExpired):
	case errors.Is(err, replay.ErrRestarted):
		used.Reason = Restarted
	default:
		used.Reason = Unavailable
	}
	return &used
}

// tokenAnswer is the answer to a token request (RFC 6749, section 5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Refresh     string `json:"refresh_token,omitempty"`
	IssuedType  string `json:"issued_token_type,omitempty"` // RFC 8693, section 2.2.1
	Scope       string `json:"scope,omitempty"`
	IDToken     string `json:"id_token,omitempty"` // OpenID Connect Core, section 3.1.3.3

	Details json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396, section 7
}

func (is *issuance) answer() tokenAnswer {
	a := tokenAnswer{
		AccessToken: is.token, TokenType: "Bearer", ExpiresIn: is.claims.Expires - is.claims.IssuedAt, Scope: is.claims.Scope,
		Refresh: is.refresh, IDToken: is.idToken, Details: is.claims.Details,
	}
	if is.basis.old != nil {
		a.IssuedType = typeAccessToken
	}
	if is.proof != nil {
		a.TokenType = is.proof.tokenType
	}
	return a
}

func (is *issuance) event() Event {
	e := Event{Endpoint: "token", Scope: slices.Clone(is.basis.scope), Audience: is.basis.audience, TokenID: is.claims.ID}
	if is.caller.client != nil {
		e.ClientID = is.caller.ID
	}
	if is.basis.grant != nil {
		e.GrantID = is.basis.grant.ID
	}
	if is.proof != nil {
		e.Binding, e.Key = is.proof.binding, is.proof.key
	}
	return e
}
