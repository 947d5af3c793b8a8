package issuer

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

var fapiFlows = []behaviour{
	{"discovery-end-point-verification", func(t *testing.T, p *profile) {
		m := jsonObject(t, get(t, p.fixture, "GET", "https://as.example"+wellKnown+"/tenant").Body.Bytes())
		for name, want := range map[string]any{
			"issuer": testIssuer, "token_endpoint": testToken, "authorization_endpoint": testIssuer + "/authorize",
			"pushed_authorization_request_endpoint": testIssuer + "/par", "jwks_uri": testIssuer + "/jwks",
			"authorization_response_iss_parameter_supported": true,
		} {
			if m[name] != want {
				t.Errorf("%s: got %v, want %v", name, m[name], want)
			}
		}
		for name, want := range map[string]string{
			"code_challenge_methods_supported": "S256", "response_types_supported": "code", "grant_types_supported": "authorization_code",
			"token_endpoint_auth_methods_supported": "private_key_jwt", "token_endpoint_auth_signing_alg_values_supported": "PS256",
			"dpop_signing_alg_values_supported": "ES256",
		} {
			list, _ := m[name].([]any)
			if !slices.Contains(list, any(want)) || slices.Contains(list, any("RS256")) || slices.Contains(list, any("plain")) {
				t.Errorf("%s: got %v", name, list)
			}
		}
	}},
	{"happy-flow", func(t *testing.T, p *profile) {
		q := p.pushing(t)
		p.prove(t, q, p.dpopKey, nil)
		got := p.send(t, p.redeeming(t, p.approved(t, q).Get("code")))
		checkGranted(t, got)
		_, claims := claimsOf(t, got.body["access_token"].(string))
		confirmation, _ := claims["cnf"].(map[string]any)
		if got.body["token_type"] != "DPoP" || confirmation["jkt"] != p.dpopKey.Public().Thumbprint().String() || claims["sub"] != "alice" {
			t.Errorf("got %v with claims %v", got.body["token_type"], claims)
		}
	}},
	{"user-rejects-authentication", func(t *testing.T, p *profile) {
		q := p.pushing(t)
		q.form.Set("prompt", "consent")
		asked := p.browser.authorize(p.pushed(t, q))
		got := response(t, p.browser.decide(fillIn(asked, "deny"), nil), testRedirect)
		if got.Get("error") != "access_denied" || got.Has("code") || got.Get("state") != q.form.Get("state") {
			t.Errorf("got %v", got)
		}
	}},
	{"ensure-other-scope-order-succeeds", flows(set("scope", "write read"))},
	{"ensure-authorization-request-without-state-success", flows(set("state", ""))},
	{"ensure-authorization-request-without-nonce-success", flows(set("nonce", ""))},
	{"ensure-authorization-request-with-64-char-nonce-success", flows(set("nonce", strings.Repeat("n", 64)))},
	{"ensure-authorization-request-with-long-nonce", flows(set("nonce", strings.Repeat("n", 384)))},
	{"ensure-authorization-request-with-long-state", flows(set("state", strings.Repeat("s", 384)))},
}

var fapiPushes = []behaviour{
	{"ensure-registered-redirect-uri", pushRefused("invalid_request", RedirectRefused, set("redirect_uri", testRedirect+"2"))},
	{"plain-fapi-tolerate-unregistered-redirect-uri", pushRefused("invalid_request", RedirectRefused, set("redirect_uri", testRedirect+"?unregistered=1"))},
	{"ensure-redirect-uri-in-authorization-request", pushRefused("invalid_request", RedirectRefused, set("redirect_uri", ""))},
	{"ensure-response-type-code-idtoken-fails", pushRefused("unsupported_response_type", ResponseTypeRefused, set("response_type", "code id_token"))},
	{"ensure-response-type-token-fails", pushRefused("unsupported_response_type", ResponseTypeRefused, set("response_type", "token"))},
	{"par-authorization-request-containing-request_uri-form-param", pushRefused("invalid_request", ParameterRefused, set("request_uri", requestURI+"x"))},
	{"par-attempt-invalid-http-method", pushRefused("invalid_request", MethodRefused, func(_ *testing.T, _ *profile, q *tokenRequest) { q.method = "PUT" })},
	{"par-ensure-pkce-required", pushRefused("invalid_request", PKCERefused, func(_ *testing.T, _ *profile, q *tokenRequest) {
		q.form.Del("code_challenge")
		q.form.Del("code_challenge_method")
	})},
	{"par-plain-pkce-rejected", pushRefused("invalid_request", PKCERefused, set("code_challenge_method", "plain"))},
}

