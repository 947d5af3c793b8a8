package interop

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// renewed gives a request a proof that wasn't sent before.
func (d *try) renewed(a *attempt) { a.proofs = []string{d.proof(a.endpoint, d.key)} }

// must sends a request that is to be accepted, and renews it.
func (d *try) must(a *attempt) map[string]any {
	d.t.Helper()
	outcome, answer := d.send(a)
	if outcome != accepted {
		d.t.Fatalf("%s: %s: got %s %v for a good request", d.s.name, a.endpoint, outcome, answer)
	}
	if len(a.proofs) > 0 {
		d.renewed(a)
	}
	return answer
}

func portalCode(d *try) *attempt    { return d.redemption("portal", nil) }
func portalRefresh(d *try) *attempt { return d.refreshing("portal") }

// boundCode is a code for the key of the proof alone.
func boundCode(d *try) *attempt {
	return d.redemption("spa", url.Values{"dpop_jkt": {d.key.Public().Thumbprint().String()}})
}

// without takes the client's authentication away, and leaves its name.
func without(client string) func(*try, *attempt) {
	return func(_ *try, a *attempt) {
		a.header.Del("Authorization")
		a.form.Set("client_id", client)
	}
}

// byPortal has another client send it.
func byPortal(d *try, a *attempt) {
	a.form.Del("client_id")
	basic("portal", peerSecret)(d, a)
}

// clientCases are about RFC 6749, sections 2.3 and 5.2, RFC 7523, section 3, and RFC 9449, section 4.3.
var clientCases = []differentialCase{
	{"proof: by an RSA key", false, func(d *try) *attempt {
		d.key = generate(d.t, keys.PS256)
		return withProof(headed("alg", "PS256"))(d)
	}},
	{"proof: with a broken signature", false, changed(shop, func(_ *try, a *attempt) { a.proofs[0] = broken(a.proofs[0]) })},
	{"proof: an unknown `crit`", false, withProof(headed("crit", []string{"x"}), headed("x", 1))},
	{"proof: `jti` of 4,096 characters", false, withProof(claim("jti", strings.Repeat("j", 4096)))},
	{"proof: `htu` the issuer", false, func(d *try) *attempt { return withProof(claim("htu", d.s.issuer))(d) }},
	{"proof: not good yet by `nbf`", false, withProof(timed("nbf", time.Hour))},
	{"proof: a nonce of nobody", true, withProof(claim("nonce", nobodysNonce))},
	{"proof: a nonce that is a number", false, withProof(claim("nonce", 1))},
	{"proof: `jti` of another key's proof", true, func(d *try) *attempt {
		d.must(withProof(claim("jti", "the-same"))(d))
		d.key = generate(d.t, keys.ES256)
		return withProof(claim("jti", "the-same"))(d)
	}},

	{"client: Basic without a colon", false, changed(shop, func(_ *try, a *attempt) {
		a.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("shop")))
	})},
	{"client: its secret as a Bearer token", false, changed(shop, func(_ *try, a *attempt) { a.header.Set("Authorization", "Bearer "+peerSecret) })},
	{"client: an assertion of another beside", false, changed(shop, func(d *try, a *attempt) {
		for _, name := range []string{"client_assertion", "client_assertion_type"} {
			a.form[name] = d.service("robot").form[name]
		}
	})},
	{"client: a public one with a secret", false, changed(shop, basic("spa", peerSecret))},
	{"client: a public one for itself", false, changed(shop, without("spa"))},

	{"assertion: no JWT", false, changed(robot, parameter("client_assertion", "x"))},
	{"assertion: none", false, changed(robot, func(d *try, a *attempt) {
		parameter("client_assertion")(d, a)
		parameter("client_assertion_type")(d, a)
		parameter("client_id", "robot")(d, a)
	})},
	{"assertion: `aud` a list of this server", false, func(d *try) *attempt { return withAssertion(claim("aud", []string{d.s.issuer}))(d) }},
	{"assertion: `iat` an hour ahead", false, withAssertion(timed("iat", time.Hour))},
	{"assertion: no `iss`", false, withAssertion(claim("iss", nil))},
	{"assertion: no `sub`", false, withAssertion(claim("sub", nil))},
	{"assertion: `alg` HS256", false, withAssertion(headed("alg", "HS256"))},
	{"assertion: by the key that it brings", false, changed(robot, func(d *try, a *attempt) {
		other := generate(d.t, keys.ES256)
		a.form.Set("client_assertion", d.assertion(other, headed("jwk", other.Public())))
	})},
	{"assertion: with a broken signature", false, changed(robot, func(_ *try, a *attempt) {
		a.form.Set("client_assertion", broken(a.form.Get("client_assertion")))
	})},
	{"assertion: an unknown `kid`", false, withAssertion(headed("kid", "unknown"))},
	{"assertion: no `kid`", false, withAssertion(headed("kid", nil))},
	{"assertion: a proof by its `typ`", false, withAssertion(headed("typ", "dpop+jwt"))},
	{"assertion: beside another `client_id`", false, changed(robot, parameter("client_id", "shop"))},
	{"assertion: after a wrong proof", true, changed(robot, func(d *try, a *attempt) {
		a.proofs = []string{d.proof("token", d.key, claim("htm", "GET"))}
		d.send(a)
		d.renewed(a)
	})},

	{"request: a form that is called text", false, changed(shop, func(_ *try, a *attempt) { a.header.Set("Content-Type", "text/plain") })},
	{"request: a form without Content-Type", false, changed(shop, func(_ *try, a *attempt) { a.header.Del("Content-Type") })},
	{"request: `grant_type` twice", false, changed(shop, parameter("grant_type", "client_credentials", "client_credentials"))},
	{"request: two resources", false, changed(shop, parameter("resource", audience, "https://other.example"))},
	{"request: a resource with a fragment", false, changed(shop, parameter("resource", audience+"#a"))},
}

