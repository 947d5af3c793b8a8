package issuer

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/keys"
)

func TestConfigRefused(t *testing.T) {
	base := newFixture(t, nil)
	for _, tc := range []struct {
		name   string
		change func(*Config)
	}{
		{"no issuer", func(c *Config) { c.Issuer = "" }},
		{"issuer over http", func(c *Config) { c.Issuer = "http://as.example" }},
		{"issuer over http on a name that starts like loopback", func(c *Config) { c.Issuer = "http://127.0.0.1.example" }},
		{"issuer with a query", func(c *Config) { c.Issuer += "?x" }},
		{"issuer with an empty query", func(c *Config) { c.Issuer += "?" }},
		{"issuer with a fragment", func(c *Config) { c.Issuer += "#x" }},
		{"issuer with a user", func(c *Config) { c.Issuer = "https://user@as.example" }},
		{"issuer without a host", func(c *Config) { c.Issuer = "https:///tenant" }},
		{"issuer that isn't a URL", func(c *Config) { c.Issuer = "https://as.example:x" }},
		{"issuer in capitals", func(c *Config) { c.Issuer = "https://AS.example" }},
		{"issuer with a slash at the end", func(c *Config) { c.Issuer += "/" }},
		{"issuer with nothing but a slash", func(c *Config) { c.Issuer = "https://as.example/" }},
		{"issuer with dot segments", func(c *Config) { c.Issuer += "/../x" }},
		{"issuer with percent-encoding", func(c *Config) { c.Issuer += "/a%2Fb" }},
		{"no store", func(c *Config) { c.Store = nil }},
		{"no keys", func(c *Config) { c.Keys = nil }},
		{"tokens that outlive their keys", func(c *Config) { c.TokenLifetime = 25 * time.Hour }},
		{"no guard", func(c *Config) { c.Replay = nil }},
		{"short secret", func(c *Config) { c.Secret = c.Secret[:31] }},
		{"negative lifetime", func(c *Config) { c.TokenLifetime = -time.Minute }},
		{"lifetime that shows as 0", func(c *Config) { c.TokenLifetime = time.Millisecond }},
		{"client without an id", func(c *Config) { c.Clients[0].ID = "" }},
		{"client id with a space", func(c *Config) { c.Clients[0].ID = "a b" }},
		{"client id twice", func(c *Config) { c.Clients[1].ID = c.Clients[0].ID }},
		{"no auth method", func(c *Config) { c.Clients[0].AuthMethod = "" }},
		{"unknown auth method", func(c *Config) { c.Clients[0].AuthMethod = "client_secret_jwt" }},
		{"no secret hash", func(c *Config) { c.Clients[0].SecretHash = SecretHash{} }},
		{"private_key_jwt without keys", func(c *Config) { c.Clients[11].Keys = nil }},
		{"private_key_jwt with a secret", func(c *Config) { c.Clients[11].SecretHash = c.Clients[0].SecretHash }},
		{"private_key_jwt with keys that can't sign assertions", func(c *Config) {
			c.Clients[11].Keys = []*keys.Public{newKey(t, keys.ES384, "es384").Public()}
		}},
		{"nil key", func(c *Config) { c.Clients[11].Keys = []*keys.Public{nil} }},
		{"key without a kid", func(c *Config) { c.Clients[11].Keys = []*keys.Public{withoutKeyID(t)} }},
		{"kid twice", func(c *Config) { c.Clients[11].Keys = append(c.Clients[11].Keys, c.Clients[11].Keys[0]) }},
		{"unknown binding", func(c *Config) { c.Clients[0].Binding = "none" }},
		{"pre-registered binding without a fully specified key", func(c *Config) {
			c.Clients[3].Keys = []*keys.Public{base.eddsaKey.Public()}
		}},
		{"scope with a space", func(c *Config) { c.Clients[0].Scope = []string{"a b"} }},
		{"scope with a quote", func(c *Config) { c.Clients[0].Scope = []string{`"`} }},
		{"empty scope", func(c *Config) { c.Clients[0].Scope = []string{""} }},
		{"empty audience", func(c *Config) { c.Clients[0].Audience = []string{""} }},
		{"client that can do nothing", func(c *Config) { c.Clients[0].Audience = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := newFixture(t, nil).cfg // which New took
			tc.change(&cfg)
			if _, err := New(cfg); err == nil {
				t.Error("accepted")
			} else if strings.Contains(err.Error(), string(cfg.Secret)) && len(cfg.Secret) > 0 {
				t.Errorf("the secret is in %q", err)
			}
		})
	}
}