var fapiRequestURIs = []behaviour{
	{"ensure-unsigned-authorization-request-without-using-par-fails", func(t *testing.T, p *profile) {
		if got := response(t, p.browser.authorize(asking("fapi")), testRedirect); got.Get("error") != "invalid_request" || got.Has("code") {
			t.Errorf("got %v", got)
		}
	}},
	{"par-without-duplicate-parameters", flows(nil)}, // client_id and request_uri are enough
	{"par-attempt-reuse-request_uri", func(t *testing.T, p *profile) {
		query := p.pushed(t, p.pushing(t))
		w := p.browser.authorize(query)
		if w.Code == http.StatusOK {
			w = p.browser.decide(fillIn(w, "allow"), nil)
		}
		response(t, w, testRedirect)
		refusedPage(t, p.browser.authorize(query))
	}},
	{"par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", func(t *testing.T, p *profile) {
		q := p.pushing(t)
		q.form.Set("prompt", "consent")
		query := p.pushed(t, q)
		p.browser.authorize(query)
		response(t, p.browser.decide(fillIn(p.browser.authorize(query), "allow"), nil), testRedirect)
	}},
	{"par-attempt-to-use-expired-request_uri", func(t *testing.T, p *profile) {
		query := p.pushed(t, p.pushing(t))
		p.now = p.now.Add(time.Minute)
		refusedPage(t, p.browser.authorize(query))
	}},
	{"par-attempt-to-use-request_uri-for-different-client", func(t *testing.T, p *profile) {
		query := p.pushed(t, p.pushing(t))
		query.Set("client_id", "fapi-2")
		refusedPage(t, p.browser.authorize(query))
	}},
}

var fapiAssertions = []behaviour{
	{"par-test-array-as-audience-fails", pushRefused("invalid_client", AssertionRefused, asserting(func(_, claims map[string]any, _ time.Time) {
		claims["aud"] = []string{testIssuer, testToken}
	}))},
	{"par-test-par-endpoint-url-as-audience-fails", pushRefused("invalid_client", AssertionRefused, asserting(func(_, claims map[string]any, _ time.Time) {
		claims["aud"] = testIssuer + "/par"
	}))},
	{"par-test-token-endpoint-url-as-audience-fails", pushRefused("invalid_client", AssertionRefused, asserting(func(_, claims map[string]any, _ time.Time) {
		claims["aud"] = testToken
	}))},
	{"par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted", flows(asserting(func(_, claims map[string]any, now time.Time) {
		claims["nbf"] = now.Add(8 * time.Second).Unix()
	}))},
	{"par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails", pushRefused("invalid_client", AssertionRefused, asserting(func(_, claims map[string]any, now time.Time) {
		claims["nbf"] = now.Add(61 * time.Second).Unix()
	}))},
	{"ensure-client-assertion-in-token-endpoint", redemptionRefused("invalid_client", AuthMissing, func(_ *testing.T, _ *profile, q *tokenRequest) {
		q.form.Del("client_assertion")
		q.form.Del("client_assertion_type")
		q.form.Set("client_id", "fapi")
	})},
	{"ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", redemptionRefused("invalid_client", AssertionRefused, asserting(func(_, claims map[string]any, now time.Time) {
		claims["exp"] = now.Add(-5 * time.Minute).Unix()
	}))},
	{"ensure-client-assertion-with-wrong-aud-fails", redemptionRefused("invalid_client", AssertionRefused, asserting(func(_, claims map[string]any, _ time.Time) {
		claims["aud"] = "https://other.example"
	}))},
	{"ensure-client-assertion-with-no-sub-fails", redemptionRefused("invalid_client", AuthRefused, asserting(func(_, claims map[string]any, _ time.Time) {
		delete(claims, "sub")
	}))},
	{"ensure-signed-client-assertion-with-RS256-fails", redemptionRefused("invalid_client", AssertionRefused, func(t *testing.T, p *profile, q *tokenRequest) {
		p.assert(t, q, "fapi", p.rsaKey, nil)
	})},
	{"ensure-client-id-in-token-endpoint", func(t *testing.T, _ *profile) {
		cert := newCertificate(t, nil)
		f := newFixture(t, certificateClient(TLSClientAuth, TLSIdentity{DNS: "worker.example"}))
		checkGranted(t, f.over(t, cert, true, nil))
		checkCode(t, f.over(t, cert, true, func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("grant_type=client_credentials"))
		}), "invalid_client", AuthMissing)
	}},
}

