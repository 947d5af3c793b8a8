package issuer

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/keys"
)

// grantFor gets a token for a client, bound as it likes.
func (f *fixture) grantFor(t *testing.T, id string) (token string, claims map[string]any) {
	t.Helper()
	q := request(id)
	switch id {
	case "unbound":
	case "runtime":
		f.addSignature(t, q, nil)
	case "signed":
		f.addSignature(t, q, f.preregistered)
	default:
		f.addProof(t, q, nil)
	}
	got := f.send(t, q)
	checkGranted(t, got)
	token, _ = got.body["access_token"].(string)
	_, claims = claimsOf(t, token)
	return token, claims
}

func introspectionOf(asker, token string) *tokenRequest {
	q := request(asker)
	q.url = testIssuer + "/introspect"
	q.form = map[string][]string{"token": {token}}
	return q
}

func TestIntrospectActive(t *testing.T) {
	f := newFixture(t, nil)
	for client, tokenType := range map[string]string{"any": "DPoP", "runtime": "httpsig", "signed": "httpsig", "unbound": "Bearer"} {
		t.Run(client, func(t *testing.T) {
			token, claims := f.grantFor(t, client)
			q := introspectionOf("rs", token)
			q.form.Set("token_type_hint", "refresh_token")
			got := f.send(t, q)
			claims["active"], claims["token_type"] = true, tokenType
			if d := cmp.Diff(got.body, claims); d != "" {
				t.Errorf("-got +want\n%s", d)
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got Cache-Control %q", got.header.Get("Cache-Control"))
			}
			id, _ := claims["jti"].(string)
			wantEvent := Event{Endpoint: "introspection", ClientID: "rs", TokenID: id, Audience: testResource, Scope: []string{"read", "write"}}
			if d := cmp.Diff(got.event, wantEvent); d != "" {
				t.Errorf("event: -got +want\n%s", d)
			}
		})
	}
}

// Each case differs in one thing from a token that is active.
func TestIntrospectInactive(t *testing.T) {
	now := testNow
	f := newFixture(t, func(cfg *Config) { cfg.Now = func() time.Time { return now } })
	stranger := newFixture(t, nil)
	token, claims := f.grantFor(t, "any")
	header := map[string]any{"typ": "at+jwt", "alg": "ES256", "kid": f.signer(t).Public().KeyID()}
	strangers, _ := stranger.grantFor(t, "any")
	reseal := func(signer *keys.Signer, change func()) string {
		savedHeader, savedClaims := maps.Clone(header), maps.Clone(claims)
		defer func() { header, claims = savedHeader, savedClaims }()
		change()
		return sealJWS(t, signer, header, claims)
	}
	nothing := func() {}
	for _, tc := range []struct {
		name, asker, token string
		now                time.Time
		active             bool
	}{
		{"active", "rs", token, testNow, true},
		{"sealed again", "rs", reseal(f.signer(t), nothing), testNow, true},
		{"of another audience", "other-rs", token, testNow, false},
		{"in its last second", "rs", token, testNow.Add(299 * time.Second), true},
		{"expired", "rs", token, testNow.Add(300 * time.Second), false},
		{"no token", "rs", "x", testNow, false},
		{"signature changed", "rs", token[:len(token)-8] + "AAAAAAAA", testNow, false},
		{"of another issuer", "rs", strangers, testNow, false},
		{"signed by another key", "rs", reseal(f.dpopKey, nothing), testNow, false},
		{"signed by us as something else", "rs", reseal(f.signer(t), func() { header["typ"] = "JWT" }), testNow, false},
		{"another iss", "rs", reseal(f.signer(t), func() { claims["iss"] = "https://as.example" }), testNow, false},
		{"another kid", "rs", reseal(f.signer(t), func() { header["kid"] = "x" }), testNow, false},
		{"two confirmations", "rs", reseal(f.signer(t), func() { claims["cnf"] = map[string]any{"jkt": "x", "jwk": "y"} }), testNow, false},
		{"too long", "rs", strings.Repeat("x", maxToken+1), testNow, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now = tc.now
			got := f.send(t, introspectionOf(tc.asker, tc.token))
			if got.status != http.StatusOK || got.body["active"] != tc.active {
				t.Fatalf("got %d %v, want active %t", got.status, got.body, tc.active)
			}
			if !tc.active && len(got.body) != 1 {
				t.Errorf("got %v, want active alone", got.body)
			}
		})
	}
}