// withoutKeyID is a key with no name.
func withoutKeyID(t *testing.T) *keys.Public {
	t.Helper()
	key, err := keys.NewPublic(newKey(t, keys.ES256, "x").Public().Key(), "", keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestHashSecret(t *testing.T) {
	if _, err := HashSecret(testSecret[:minSecret-1]); err == nil {
		t.Error("accepted a short secret")
	} else if strings.Contains(err.Error(), testSecret[:8]) {
		t.Errorf("the secret is in %q", err)
	}
	hash, err := HashSecret(testSecret[:minSecret])
	if err != nil {
		t.Fatal(err)
	}
	if !hash.matches(testSecret[:minSecret]) || hash.matches(testSecret) || hash.matches("") || (SecretHash{}).matches("") {
		t.Error("matches the wrong secret")
	}
}

func get(t *testing.T, f *fixture, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

// The well-known path goes between host and path of the issuer (RFC 8414, section 3.1).
func TestMetadata(t *testing.T) {
	for _, tc := range []struct{ issuer, path string }{
		{"https://as.example", wellKnown},
		{"https://as.example/tenant", wellKnown + "/tenant"},
		{"https://as.example:8443/a/b", wellKnown + "/a/b"},
		{"http://127.0.0.1:8080", wellKnown},
		{"http://[::1]:8080", wellKnown},
		{"http://localhost", wellKnown},
	} {
		t.Run(tc.issuer, func(t *testing.T) {
			f := newFixture(t, func(cfg *Config) { cfg.Issuer = tc.issuer })
			w := get(t, f, "GET", "https://ignored.example"+tc.path)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("got %d %v", w.Code, w.Header())
			}
			methods := []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "httpsig"}
			algorithms := []any{"ES256", "Ed25519", "EdDSA", "PS256"}
			var proofs []any
			for _, alg := range f.dpop.Algorithms() {
				proofs = append(proofs, string(alg))
			}
			want := map[string]any{
				"issuer":                                tc.issuer,
				"token_endpoint":                        tc.issuer + "/token",
				"jwks_uri":                              tc.issuer + "/jwks",
				"introspection_endpoint":                tc.issuer + "/introspect",
				"revocation_endpoint":                   tc.issuer + "/revoke",
				"scopes_supported":                      []any{"admin", "read", "write"},
				"response_types_supported":              []any{},
				"grant_types_supported":                 []any{"authorization_code", "client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"},
				"token_endpoint_auth_methods_supported": append([]any{"none"}, methods...),
				"token_endpoint_auth_signing_alg_values_supported":         algorithms,
				"introspection_endpoint_auth_methods_supported":            methods,
				"introspection_endpoint_auth_signing_alg_values_supported": algorithms,
				"introspection_signing_alg_values_supported":               []any{"ES256"},
				"revocation_endpoint_auth_methods_supported":               append([]any{"none"}, methods...),
				"revocation_endpoint_auth_signing_alg_values_supported":    algorithms,
				"dpop_signing_alg_values_supported":                        proofs,
			}
			if d := cmp.Diff(jsonObject(t, w.Body.Bytes()), want); d != "" || len(proofs) == 0 {
				t.Errorf("-got +want\n%s", d)
			}
		})
	}
}

// Certificates are spoken of only where they can be presented (RFC 8705, section 3.3).
func TestMetadataOfCertificates(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   bool
	}{
		{"no way to present them", func(*Config) {}, false},
		{"on connections", func(cfg *Config) { cfg.Certificates = true }, true},
		{"through edges", func(cfg *Config) { cfg.Edges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := jsonObject(t, get(t, newFixture(t, tc.change), "GET", "https://as.example"+wellKnown+"/tenant").Body.Bytes())
			if got, _ := m["tls_client_certificate_bound_access_tokens"].(bool); got != tc.want {
				t.Errorf("bound access tokens: got %t", got)
			}
			for _, endpoint := range []string{"token", "introspection", "revocation"} {
				methods, _ := m[endpoint+"_endpoint_auth_methods_supported"].([]any)
				for _, method := range []any{"tls_client_auth", "self_signed_tls_client_auth"} {
					if slices.Contains(methods, method) != tc.want {
						t.Errorf("%s: got %v", endpoint, methods)
					}
				}
			}
		})
	}
}

// What wraps the handler can count by endpoint, of which there are few, and not by whatever is asked for.
func TestPattern(t *testing.T) {
	now := testNow
	f := newAuthorizing(t, &now, nil)
	for target, want := range map[string]string{
		testIssuer + "/jwks": "/tenant/jwks", testIssuer + "/token?x=y": "/tenant/token", testIssuer + "/login/provider/x": "/tenant/login/",
		testIssuer + "/elsewhere": "", testIssuer + "/jwks/": "", "https://as.example" + wellKnown + "/tenant": wellKnown + "/tenant",
	} {
		r := httptest.NewRequest("GET", target, nil)
		f.Handler().ServeHTTP(httptest.NewRecorder(), r)
		if r.Pattern != want {
			t.Errorf("%s: got %q, want %q", target, r.Pattern, want)
		}
	}
}

func TestKeySet(t *testing.T) {
	f := newFixture(t, nil)
	w := get(t, f, "GET", testIssuer+"/jwks")
	set, err := keys.ParseSet(w.Body.Bytes())
	if err != nil || len(set) != 2 {
		t.Fatalf("got %d keys, %v", len(set), err)
	}
	if strings.Contains(w.Body.String(), `"d"`) {
		t.Error("a private member in the key set")
	}
	want := f.signer(t).Public()
	if !slices.ContainsFunc(set, func(k *keys.Public) bool { return k.KeyID() == want.KeyID() && k.Thumbprint() == want.Thumbprint() }) {
		t.Errorf("key %s isn't published", want.KeyID())
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		method, target string
		status         int
	}{
		{"GET", "https://as.example/", 404},
		{"GET", "https://as.example/token", 404},
		{"POST", "https://as.example/tenant/token/", 404},
		{"POST", "https://as.example/tenant//token", 404},
		{"POST", "https://as.example/tenant/%74oken", 404},
		{"GET", "https://as.example/tenant" + wellKnown, 404},
		{"GET", "https://as.example" + wellKnown, 404},
		{"HEAD", testIssuer + "/jwks", 200},
		{"POST", testIssuer + "/jwks", 405},
		{"DELETE", "https://as.example" + wellKnown + "/tenant", 405},
	} {
		t.Run(tc.method+" "+tc.target, func(t *testing.T) {
			if w := get(t, f, tc.method, tc.target); w.Code != tc.status {
				t.Errorf("got %d, want %d", w.Code, tc.status)
			}
		})
	}
}