// broken changes the first character of a JWT's signature.
func broken(jwt string) string {
	at := strings.LastIndexByte(jwt, '.') + 1
	other := "A"
	if jwt[at] == 'A' {
		other = "B"
	}
	return jwt[:at] + other + jwt[at+1:]
}

// grantCases are about RFC 6749, sections 4.1.3 and 6, RFC 9449, sections 5 and 10, and RFC 9700, section 4.14.2.
var grantCases = []differentialCase{
	{"code: an empty verifier", false, changed(code, parameter("code_verifier", ""))},
	{"code: no proof", false, changed(code, func(_ *try, a *attempt) { a.proofs = nil })},
	{"code: for another resource", false, changed(code, parameter("resource", "https://other.example"))},
	{"code: after another client's attempt", true, changed(code, func(d *try, a *attempt) {
		byPortal(d, a)
		d.send(a)
		without("spa")(d, a)
		d.renewed(a)
	})},
	{"code: used before, then its refresh token", false, changed(code, func(d *try, a *attempt) {
		token, _ := d.must(a)["refresh_token"].(string)
		d.send(a)
		d.renewed(a)
		a.form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"spa"}}
	})},
	{"code: for this key (`dpop_jkt`), no proof", false, changed(boundCode, func(_ *try, a *attempt) { a.proofs = nil })},
	{"code: for this key (`dpop_jkt`), after another's attempt", true, changed(boundCode, func(d *try, a *attempt) {
		mine := d.key
		d.key = generate(d.t, keys.ES256)
		d.renewed(a)
		d.send(a)
		d.key = mine
		d.renewed(a)
	})},
	{"code: of a confidential client, no secret", false, changed(portalCode, without("portal"))},
	{"code: of a confidential client, a wrong secret", false, changed(portalCode, basic("portal", peerSecret+"x"))},
	{"code: of a confidential client, by a public one", false, changed(portalCode, without("spa"))},
	{"code: of a confidential client, after a wrong secret", true, changed(portalCode, func(d *try, a *attempt) {
		basic("portal", peerSecret+"x")(d, a)
		d.send(a)
		byPortal(d, a)
		d.renewed(a)
	})},

	{"refresh: no token", false, changed(refresh, parameter("refresh_token"))},
	{"refresh: for another resource", false, changed(refresh, parameter("resource", "https://other.example"))},
	{"refresh: the token as a code", false, changed(refresh, func(_ *try, a *attempt) {
		a.form = url.Values{
			"grant_type": {"authorization_code"}, "code": a.form["refresh_token"], "redirect_uri": {redirectURI},
			"code_verifier": {peerVerifier}, "client_id": {"spa"},
		}
	})},
	{"refresh: rotated, its successor unused", true, changed(refresh, func(d *try, a *attempt) {
		d.must(a)
		d.s.wait(3 * time.Second)
	})},
	{"refresh: rotated, its successor used", false, changed(refresh, func(d *try, a *attempt) { d.rotated(a) })},
	{"refresh: the newest, after one was used again", false, changed(refresh, func(d *try, a *attempt) {
		newest := d.rotated(a)
		d.send(a)
		d.renewed(a)
		a.form["refresh_token"] = newest
	})},
	{"refresh: after a wrong proof", true, changed(refresh, func(d *try, a *attempt) {
		a.proofs = []string{d.proof("token", d.key, claim("htm", "GET"))}
		d.send(a)
		d.renewed(a)
	})},
	{"refresh: of a confidential client, by another key", true, changed(portalRefresh, func(d *try, a *attempt) {
		d.key = generate(d.t, keys.ES256)
		d.renewed(a)
	})},
	{"refresh: of a confidential client, no secret", false, changed(portalRefresh, without("portal"))},
	{"refresh: of a confidential client, by a public one", false, changed(portalRefresh, without("spa"))},
	{"refresh: after a public client's revocation", true, changed(portalRefresh, func(d *try, a *attempt) {
		r := d.post("revocation", "spa")
		r.form["token"] = a.form["refresh_token"]
		d.send(r)
	})},
	{"refresh: revoked", false, changed(portalRefresh, func(d *try, a *attempt) {
		r := d.post("revocation", "portal")
		r.form["token"] = a.form["refresh_token"]
		d.must(r)
	})},
}

