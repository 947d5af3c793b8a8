package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// The harness starts a client as a command: this program, which is then the client that the variable names.
const (
	mcpVariable  = "HOLDFAST_MCP_CLIENT"
	mcpGood      = "good"
	mcpBearer    = "bearer"    // sends the token as a bearer token
	mcpElsewhere = "elsewhere" // signs proofs for another URL
	mcpUnproven  = "unproven"  // has no proof when it asks for its token
)

func TestMain(m *testing.M) {
	kind := os.Getenv(mcpVariable)
	if kind == "" {
		os.Exit(m.Run())
	}
	if err := mcpClient(context.Background(), kind, os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// mcpClient is a client of the Model Context Protocol: it finds out whose tokens a server takes, registers, has its user
// let it in, and calls the server.
func mcpClient(ctx context.Context, kind, server string) error {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		return err
	}
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	var resource struct {
		Servers []string `json:"authorization_servers"`
	}
	if err := getJSON(ctx, u.Scheme+"://"+u.Host+"/.well-known/oauth-protected-resource"+u.Path, &resource); err != nil {
		return err
	}
	if len(resource.Servers) == 0 {
		return errors.New("no authorization server")
	}
	var as struct {
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
		Registration  string `json:"registration_endpoint"`
	}
	if err := getJSON(ctx, strings.TrimSuffix(resource.Servers[0], "/")+"/.well-known/oauth-authorization-server", &as); err != nil {
		return err
	}
	const redirect = "http://127.0.0.1/callback"
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	err = postJSON(ctx, http.DefaultClient, as.Registration, map[string]any{
		"redirect_uris": []string{redirect}, "client_name": "holdfast", "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
	}, &client)
	if err != nil {
		return err
	}
	cfg := oauth2.Config{ClientID: client.ID, ClientSecret: client.Secret, RedirectURL: redirect, Endpoint: oauth2.Endpoint{
		AuthURL: as.Authorization, TokenURL: as.Token, AuthStyle: oauth2.AuthStyleInParams,
	}}
	token, err := letIn(ctx, kind, cfg, signer, server)
	if err != nil {
		return err
	}
	return callMCP(ctx, mcpTransport(kind, signer, token), server)
}

// letIn takes a user's way: the harness's server agrees by itself.
func letIn(ctx context.Context, kind string, cfg oauth2.Config, signer *keys.Signer, server string) (*oauth2.Token, error) {
	verifier := oauth2.GenerateVerifier()
	resource := oauth2.SetAuthURLParam("resource", server)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Get(cfg.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier), resource))
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("authorization: status %d: %w", resp.StatusCode, err)
	}
	grants := &http.Client{Transport: &holdfast.Transport{Signer: signer}}
	if kind == mcpUnproven {
		grants = http.DefaultClient
	}
	return cfg.Exchange(context.WithValue(ctx, oauth2.HTTPClient, grants), back.Query().Get("code"), oauth2.VerifierOption(verifier), resource)
}

// mcpTransport sends the token as the kind of client does.
func mcpTransport(kind string, signer *keys.Signer, token *oauth2.Token) http.RoundTripper {
	good := &holdfast.Transport{Source: oauth2.StaticTokenSource(token), Signer: signer}
	switch kind {
	case mcpBearer:
		bearer := *token
		bearer.TokenType = "Bearer"
		return &holdfast.Transport{Source: oauth2.StaticTokenSource(&bearer), Signer: signer, InsecureAllowBearer: true}
	case mcpElsewhere:
		good.Base = roundTrip(func(r *http.Request) (*http.Response, error) {
			proof, err := dpop.Sign(signer, dpop.Params{Method: r.Method, TargetURI: r.URL.String() + "/other", Token: token.AccessToken})
			if err != nil {
				return nil, err
			}
			r.Header.Set("DPoP", proof)
			return http.DefaultTransport.RoundTrip(r)
		})
	}
	return good
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// callMCP makes two calls of the protocol.
func callMCP(ctx context.Context, transport http.RoundTripper, server string) error {
	client := &http.Client{Transport: transport}
	for i, method := range []string{"initialize", "tools/list"} {
		params := map[string]any{}
		if method == "initialize" {
			params = map[string]any{
				"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "holdfast", "version": "1"},
			}
		}
		err := postJSON(ctx, client, server, map[string]any{"jsonrpc": "2.0", "id": i + 1, "method": method, "params": params}, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
	}
	return nil
}

func getJSON(ctx context.Context, from string, to any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	return doJSON(http.DefaultClient, r, to)
}

func postJSON(ctx context.Context, client *http.Client, to string, body, result any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	return doJSON(client, r, result)
}

func doJSON(client *http.Client, r *http.Request, to any) error {
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s: status %d: %s", r.URL, resp.StatusCode, text)
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(text, to)
}
