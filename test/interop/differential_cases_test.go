package interop

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// differentialCase makes a request that differs from a good one in what its name says.
type differentialCase struct {
	name string
	good bool // a request that is to be accepted
	make func(d *try) *attempt
}

// withProof is a request for a token with a proof that is edited.
func withProof(edits ...edit) func(d *try) *attempt {
	return func(d *try) *attempt {
		a := d.service("shop")
		a.proofs = []string{d.proof("token", d.key, edits...)}
		return a
	}
}

func withAssertion(edits ...edit) func(d *try) *attempt {
	return func(d *try) *attempt {
		a := d.service("robot")
		a.form.Set("client_assertion", d.assertion(d.robot, edits...))
		return a
	}
}

// changed is a good request with one change.
func changed(good func(d *try) *attempt, change func(d *try, a *attempt)) func(d *try) *attempt {
	return func(d *try) *attempt {
		a := good(d)
		change(d, a)
		return a
	}
}

func shop(d *try) *attempt    { return d.service("shop") }
func robot(d *try) *attempt   { return d.service("robot") }
func code(d *try) *attempt    { return d.redemption("spa", nil) }
func refresh(d *try) *attempt { return d.refreshing("spa") }
func push(d *try) *attempt    { return d.pushing("portal") }

func parameter(name string, values ...string) func(*try, *attempt) {
	return func(_ *try, a *attempt) {
		if a.form[name] = values; len(values) == 0 {
			delete(a.form, name)
		}
	}
}

// again sends the request once before.
func again(d *try, a *attempt) { d.send(a) }

