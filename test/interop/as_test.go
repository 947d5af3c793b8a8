package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// The clients that each authorization server of the comparison knows, all bound to DPoP keys.
//
//	shop    confidential, by a secret: client_credentials
//	robot   confidential, by assertions: client_credentials
//	portal  confidential, by a secret: authorization_code and refresh_token
//	spa     public: authorization_code and refresh_token
//	api     confidential, by a secret: the resource server, which introspects
const (
	peerScope  = "transfer"
	peerSecret = "a-secret-of-forty-characters-0123456789"
)

// asServer is an authorization server to compare.
type asServer struct {
	name     string
	issuer   string
	endpoint map[string]string // from its metadata
	ahead    *atomic.Int64     // nanoseconds by which our clock is ahead; nil for others
}

// wait lets time go by, on our own server's clock. Nobody can tell the others the time.
func (s *asServer) wait(d time.Duration) {
	if s.ahead != nil {
		s.ahead.Add(int64(d))
	}
}

// discover reads where its endpoints are.
func discover(t *testing.T, name, issuer string) *asServer {
	t.Helper()
	s := &asServer{name: name, issuer: issuer, endpoint: map[string]string{}}
	var metadata map[string]any
	if err := getJSON(t.Context(), issuer+"/.well-known/openid-configuration", &metadata); err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{"token", "authorization", "pushed_authorization_request", "introspection", "revocation"} {
		at, ok := metadata[endpoint+"_endpoint"].(string)
		if !ok {
			t.Fatalf("%s names no %s endpoint", name, endpoint)
		}
		s.endpoint[endpoint] = at
	}
	return s
}

// newHoldfast starts our issuer, which may demand nonces.
func newHoldfast(t *testing.T, robot *keys.Signer, nonces bool) *asServer {
	t.Helper()
	hash, err := issuer.HashSecret(peerSecret)
	if err != nil {
		t.Fatal(err)
	}
	user := []issuer.GrantType{issuer.CodeGrant, issuer.RefreshGrant}
	clients := []issuer.Client{
		{ID: "shop", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash},
		{ID: "robot", AuthMethod: issuer.PrivateKeyJWT, Keys: []*keys.Public{robot.Public()}},
		{ID: "portal", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash, Grants: user, RedirectURIs: []string{redirectURI}},
		{ID: "spa", AuthMethod: issuer.NoAuth, Grants: user, RedirectURIs: []string{redirectURI}},
	}
	for i := range clients {
		clients[i].Audience, clients[i].Scope, clients[i].Binding = []string{audience}, []string{peerScope}, issuer.DPoP
	}
	clients = append(clients, issuer.Client{ID: "api", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash, Introspect: []string{audience}})
	ahead := new(atomic.Int64)
	s := discover(t, "holdfast", startIssuer(t, keys.ES256, issuer.Config{
		Clients: clients, RequireNonce: nonces, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	}))
	s.ahead = ahead
	return s
}

// newNodeProvider starts npm's oidc-provider, which may demand nonces.
func newNodeProvider(t *testing.T, robot *keys.Signer, nonces bool) *asServer {
	t.Helper()
	user := map[string]any{"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "redirect_uris": []string{redirectURI}}
	service := map[string]any{"grant_types": []string{"client_credentials"}, "response_types": []string{}, "redirect_uris": []string{}}
	client := func(id, method string, kind, more map[string]any) map[string]any {
		c := map[string]any{"client_id": id, "token_endpoint_auth_method": method, "dpop_bound_access_tokens": true, "scope": peerScope}
		for _, members := range []map[string]any{kind, more} {
			for name, value := range members {
				c[name] = value
			}
		}
		return c
	}
	secret := map[string]any{"client_secret": peerSecret}
	config, err := json.Marshal(map[string]any{"resource": audience, "scope": peerScope, "nonces": nonces, "clients": []any{
		client("shop", "client_secret_basic", service, secret),
		client("robot", "private_key_jwt", service, map[string]any{"jwks": map[string]any{"keys": []any{robot.Public()}}, "token_endpoint_auth_signing_alg": "ES256"}),
		client("portal", "client_secret_basic", user, secret),
		client("spa", "none", user, nil),
		client("api", "client_secret_basic", service, secret),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, harnessNode(t), "oidc-provider.mjs")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cancel()
		_ = cmd.Wait() // it was told to end
	})
	if _, err := in.Write(append(config, '\n')); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("oidc-provider said nothing: %v", err)
	}
	var said struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return discover(t, "oidc-provider", said.Issuer)
}

