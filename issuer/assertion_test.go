package issuer

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// Each case differs in one thing from an assertion that is accepted.
func TestAssertionRefused(t *testing.T) {
	f := newFixture(t, nil)
	claim := func(name string, value any) func(header, claims map[string]any) {
		return func(_, claims map[string]any) { claims[name] = value }
	}
	without := func(name string) func(header, claims map[string]any) {
		return func(_, claims map[string]any) { delete(claims, name) }
	}
	header := func(name string, value any) func(header, claims map[string]any) {
		return func(header, _ map[string]any) { header[name] = value }
	}
	in := func(d time.Duration) int64 { return testNow.Add(d).Unix() }
	for _, tc := range []struct {
		name   string
		change func(header, claims map[string]any)
		reason Reason
		part   string
	}{
		{"no iss", without("iss"), AssertionRefused, "iss"},
		{"another iss", claim("iss", "any"), AssertionRefused, "iss"},
		{"no sub", without("sub"), AuthRefused, "sub"},
		{"sub of an unknown client", claim("sub", "nobody"), AuthRefused, "sub"},
		{"sub of a client with a secret", claim("sub", "any"), AuthRefused, "method"},
		{"sub isn't a string", claim("sub", 1), AssertionRefused, "sub"},
		{"no aud", without("aud"), AssertionRefused, "aud"},
		{"aud is the token endpoint", claim("aud", testToken), AssertionRefused, "aud"},
		{"aud is an array", claim("aud", []string{testIssuer}), AssertionRefused, "aud"},
		{"aud with a slash", claim("aud", testIssuer+"/"), AssertionRefused, "aud"},
		{"another aud", claim("aud", "https://evil.example"), AssertionRefused, "aud"},
		{"no exp", without("exp"), AssertionRefused, "exp"},
		{"exp is text", claim("exp", "1"), AssertionRefused, "exp"},
		{"expired 5 minutes ago", claim("exp", in(-5*time.Minute)), AssertionRefused, "exp"},
		{"expired now", claim("exp", in(0)), AssertionRefused, "exp"},
		{"exp too far ahead", claim("exp", in(assertionLife+skew+time.Second)), AssertionRefused, "exp"},
		{"nbf 60 s ahead", claim("nbf", in(60*time.Second)), AssertionRefused, "nbf"},
		{"iat 60 s ahead", claim("iat", in(60*time.Second)), AssertionRefused, "iat"},
		{"iat long ago", claim("iat", in(-time.Hour)), AssertionRefused, "iat"},
		{"no jti", without("jti"), AssertionRefused, "jti"},
		{"jti is empty", claim("jti", ""), AssertionRefused, "jti"},
		{"typ of a DPoP proof", header("typ", "dpop+jwt"), AssertionRefused, "typ"},
		{"typ of an access token", header("typ", "at+jwt"), AssertionRefused, "typ"},
		{"no kid", header("kid", ""), AssertionRefused, "kid"},
		{"unknown kid", header("kid", "jwt-2"), AssertionRefused, "kid"},
		{"kid of another key", header("kid", "jwt-eddsa"), AssertionRefused, "signature"},
		{"RS256", header("alg", "RS256"), AssertionRefused, "alg"},
		{"ES384", header("alg", "ES384"), AssertionRefused, "alg"},
		{"none", header("alg", "none"), AssertionRefused, "alg"},
		{"HS256", header("alg", "HS256"), AssertionRefused, "alg"},
		{"alg of another key type", header("alg", "PS256"), AssertionRefused, "signature"},
		{"critical extension", header("crit", []string{"exp"}), AssertionRefused, "client_assertion"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claims := len(f.guard.claims)
			q := f.asserted(t, tc.change)
			f.addProof(t, q, nil)
			got := f.send(t, q)
			checkRefused(t, got, http.StatusUnauthorized, "invalid_client", tc.reason)
			if got.event.Refusal.Part != tc.part {
				t.Errorf("got part %q, want %q", got.event.Refusal.Part, tc.part)
			}
			if len(f.guard.claims) != claims {
				t.Error("a refused request claimed something")
			}
		})
	}
}

// What is wrong with the parameters, rather than with what the assertion says.
func TestAssertionParametersRefused(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		name   string
		change func(*tokenRequest)
		status int
		code   string
		reason Reason
	}{
		{"another type", func(q *tokenRequest) {
			q.form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		}, 401, "invalid_client", AssertionRefused},
		{"no type", func(q *tokenRequest) { q.form.Del("client_assertion_type") }, 401, "invalid_client", AssertionRefused},
		{"no assertion", func(q *tokenRequest) { q.form.Del("client_assertion") }, 401, "invalid_client", AssertionRefused},
		{"not a JWT", func(q *tokenRequest) { q.form.Set("client_assertion", "x") }, 401, "invalid_client", AssertionRefused},
		{"another client_id", func(q *tokenRequest) { q.form.Set("client_id", "any") }, 400, "invalid_request", AuthAmbiguous},
		{"signed by another key", func(q *tokenRequest) {
			q.form.Set("client_assertion", f.assertion(t, f.dpopKey, func(header, _ map[string]any) { header["kid"] = "jwt-1" }))
		}, 401, "invalid_client", AssertionRefused},
		{"duplicate claim", func(q *tokenRequest) {
			q.form.Set("client_assertion", sealText(t, f.jwtKey, `{"alg":"ES256","kid":"jwt-1"}`, `{"sub":"jwt","sub":"jwt"}`))
		}, 401, "invalid_client", AssertionRefused},
		{"claims aren't an object", func(q *tokenRequest) {
			q.form.Set("client_assertion", sealText(t, f.jwtKey, `{"alg":"ES256","kid":"jwt-1"}`, `[]`))
		}, 401, "invalid_client", AssertionRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := f.asserted(t, nil)
			f.addProof(t, q, nil)
			tc.change(q)
			checkRefused(t, f.send(t, q), tc.status, tc.code, tc.reason)
		})
	}
}

