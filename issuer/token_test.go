package issuer

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// checkRefused checks what the peer and the log were told of a refusal.
func checkRefused(t *testing.T, got result, status int, code string, reason Reason) {
	t.Helper()
	if got.event.Refusal == nil {
		t.Fatalf("got status %d %v and no refusal", got.status, got.body)
	}
	if got.status != status || got.body["error"] != code || got.event.Refusal.Reason != reason {
		t.Errorf("got %d %v, log %q; want %d %s, log %q", got.status, got.body, got.event.Refusal, status, code, reason)
	}
	if got.body["access_token"] != nil {
		t.Error("a refusal with a token")
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got Cache-Control %q", got.header.Get("Cache-Control"))
	}
	if challenge := got.header.Get("WWW-Authenticate"); (challenge != "") != (status == http.StatusUnauthorized) {
		t.Errorf("got status %d with WWW-Authenticate %q", status, challenge)
	}
}

func checkGranted(t *testing.T, got result) {
	t.Helper()
	if got.status != http.StatusOK || got.event.Refusal != nil {
		t.Fatalf("got %d %v, log %v", got.status, got.body, got.event.Refusal)
	}
}

func TestGrant(t *testing.T) {
	f := newFixture(t, nil)
	thumbprint := func(s *keys.Signer) string { return s.Public().Thumbprint().String() }
	jwkOf := func(s *keys.Signer) map[string]any {
		jwk, err := s.Public().MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return jsonObject(t, jwk)
	}
	basic := func(id string) func(*testing.T) *tokenRequest {
		return func(*testing.T) *tokenRequest { return request(id) }
	}
	withDPoP := func(id string) func(*testing.T) *tokenRequest {
		return func(t *testing.T) *tokenRequest {
			q := request(id)
			f.addProof(t, q, nil)
			return q
		}
	}
	withSignature := func(id string, change func(*httpsig.SignerConfig)) func(*testing.T) *tokenRequest {
		return func(t *testing.T) *tokenRequest {
			q := request(id)
			f.addSignature(t, q, change)
			return q
		}
	}
	htsk := map[string]any{"htsk": map[string]any{"alg": "ed25519", "pub": jwkOf(f.runtimeKey)["x"]}}
	jkt := map[string]any{"jkt": thumbprint(f.dpopKey)}
	for _, tc := range []struct {
		name      string
		request   func(*testing.T) *tokenRequest
		client    string
		tokenType string
		cnf       any
		binding   Binding
		key       keys.Thumbprint
	}{
		{"DPoP, any binding", withDPoP("any"), "any", "DPoP", jkt, DPoP, f.dpopKey.Public().Thumbprint()},
		{"DPoP, its binding", withDPoP("dpop"), "dpop", "DPoP", jkt, DPoP, f.dpopKey.Public().Thumbprint()},
		{"DPoP where none is needed", withDPoP("unbound"), "unbound", "DPoP", jkt, DPoP, f.dpopKey.Public().Thumbprint()},
		{"run-time key, any binding", withSignature("any", nil), "any", "httpsig", htsk, HTTPSigRuntime, f.runtimeKey.Public().Thumbprint()},
		{"run-time key, its binding", withSignature("runtime", nil), "runtime", "httpsig", htsk, HTTPSigRuntime, f.runtimeKey.Public().Thumbprint()},
		{"pre-registered key", withSignature("signed", f.preregistered), "signed", "httpsig",
			map[string]any{"jwk": jwkOf(f.signedKey)}, HTTPSigPreregistered, f.signedKey.Public().Thumbprint()},
		{"none", basic("unbound"), "unbound", "Bearer", nil, "", keys.Thumbprint{}},
		{"private_key_jwt and DPoP", func(t *testing.T) *tokenRequest {
			q := f.asserted(t, nil)
			f.addProof(t, q, nil)
			return q
		}, "jwt", "DPoP", jkt, DPoP, f.dpopKey.Public().Thumbprint()},
		{"private_key_jwt and a signature", func(t *testing.T) *tokenRequest {
			q := f.asserted(t, func(_, claims map[string]any) { claims["jti"] = "assertion-2" })
			f.addSignature(t, q, nil)
			return q
		}, "jwt", "httpsig", htsk, HTTPSigRuntime, f.runtimeKey.Public().Thumbprint()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := f.send(t, tc.request(t))
			checkGranted(t, got)
			token, _ := got.body["access_token"].(string)
			header, claims := claimsOf(t, token)
			scope := strings.Join(f.clients[tc.client].Scope, " ")
			want := map[string]any{
				"iss": testIssuer, "sub": tc.client, "client_id": tc.client, "aud": testResource, "scope": scope,
				"iat": float64(testNow.Unix()), "exp": float64(testNow.Unix() + 300), "jti": claims["jti"],
			}
			if tc.cnf != nil {
				want["cnf"] = tc.cnf
			}
			if d := cmp.Diff(claims, want); d != "" {
				t.Errorf("claims: -got +want\n%s", d)
			}
			wantHeader := map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": f.signer(t).Public().KeyID()}
			if d := cmp.Diff(header, wantHeader); d != "" {
				t.Errorf("header: -got +want\n%s", d)
			}
			wantBody := map[string]any{"access_token": token, "token_type": tc.tokenType, "expires_in": 300.0, "scope": scope}
			if d := cmp.Diff(got.body, wantBody); d != "" {
				t.Errorf("answer: -got +want\n%s", d)
			}
			id, _ := claims["jti"].(string)
			wantEvent := Event{Endpoint: "token", ClientID: tc.client, TokenID: id, Audience: testResource,
				Scope: strings.Fields(scope), Binding: tc.binding, Key: tc.key}
			if d := cmp.Diff(got.event, wantEvent); d != "" || len(id) < 22 {
				t.Errorf("event: -got +want\n%s", d)
			}
			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("DPoP-Nonce") != "" {
				t.Errorf("got header %v", got.header)
			}
		})
	}
}

