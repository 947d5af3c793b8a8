package issuer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// prover adds a DPoP proof to what another library sends.
type prover struct{ key *keys.Signer }

func (p prover) RoundTrip(r *http.Request) (*http.Response, error) {
	proof, err := dpop.Sign(p.key, dpop.Params{Method: r.Method, TargetURI: r.URL.String()})
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("DPoP", proof)
	return http.DefaultTransport.RoundTrip(r)
}

// An independent client gets a token over the wire, and this project's verifier, which learns everything from the
// metadata, takes it for what it is.
func TestOAuth2Client(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	f := newFixture(t, func(cfg *Config) {
		cfg.Issuer = issuer
		cfg.Now = time.Now
		memory, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Replay = memory
	})
	server.Config.Handler = f.Handler()
	server.Start()
	t.Cleanup(server.Close)

	cfg := clientcredentials.Config{
		ClientID: "any", ClientSecret: testSecret, TokenURL: issuer + "/token", Scopes: []string{"read"}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	client := &http.Client{Transport: prover{f.dpopKey}}
	token, err := cfg.Token(context.WithValue(t.Context(), oauth2.HTTPClient, client))
	if err != nil {
		t.Fatal(err)
	}
	if token.TokenType != "DPoP" || time.Until(token.Expiry) > defaultLifetime {
		t.Errorf("got %s token until %v", token.TokenType, token.Expiry)
	}

	jwks, err := accesstoken.OpenJWKS(t.Context(), accesstoken.JWKSConfig{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { jwks.Close() })
	local, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{Issuer: issuer, Audience: testResource, Keys: jwks})
	if err != nil {
		t.Fatal(err)
	}
	remote, err := accesstoken.NewIntrospector(accesstoken.IntrospectionConfig{
		Issuer: issuer, Endpoint: issuer + "/introspect", Audience: testResource, ClientID: "rs", Secret: testSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, verifier := range map[string]accesstoken.Verifier{"local": local, "introspection": remote} {
		t.Run(name, func(t *testing.T) {
			got, err := verifier.Verify(t.Context(), token.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			if got.Confirmation.Binding != accesstoken.BoundJKT || got.Confirmation.Thumbprint != f.dpopKey.Public().Thumbprint() {
				t.Errorf("got confirmation %+v", got.Confirmation)
			}
			if got.ClientID != "any" || got.Subject != "any" || len(got.Scope) != 1 || got.Scope[0] != "read" {
				t.Errorf("got client %q, subject %q, scope %q", got.ClientID, got.Subject, got.Scope)
			}
		})
	}
}