var fapiRedemptions = []behaviour{
	{"ensure-pkce-code-verifier-required", redemptionRefused("invalid_request", FormRefused, set("code_verifier", ""))},
	{"incorrect-pkce-code-verifier-rejected", redemptionRefused("invalid_grant", CodeRefused, set("code_verifier", strings.Repeat("v", 43)))},
	{"ensure-authorization-code-is-bound-to-client", redemptionRefused("invalid_grant", CodeRefused, func(t *testing.T, p *profile, q *tokenRequest) {
		p.assert(t, q, "fapi-2", p.assertions["fapi-2"], nil)
	})},
	{"attempt-reuse-authorization-code-after-one-second", func(t *testing.T, p *profile) {
		code := p.approved(t, p.pushing(t)).Get("code")
		got := p.send(t, p.redeeming(t, code))
		checkGranted(t, got)
		p.now = p.now.Add(time.Second)
		checkCode(t, p.send(t, p.redeeming(t, code)), "invalid_grant", CodeUsed)
		if p.send(t, introspectionOf("rs", got.body["access_token"].(string))).body["active"] != false {
			t.Error("the tokens that it gave are still good")
		}
	}},
	{"ensure-token-endpoint-fails-with-expired-auth-code", func(t *testing.T, p *profile) {
		code := p.approved(t, p.pushing(t)).Get("code")
		p.now = p.now.Add(time.Minute)
		checkCode(t, p.send(t, p.redeeming(t, code)), "invalid_grant", CodeRefused)
	}},
	{"refresh-token", func(t *testing.T, p *profile) {
		got := p.send(t, p.redeeming(t, p.approved(t, p.pushing(t)).Get("code")))
		checkGranted(t, got)
		token, _ := got.body["refresh_token"].(string)

		q := p.refreshing(t, "fapi", token)
		q.form.Del("client_assertion")
		q.form.Del("client_assertion_type")
		q.form.Set("client_id", "fapi")
		checkCode(t, p.send(t, q), "invalid_client", AuthMissing)
		q = p.refreshing(t, "fapi", token)
		q.header.Del("DPoP")
		checkCode(t, p.send(t, q), "invalid_request", ProofMissing)
		checkCode(t, p.send(t, p.refreshing(t, "fapi-2", token)), "invalid_grant", RefreshRefused)

		// The refresh token is the client's by its authentication; another instance of it has a key of its own.
		q = p.refreshing(t, "fapi", token)
		other := newKey(t, keys.ES256, "")
		p.prove(t, q, other, nil)
		got = p.send(t, q)
		checkGranted(t, got)
		_, claims := claimsOf(t, got.body["access_token"].(string))
		if confirmation, _ := claims["cnf"].(map[string]any); confirmation["jkt"] != other.Public().Thumbprint().String() {
			t.Errorf("got cnf %v", confirmation)
		}
	}},
}

var fapiProofs = []behaviour{
	{"check-dpop-proof-nbf-exp", func(t *testing.T, p *profile) {
		q := p.redeeming(t, p.approved(t, p.pushing(t)).Get("code"))
		p.prove(t, q, p.dpopKey, func(d *dpop.Params) {
			d.Claims = map[string]any{"nbf": p.now.Unix(), "exp": p.now.Add(5 * time.Minute).Unix()}
		})
		checkGranted(t, p.send(t, q))
	}},
	{"ensure-dpopproof-with-iat-10seconds-before-succeeds", provedAt(-10 * time.Second)},
	{"ensure-dpopproof-with-iat-10seconds-after-succeeds", provedAt(10 * time.Second)},
	{"ensure-mismatched-dpop-jkt-fails", pushRefused("invalid_dpop_proof", JKTMismatch, func(t *testing.T, p *profile, q *tokenRequest) {
		q.form.Set("dpop_jkt", p.runtimeKey.Public().Thumbprint().String())
		p.prove(t, q, p.dpopKey, nil)
	})},
	{"ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt", func(t *testing.T, p *profile) {
		q := p.pushing(t)
		p.prove(t, q, p.runtimeKey, nil)
		checkCode(t, p.send(t, p.redeeming(t, p.approved(t, q).Get("code"))), "invalid_grant", KeyMismatch)
	}},
	{"ensure-token-endpoint-fails-with-mismatched-dpop-jkt", func(t *testing.T, p *profile) {
		q := p.pushing(t)
		q.form.Set("dpop_jkt", p.runtimeKey.Public().Thumbprint().String())
		checkCode(t, p.send(t, p.redeeming(t, p.approved(t, q).Get("code"))), "invalid_grant", KeyMismatch)
	}},
	{"ensure-dpopproof-at-par-endpoint-binding-success", flows(func(t *testing.T, p *profile, q *tokenRequest) {
		p.prove(t, q, p.dpopKey, nil)
	})},
	{"ensure-dpop-auth-code-binding-success", flows(func(_ *testing.T, p *profile, q *tokenRequest) {
		q.form.Set("dpop_jkt", p.dpopKey.Public().Thumbprint().String())
	})},
	{"ensure-holder-of-key-required", redemptionRefused("invalid_request", ProofMissing, func(_ *testing.T, _ *profile, q *tokenRequest) {
		q.header.Del("DPoP")
	})},
}

// provedAt says that proofs made by a clock that is off are good, where requests are pushed and where tokens are.
func provedAt(off time.Duration) func(*testing.T, *profile) {
	return func(t *testing.T, p *profile) {
		at := func(d *dpop.Params) { d.Now = p.now.Add(off) }
		q := p.pushing(t)
		p.prove(t, q, p.dpopKey, at)
		q = p.redeeming(t, p.approved(t, q).Get("code"))
		p.prove(t, q, p.dpopKey, at)
		checkGranted(t, p.send(t, q))
	}
}