var differentialCases = []differentialCase{
	{"a token for a service", true, shop},
	{"proof: none", false, changed(shop, func(_ *try, a *attempt) { a.proofs = nil })},
	{"proof: two", false, changed(shop, func(d *try, a *attempt) { a.proofs = append(a.proofs, d.proof("token", d.key)) })},
	{"proof: empty", false, changed(shop, func(_ *try, a *attempt) { a.proofs = []string{""} })},
	{"proof: no JWT", false, changed(shop, func(_ *try, a *attempt) { a.proofs = []string{"x"} })},
	{"proof: sent before", false, changed(shop, again)},
	{"proof: `typ` JWT", false, withProof(headed("typ", "JWT"))},
	{"proof: no `typ`", false, withProof(headed("typ", nil))},
	{"proof: `alg` none", false, withProof(headed("alg", "none"))},
	{"proof: `alg` HS256", false, withProof(headed("alg", "HS256"))},
	{"proof: no `jwk`", false, withProof(headed("jwk", nil))},
	{"proof: a private `jwk`", false, func(d *try) *attempt {
		text, err := d.key.MarshalPrivateJWK()
		if err != nil {
			d.t.Fatal(err)
		}
		var jwk map[string]any
		if err := json.Unmarshal(text, &jwk); err != nil {
			d.t.Fatal(err)
		}
		return withProof(headed("jwk", jwk))(d)
	}},
	{"proof: by another key", false, changed(shop, func(d *try, a *attempt) {
		a.proofs = []string{d.proof("token", generate(d.t, keys.ES256))}
	})},
	{"proof: no `jti`", false, withProof(claim("jti", nil))},
	{"proof: empty `jti`", false, withProof(claim("jti", ""))},
	{"proof: `jti` a number", false, withProof(claim("jti", 7))},
	{"proof: no `htm`", false, withProof(claim("htm", nil))},
	{"proof: another `htm`", false, withProof(claim("htm", "GET"))},
	{"proof: `htm` in small letters", false, withProof(claim("htm", "post"))},
	{"proof: no `htu`", false, withProof(claim("htu", nil))},
	{"proof: `htu` of another endpoint", false, changed(shop, func(d *try, a *attempt) {
		a.proofs = []string{d.proof("introspection", d.key)}
	})},
	{"proof: `htu` of another host", false, withProof(claim("htu", "https://other.example/token"))},
	{"proof: `htu` with a query", false, func(d *try) *attempt { return withProof(claim("htu", d.s.endpoint["token"]+"?a=b"))(d) }},
	{"proof: `htu` with a fragment", false, func(d *try) *attempt { return withProof(claim("htu", d.s.endpoint["token"]+"#a"))(d) }},
	{"proof: no `iat`", false, withProof(claim("iat", nil))},
	{"proof: `iat` a text", false, withProof(claim("iat", "now"))},
	{"proof: `iat` an hour ago", false, withProof(timed("iat", -time.Hour))},
	{"proof: `iat` two minutes ago", false, withProof(timed("iat", -2*time.Minute))},
	{"proof: `iat` two minutes ahead", false, withProof(timed("iat", 2*time.Minute))},
	{"proof: `iat` an hour ahead", false, withProof(timed("iat", time.Hour))},
	{"proof: expired by `exp`", false, withProof(timed("exp", -time.Minute))},

	{"client: a wrong secret", false, changed(shop, basic("shop", peerSecret+"x"))},
	{"client: an empty secret", false, changed(shop, basic("shop", ""))},
	{"client: unknown", false, changed(shop, basic("nobody", peerSecret))},
	{"client: no authentication", false, changed(shop, func(_ *try, a *attempt) { a.header.Del("Authorization"); a.form.Set("client_id", "shop") })},
	{"client: nobody", false, changed(shop, func(_ *try, a *attempt) { a.header.Del("Authorization") })},
	{"client: the secret in the form", false, changed(shop, func(_ *try, a *attempt) {
		a.header.Del("Authorization")
		a.form.Set("client_id", "shop")
		a.form.Set("client_secret", peerSecret)
	})},
	{"client: the secret twice", false, changed(shop, parameter("client_secret", peerSecret))},
	{"client: another `client_id` beside", false, changed(shop, parameter("client_id", "portal"))},
	{"client: Authorization that is none", false, changed(shop, func(_ *try, a *attempt) { a.header.Set("Authorization", "Basic !") })},

	{"assertion: as it should be", true, robot},
	{"assertion: sent before", false, changed(robot, func(d *try, a *attempt) { again(d, a); a.proofs = []string{d.proof("token", d.key)} })},
	{"assertion: for another server", false, withAssertion(claim("aud", "https://other.example"))},
	{"assertion: `aud` the token endpoint", false, func(d *try) *attempt { return withAssertion(claim("aud", d.s.endpoint["token"]))(d) }},
	{"assertion: `aud` two, one of them this server", false, func(d *try) *attempt {
		return withAssertion(claim("aud", []string{d.s.issuer, "https://other.example"}))(d)
	}},
	{"assertion: no `aud`", false, withAssertion(claim("aud", nil))},
	{"assertion: expired", false, withAssertion(timed("exp", -2*time.Minute))},
	{"assertion: no `exp`", false, withAssertion(claim("exp", nil))},
	{"assertion: good for a day", false, withAssertion(timed("exp", 24*time.Hour))},
	{"assertion: not good yet", false, withAssertion(timed("nbf", 10*time.Minute))},
	{"assertion: no `jti`", false, withAssertion(claim("jti", nil))},
	{"assertion: another `sub`", false, withAssertion(claim("sub", "shop"))},
	{"assertion: another `iss`", false, withAssertion(claim("iss", "shop"))},
	{"assertion: `alg` none", false, withAssertion(headed("alg", "none"))},
	{"assertion: by another key", false, changed(robot, func(d *try, a *attempt) {
		a.form.Set("client_assertion", d.assertion(generate(d.t, keys.ES256)))
	})},
	{"assertion: of another type", false, changed(robot, parameter("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"))},
	{"assertion: no type", false, changed(robot, parameter("client_assertion_type"))},
	{"assertion: beside a secret", false, changed(robot, basic("robot", peerSecret))},

	{"request: GET", false, changed(shop, func(_ *try, a *attempt) { a.method = http.MethodGet })},
	{"request: JSON", false, changed(shop, func(_ *try, a *attempt) { a.header.Set("Content-Type", "application/json") })},
	{"request: a parameter in the query", false, changed(shop, func(_ *try, a *attempt) { a.query = "scope=" + peerScope; a.form.Del("scope") })},
	{"request: a parameter twice", false, changed(shop, parameter("scope", peerScope, peerScope))},
	{"request: no `grant_type`", false, changed(shop, parameter("grant_type"))},
	{"request: an unknown `grant_type`", false, changed(shop, parameter("grant_type", "password"))},
	{"request: a grant that isn't the client's", false, changed(shop, parameter("grant_type", "refresh_token"))},
	{"request: an unknown scope", false, changed(shop, parameter("scope", "admin"))},
	{"request: another resource", false, changed(shop, parameter("resource", "https://other.example"))},

	{"code: as it should be", true, code},
	{"code: another verifier", false, changed(code, parameter("code_verifier", strings.Repeat("a", 43)))},
	{"code: no verifier", false, changed(code, parameter("code_verifier"))},
	{"code: another `redirect_uri`", false, changed(code, parameter("redirect_uri", redirectURI+"/other"))},
	{"code: no `redirect_uri`", false, changed(code, parameter("redirect_uri"))},
	{"code: unknown", false, changed(code, parameter("code", "unknown"))},
	{"code: none", false, changed(code, parameter("code"))},
	{"code: of another client", false, changed(code, func(d *try, a *attempt) {
		a.form.Del("client_id")
		basic("portal", peerSecret)(d, a)
	})},
	{"code: used before", false, changed(code, func(d *try, a *attempt) { again(d, a); a.proofs = []string{d.proof("token", d.key)} })},
	{"code: for another key (`dpop_jkt`)", false, func(d *try) *attempt {
		return d.redemption("spa", url.Values{"dpop_jkt": {generate(d.t, keys.ES256).Public().Thumbprint().String()}})
	}},
	{"code: for this key (`dpop_jkt`)", true, func(d *try) *attempt {
		return d.redemption("spa", url.Values{"dpop_jkt": {d.key.Public().Thumbprint().String()}})
	}},
	{"code: after a wrong verifier", true, changed(code, func(d *try, a *attempt) {
		parameter("code_verifier", strings.Repeat("a", 43))(d, a)
		again(d, a)
		parameter("code_verifier", peerVerifier)(d, a)
		a.proofs = []string{d.proof("token", d.key)}
	})},
	{"code: after a wrong proof", true, changed(code, func(d *try, a *attempt) {
		a.proofs = []string{d.proof("token", d.key, claim("htm", "GET"))}
		again(d, a)
		a.proofs = []string{d.proof("token", d.key)}
	})},

	{"refresh: as it should be", true, refresh},
	{"refresh: by another key", false, changed(refresh, func(d *try, a *attempt) {
		d.key = generate(d.t, keys.ES256)
		a.proofs = []string{d.proof("token", d.key)}
	})},
	{"refresh: no proof", false, changed(refresh, func(_ *try, a *attempt) { a.proofs = nil })},
	{"refresh: unknown", false, changed(refresh, parameter("refresh_token", "unknown"))},
	{"refresh: of another client", false, changed(refresh, func(d *try, a *attempt) {
		a.form.Del("client_id")
		basic("portal", peerSecret)(d, a)
	})},
	{"refresh: more scope", false, changed(refresh, parameter("scope", peerScope+" admin"))},
	{"refresh: after another key tried", true, changed(refresh, func(d *try, a *attempt) {
		mine := d.key
		d.key = generate(d.t, keys.ES256)
		a.proofs = []string{d.proof("token", d.key)}
		again(d, a)
		d.key = mine
		a.proofs = []string{d.proof("token", d.key)}
	})},

	{"push: as it should be", true, push},
	{"push: a good proof is optional", true, changed(push, func(_ *try, a *attempt) { a.proofs = nil })},
	{"push: the proof of another endpoint", false, changed(push, func(d *try, a *attempt) { a.proofs = []string{d.proof("token", d.key)} })},
	{"push: `dpop_jkt` of another key than the proof's", false, changed(push, func(d *try, a *attempt) {
		a.form.Set("dpop_jkt", generate(d.t, keys.ES256).Public().Thumbprint().String())
	})},
	{"push: a wrong secret", false, changed(push, basic("portal", peerSecret+"x"))},
	{"push: no challenge", false, changed(push, parameter("code_challenge"))},
	{"push: a plain challenge", false, changed(push, parameter("code_challenge_method", "plain"))},
	{"push: no method of the challenge", false, changed(push, parameter("code_challenge_method"))},
	{"push: `response_type` token", false, changed(push, parameter("response_type", "token"))},
	{"push: no `response_type`", false, changed(push, parameter("response_type"))},
	{"push: another `redirect_uri`", false, changed(push, parameter("redirect_uri", redirectURI+"/other"))},
	{"push: no `redirect_uri`", false, changed(push, parameter("redirect_uri"))},
	{"push: a `request_uri`", false, changed(push, parameter("request_uri", "urn:ietf:params:oauth:request_uri:x"))},
	{"push: a request object that is none", false, changed(push, parameter("request", "x.y.z"))},
	{"push: an unknown scope", false, changed(push, parameter("scope", "admin"))},
	{"push: another resource", false, changed(push, parameter("resource", "https://other.example"))},
	{"push: a parameter twice", false, changed(push, parameter("state", "a", "b"))},
	{"push: of another client", false, changed(push, parameter("client_id", "spa"))},

	{"introspection: nobody", false, func(d *try) *attempt {
		a := d.post("introspection", "portal")
		a.header.Del("Authorization")
		a.form.Set("token", "x")
		return a
	}},
	{"introspection: no token", false, func(d *try) *attempt { return d.post("introspection", "portal") }},
	{"revocation: an unknown token", true, func(d *try) *attempt {
		a := d.post("revocation", "portal")
		a.form.Set("token", "x")
		return a
	}},
	{"revocation: nobody", false, func(d *try) *attempt {
		a := d.post("revocation", "portal")
		a.header.Del("Authorization")
		a.form.Set("token", "x")
		return a
	}},
	{"revocation: no token", false, func(d *try) *attempt { return d.post("revocation", "portal") }},
	{"revocation: another client's refresh token", false, func(d *try) *attempt {
		token := d.refreshing("spa").form.Get("refresh_token")
		a := d.post("revocation", "portal")
		a.form.Set("token", token)
		return a
	}},
}

func basic(client, secret string) func(*try, *attempt) {
	return func(_ *try, a *attempt) {
		a.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(client+":"+secret)))
	}
}