// rotated uses a refresh token and its successor, returns the newest, and leaves the first in the request.
func (d *try) rotated(a *attempt) []string {
	d.t.Helper()
	first := a.form["refresh_token"]
	for range 2 {
		token, _ := d.must(a)["refresh_token"].(string)
		a.form["refresh_token"] = []string{token}
	}
	newest := a.form["refresh_token"]
	a.form["refresh_token"] = first
	d.s.wait(3 * time.Second) // in which the answer might have been lost
	return newest
}

// authorizing is a good request by a browser.
func authorizing(d *try) *attempt {
	return &attempt{endpoint: "authorization", method: http.MethodGet, header: http.Header{}, form: asked("spa")}
}

// authorizingPushed is one of a request that was pushed.
func authorizingPushed(d *try) *attempt {
	a := authorizing(d)
	uri, _ := d.must(push(d))["request_uri"].(string)
	a.form = url.Values{"client_id": {"portal"}, "request_uri": {uri}}
	return a
}

// authorizationCases are about RFC 6749, section 4.1.1, RFC 7636, section 4.3, and RFC 9126, section 4.
var authorizationCases = []differentialCase{
	{"browser: as it should be", true, authorizing},
	{"browser: no `client_id`", false, changed(authorizing, parameter("client_id"))},
	{"browser: an unknown client", false, changed(authorizing, parameter("client_id", "nobody"))},
	{"browser: no `redirect_uri`", false, changed(authorizing, parameter("redirect_uri"))},
	{"browser: another `redirect_uri`", false, changed(authorizing, parameter("redirect_uri", "https://other.example/callback"))},
	{"browser: a longer `redirect_uri`", false, changed(authorizing, parameter("redirect_uri", redirectURI+"/more"))},
	{"browser: a `redirect_uri` with a query", false, changed(authorizing, parameter("redirect_uri", redirectURI+"?a=b"))},
	{"browser: no challenge", false, changed(authorizing, func(d *try, a *attempt) {
		parameter("code_challenge")(d, a)
		parameter("code_challenge_method")(d, a)
	})},
	{"browser: a plain challenge", false, changed(authorizing, parameter("code_challenge_method", "plain"))},
	{"browser: no method of the challenge", false, changed(authorizing, parameter("code_challenge_method"))},
	{"browser: a challenge of 10 characters", false, changed(authorizing, parameter("code_challenge", "0123456789"))},
	{"browser: no `response_type`", false, changed(authorizing, parameter("response_type"))},
	{"browser: `response_type` token", false, changed(authorizing, parameter("response_type", "token"))},
	{"browser: `response_type` code id_token", false, changed(authorizing, parameter("response_type", "code id_token"))},
	{"browser: an unknown `response_mode`", false, changed(authorizing, parameter("response_mode", "pigeon"))},
	{"browser: a parameter twice", false, changed(authorizing, parameter("state", "a", "b"))},
	{"browser: an unknown scope", false, changed(authorizing, parameter("scope", "admin"))},
	{"browser: another resource", false, changed(authorizing, parameter("resource", "https://other.example"))},
	{"browser: a request object that is none", false, changed(authorizing, parameter("request", "x.y.z"))},
	{"browser: `prompt` none without a login", false, changed(authorizing, parameter("prompt", "none"))},
	{"browser: `dpop_jkt` that is no thumbprint", false, changed(authorizing, parameter("dpop_jkt", "x"))},
	{"browser: a `request_uri` that wasn't pushed", false, changed(authorizing, parameter("request_uri", "urn:ietf:params:oauth:request_uri:x"))},
	{"browser: a `request_uri` elsewhere", false, changed(authorizing, parameter("request_uri", "https://other.example/request"))},
	{"browser: pushed", true, authorizingPushed},
	{"browser: pushed by another client", false, changed(authorizingPushed, parameter("client_id", "spa"))},
	{"browser: pushed, no `client_id`", false, changed(authorizingPushed, parameter("client_id"))},
	{"browser: pushed, and used before", false, changed(authorizingPushed, func(d *try, a *attempt) { d.s.approve(d.t, a.form) })},
}

