package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/internal/config"
	"github.com/holdfast-project/holdfast/keys"
)

// source gives the access token: from a file, or from the issuer.
func (c *requestCommand) source(ctx context.Context, base http.RoundTripper, signer *keys.Signer, watch *watcher) (oauth2.TokenSource, error) {
	scheme := map[string]holdfast.Scheme{"dpop": holdfast.SchemeDPoP, "httpsig": holdfast.SchemeHTTPSig}[c.Scheme]
	if c.TokenFile != "" {
		token, err := config.ReadSecretFile(c.TokenFile)
		if err != nil {
			return nil, usageError{err}
		}
		kind := map[string]string{"dpop": "DPoP", "httpsig": "httpsig", "mtls": "Bearer"}[c.Scheme]
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: string(token), TokenType: kind}), nil
	}
	endpoint, err := discover(ctx, base, c.Issuer)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: watch.around(base, "token request"), CheckRedirect: noRedirect}
	if c.Scheme != "mtls" { // there, the connection is the proof
		client.Transport = &holdfast.Transport{Base: client.Transport, Signer: signer, Scheme: scheme,
			Preregistered: c.Preregistered, Trace: watch.trace("token request")}
	}
	g := &grant{
		ctx:    context.WithValue(ctx, oauth2.HTTPClient, client),
		issuer: c.Issuer,
		config: clientcredentials.Config{ClientID: c.Client, TokenURL: endpoint, Scopes: c.Scope, EndpointParams: url.Values{}},
	}
	if c.Resource != "" {
		g.config.EndpointParams.Set("resource", c.Resource)
	}
	if c.ClientKey != "" {
		g.config.AuthStyle = oauth2.AuthStyleInParams
		g.key, err = openSigner(c.ClientKey)
		return g, err
	}
	g.config.AuthStyle = oauth2.AuthStyleInHeader
	if g.config.ClientSecret, err = c.secret(); g.config.ClientSecret == "" && err == nil {
		g.config.AuthStyle = oauth2.AuthStyleInParams // client_id alone
	}
	return g, err
}

func (c *requestCommand) secret() (string, error) {
	if s, ok := os.LookupEnv("HOLDFAST_REQUEST_SECRET"); ok && c.SecretFile == "" {
		return s, nil
	}
	if c.SecretFile == "" && c.Scheme == "mtls" {
		return "", nil // the certificate may authenticate the client, too (RFC 8705, section 2)
	}
	if c.SecretFile == "" {
		return "", usagef("give --secret-file, HOLDFAST_REQUEST_SECRET or --client-key to authenticate the client with")
	}
	b, err := config.ReadSecretFile(c.SecretFile)
	if err != nil {
		return "", usageError{err}
	}
	return string(b), nil
}

// grant asks for a token each time that it is asked for one, with an assertion of its own.
type grant struct {
	ctx    context.Context // of this one request: an oauth2.TokenSource takes none
	issuer string
	config clientcredentials.Config
	key    *keys.Signer // for private_key_jwt; nil for a secret
}

// Token implements oauth2.TokenSource.
func (g *grant) Token() (*oauth2.Token, error) {
	if g.key != nil {
		assertion, err := clientAssertion(g.key, g.config.ClientID, g.issuer, time.Now())
		if err != nil {
			return nil, err
		}
		g.config.EndpointParams.Set("client_assertion_type", assertionType)
		g.config.EndpointParams.Set("client_assertion", assertion)
	}
	return g.config.Token(g.ctx)
}

// maxMetadata bounds a metadata document: real ones take a few KiB.
const maxMetadata = 256 << 10

// discover reads the token endpoint from the issuer's metadata (RFC 8414, section 3).
func discover(ctx context.Context, base http.RoundTripper, issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return "", usagef("--issuer %q is no URL", issuer)
	}
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: base, CheckRedirect: noRedirect}).Do(req)
	if err != nil {
		return "", fmt.Errorf("the issuer's metadata: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata+1))
	if err != nil {
		return "", fmt.Errorf("the issuer's metadata: %w", err)
	}
	if resp.StatusCode != http.StatusOK || len(body) > maxMetadata {
		return "", fmt.Errorf("the issuer's metadata: status %s, %d bytes", resp.Status, len(body))
	}
	var meta struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(body, &meta); err != nil {
		return "", errors.New("the issuer's metadata isn't the JSON of RFC 8414")
	}
	// RFC 8414, section 3.3: another issuer's metadata would send the credentials to it.
	if meta.Issuer != issuer {
		return "", fmt.Errorf("the issuer's metadata is of another issuer: want %q, got %q", issuer, meta.Issuer)
	}
	if meta.TokenEndpoint == "" {
		return "", errors.New("the issuer's metadata names no token_endpoint")
	}
	if u.Scheme == "https" && !strings.HasPrefix(meta.TokenEndpoint, "https://") {
		return "", errors.New("the issuer's metadata names a token_endpoint without TLS")
	}
	return meta.TokenEndpoint, nil
}

// openSigner opens a private key, with its thumbprint as kid if it has none: that is what holdfast key show --jwks
// publishes it as.
func openSigner(name string) (*keys.Signer, error) {
	signer, err := keys.OpenFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if signer.Public().KeyID() != "" {
		return signer, nil
	}
	text, err := signer.MarshalPrivateJWK()
	if err != nil {
		return nil, err
	}
	var jwk map[string]any
	if err := json.Unmarshal(text, &jwk); err != nil {
		return nil, err
	}
	jwk["kid"] = signer.Public().Thumbprint().String()
	if text, err = json.Marshal(jwk); err != nil {
		return nil, err
	}
	return keys.ParseSigner(text)
}
