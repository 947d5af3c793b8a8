package issuer

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

const testInitial = "an initial access token, which is random elsewhere"

// newRegistering makes a fixture where clients register themselves.
func newRegistering(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	now := testNow
	hash, err := HashSecret(testInitial)
	if err != nil {
		t.Fatal(err)
	}
	return newAuthorizing(t, &now, func(cfg *Config) {
		cfg.Registration = &DynamicRegistration{InitialTokens: []SecretHash{hash}, Audience: []string{testResource}, Scope: []string{"openid", "read"}}
		if change != nil {
			change(cfg)
		}
	})
}

// registering is a registration request that is good.
func registering(metadata map[string]any) *http.Request {
	all := map[string]any{"redirect_uris": []string{testRedirect}, "client_name": "Ada’s tool", "token_endpoint_auth_method": "none"}
	maps.Copy(all, metadata)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, _ := json.Marshal(all)
	r := httptest.NewRequest("POST", testIssuer+"/register", strings.NewReader(string(text)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+testInitial)
	return r
}

func (f *fixture) asksToRegister(t testing.TB, r *http.Request) result {
	t.Helper()
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	res := result{status: w.Code, header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &res.body); err != nil {
		t.Fatalf("status %d, body %q: %v", w.Code, w.Body, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	res.event = f.events[len(f.events)-1]
	return res
}

func TestRegister(t *testing.T) {
	jwks := map[string]any{"keys": []any{jsonObject(t, mustJSON(t, newKey(t, keys.ES256, "k1").Public()))}}
	given := map[string]any{"client_id": true, "client_id_issued_at": true}
	for _, tc := range []struct {
		name     string
		metadata map[string]any
		want     map[string]any // besides what is the same in all
	}{
		{"public", nil, map[string]any{"token_endpoint_auth_method": "none"}},
		{"as the RFC has it by default", map[string]any{"token_endpoint_auth_method": nil},
			map[string]any{"token_endpoint_auth_method": "client_secret_basic", "client_secret": true, "client_secret_expires_at": 0.0}},
		{"by assertions", map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks},
			map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}},
		{"all that is its own", map[string]any{
			"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "scope": "read", "dpop_bound_access_tokens": true,
			"require_pushed_authorization_requests": true, "id_token_signed_response_alg": "EdDSA",
		}, map[string]any{
			"token_endpoint_auth_method": "none", "grant_types": []any{"authorization_code", "refresh_token"}, "scope": "read", "dpop_bound_access_tokens": true,
			"require_pushed_authorization_requests": true, "id_token_signed_response_alg": "EdDSA",
		}},
		{"scope beyond what is given", map[string]any{"scope": "read write admin"}, map[string]any{"token_endpoint_auth_method": "none", "scope": "read"}},
		{"what isn't its own", map[string]any{
			"skip_consent": true, "insecure_allow_unbound": true, "audience": []string{"https://other.example"}, "introspect": []string{testResource},
			"client_secret_sha256": strings.Repeat("A", 43), "self_registered": false, "client_id": "mine", "tls_client_auth_subject_dn": "CN=x",
			"logo_uri": "https://app.example/logo", "x": map[string]any{"y": 1},
		}, map[string]any{"token_endpoint_auth_method": "none"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newRegistering(t, nil)
			res := f.asksToRegister(t, registering(tc.metadata))
			if res.status != http.StatusCreated || res.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("got %d %v", res.status, res.body)
			}
			want := map[string]any{
				"client_name": "Ada’s tool", "redirect_uris": []any{testRedirect}, "grant_types": []any{"authorization_code"},
				"response_types": []any{"code"}, "scope": "openid read",
			}
			maps.Copy(want, given)
			maps.Copy(want, tc.want)
			id, _ := res.body["client_id"].(string)
			for _, name := range []string{"client_id", "client_id_issued_at", "client_secret"} {
				if _, ok := res.body[name]; ok {
					res.body[name] = true
				}
			}
			if d := cmp.Diff(res.body, want); d != "" {
				t.Errorf("-got +want\n%s", d)
			}
			c, err := f.client(anybody(t.Context()), id)
			if err != nil || c == nil {
				t.Fatalf("got client %v, %v", c, err)
			}
			if c.SkipConsent || c.InsecureAllowUnbound || len(c.Introspect) > 0 || !slices.Equal(c.Audience, []string{testResource}) || !c.SelfRegistered || id == "mine" {
				t.Errorf("it gave itself more than is its own: %+v", c.Client)
			}
			if res.event.ClientID != id || res.event.Endpoint != "registration" || res.event.Refusal != nil {
				t.Errorf("got event %+v", res.event)
			}
		})
	}
}