// endpointCases are about RFC 9126, section 2.1, RFC 7662, section 2.1, and RFC 7009, section 2.1.
var endpointCases = []differentialCase{
	{"push: by GET", false, changed(push, func(_ *try, a *attempt) { a.method = http.MethodGet })},
	{"push: no client authentication", false, changed(push, without("portal"))},
	{"push: no `client_id` beside it", true, changed(push, parameter("client_id"))},
	{"push: a broken proof", false, changed(push, func(_ *try, a *attempt) { a.proofs[0] = broken(a.proofs[0]) })},
	{"push: `dpop_jkt` that is no thumbprint", false, changed(push, func(d *try, a *attempt) {
		a.proofs = nil
		parameter("dpop_jkt", "x")(d, a)
	})},
	{"push: a challenge of 10 characters", false, changed(push, parameter("code_challenge", "0123456789"))},
	{"push: `response_type` code id_token", false, changed(push, parameter("response_type", "code id_token"))},
	{"push: an unknown `response_mode`", false, changed(push, parameter("response_mode", "pigeon"))},
	{"push: by a client without users", false, changed(push, func(d *try, a *attempt) {
		basic("shop", peerSecret)(d, a)
		parameter("client_id", "shop")(d, a)
	})},

	{"introspection: by a resource server", true, introspecting("api")},
	{"introspection: by another client", false, introspecting("shop")},
	{"introspection: by a public client", false, introspecting("spa")},
	{"introspection: a wrong secret", false, changed(introspecting("api"), basic("api", peerSecret+"x"))},
	{"introspection: an unknown token", false, changed(introspecting("api"), parameter("token", "x"))},
	{"introspection: by GET", false, changed(introspecting("api"), func(_ *try, a *attempt) { a.method = http.MethodGet })},

	{"revocation: as it should be", true, revoking("portal")},
	{"revocation: by a public client", false, revoking("spa")},
	{"revocation: a wrong secret", false, changed(revoking("portal"), basic("portal", peerSecret+"x"))},
	{"revocation: by GET", false, changed(revoking("portal"), func(_ *try, a *attempt) { a.method = http.MethodGet })},
}

