package login

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/issuer"
)

const (
	// attemptLifetime is how long a user may take at the provider.
	attemptLifetime = 10 * time.Minute
	// providerSkew is how far a provider's clock may be from ours.
	providerSkew = 30 * time.Second
	// discoveryKept is how long a provider's metadata is taken for current.
	discoveryKept = time.Hour
	// discoveryWait is how long a provider that can't be reached isn't asked again.
	discoveryWait = 5 * time.Second
	// maxProviderName bounds a provider's name: it is part of URLs.
	maxProviderName = 32
	// maxUserName is how long a user's name may be in the store, in bytes.
	maxUserName = 255
	// maxProviderIssuer leaves room in it for a subject, or the hash of one.
	maxProviderIssuer = 200
	// maxClaim bounds what we keep of a claim, in bytes.
	maxClaim = 255
	// maxMethods bounds the list amr.
	maxMethods = 16
	// maxParameter bounds a parameter of an authorization response, in bytes.
	maxParameter = 4096
)

// Provider is an outside OpenID provider (OpenID Connect Core 1.0) that users may log in by: authorization code with PKCE.
// It must be configured there as a client with the redirect URI that [Login.RedirectURI] returns.
type Provider struct {
	// Name tells providers apart, in paths of ours: letters a to z, digits and hyphens, at most 32. Required.
	Name string
	// Label is what users know it by. If empty, Name.
	Label string
	// Issuer is its identifier, below which its metadata is. Required.
	Issuer string
	// ClientID is ours at the provider. Required.
	ClientID string
	// ClientSecret is ours at the provider. If empty, we are a public client.
	ClientSecret string
	// Scopes are asked for besides openid. If nil, profile.
	Scopes []string
	// InsecureAssumeAuthTime takes the time of the login here for the user's, if the provider doesn't tell when the user
	// authenticated, though asked to. Clients that want a recent login (max_age) then may get an old one.
	InsecureAssumeAuthTime bool
	// HTTP is used towards it. If nil, one with the system's roots.
	HTTP *http.Client
}

// provider is a checked copy of a Provider.
type provider struct {
	Provider
	client *http.Client
	now    func() time.Time

	mu     sync.Mutex
	found  *discovered // guarded by mu; nil before the first
	failed error       // guarded by mu; of the last attempt to find it
	again  time.Time   // guarded by mu; when to look again
}

// discovered is what a provider says of itself.
type discovered struct {
	oauth       oauth2.Config
	verifier    *oidc.IDTokenVerifier
	namesItself bool // in authorization responses (RFC 9207)
}

func newProvider(p Provider, now func() time.Time) (*provider, error) {
	switch {
	case p.Name == "" || len(p.Name) > maxProviderName || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return nil, fmt.Errorf("login: provider %.64q: Name must be 1 to %d letters a to z, digits and hyphens", p.Name, maxProviderName)
	case len(p.Issuer) > maxProviderIssuer:
		return nil, fmt.Errorf("login: provider %s: Issuer is longer than %d bytes", p.Name, maxProviderIssuer)
	case p.ClientID == "":
		return nil, fmt.Errorf("login: provider %s: ClientID is required", p.Name)
	}
	if _, err := fetch.Endpoint(p.Issuer); err != nil {
		return nil, fmt.Errorf("login: provider %s: Issuer: %w", p.Name, err)
	}
	if p.Label = cmp.Or(p.Label, p.Name); p.Scopes == nil {
		p.Scopes = []string{"profile"}
	}
	p.Scopes = append([]string{oidc.ScopeOpenID}, p.Scopes...)
	return &provider{Provider: p, client: fetch.Bounded(p.HTTP), now: now}, nil
}

// discover returns what the provider says of itself: remembered, or else fetched.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Before(p.again) {
		return p.found, p.failed
	}
	found, err := p.fetch(ctx)
	switch {
	case err == nil:
		p.found, p.failed, p.again = found, nil, p.now().Add(discoveryKept)
	case p.found != nil: // old, which is better than none
		p.again = p.now().Add(discoveryWait)
	default:
		p.failed = &issuer.Error{Reason: issuer.Unavailable, Part: "provider " + p.Name, Err: fetch.Short(err)}
		p.again = p.now().Add(discoveryWait)
	}
	return p.found, p.failed
}