// What registers can be used, and its users are told what it is.
func TestRegisteredClient(t *testing.T) {
	f := newRegistering(t, nil)
	res := f.asksToRegister(t, registering(map[string]any{"token_endpoint_auth_method": "client_secret_post"}))
	id, secret := res.body["client_id"].(string), res.body["client_secret"].(string)
	b := f.browser()
	b.logIn(t, "alice")
	q := asking(id)
	asked := b.authorize(q)
	if !strings.Contains(asked.Body.String(), "nobody here has checked who is behind it") {
		t.Errorf("got page %s", asked.Body)
	}
	code := response(t, b.decide(fillIn(asked, "allow"), nil), testRedirect).Get("code")
	token := request("")
	token.form = map[string][]string{
		"grant_type": {"authorization_code"}, "client_id": {id}, "client_secret": {secret}, "code": {code},
		"redirect_uri": {testRedirect}, "code_verifier": {testVerifier},
	}
	f.addProof(t, token, func(p *dpop.Params) {})
	checkGranted(t, f.send(t, token))
}

func TestRegisterRefused(t *testing.T) {
	set := func(name string, v any) func(*http.Request) *http.Request {
		return func(*http.Request) *http.Request { return registering(map[string]any{name: v}) }
	}
	body := func(text string) func(*http.Request) *http.Request {
		return func(r *http.Request) *http.Request {
			again := httptest.NewRequest("POST", r.URL.String(), strings.NewReader(text))
			again.Header = r.Header
			return again
		}
	}
	field := func(name string, values ...string) func(*http.Request) *http.Request {
		return func(r *http.Request) *http.Request {
			r.Header[name] = values
			return r
		}
	}
	const metadata, redirect = "invalid_client_metadata", "invalid_redirect_uri"
	for _, tc := range []struct {
		name   string
		change func(*http.Request) *http.Request
		status int
		code   string
		reason Reason
	}{
		{"no token", field("Authorization"), 401, "invalid_token", InitialTokenRefused},
		{"another token", field("Authorization", "Bearer "+testInitial+"x"), 401, "invalid_token", InitialTokenRefused},
		{"another scheme", field("Authorization", "Basic "+testInitial), 401, "invalid_token", InitialTokenRefused},
		{"two tokens", field("Authorization", "Bearer "+testInitial, "Bearer "+testInitial), 401, "invalid_token", InitialTokenRefused},
		{"GET", func(r *http.Request) *http.Request { r.Method = "GET"; return r }, 405, "invalid_request", MethodRefused},
		{"a form", field("Content-Type", "application/x-www-form-urlencoded"), 400, metadata, MetadataRefused},
		{"coded", field("Content-Encoding", "gzip"), 400, metadata, MetadataRefused},
		{"no JSON", body("{"), 400, metadata, MetadataRefused},
		{"a list", body("[]"), 400, metadata, MetadataRefused},
		{"a member twice", body(`{"client_name":"a","client_name":"b","redirect_uris":["` + testRedirect + `"]}`), 400, metadata, MetadataRefused},
		{"too long", body(`{"x":"` + strings.Repeat("x", maxMetadata) + `"}`), 413, "invalid_request", FormTooLarge},
		{"no redirect URI", set("redirect_uris", nil), 400, redirect, RedirectURIRefused},
		{"an empty list of them", set("redirect_uris", []string{}), 400, redirect, RedirectURIRefused},
		{"many", set("redirect_uris", slices.Repeat([]string{testRedirect}, maxRedirectURIs+1)), 400, redirect, RedirectURIRefused},
		{"one in the clear", set("redirect_uris", []string{"http://app.example/"}), 400, redirect, RedirectURIRefused},
		{"one with a fragment", set("redirect_uris", []string{testRedirect + "#x"}), 400, redirect, RedirectURIRefused},
		{"a script", set("redirect_uris", []string{"javascript:alert(1)"}), 400, redirect, RedirectURIRefused},
		{"redirect URIs that are no list", set("redirect_uris", testRedirect), 400, metadata, MetadataRefused},
		{"tokens in its own name", set("grant_types", []string{"client_credentials"}), 400, metadata, MetadataRefused},
		{"token exchange", set("grant_types", []string{"authorization_code", string(ExchangeGrant)}), 400, metadata, MetadataRefused},
		{"no code", set("grant_types", []string{"refresh_token"}), 400, metadata, MetadataRefused},
		{"implicit", set("response_types", []string{"token"}), 400, metadata, MetadataRefused},
		{"another method", set("token_endpoint_auth_method", "client_secret_jwt"), 400, metadata, MetadataRefused},
		{"certificates", set("token_endpoint_auth_method", "tls_client_auth"), 400, metadata, MetadataRefused},
		{"assertions without keys", set("token_endpoint_auth_method", "private_key_jwt"), 400, metadata, MetadataRefused},
		{"keys elsewhere", set("jwks_uri", "https://app.example/jwks"), 400, metadata, MetadataRefused},
		{"a private key", set("jwks", map[string]any{"keys": []any{jsonObject(t, privateJWK(t))}}), 400, metadata, MetadataRefused},
		{"a statement", set("software_statement", "x.y.z"), 400, "invalid_software_statement", StatementRefused},
		{"a long name", set("client_name", strings.Repeat("x", maxClientName+1)), 400, metadata, MetadataRefused},
		{"a name that turns", set("client_name", "x\u202ey"), 400, metadata, MetadataRefused},
		{"a scope that is none", set("scope", "a\"b"), 201, "", ""}, // it isn't given
		{"another algorithm", set("id_token_signed_response_alg", "PS256"), 400, metadata, MetadataRefused},
		{"bound in two ways", func(*http.Request) *http.Request {
			return registering(map[string]any{"dpop_bound_access_tokens": true, "tls_client_certificate_bound_access_tokens": true})
		}, 400, metadata, MetadataRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newRegistering(t, nil)
			res := f.asksToRegister(t, tc.change(registering(nil)))
			if code, _ := res.body["error"].(string); res.status != tc.status || code != tc.code {
				t.Errorf("got %d %v, want %d %s", res.status, res.body, tc.status, tc.code)
			}
			if got := res.event.Refusal; (got == nil) != (tc.reason == "") || got != nil && got.Reason != tc.reason {
				t.Errorf("got refusal %v, want %s", got, tc.reason)
			}
			if got := res.header.Get("WWW-Authenticate"); (tc.status == 401) != (got == `Bearer realm="registration"`) {
				t.Errorf("got challenge %q", got)
			}
			if tc.reason == "" {
				return
			}
			if list, err := f.store.Clients(t.Context(), "", 10); err != nil || len(list) != 0 {
				t.Errorf("%d clients were made, %v", len(list), err)
			}
		})
	}
}