func TestIntrospectRefused(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := f.grantFor(t, "any")
	for _, tc := range []struct {
		name   string
		change func(*tokenRequest)
		status int
		code   string
		reason Reason
	}{
		{"GET", func(q *tokenRequest) { q.method = "GET" }, 405, "invalid_request", MethodRefused},
		{"token in the query", func(q *tokenRequest) { q.url += "?token=x" }, 400, "invalid_request", FormRefused},
		{"no token", func(q *tokenRequest) { q.form.Del("token") }, 400, "invalid_request", FormRefused},
		{"no authentication", func(q *tokenRequest) { q.header.Del("Authorization") }, 401, "invalid_client", AuthMissing},
		{"the token as authentication", func(q *tokenRequest) { q.header.Set("Authorization", "DPoP "+token) }, 401, "invalid_client", AuthRefused},
		{"wrong secret", func(q *tokenRequest) { q.basic("rs", "wrong") }, 401, "invalid_client", SecretMismatch},
		{"not a resource server", func(q *tokenRequest) { q.basic("any", testSecret) }, 403, "unauthorized_client", IntrospectDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := introspectionOf("rs", token)
			tc.change(q)
			checkRefused(t, f.send(t, q), tc.status, tc.code, tc.reason)
		})
	}
}

// A resource server with a key introspects, too, and its assertion works once.
func TestIntrospectWithAssertion(t *testing.T) {
	f := newFixture(t, func(cfg *Config) {
		cfg.Clients[len(cfg.Clients)-1].Introspect = []string{testResource}
	})
	token, _ := f.grantFor(t, "any")
	q := f.asserted(t, nil)
	q.url = testIssuer + "/introspect"
	q.form.Set("token", token)
	if got := f.send(t, q); got.body["active"] != true {
		t.Errorf("got %d %v", got.status, got.body)
	}
	checkRefused(t, f.send(t, q), http.StatusUnauthorized, "invalid_client", AssertionUsed)
}

// A signed answer is for its asker, of its own type, and says the same (RFC 9701).
func TestIntrospectSigned(t *testing.T) {
	f := newFixture(t, nil)
	token, claims := f.grantFor(t, "any")
	for _, tc := range []struct {
		name, token string
		accept      []string
		signed      bool
		want        map[string]any
	}{
		{"active", token, []string{introspectionMedia}, true, map[string]any{"active": true, "token_type": "DPoP"}},
		{"inactive", "x", []string{"application/json;q=0.5, " + introspectionMedia}, true, map[string]any{"active": false}},
		{"on another line", token, []string{"text/plain", introspectionMedia + ";q=0.3"}, true, map[string]any{"active": true, "token_type": "DPoP"}},
		{"not wanted", token, []string{introspectionMedia + ";q=0.0"}, false, nil},
		{"anything", token, []string{"*/*"}, false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := introspectionOf("rs", tc.token)
			q.header["Accept"] = tc.accept
			w := httptest.NewRecorder()
			f.Handler().ServeHTTP(w, q.http())
			if got := w.Header().Get("Content-Type"); (got == introspectionMedia) != tc.signed || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("got header %v", w.Header())
			}
			if !tc.signed {
				return
			}
			header, got := claimsOf(t, w.Body.String())
			if header["typ"] != "token-introspection+jwt" || header["kid"] != f.signer(t).Public().KeyID() {
				t.Errorf("got header %v", header)
			}
			if tc.want["active"] == true {
				maps.Copy(tc.want, claims)
			}
			want := map[string]any{"iss": testIssuer, "aud": "rs", "iat": float64(testNow.Unix()), "token_introspection": tc.want}
			if d := cmp.Diff(got, want); d != "" {
				t.Errorf("-got +want\n%s", d)
			}
		})
	}
}