// newGoOIDC starts a server of github.com/luikyv/go-oidc.
func newGoOIDC(t *testing.T, robot *keys.Signer) *asServer {
	t.Helper()
	l := listen(t)
	identifier := "http://" + l.Addr().String()
	var used sync.Map
	op, err := provider.New(
		provider.Config{Issuer: identifier, JWKS: privateSet(t), IDTokenAlgs: []goidc.SignatureAlgorithm{goidc.SigAlgES256}},
		provider.WithScopes(goidc.NewScope(peerScope)),
		provider.WithPrivateKeyJWTAuthn(goidc.SigAlgES256),
		provider.WithSecretBasicAuthn(), provider.WithNoneAuthn(),
		provider.WithDPoP([]goidc.SignatureAlgorithm{goidc.SigAlgES256}, provider.WithDPoPRequired()),
		provider.WithAuthCodeGrant(provider.AuthCodeGrantConfig{ResponseTypes: []goidc.ResponseType{goidc.ResponseTypeCode}},
			provider.WithPAR(nil), provider.WithIssuerResponseParameter(),
			provider.WithPKCE([]goidc.CodeChallengeMethod{goidc.CodeChallengeMethodSHA256}, provider.WithPKCERequired()),
			provider.WithAuthPolicies(goidc.NewPolicy("everybody",
				func(*http.Request, *goidc.AuthnSession, *goidc.Client) bool { return true },
				func(_ http.ResponseWriter, _ *http.Request, s *goidc.AuthnSession, _ *goidc.Client) (goidc.Status, error) {
					s.Subject, s.GrantedScopes, s.GrantedResources = developer, peerScope, goidc.Resources{audience}
					return goidc.StatusSuccess, nil
				})),
		),
		provider.WithClientCredentialsGrant(),
		provider.WithRefreshTokenGrant(nil, provider.WithRefreshTokenRotation(),
			provider.WithRefreshTokenShouldIssue(func(context.Context, *goidc.Client, *goidc.Grant) bool { return true })),
		provider.WithResourceIndicators([]goidc.ResourceIndicator{audience}),
		provider.WithTokenOptions(func(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
			return goidc.NewJWTTokenOptions(goidc.SigAlgES256, 300)
		}),
		provider.WithTokenIntrospection(func(_ context.Context, c *goidc.Client, _ goidc.TokenInfo) bool { return c.ID == "api" }),
		provider.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true }),
		provider.WithJTIConsumer(func(_ context.Context, jti string) error {
			if _, again := used.LoadOrStore(jti, true); again {
				return errors.New("used")
			}
			return nil
		}),
		provider.WithStaticClients(goOIDCClients(t, robot)...),
	)
	if err != nil {
		t.Fatal(err)
	}
	return discover(t, "go-oidc", serve(t, &http.Server{Handler: op.Handler()}, l))
}

func goOIDCClients(t *testing.T, robot *keys.Signer) []*goidc.Client {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": []any{robot.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	var set goidc.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	user := goidc.ClientMeta{
		GrantTypes: []goidc.GrantType{goidc.GrantAuthorizationCode, goidc.GrantRefreshToken}, RedirectURIs: []string{redirectURI},
		ResponseTypes: []goidc.ResponseType{goidc.ResponseTypeCode},
	}
	service := goidc.ClientMeta{GrantTypes: []goidc.GrantType{goidc.GrantClientCredentials}}
	var clients []*goidc.Client
	for _, c := range []struct {
		id     string
		method goidc.AuthnMethod
		meta   goidc.ClientMeta
	}{
		{"shop", goidc.AuthnMethodSecretBasic, service}, {"robot", goidc.AuthnMethodPrivateKeyJWT, service},
		{"portal", goidc.AuthnMethodSecretBasic, user}, {"spa", goidc.AuthnMethodNone, user}, {"api", goidc.AuthnMethodSecretBasic, service},
	} {
		client := &goidc.Client{ID: c.id, ClientMeta: c.meta}
		client.TokenAuthnMethod, client.ScopeIDs, client.DPoPTokenBindingRequired = c.method, peerScope, true
		switch c.method {
		case goidc.AuthnMethodSecretBasic:
			client.Secret = peerSecret
		case goidc.AuthnMethodPrivateKeyJWT:
			client.JWKS = &set
		}
		clients = append(clients, client)
	}
	return clients
}

// privateSet is a key set with a key that signs tokens.
func privateSet(t *testing.T) goidc.JWKSFunc {
	t.Helper()
	text, err := generate(t, keys.ES256).MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(text, &key); err != nil {
		t.Fatal(err)
	}
	key.KeyID, key.Algorithm, key.Use = "k1", "ES256", "sig"
	return func(context.Context) (goidc.JSONWebKeySet, error) {
		return goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{key}}, nil
	}
}

// approve takes a user's way from the authorization endpoint, whatever the pages look like, and returns the response.
func (s *asServer) approve(t *testing.T, query url.Values) url.Values {
	t.Helper()
	var back *url.URL
	walk(t, s.endpoint["authorization"]+"?"+query.Encode(), func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	})
	if back == nil {
		t.Fatalf("%s: no way back", s.name)
	}
	return back.Query()
}

var (
	anyInput   = regexp.MustCompile(`<input[^>]*>`)
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
)

// walk visits a page as a user: it fills in each form and follows to wherever that leads, until a page has none.
func walk(t *testing.T, link string, follow func(*http.Request, []*http.Request) error) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: follow, Timeout: 30 * time.Second}
	resp, err := browser.Get(link)
	for range 5 {
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		action := formAction.FindSubmatch(page)
		if action == nil || resp.StatusCode >= 300 {
			return
		}
		to, err := resp.Request.URL.Parse(html.UnescapeString(string(action[1])))
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.String(), strings.NewReader(filledIn(string(page)).Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", to.Scheme+"://"+to.Host)
		if resp, err = browser.Do(r); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("no end of pages")
}

// filledIn are the fields of a page's form, as somebody fills them in who agrees.
func filledIn(page string) url.Values {
	fields := url.Values{"decision": {"allow"}}
	for _, input := range anyInput.FindAllString(page, -1) {
		name, value := attribute(input, "name"), attribute(input, "value")
		if name == "login" || name == "password" {
			value = developer
		}
		if name != "" {
			fields.Set(name, value)
		}
	}
	return fields
}

func attribute(tag, name string) string {
	m := regexp.MustCompile(` ` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}
