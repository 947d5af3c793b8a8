package issuer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/replay"
)

// grant is what a token request comes to, as far as its steps have run.
type grant struct {
	caller   caller
	scope    []string
	audience string
	proof    *proof // nil for an unbound token
	claims   claims
	token    string
}

// serveToken is the token endpoint (RFC 6749, section 3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	g, err := s.grantToken(w, r)
	event := g.event()
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
	writeJSON(w, http.StatusOK, g.answer(int64(s.lifetime.Seconds())))
}

// grantToken lists the steps of a token request. Up to the last one nothing is remembered, so that a request that is
// refused or challenged can be repeated with what was right in it: the same assertion, for instance.
func (s *Server) grantToken(w http.ResponseWriter, r *http.Request) (g grant, err error) {
	f, err := readForm(w, r)
	if err != nil {
		return g, err
	}
	if g.caller, err = s.authenticate(r, f); err != nil {
		return g, err
	}
	if err := checkGrantType(f, g.caller.client); err != nil {
		return g, err
	}
	if g.scope, err = g.caller.scopeFor(f.get("scope")); err != nil {
		return g, err
	}
	if g.audience, err = g.caller.audienceFor(f.get("resource"), f.get("audience")); err != nil {
		return g, err
	}
	if g.proof, err = s.prove(r, f.body, g.caller.client); err != nil {
		return g, err
	}
	// Signed before anything is claimed: a signer in hardware can fail, and must not take the assertion with it.
	if g.claims, g.token, err = s.mint(g); err != nil {
		return g, err
	}
	return g, s.claim(r.Context(), g.proof, g.caller.assertion)
}

// checkGrantType refuses what isn't client_credentials, and clients that aren't meant to have tokens.
func checkGrantType(f form, c *client) error {
	switch grantType := f.get("grant_type"); {
	case grantType == "":
		return &Error{Reason: FormRefused, Section: "RFC 6749, section 4.4.2", Part: "grant_type"}
	case grantType != "client_credentials":
		return &Error{Reason: GrantRefused, Section: "RFC 6749, section 5.2", Part: "grant_type"}
	case len(c.Audience) == 0:
		return &Error{Reason: ClientRefused, Section: "RFC 6749, section 5.2"}
	}
	return nil
}

// scopeFor returns the scope to grant: what was asked for, each once, or all that the client may have
// (RFC 6749, section 3.3).
func (c *client) scopeFor(asked string) ([]string, error) {
	if asked == "" {
		return c.Scope, nil
	}
	var scope []string
	for s := range strings.SplitSeq(asked, " ") {
		if !slices.Contains(c.Scope, s) {
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
	Confirmation json.RawMessage `json:"cnf,omitempty"`
}

// mint signs the access token.
func (s *Server) mint(g grant) (claims, string, error) {
	now := s.now()
	c := claims{
		Issuer:   s.issuer,
		Subject:  g.caller.ID,
		ClientID: g.caller.ID,
		Audience: g.audience,
		Expires:  now.Add(s.lifetime).Unix(),
		IssuedAt: now.Unix(),
		ID:       rand.Text(),
		Scope:    strings.Join(g.scope, " "),
	}
	if g.proof != nil {
		c.Confirmation = g.proof.confirmation
	}
	token, err := s.sign(c)
	if err != nil {
		return claims{}, "", &Error{Reason: Unavailable, Part: "token", Err: err}
	}
	return c, token, nil
}

// claim uses the proof and the assertion up: the last step. The proof goes first, because every attempt has a fresh one
// (RFC 9449, section 7.3), while an assertion may be sent again after a refusal: so only a request that succeeds uses it.
func (s *Server) claim(ctx context.Context, p *proof, assertion *replay.Claim) error {
	if p != nil {
		if err := s.claimOnce(ctx, p.claim, p.used); err != nil {
			return err
		}
	}
	return s.claimAssertion(ctx, assertion)
}

// claimAssertion uses a client assertion up; nil is none.
func (s *Server) claimAssertion(ctx context.Context, assertion *replay.Claim) error {
	if assertion == nil {
		return nil
	}
	return s.claimOnce(ctx, *assertion, Error{Reason: AssertionUsed, Section: "RFC 7523, section 3, step 7", Part: "jti"})
}

// claimOnce makes one claim; used is the refusal of an id that was seen before.
func (s *Server) claimOnce(ctx context.Context, c replay.Claim, used Error) error {
	err := s.replay.Claim(ctx, c)
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
	Scope       string `json:"scope,omitempty"`
}

func (g *grant) answer(lifetime int64) tokenAnswer {
	a := tokenAnswer{AccessToken: g.token, TokenType: "Bearer", ExpiresIn: lifetime, Scope: g.claims.Scope}
	if g.proof != nil {
		a.TokenType = g.proof.tokenType
	}
	return a
}

func (g *grant) event() Event {
	e := Event{Endpoint: "token", Scope: slices.Clone(g.scope), Audience: g.audience, TokenID: g.claims.ID}
	if g.caller.client != nil {
		e.ClientID = g.caller.ID
	}
	if g.proof != nil {
		e.Binding, e.Key = g.proof.binding, g.proof.key
	}
	return e
}
