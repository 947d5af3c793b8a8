package config

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/issuer"
)

const (
	// outsideWait is how long another issuer that can't be reached isn't asked again.
	outsideWait = 5 * time.Second
	// maxOutsideSubject is how long a subject may be (OpenID Connect Core, section 2), in bytes.
	maxOutsideSubject = 255
)

// outsideIssuer verifies another issuer's tokens. Its metadata and keys are fetched when the first token comes. It is safe for
// concurrent use.
type outsideIssuer struct {
	Outside
	client *http.Client

	mu       sync.Mutex            // guards what follows
	verifier *oidc.IDTokenVerifier // nil until it was found
	failed   error                 // of the last attempt to find it
	again    time.Time             // when to try again
}

func (b *builder) outside(path string, o Outside) issuer.Outside {
	out := &outsideIssuer{Outside: o, client: fetch.Bounded(b.httpClient(path+".ca_file", o.CAFile))}
	return issuer.Outside{Issuer: o.URL, Verify: out.verify}
}

// find returns what verifies its tokens: remembered, or else fetched.
func (o *outsideIssuer) find(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verifier != nil || time.Now().Before(o.again) {
		return o.verifier, o.failed
	}
	var err error
	if o.verifier, err = o.fetch(ctx); err != nil {
		o.failed = &issuer.Error{Reason: issuer.Unavailable, Part: "outside " + o.URL, Err: fetch.Short(err)}
		o.again = time.Now().Add(outsideWait)
		return nil, o.failed
	}
	o.failed = nil
	return o.verifier, nil
}

// fetch reads its metadata (OpenID Connect Discovery 1.0, section 4).
func (o *outsideIssuer) fetch(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	// The key set is fetched with this context for as long as it is used.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.client), o.URL)
	if err != nil {
		return nil, err
	}
	var said struct {
		KeySet string `json:"jwks_uri"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, err
	}
	if _, err := fetch.Endpoint(said.KeySet); err != nil {
		return nil, errors.New("jwks_uri: " + err.Error())
	}
	return provider.Verifier(&oidc.Config{ClientID: o.Audience}), nil
}

func (o *outsideIssuer) verify(ctx context.Context, token string) (issuer.OutsideToken, error) {
	v, err := o.find(ctx)
	if err != nil {
		return issuer.OutsideToken{}, err
	}
	verified, err := v.Verify(ctx, token)
	if err != nil {
		return issuer.OutsideToken{}, fetch.Short(err)
	}
	// Whoever had none would be the same user as all others who have none.
	if sub := verified.Subject; sub == "" || len(sub) > maxOutsideSubject || strings.ContainsFunc(sub, unicode.IsControl) {
		return issuer.OutsideToken{}, errors.New("sub: absent, longer than 255 bytes, or with control characters")
	}
	return issuer.OutsideToken{Subject: o.URL + "|" + verified.Subject, Expires: verified.Expiry}, nil
}
