package issuer

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// newOpenID makes a fixture whose "web" client may ask who the user is, and a login of alice.
func newOpenID(t *testing.T, now *time.Time) (*fixture, *browser) {
	t.Helper()
	f := newAuthorizing(t, now, func(cfg *Config) {
		for i := range cfg.Clients {
			if c := &cfg.Clients[i]; c.ID == "web" {
				c.Scope, c.IDTokenAlgorithm, c.SkipConsent = append(c.Scope, "openid"), keys.EdDSA, true
			}
		}
	})
	b := f.browser()
	b.logIn(t, "alice")
	return f, b
}

// tokens has the "web" client get tokens with a scope.
func (b *browser) tokens(t *testing.T, scope string) result {
	t.Helper()
	q := asking("web")
	q.Set("scope", scope)
	q.Set("nonce", "n-0S6_WzA2Mj")
	redeemed := redemption("web", response(t, b.authorize(q), testRedirect).Get("code"))
	b.f.addProof(t, redeemed, func(p *dpop.Params) { p.Now = b.f.now() })
	got := b.f.send(t, redeemed)
	checkGranted(t, got)
	return got
}

func TestIDToken(t *testing.T) {
	now := testNow
	f, b := newOpenID(t, &now)
	now = now.Add(time.Second)
	first := b.tokens(t, "openid read")
	text, _ := first.body["id_token"].(string)
	header, claims := claimsOf(t, text)
	if header["typ"] != "JWT" || header["alg"] != "EdDSA" {
		t.Errorf("got header %v", header)
	}
	want := map[string]any{
		"iss": testIssuer, "sub": "alice", "aud": "web", "iat": float64(now.Unix()), "exp": float64(now.Unix() + 300),
		"auth_time": float64(testNow.Unix()), "nonce": "n-0S6_WzA2Mj", "amr": []any{"hwk"},
	}
	if d := cmp.Diff(claims, want); d != "" {
		t.Errorf("claims: -got +want\n%s", d)
	}
	if _, ok := f.open(text); ok {
		t.Error("an ID token passes as an access token")
	}
	q := request("web")
	q.form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.body["refresh_token"].(string)}}
	f.addProof(t, q, func(p *dpop.Params) { p.Now = now })
	again := f.send(t, q)
	checkGranted(t, again)
	_, claims = claimsOf(t, again.body["id_token"].(string))
	delete(want, "nonce")
	if d := cmp.Diff(claims, want); d != "" {
		t.Errorf("claims after a refresh: -got +want\n%s", d)
	}
	if got := b.tokens(t, "read"); got.body["id_token"] != nil {
		t.Error("an ID token without the scope openid")
	}
}

// Each case differs in one thing from a request that is answered.
func TestUserinfo(t *testing.T) {
	now := testNow
	f, b := newOpenID(t, &now)
	token, _ := b.tokens(t, "openid").body["access_token"].(string)
	other, _ := b.tokens(t, "read").body["access_token"].(string)
	ask := func(method, scheme, token string, key *keys.Signer, change func(*dpop.Params)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, testIssuer+"/userinfo", nil)
		r.Header.Set("Authorization", scheme+" "+token)
		p := dpop.Params{Method: method, TargetURI: testIssuer + "/userinfo", Token: token, Now: now}
		if change != nil {
			change(&p)
		}
		proof, err := dpop.Sign(key, p)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, r)
		return w
	}
	for _, method := range []string{"GET", "POST"} {
		w := ask(method, "DPoP", token, f.dpopKey, nil)
		if d := cmp.Diff(jsonObject(t, w.Body.Bytes()), map[string]any{"sub": "alice", "name": "alice"}); w.Code != http.StatusOK || d != "" {
			t.Errorf("%s: got %d, -got +want\n%s", method, w.Code, d)
		}
	}
	for _, tc := range []struct {
		name   string
		send   func() *httptest.ResponseRecorder
		status int
		code   string
	}{
		{"as a bearer token", func() *httptest.ResponseRecorder { return ask("GET", "Bearer", token, f.dpopKey, nil) }, 401, "invalid_token"},
		{"with another key", func() *httptest.ResponseRecorder { return ask("GET", "DPoP", token, f.jwtKey, nil) }, 401, "invalid_dpop_proof"},
		{"proof of another token", func() *httptest.ResponseRecorder {
			return ask("GET", "DPoP", token, f.dpopKey, func(p *dpop.Params) { p.Token = other })
		}, 401, "invalid_dpop_proof"},
		{"proof for another method", func() *httptest.ResponseRecorder {
			return ask("GET", "DPoP", token, f.dpopKey, func(p *dpop.Params) { p.Method = "POST" })
		}, 401, "invalid_dpop_proof"},
		{"without the scope", func() *httptest.ResponseRecorder { return ask("GET", "DPoP", other, f.dpopKey, nil) }, 403, "insufficient_scope"},
		{"changed token", func() *httptest.ResponseRecorder { return ask("GET", "DPoP", token+"A", f.dpopKey, nil) }, 401, "invalid_token"},
		{"another scheme", func() *httptest.ResponseRecorder { return ask("GET", "Basic", token, f.dpopKey, nil) }, 401, ""},
		{"another method", func() *httptest.ResponseRecorder { return ask("PUT", "DPoP", token, f.dpopKey, nil) }, 405, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := tc.send()
			field := w.Header().Get("WWW-Authenticate")
			if w.Code != tc.status || tc.code != "" && !strings.Contains(w.Body.String(), tc.code) || (w.Code == 401) != strings.HasPrefix(field, "DPoP ") && w.Code != 403 {
				t.Errorf("got %d %s with %q, want %d %s", w.Code, w.Body, field, tc.status, tc.code)
			}
		})
	}
	_, claims := claimsOf(t, token)
	if err := f.store.RevokeGrant(t.Context(), now, claims["grant_id"].(string), "test"); err != nil {
		t.Fatal(err)
	}
	if w := ask("GET", "DPoP", token, f.dpopKey, nil); w.Code != http.StatusUnauthorized {
		t.Errorf("revoked: got %d", w.Code)
	}
}

func TestOpenIDMetadata(t *testing.T) {
	now := testNow
	_, b := newOpenID(t, &now)
	got := jsonObject(t, b.get(testIssuer+"/.well-known/openid-configuration").Body.Bytes())
	for name, want := range map[string]any{
		"issuer": testIssuer, "authorization_endpoint": testIssuer + "/authorize", "userinfo_endpoint": testIssuer + "/userinfo",
		"pushed_authorization_request_endpoint": testIssuer + "/par", "response_types_supported": []any{"code"},
		"code_challenge_methods_supported": []any{"S256"}, "authorization_response_iss_parameter_supported": true,
		"response_modes_supported": []any{"query"}, "subject_types_supported": []any{"public"},
		"id_token_signing_alg_values_supported": []any{"ES256", "EdDSA"}, "authorization_details_types_supported": []any{"payment"},
		"scopes_supported": []any{"admin", "openid", "read", "write"},
	} {
		if d := cmp.Diff(got[name], want); d != "" {
			t.Errorf("%s: -got +want\n%s", name, d)
		}
	}
}
