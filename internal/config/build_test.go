package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// stage fills the working directory with the files that configurations name.
func stage(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	signer, err := keys.CreateFile("issuer.jwk", keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.NewPublic(signer.Public().Key(), "k1", keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"jwks.json": string(set), "empty.json": `{"keys":[]}`, "not.pem": "not PEM",
		"nonce.secret": strings.Repeat("n", 43), "client.secret": strings.Repeat("c", 43) + "\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func loadStaged(t *testing.T, text string) *File {
	t.Helper()
	stage(t)
	if err := os.WriteFile("holdfast.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load("holdfast.yaml", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const issuerText = `issuer:
  url: http://127.0.0.1:1
  database: 'sqlite::memory:'
  secret_file: nonce.secret
  clients:
    - id: app
      auth: client_secret_basic
      secret_file: client.secret
      audience: [https://api.example]
    - id: worker
      auth: private_key_jwt
      jwks_file: jwks.json
      audience: [https://api.example]
      binding: dpop
`

func openIssuer(t *testing.T, f *File) *IssuerParts {
	t.Helper()
	parts, err := f.OpenIssuer(t.Context(), slog.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := parts.Close(); err != nil {
			t.Error(err)
		}
	})
	return parts
}

// With a way to log in there is an authorization endpoint, for the clients that may use it.
func TestIssuerLogin(t *testing.T) {
	parts := openIssuer(t, loadStaged(t, issuerText+`    - id: spa
      auth: none
      name: The app
      grants: [authorization_code]
      redirect_uris: ['https://app.example/cb']
      require_pushed_requests: true
      audience: [https://api.example]
  login:
    insecure_development_user: dev
  registration: {insecure_open: true, documents: true, audience: [https://api.example]}
`))
	if parts.Login == nil {
		t.Fatal("nobody can log in")
	}
	if parts.Registration == nil || !parts.Registration.InsecureOpen || !parts.Registration.Documents {
		t.Error("clients can't register themselves")
	}
	if c := parts.Clients[2]; c.Name != "The app" || len(c.RedirectURIs) != 1 || !c.RequirePushedRequests || c.SkipConsent {
		t.Errorf("got client %+v", c)
	}
	if _, err := issuer.New(parts.Config); err != nil {
		t.Errorf("issuer.New: %v", err)
	}
	if without := openIssuer(t, loadStaged(t, issuerText)); without.Login != nil {
		t.Error("a login without a way to log in")
	}
}

func TestIssuerPasskeys(t *testing.T) {
	parts := openIssuer(t, loadStaged(t, strings.Replace(issuerText, "http://127.0.0.1:1", "https://login.as.example", 1)+`  login:
    passkeys: true
    passkey_domain: as.example
`))
	w := httptest.NewRecorder()
	parts.Login.ServeHTTP(w, httptest.NewRequest("GET", "https://login.as.example/login/", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `data-passkey="login"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest("POST", "https://login.as.example/login/passkey/begin-login", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	w = httptest.NewRecorder()
	if parts.Login.ServeHTTP(w, r); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"rpId":"as.example"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestIssuerProvider(t *testing.T) {
	parts := openIssuer(t, loadStaged(t, issuerText+`  login:
    providers:
      - name: company
        url: https://op.example
        client_id: rp
        client_secret_file: client.secret
`))
	w := httptest.NewRecorder()
	parts.Login.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:1/login/", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `href="/login/provider/company"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestIssuerConfig(t *testing.T) {
	parts := openIssuer(t, loadStaged(t, issuerText))
	if _, err := issuer.New(parts.Config); err != nil {
		t.Errorf("issuer.New: %v", err)
	}
	want, err := issuer.HashSecret(strings.Repeat("c", 43))
	if err != nil {
		t.Fatal(err)
	}
	if parts.Clients[0].SecretHash != want {
		t.Error("the secret's hash isn't that of the file without its line end")
	}
	if got := len(parts.Clients[1].Keys); got != 1 {
		t.Errorf("got %d keys of the second client, want 1", got)
	}
}

func TestIssuerConfigHash(t *testing.T) {
	sum := sha256.Sum256([]byte(strings.Repeat("c", 43)))
	text := strings.Replace(issuerText, "secret_file: client.secret", "secret_sha256: '"+hex.EncodeToString(sum[:])+"'", 1)
	parts := openIssuer(t, loadStaged(t, text))
	want, err := issuer.HashSecret(strings.Repeat("c", 43))
	if err != nil {
		t.Fatal(err)
	}
	if got := parts.Clients[0].SecretHash; got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

// Each differs from the accepted section in one thing.
func TestIssuerConfigRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, old, new, want string
	}{
		{"no url", "  url: http://127.0.0.1:1\n", "", "issuer.url: required (or in the environment: HOLDFAST_ISSUER_URL)"},
		{"no secret of the fleet", "  secret_file: nonce.secret\n", "", "issuer.secret_file: required (or in the environment: HOLDFAST_ISSUER_SECRET)"},
		{"secret not there", "nonce.secret", "absent", "holdfast.yaml:4: issuer.secret_file: open absent: no such file or directory"},
		{"no such kind of database", "sqlite::memory:", "mysql://x", "issuer.database: store: the DSN begins with neither sqlite: nor postgres://"},
		{"a period that is too short", "  clients:", "  signing_keys: {period: 1m}\n  clients:", "issuer.signing_keys: signing: config: Period must be at least an hour, and Lead between two minutes and the Period"},
		{"certificate without key", "  secret_file: nonce.secret\n", "  secret_file: nonce.secret\n  tls: {cert_file: x.pem}\n", "issuer.tls.key_file: required with cert_file"},
		{"key without certificate", "  secret_file: nonce.secret\n", "  secret_file: nonce.secret\n  tls: {key_file: x.pem}\n", "issuer.tls.cert_file: required with key_file"},
		{"passkeys at an address", "  clients:", "  login: {passkeys: true}\n  clients:", "issuer.login: login: Passkeys: browsers have none for an address: give Issuer the name of its host, as localhost instead of 127.0.0.1"},
		{"a domain for no passkeys", "  clients:", "  login: {passkey_domain: as.example}\n  clients:", "issuer.login: login: PasskeyDomain is set without Passkeys"},
		{"provider without url", "  clients:", "  login: {providers: [{name: a, client_id: b}]}\n  clients:", "issuer.login.providers[0].url: required"},
		{"provider with a secret that isn't there", "  clients:", "  login: {providers: [{name: a, url: 'https://op.example', client_id: b, client_secret_file: absent}]}\n  clients:",
			"holdfast.yaml:5: issuer.login.providers[0].client_secret_file: open absent: no such file or directory"},
		{"provider in the clear", "  clients:", "  login: {providers: [{name: a, url: 'http://op.example', client_id: b}]}\n  clients:",
			"issuer.login: login: provider a: Issuer: neither https nor http on a loopback address"},
		{"registration for nobody", "  clients:", "  registration: {audience: [https://api.example]}\n  clients:", "holdfast.yaml:5: issuer.registration: needs initial_tokens_sha256, insecure_open or documents"},
		{"a short initial token", "  clients:", "  registration: {initial_tokens_sha256: ['00'], audience: [https://api.example]}\n  clients:",
			"holdfast.yaml:5: issuer.registration.initial_tokens_sha256[0]: want 64 hexadecimal digits"},
		{"client without id", "    - id: app\n      auth", "    - auth", "issuer.clients[0].id: required"},
		{"client without method", "      auth: private_key_jwt\n", "", "issuer.clients[1].auth: required"},
		{"no secret", "      secret_file: client.secret\n", "", "holdfast.yaml:6: issuer.clients[0]: client_secret_basic needs secret_file or secret_sha256"},
		{"two secrets", "secret_file: client.secret", "secret_file: client.secret\n      secret_sha256: '00'", "holdfast.yaml:9: issuer.clients[0].secret_sha256: give secret_file or secret_sha256, not both"},
		{"short hash", "secret_file: client.secret", "secret_sha256: '00'", "holdfast.yaml:8: issuer.clients[0].secret_sha256: want 64 hexadecimal digits"},
		{"no keys in the set", "jwks.json", "empty.json", "holdfast.yaml:12: issuer.clients[1].jwks_file: empty.json: holds no key for signatures"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refuses(t, issuerText, tc.old, tc.new, tc.want, func(f *File) error {
				_, err := f.OpenIssuer(t.Context(), slog.Default(), nil)
				return err
			})
		})
	}
}

func refuses(t *testing.T, text, old, replacement, want string, build func(*File) error) {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is %d times in the accepted section", old, strings.Count(text, old))
	}
	err := build(loadStaged(t, strings.Replace(text, old, replacement, 1)))
	if err == nil {
		t.Fatalf("got no error, want %q", want)
	}
	if got := err.Error(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

const gatewayText = `gateway:
  external_origin: https://api.example
  audience: https://api.example
  trusted_peers: [10.0.0.0/8]
  issuers:
    - url: https://issuer.example
      jwks_file: jwks.json
  identity:
    key_file: issuer.jwk
    issuer: https://gateway.example
  routes:
    - path: /
      upstream: http://127.0.0.1:1
      cover: ["@query"]
      body: buffered
  replay: {insecure_accept_older: true} # ready at once
`

func buildGateway(f *File) (gateway.Config, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg, ready, err := f.GatewayConfig(ctx, Service{})
	if err != nil {
		return cfg, err
	}
	return cfg, ready(ctx)
}

func TestGatewayConfig(t *testing.T) {
	cfg, err := buildGateway(loadStaged(t, gatewayText))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatalf("gateway.New: %v", err)
	}
	g.Close()
	if got, want := fmt.Sprint(cfg.Routes[0].Policy.Cover, cfg.Routes[0].Policy.Body, cfg.TrustedPeers), "[@query] 1 [10.0.0.0/8]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Each differs from the accepted section in one thing.
func TestGatewayConfigRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, old, new, want string
	}{
		{"sessions without a key", "      body: buffered\n", "      body: buffered\n  sessions: {secrets: [{id: one, secret_file: client.secret}]}\n", "gateway.resource_key_file: required with sessions.secrets"},
		{"session secret used from no time", "      body: buffered\n", "      body: buffered\n  resource_key_file: issuer.jwk\n  sessions: {secrets: [{id: one, secret_file: client.secret, not_before: soon}]}\n", `holdfast.yaml:17: gateway.sessions.secrets[0].not_before: want a time such as 2026-01-02T15:04:05Z, got "soon"`},
		{"mTLS without a certificate", "      body: buffered\n", "      body: buffered\n      schemes: [DPoP, mTLS]\n", "holdfast.yaml:16: gateway.routes[0].schemes: mTLS needs gateway.tls.client_auth"},
		{"certificates behind a proxy", "  trusted_peers", "  tls: {client_auth: any}\n  trusted_peers", "holdfast.yaml:4: gateway.tls.client_auth: needs cert_file: where a proxy ends TLS, the certificate on the connection is the proxy's"},
		{"verified by nobody", "  trusted_peers", "  tls: {cert_file: a, key_file: b, client_auth: verified}\n  trusted_peers", "gateway.tls.client_ca_file: required with client_auth: verified"},
		{"authorities that nothing is verified by", "  trusted_peers", "  tls: {cert_file: a, key_file: b, client_auth: any, client_ca_file: not.pem}\n  trusted_peers", "holdfast.yaml:4: gateway.tls.client_ca_file: is for client_auth: verified"},
		{"authorities that are none", "  trusted_peers", "  tls: {cert_file: a, key_file: b, client_auth: verified, client_ca_file: not.pem}\n  trusted_peers", "holdfast.yaml:4: gateway.tls.client_ca_file: not.pem: holds no certificate"},
		{"resource over http", "  trusted_peers", "  resource: http://api.example\n  trusted_peers", `holdfast.yaml:4: gateway.resource: resourcemeta: resource-identifier: resource: expected an https URL, or http on loopback, without fragment, got "http://api.example": neither https nor http on a loopback address`},
		{"a name of no resource", "  external_origin: https://api.example\n", "  hosts: [api.example]\n  resource_name: Orders\n", "gateway.resource: required with resource_name and resource_keys_also_file, as external_origin is no https URL"},
		{"keys beside none", "  trusted_peers", "  resource_keys_also_file: jwks.json\n  trusted_peers", "gateway.resource_key_file: required with resource_keys_also_file"},
		{"signed responses without a key", "      body: buffered\n", "      body: buffered\n      sign_responses: true\n", "holdfast.yaml:16: gateway.routes[0].sign_responses: needs gateway.resource_key_file"},
		{"no origin", "  external_origin: https://api.example\n", "", "gateway.external_origin: required, unless hosts are given (or in the environment: HOLDFAST_GATEWAY_EXTERNAL_ORIGIN)"},
		{"origin and hosts", "  external_origin: https://api.example\n", "  external_origin: https://api.example\n  hosts: [api.example]\n", "holdfast.yaml:3: gateway.hosts: give external_origin or hosts, not both"},
		{"no audience", "  audience: https://api.example\n", "", "gateway.audience: required (or in the environment: HOLDFAST_GATEWAY_AUDIENCE)"},
		{"no issuers", "  issuers:\n    - url: https://issuer.example\n      jwks_file: jwks.json\n", "", "gateway.issuers: required (or in the environment: HOLDFAST_GATEWAY_ISSUERS)"},
		{"issuer twice", "      jwks_file: jwks.json\n", "      jwks_file: jwks.json\n    - url: https://issuer.example\n", "holdfast.yaml:8: gateway.issuers[1].url: issuer appears twice"},
		{"keys from two places", "jwks_file: jwks.json", "jwks_file: jwks.json\n      jwks_url: https://issuer.example/jwks", "holdfast.yaml:7: gateway.issuers[0].jwks_file: give jwks_file or jwks_url, not both"},
		{"introspection without secret", "jwks_file: jwks.json", "introspection: {endpoint: 'https://issuer.example/introspect', client_id: api}", "gateway.issuers[0].introspection.secret_file: required"},
		{"peer that is no network", "10.0.0.0/8", "10.0.0.1", `holdfast.yaml:4: gateway.trusted_peers[0]: want a network such as 10.0.0.0/8, got "10.0.0.1"`},
		{"identity without issuer", "    issuer: https://gateway.example\n", "", "gateway.identity.issuer: required with key_file"},
		{"certificates that are none", "  trusted_peers", "  upstream_ca_file: not.pem\n  trusted_peers", "holdfast.yaml:4: gateway.upstream_ca_file: not.pem: holds no certificate"},
		{"no upstream", "      upstream: http://127.0.0.1:1\n", "", "gateway.routes[0].upstream: required"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refuses(t, gatewayText, tc.old, tc.new, tc.want, func(f *File) error {
				_, err := buildGateway(f)
				return err
			})
		})
	}
}

func TestFleetSecrets(t *testing.T) {
	const sessions = `  sessions: {secrets: [{id: one, secret_file: client.secret}, {id: two, secret_file: nonce.secret, not_before: 2026-01-02T15:04:05Z}]}
`
	for _, tc := range []struct {
		name, text, want string // want: the ids, or the error
	}{
		{"two", gatewayText + sessions, "one two"},
		{"none", gatewayText, "gateway.sessions.secrets: none, where there were some"},
		{"a file that isn't there", gatewayText + strings.Replace(sessions, "client.secret", "gone.secret", 1),
			"holdfast.yaml:17: gateway.sessions.secrets[0].secret_file: open gone.secret: no such file or directory"},
		{"no time", gatewayText + strings.Replace(sessions, "2026-01-02T15:04:05Z", "soon", 1),
			`holdfast.yaml:17: gateway.sessions.secrets[1].not_before: want a time such as 2026-01-02T15:04:05Z, got "soon"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			secrets, err := loadStaged(t, tc.text).FleetSecrets()
			var ids []string
			for _, s := range secrets {
				ids = append(ids, s.ID)
			}
			got := strings.Join(ids, " ")
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestServersAreReadyOnceTheirMemoryHasBegun(t *testing.T) {
	for _, tc := range []struct {
		name  string
		text  string
		ready bool
	}{
		{"just started", issuerText, false},
		{"older proofs accepted", strings.Replace(issuerText, "issuer:\n", "issuer:\n  replay: {insecure_accept_older: true}\n", 1), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := openIssuer(t, loadStaged(t, tc.text)).Ready(t.Context()); (err == nil) != tc.ready {
				t.Errorf("got %v, want ready: %t", err, tc.ready)
			}
		})
	}
}

func TestRevocations(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"none", "gateway: {audience: a}\n", ""},
		{"with a secret", "gateway: {revocations: {secret_file: nonce.secret}}\nadmin: {listen: '127.0.0.1:0'}\n", ""},
		{"no listener", "gateway: {revocations: {secret_file: nonce.secret}}\n", "admin.listen: required with gateway.revocations.secret_file, which is for that listener"},
		{"secret not there", "gateway: {revocations: {secret_file: absent}}\nadmin: {listen: '127.0.0.1:0'}\n", "holdfast.yaml:1: gateway.revocations.secret_file: open absent: no such file or directory"},
		{"too many entries", "gateway: {revocations: {secret_file: nonce.secret, entries: 100000000}}\nadmin: {listen: '127.0.0.1:0'}\n", "holdfast.yaml:1: gateway.revocations.entries: revocation: Entries is 100000000, want 1 to 16777216"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, handler, err := loadStaged(t, tc.text).Revocations(nil)
			if tc.want != "" {
				if err == nil || err.Error() != tc.want {
					t.Errorf("got %v, want %s", err, tc.want)
				}
				return
			}
			if err != nil || (list != nil) != (tc.name != "none") || (handler != nil) != (tc.name != "none") {
				t.Errorf("got a list %t, a handler %t, %v", list != nil, handler != nil, err)
			}
		})
	}
}
