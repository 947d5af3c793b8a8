package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/fetch"
)

// maxAnswer has room for long lists of scopes and roles; caches keep whole answers.
const maxAnswer = 64 << 10

const rfc7662Answer = "RFC 7662, section 2.2"

// IntrospectionConfig configures an introspecting Verifier (RFC 7662).
type IntrospectionConfig struct {
	Issuer string // what a Token's Issuer is set to when the answer has no `iss`; must equal it when it has. Required
	// Endpoint is https, or http on a loopback address: tokens are sent there. Required.
	Endpoint string
	Audience string // required; must be in `aud`
	ClientID string // of this resource server, for client_secret_basic. Required
	Secret   string // required
	// Client makes the requests. If nil, one with a 5 s timeout that follows no redirect. In another one these two are
	// set where it leaves them open.
	Client *http.Client
	Skew   time.Duration    // for exp, nbf and iat. If zero, 5 s; negative means none
	Now    func() time.Time // If nil, time.Now
}

// introspector asks the issuer about each token.
type introspector struct {
	rules    rules
	endpoint string
	user     string // form-encoded
	password string // form-encoded
	client   *http.Client
}

// NewIntrospector returns a Verifier that asks the issuer about each token. Wrap it with NewCache.
//
// An answer must be for Audience and have an exp, though RFC 7662 lets issuers leave both out. An answer that can't be
// understood counts as no answer: Unavailable.
func NewIntrospector(cfg IntrospectionConfig) (Verifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("accesstoken: IntrospectionConfig needs an Issuer and an Audience")
	}
	if cfg.ClientID == "" || cfg.Secret == "" {
		return nil, errors.New("accesstoken: IntrospectionConfig needs a ClientID and a Secret")
	}
	if _, err := fetch.Endpoint(cfg.Endpoint); err != nil {
		return nil, fmt.Errorf("accesstoken: IntrospectionConfig.Endpoint: %w", err)
	}
	return &introspector{
		rules:    newRules(rfc7662Answer, cfg.Issuer, cfg.Audience, cfg.Skew, cfg.Now),
		endpoint: cfg.Endpoint,
		// Encoded once more than Basic asks for (RFC 6749, section 2.3.1).
		user:     url.QueryEscape(cfg.ClientID),
		password: url.QueryEscape(cfg.Secret),
		client:   fetch.Client(cfg.Client),
	}, nil
}

// Verify implements Verifier.
func (i *introspector) Verify(ctx context.Context, token string) (*Token, error) {
	if token == "" || len(token) > maxToken {
		return nil, &Error{Reason: Malformed, Section: "RFC 6750, section 2.1", Part: "token", Expected: "1 to 16384 bytes"}
	}
	body, err := i.ask(ctx, token)
	if err != nil {
		return nil, unavailable("introspection", err)
	}
	t, refusal := i.read(body, hashToken(token))
	if refusal != nil {
		return nil, refusal
	}
	return t, nil
}

// ask sends the request of RFC 7662, section 2.1.
func (i *introspector) ask(ctx context.Context, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.endpoint, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(i.user, i.password)
	return fetch.Do(i.client, req, maxAnswer)
}

// read reads an answer and holds it against the rules.
func (i *introspector) read(body []byte, h Hash) (*Token, *Error) {
	c, err := parseClaims(body)
	if err != nil {
		return nil, brokenAnswer(err)
	}
	switch c.active {
	case "true":
	case "false":
		return nil, i.rules.refuse(Inactive, "active", "true", "false")
	default:
		return nil, brokenAnswer(i.rules.refuse(Malformed, "active", "a boolean", "none"))
	}
	if c.issuer == "" {
		c.issuer = i.rules.issuer
	}
	if err := i.rules.check(c); err != nil {
		return nil, brokenAnswer(err)
	}
	return c.token(h, body)
}

// brokenAnswer turns what the issuer got wrong into a failure that isn't the client's.
func brokenAnswer(e *Error) *Error {
	if e.Reason != Malformed {
		return e
	}
	return unavailable("introspection", e)
}