// Each case differs in one thing from a request that is granted.
func TestRequestRefused(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		name   string
		change func(*tokenRequest)
		status int
		code   string
		reason Reason
	}{
		{"GET", func(q *tokenRequest) { q.method = "GET" }, 405, "invalid_request", MethodRefused},
		{"parameter in the query", func(q *tokenRequest) { q.url += "?scope=read" }, 400, "invalid_request", FormRefused},
		{"no content type", func(q *tokenRequest) { q.header.Del("Content-Type") }, 400, "invalid_request", FormRefused},
		{"two content types", func(q *tokenRequest) { q.header.Add("Content-Type", "application/x-www-form-urlencoded") }, 400, "invalid_request", FormRefused},
		{"JSON", func(q *tokenRequest) { q.header.Set("Content-Type", "application/json") }, 400, "invalid_request", FormRefused},
		{"another charset", func(q *tokenRequest) {
			q.header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-16")
		}, 400, "invalid_request", FormRefused},
		{"coded body", func(q *tokenRequest) { q.header.Set("Content-Encoding", "gzip") }, 400, "invalid_request", FormRefused},
		{"body too long", func(q *tokenRequest) { q.form.Set("x", strings.Repeat("x", maxForm)) }, 413, "invalid_request", FormTooLarge},
		{"not a form", func(q *tokenRequest) { q.body = "grant_type=client_credentials&x=%zz" }, 400, "invalid_request", FormRefused},
		{"semicolon", func(q *tokenRequest) { q.body = "grant_type=client_credentials;scope=read" }, 400, "invalid_request", FormRefused},
		{"repeated parameter", func(q *tokenRequest) { q.form["scope"] = []string{"read", "write"} }, 400, "invalid_request", FormRefused},
		{"repeated unknown parameter", func(q *tokenRequest) { q.form["x"] = []string{"1", "1"} }, 400, "invalid_request", FormRefused},
		{"repeated without a value", func(q *tokenRequest) { q.body = "grant_type=client_credentials&scope=read&scope=" }, 400, "invalid_request", FormRefused},
		{"no grant type", func(q *tokenRequest) { q.form.Del("grant_type") }, 400, "invalid_request", FormRefused},
		{"grant type without a value", func(q *tokenRequest) { q.form.Set("grant_type", "") }, 400, "invalid_request", FormRefused},
		{"another grant type", func(q *tokenRequest) { q.form.Set("grant_type", "password") }, 400, "unsupported_grant_type", GrantRefused},
		{"grant type in capitals", func(q *tokenRequest) { q.form.Set("grant_type", "CLIENT_CREDENTIALS") }, 400, "unsupported_grant_type", GrantRefused},
		{"a scope that isn't the client's", func(q *tokenRequest) { q.form.Set("scope", "read admin") }, 400, "invalid_scope", ScopeRefused},
		{"two spaces in the scope", func(q *tokenRequest) { q.form.Set("scope", "read  write") }, 400, "invalid_scope", ScopeRefused},
		{"another resource", func(q *tokenRequest) { q.form.Set("resource", "https://evil.example") }, 400, "invalid_target", TargetRefused},
		{"a resource by another spelling", func(q *tokenRequest) { q.form.Set("resource", testResource+"/") }, 400, "invalid_target", TargetRefused},
		{"two resources", func(q *tokenRequest) { q.form["resource"] = []string{testResource, testResource} }, 400, "invalid_target", TargetRefused},
		{"two resources and another parameter twice", func(q *tokenRequest) {
			q.form["resource"], q.form["scope"] = []string{testResource, testResource}, []string{"read", "read"}
		}, 400, "invalid_request", FormRefused},
		{"another audience", func(q *tokenRequest) { q.form.Set("audience", "https://evil.example") }, 400, "invalid_target", TargetRefused},
		{"resource and audience", func(q *tokenRequest) {
			q.form.Set("resource", testResource)
			q.form.Set("audience", testResource)
		}, 400, "invalid_target", TargetRefused},
		{"a client that gets no tokens", func(q *tokenRequest) { q.basic("rs", testSecret) }, 400, "unauthorized_client", ClientRefused},

		{"no authentication", func(q *tokenRequest) { q.header.Del("Authorization") }, 401, "invalid_client", AuthMissing},
		{"client_id alone", func(q *tokenRequest) {
			q.header.Del("Authorization")
			q.form.Set("client_id", "any")
		}, 401, "invalid_client", AuthMissing},
		{"two Authorization fields", func(q *tokenRequest) { q.header.Add("Authorization", q.header.Get("Authorization")) }, 400, "invalid_request", AuthAmbiguous},
		{"secret and assertion", func(q *tokenRequest) {
			q.form.Set("client_assertion_type", jwtBearer)
			q.form.Set("client_assertion", f.assertion(t, f.jwtKey, nil))
		}, 400, "invalid_request", AuthAmbiguous},
		{"secret in the body", func(q *tokenRequest) {
			q.header.Del("Authorization")
			q.form.Set("client_id", "any")
			q.form.Set("client_secret", testSecret)
		}, 401, "invalid_client", AuthRefused},
		{"secret in the body, too", func(q *tokenRequest) { q.form.Set("client_secret", testSecret) }, 400, "invalid_request", AuthAmbiguous},
		{"another client_id in the body", func(q *tokenRequest) { q.form.Set("client_id", "dpop") }, 400, "invalid_request", AuthAmbiguous},
		{"another scheme", func(q *tokenRequest) { q.header.Set("Authorization", "Bearer abc") }, 401, "invalid_client", AuthRefused},
		{"Basic without base64", func(q *tokenRequest) { q.header.Set("Authorization", "Basic ???") }, 401, "invalid_client", AuthRefused},
		{"Basic that isn't form-encoded", func(q *tokenRequest) { q.header.Set("Authorization", "Basic YW55OiV6eg==") }, 401, "invalid_client", AuthRefused},
		{"unknown client", func(q *tokenRequest) { q.basic("nobody", testSecret) }, 401, "invalid_client", AuthRefused},
		{"wrong secret", func(q *tokenRequest) { q.basic("any", testSecret[1:]+"x") }, 401, "invalid_client", SecretMismatch},
		{"no secret", func(q *tokenRequest) { q.basic("any", "") }, 401, "invalid_client", SecretMismatch},
		{"secret for a client with keys", func(q *tokenRequest) { q.basic("jwt", testSecret) }, 401, "invalid_client", AuthRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claims := len(f.guard.claims)
			q := request("any")
			f.addProof(t, q, nil)
			tc.change(q)
			checkRefused(t, f.send(t, q), tc.status, tc.code, tc.reason)
			if len(f.guard.claims) != claims {
				t.Error("a refused request claimed something")
			}
		})
	}
}