func privateJWK(t *testing.T) []byte {
	t.Helper()
	jwk, err := newKey(t, keys.ES256, "k1").MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	return jwk
}

// Without registration there is nothing, and where anybody may register nobody may without end.
func TestRegisterWhereItIsOn(t *testing.T) {
	off := newRegistering(t, func(cfg *Config) { cfg.Registration = nil })
	w := httptest.NewRecorder()
	if off.Handler().ServeHTTP(w, registering(nil)); w.Code != http.StatusNotFound {
		t.Errorf("off: got %d", w.Code)
	}
	path := wellKnown + "/tenant"
	if m := jsonObject(t, get(t, off, "GET", "https://as.example"+path).Body.Bytes()); m["registration_endpoint"] != nil {
		t.Errorf("off: got %v", m["registration_endpoint"])
	}
	open := newRegistering(t, func(cfg *Config) {
		cfg.Registration.InitialTokens, cfg.Registration.InsecureOpen, cfg.FailureLimit = nil, true, 3
		cfg.Registration.Scope = append(cfg.Registration.Scope, "new")
	})
	m := jsonObject(t, get(t, open, "GET", "https://as.example"+path).Body.Bytes())
	if m["registration_endpoint"] != testIssuer+"/register" {
		t.Errorf("open: got %v", m["registration_endpoint"])
	}
	if scopes, _ := m["scopes_supported"].([]any); !slices.Contains(scopes, any("new")) {
		t.Errorf("open: got scopes %v", scopes)
	}
	for i := range 4 {
		r := registering(nil)
		r.Header.Del("Authorization")
		want := http.StatusCreated
		if i == 3 {
			want = http.StatusTooManyRequests
		}
		if res := open.asksToRegister(t, r); res.status != want {
			t.Errorf("%d: got %d %v, want %d", i, res.status, res.body, want)
		}
	}
}