func TestAssertionAccepted(t *testing.T) {
	f := newFixture(t, nil)
	in := func(d time.Duration) int64 { return testNow.Add(d).Unix() }
	for _, tc := range []struct {
		name   string
		key    *keys.Signer
		header map[string]any
		claims map[string]any
	}{
		{"plain", f.jwtKey, nil, nil},
		{"nbf and iat 8 s ahead", f.jwtKey, nil, map[string]any{"nbf": in(8 * time.Second), "iat": in(8 * time.Second)}},
		{"exp in 5 minutes", f.jwtKey, nil, map[string]any{"exp": in(assertionLife)}},
		{"exp with a fraction", f.jwtKey, nil, map[string]any{"exp": float64(in(time.Minute)) + 0.5}},
		{"no iat", f.jwtKey, nil, map[string]any{"iat": nil}},
		{"typ of client authentication", f.jwtKey, map[string]any{"typ": "client-authentication+jwt"}, nil},
		{"EdDSA", f.eddsaKey, nil, nil},
		{"Ed25519, its newer name", f.eddsaKey, map[string]any{"alg": "Ed25519"}, nil},
		{"unknown claim", f.jwtKey, nil, map[string]any{"x": []int{1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := f.asserted(t, nil)
			q.form.Set("client_assertion", f.assertion(t, tc.key, func(header, claims map[string]any) {
				claims["jti"] = tc.name
				maps.Copy(header, tc.header)
				maps.Copy(claims, tc.claims)
				maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
			}))
			q.form.Set("client_id", "jwt")
			f.addProof(t, q, nil)
			checkGranted(t, f.send(t, q))
		})
	}
}

// A key that names no algorithm takes those of its type that we take.
func TestAssertionKeysWithoutAlg(t *testing.T) {
	rsa, p256, p384 := newKey(t, keys.PS256, "rsa"), newKey(t, keys.ES256, "p256"), newKey(t, keys.ES384, "p384")
	open := func(s *keys.Signer) *keys.Public {
		key, err := keys.NewPublic(s.Public().Key(), s.Public().KeyID(), "")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	f := newFixture(t, func(cfg *Config) { cfg.Clients[11].Keys = []*keys.Public{open(rsa), open(p256), open(p384)} })
	for _, tc := range []struct {
		name   string
		signer *keys.Signer
		alg    string
		ok     bool
	}{
		{"PS256", rsa, "PS256", true},
		{"ES256", p256, "ES256", true},
		{"RS256", rsa, "RS256", false},
		{"PS384", rsa, "PS384", false},
		{"ES384", p384, "ES384", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := f.asserted(t, nil)
			q.form.Set("client_assertion", f.assertion(t, tc.signer, func(header, claims map[string]any) {
				header["alg"], claims["jti"] = tc.alg, tc.name
			}))
			f.addProof(t, q, nil)
			if got := f.send(t, q); tc.ok {
				checkGranted(t, got)
			} else {
				checkRefused(t, got, http.StatusUnauthorized, "invalid_client", AssertionRefused)
			}
		})
	}
	for _, only := range []*keys.Signer{rsa, p256} {
		newFixture(t, func(cfg *Config) { cfg.Clients[11].Keys = []*keys.Public{open(only)} })
	}
	cfg := f.cfg
	cfg.Clients[11].Keys = []*keys.Public{open(p384)}
	if _, err := New(cfg); err == nil {
		t.Error("accepted a client whose only key can't sign assertions")
	}
}

func TestAssertionOnce(t *testing.T) {
	f := newFixture(t, nil)
	q := f.asserted(t, nil)
	f.addProof(t, q, nil)
	checkGranted(t, f.send(t, q))
	q.header.Del("DPoP")
	f.addProof(t, q, nil)
	checkRefused(t, f.send(t, q), http.StatusUnauthorized, "invalid_client", AssertionUsed)
	// The same jti in another assertion is the same use.
	q = f.asserted(t, func(_, claims map[string]any) { claims["exp"] = testNow.Add(30 * time.Second).Unix() })
	f.addProof(t, q, nil)
	checkRefused(t, f.send(t, q), http.StatusUnauthorized, "invalid_client", AssertionUsed)
}