func TestScopeAndAudience(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		name            string
		form            url.Values
		scope, audience string
	}{
		{"defaults", url.Values{}, "read write", testResource},
		{"one scope", url.Values{"scope": {"write"}}, "write", testResource},
		{"scopes in another order", url.Values{"scope": {"write read"}}, "write read", testResource},
		{"a scope twice", url.Values{"scope": {"write write"}}, "write", testResource},
		{"resource", url.Values{"resource": {"https://other.example"}}, "read write", "https://other.example"},
		{"audience", url.Values{"audience": {"https://other.example"}}, "read write", "https://other.example"},
		{"parameters without a value", url.Values{"scope": {""}, "resource": {""}, "client_id": {""}}, "read write", testResource},
		{"client_id", url.Values{"client_id": {"any"}}, "read write", testResource},
		{"unknown parameter", url.Values{"x": {"y"}}, "read write", testResource},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := request("any")
			for name, values := range tc.form {
				q.form[name] = values
			}
			f.addProof(t, q, nil)
			got := f.send(t, q)
			checkGranted(t, got)
			if got.event.Audience != tc.audience || got.body["scope"] != tc.scope {
				t.Errorf("got %q %v, want %q %q", got.event.Audience, got.body["scope"], tc.audience, tc.scope)
			}
		})
	}
}

// A client id may hold what Basic can't carry as it is (RFC 6749, section 2.3.1).
func TestBasicIsFormEncoded(t *testing.T) {
	f := newFixture(t, func(cfg *Config) { cfg.Clients[0].ID = "https://client.example/a%3Ab" })
	q := request("https://client.example/a%3Ab")
	f.addProof(t, q, nil)
	checkGranted(t, f.send(t, q))
}

// The peer learns nothing about which part of an authentication failed.
func TestAuthenticationFailuresLookAlike(t *testing.T) {
	f := newFixture(t, nil)
	var first result
	for i, q := range []*tokenRequest{
		request("nobody"), request("jwt"), f.asserted(t, func(_, claims map[string]any) { claims["sub"] = "nobody" }),
		f.asserted(t, func(_, claims map[string]any) { claims["aud"] = "https://other.example" }),
	} {
		f.addProof(t, q, nil)
		got := f.send(t, q)
		if i == 0 {
			first = got
		}
		if d := cmp.Diff(got.body, first.body); d != "" || got.status != first.status {
			t.Errorf("case %d: status %d, -got +want\n%s", i, got.status, d)
		}
	}
}