// fetch reads the provider's metadata (OpenID Connect Discovery 1.0, section 4).
func (p *provider) fetch(ctx context.Context) (*discovered, error) {
	// The key set is fetched with this context for as long as it is used.
	op, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		KeySet      string   `json:"jwks_uri"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
		NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := op.Claims(&said); err != nil {
		return nil, err
	}
	endpoint := op.Endpoint()
	for name, raw := range map[string]string{
		"authorization_endpoint": endpoint.AuthURL, "token_endpoint": endpoint.TokenURL, "jwks_uri": said.KeySet,
	} {
		if _, err := fetch.Endpoint(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	// Never both in turn: a code may be good for one attempt.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.ClientSecret == "" || len(said.AuthMethods) > 0 && !slices.Contains(said.AuthMethods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &discovered{
		oauth:       oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: endpoint, Scopes: p.Scopes},
		verifier:    op.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.now}),
		namesItself: said.NamesItself,
	}, nil
}

// identity is who a provider says has logged in.
type identity struct {
	subject, display string
	how              authentication
	since            time.Time // zero: the provider doesn't tell
}

// redeem gets the ID token for a code and checks it (OpenID Connect Core, section 3.1.3.7).
func (p *provider) redeem(ctx context.Context, found *discovered, redirect, code string, a attempt) (identity, error) {
	cfg := found.oauth
	cfg.RedirectURL = redirect
	token, err := cfg.Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(a.Verifier))
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok { // its text has the whole answer
		return identity{}, p.refused("token endpoint", shown(e.ErrorCode), nil)
	}
	if err != nil {
		return identity{}, &issuer.Error{Reason: issuer.Unavailable, Part: "provider " + p.Name, Err: fetch.Short(err)}
	}
	raw, _ := token.Extra("id_token").(string)
	verified, err := found.verifier.Verify(oidc.ClientContext(ctx, p.client), raw)
	if err != nil {
		return identity{}, p.refused("id_token", "", err)
	}
	var claims struct {
		AuthorizedParty string `json:"azp"`
		AuthTime        int64  `json:"auth_time"`
		ACR             string `json:"acr"`
		AMR             any    `json:"amr"` // of some providers a string
		Name            string `json:"name"`
		PreferredName   string `json:"preferred_username"`
	}
	if err := verified.Claims(&claims); err != nil {
		return identity{}, p.refused("id_token", "", err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(a.Nonce)) != 1:
		return identity{}, p.refused("nonce", "", nil)
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != p.ClientID, claims.AuthorizedParty == "" && len(verified.Audience) > 1:
		return identity{}, p.refused("azp", shown(claims.AuthorizedParty), nil)
	case verified.Subject == "" || len(verified.Subject) > maxClaim || strings.ContainsFunc(verified.Subject, unicode.IsControl):
		return identity{}, p.refused("sub", "", nil)
	}
	who := identity{
		subject: verified.Subject, display: plainName(cmp.Or(claims.Name, claims.PreferredName)),
		how: authentication{ACR: bounded(claims.ACR), AMR: methods(claims.AMR)},
	}
	if claims.AuthTime > 0 {
		who.since = time.Unix(claims.AuthTime, 0)
	}
	return who, nil
}

// userName is the name of a provider's user with us.
func (p *provider) userName(subject string) string {
	if name := p.Issuer + "|" + subject; len(name) <= maxUserName {
		return name
	}
	sum := sha256.Sum256([]byte(subject))
	return p.Issuer + "#" + base64url.Encode(sum[:])
}

func (p *provider) refused(part, got string, err error) error {
	return &issuer.Error{Reason: issuer.LoginRefused, Section: "OpenID Connect Core, section 3.1", Part: p.Name + ": " + part, Got: got, Err: fetch.Short(err)}
}

// shown is a peer's word as logs may have it.
func shown(s string) string { return strconv.Quote(s[:min(len(s), 64)]) }

// bounded drops what is too long to be kept.
func bounded(s string) string {
	if len(s) > maxClaim {
		return ""
	}
	return s
}

// plainName is a name to be shown: without what moves the text around it.
func plainName(s string) string {
	s = strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	return bounded(s)
}

// methods reads amr: a list of strings.
func methods(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, m := range list[:min(len(list), maxMethods)] {
		if s, ok := m.(string); ok && bounded(s) != "" {
			out = append(out, s)
		}
	}
	return out
}