func introspecting(client string) func(*try) *attempt {
	return func(d *try) *attempt {
		token, _ := d.must(d.service("shop"))["access_token"].(string)
		a := d.post("introspection", client)
		a.form.Set("token", token)
		return a
	}
}

func revoking(client string) func(*try) *attempt {
	return func(d *try) *attempt {
		a := d.post("revocation", client)
		a.form["token"] = portalRefresh(d).form["refresh_token"]
		return a
	}
}

const nobodysNonce = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// nonceCases are about RFC 9449, section 8: these servers demand nonces, but for the one that has none.
var nonceCases = []differentialCase{
	{"nonce: none", false, shop},
	{"nonce: empty", false, withProof(claim("nonce", ""))},
	{"nonce: of nobody", false, withProof(claim("nonce", nobodysNonce))},
	{"nonce: no proof", false, changed(shop, func(_ *try, a *attempt) { a.proofs = nil })},
	{"nonce: the server's", true, challenged()},
	{"nonce: the server's, in a proof for GET", false, challenged(claim("htm", "GET"))},
	{"nonce: the server's, with the `jti` of the challenged proof", true, func(d *try) *attempt {
		return challenged(claim("jti", d.key.Public().Thumbprint().String()))(d)
	}},
}

// challenged sends a request without a nonce, and makes one with the nonce that it was told, if any.
func challenged(edits ...edit) func(*try) *attempt {
	return func(d *try) *attempt {
		a := withProof(claim("jti", d.key.Public().Thumbprint().String()))(d)
		d.send(a)
		if d.nonce == "" {
			return withProof(edits...)(d)
		}
		return withProof(append(slices.Clone(edits), claim("nonce", d.nonce))...)(d)
	}
}

// What the servers give for good requests is the same: a JWT by ES256, for the resource, bound to the key of the proof.
func TestTokensCompared(t *testing.T) {
	robot := generate(t, keys.ES256)
	for _, s := range []*asServer{newHoldfast(t, robot, false), newNodeProvider(t, robot, false), newGoOIDC(t, robot)} {
		for name, good := range map[string]func(*try) *attempt{
			"shop": shop, "robot": func(d *try) *attempt { return d.service("robot") },
			"code": code, "bound code": boundCode, "refresh": refresh, "confidential refresh": portalRefresh,
		} {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				d := &try{t: t, s: s, key: generate(t, keys.ES256), robot: robot}
				token, _ := d.must(good(d))["access_token"].(string)
				header, claims := parts(t, token)
				if aud := fmt.Sprint(claims["aud"]); header["alg"] != "ES256" || claims["iss"] != s.issuer || strings.Trim(aud, "[]") != audience {
					t.Errorf("got %v %v, want a token by ES256 of %s for %s", header, claims, s.issuer, audience)
				}
				confirmation, _ := claims["cnf"].(map[string]any)
				if want := d.key.Public().Thumbprint().String(); confirmation["jkt"] != want {
					t.Errorf("got the confirmation %v, want the key %s", confirmation, want)
				}
			})
		}
	}
}

// parts reads a JWT without judging it.
func parts(t *testing.T, jwt string) (header, claims map[string]any) {
	t.Helper()
	texts := strings.Split(jwt, ".")
	if len(texts) != 3 {
		t.Fatalf("got a token of %d parts, want a JWT", len(texts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(texts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}