// Whoever guesses at tokens waits.
func TestRegisterGuessing(t *testing.T) {
	f := newRegistering(t, func(cfg *Config) { cfg.FailureLimit = 2 })
	for i, want := range []int{401, 401, 429} {
		r := registering(nil)
		r.Header.Set("Authorization", "Bearer guess")
		if res := f.asksToRegister(t, r); res.status != want {
			t.Errorf("%d: got %d, want %d", i, res.status, want)
		}
	}
}

func TestDynamicRegistrationConfig(t *testing.T) {
	good := func() *DynamicRegistration {
		return &DynamicRegistration{InitialTokens: []SecretHash{{1}}, Audience: []string{testResource}, Scope: []string{"read"}}
	}
	if err := good().check(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*DynamicRegistration)
	}{
		{"nothing", func(r *DynamicRegistration) { r.InitialTokens = nil }},
		{"both", func(r *DynamicRegistration) { r.InsecureOpen = true }},
		{"an empty hash", func(r *DynamicRegistration) { r.InitialTokens = []SecretHash{{}} }},
		{"no audience", func(r *DynamicRegistration) { r.Audience = nil }},
		{"an empty audience", func(r *DynamicRegistration) { r.Audience = []string{""} }},
		{"a scope that is none", func(r *DynamicRegistration) { r.Scope = []string{"a b"} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := good()
			if tc.change(r); r.check() == nil {
				t.Error("accepted")
			}
		})
	}
}

// What a client says of itself never gives it more than registration gives, and what is taken can be stored.
func FuzzMetadata(f *testing.F) {
	for _, metadata := range []map[string]any{
		{}, {"scope": "read write"}, {"skip_consent": true}, {"jwks_uri": "https://x.example"}, {"software_statement": "x"},
		{"grant_types": []string{"client_credentials"}}, {"token_endpoint_auth_method": nil}, {"client_name": "\u202e"},
	} {
		text := mustJSON(f, metadata)
		f.Add(string(text))
		f.Add(strings.Replace(string(text), "{", `{"redirect_uris":["`+testRedirect+`"],`, 1))
	}
	f.Add("")
	r := &DynamicRegistration{InsecureOpen: true, Audience: []string{testResource}, Scope: []string{"read"}}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := r.parse([]byte(text), ClientSecretBasic, ignore)
		if err != nil {
			if e := asError(err); e.Reason != MetadataRefused && e.Reason != RedirectURIRefused && e.Reason != StatementRefused {
				t.Fatalf("got error %v", err)
			}
			return
		}
		if c.SkipConsent || c.InsecureAllowUnbound || len(c.Introspect) > 0 || !c.SelfRegistered || !slices.Equal(c.Audience, r.Audience) ||
			c.Exchange.Impersonate || c.ID != "" || c.SecretHash != (SecretHash{}) {
			t.Errorf("got client %+v", c)
		}
		c.ID = "id"
		stored, err := c.Registration()
		if err != nil {
			return
		}
		if _, err := ParseClient(stored); err != nil {
			t.Errorf("what was stored can't be read: %v", err)
		}
	})
}
