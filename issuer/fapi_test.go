package issuer

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// profile is a server with two clients as the FAPI 2.0 Security Profile wants them ("fapi" and "fapi-2"), and a user who
// is logged in.
type profile struct {
	*fixture
	now        time.Time               // only goes forward
	assertions map[string]*keys.Signer // client_id → key of its assertions
	rsaKey     *keys.Signer            // also of "fapi"
	browser    *browser
}

// behaviour is one of the FAPI 2.0 conformance suite, by its name there.
type behaviour struct {
	name string
	run  func(*testing.T, *profile)
}

// What the suite tests at an authorization server. docs/conformance.md lists the same, and what doesn't apply.
func TestFAPI2(t *testing.T) {
	p := newProfile(t)
	for _, b := range fapiBehaviours() {
		t.Run(b.name, func(t *testing.T) { b.run(t, p) })
	}
}

func fapiBehaviours() []behaviour {
	return slices.Concat(fapiFlows, fapiPushes, fapiRequestURIs, fapiAssertions, fapiRedemptions, fapiProofs)
}

// The document names exactly the behaviours that are tested.
func TestFAPI2Documented(t *testing.T) {
	text, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Authorization server\n")
	section, _, _ = strings.Cut(section, "\n##")
	var documented, tested []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (pass|diverges) \\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1])
	}
	for _, b := range fapiBehaviours() {
		tested = append(tested, b.name)
	}
	slices.Sort(documented)
	slices.Sort(tested)
	if d := cmp.Diff(documented, tested); d != "" {
		t.Errorf("documented and tested behaviours: -documented +tested\n%s", d)
	}
}

func newProfile(t *testing.T) *profile {
	t.Helper()
	p := &profile{now: testNow, rsaKey: newKey(t, keys.RS256, "rsa"), assertions: map[string]*keys.Signer{
		"fapi": newKey(t, keys.ES256, "fapi-1"), "fapi-2": newKey(t, keys.ES256, "fapi-2-1"),
	}}
	rsa, err := keys.NewPublic(p.rsaKey.Public().Key(), "rsa", "") // as a client registers it that thinks nothing of alg
	if err != nil {
		t.Fatal(err)
	}
	p.fixture = newAuthorizing(t, &p.now, func(cfg *Config) {
		for id, key := range p.assertions {
			cfg.Clients = append(cfg.Clients, Client{
				ID: id, AuthMethod: PrivateKeyJWT, Keys: []*keys.Public{key.Public(), rsa}, Binding: DPoP,
				Grants: []GrantType{CodeGrant, RefreshGrant}, RedirectURIs: []string{testRedirect}, RequirePushedRequests: true,
				Scope: []string{"read", "write"}, Audience: []string{testResource},
			})
		}
	})
	p.browser = p.fixture.browser()
	p.browser.logIn(t, "alice")
	return p
}

// asserted is a request of a client with an assertion, without a proof; change edits the assertion.
func (p *profile) asserted(t *testing.T, client, endpoint string, change func(header, claims map[string]any)) *tokenRequest {
	t.Helper()
	q := request("")
	q.url, q.form = testIssuer+endpoint, url.Values{}
	p.assert(t, q, client, p.assertions[client], change)
	return q
}

func (p *profile) assert(t *testing.T, q *tokenRequest, client string, key *keys.Signer, change func(header, claims map[string]any)) {
	t.Helper()
	q.form.Set("client_assertion_type", jwtBearer)
	q.form.Set("client_assertion", p.assertion(t, key, func(header, claims map[string]any) {
		claims["iss"], claims["sub"], claims["jti"] = client, client, rand.Text()
		claims["iat"], claims["nbf"], claims["exp"] = p.now.Unix(), p.now.Unix(), p.now.Add(time.Minute).Unix()
		if change != nil {
			change(header, claims)
		}
	}))
}

// prove puts a proof by key in place of the request's; change edits it.
func (p *profile) prove(t *testing.T, q *tokenRequest, key *keys.Signer, change func(*dpop.Params)) {
	t.Helper()
	params := dpop.Params{Method: q.method, TargetURI: q.url, Now: p.now}
	if change != nil {
		change(&params)
	}
	proof, err := dpop.Sign(key, params)
	if err != nil {
		t.Fatal(err)
	}
	q.header.Set("DPoP", proof)
}

// pushing is a pushed request of "fapi", without a proof.
func (p *profile) pushing(t *testing.T) *tokenRequest {
	t.Helper()
	q := p.asserted(t, "fapi", "/par", nil)
	for name, values := range asking("fapi") {
		q.form[name] = values
	}
	return q
}

// pushed pushes it, and returns what the browser then brings: nothing but client_id and request_uri.
func (p *profile) pushed(t *testing.T, q *tokenRequest) url.Values {
	t.Helper()
	query := p.fixture.pushed(t, q)
	query.Set("client_id", "fapi")
	return query
}

// approved pushes a request, has the user agree, and returns the authorization response.
func (p *profile) approved(t *testing.T, q *tokenRequest) url.Values {
	t.Helper()
	w := p.browser.authorize(p.pushed(t, q))
	if w.Code == http.StatusOK {
		w = p.browser.decide(fillIn(w, "allow"), nil)
	}
	return response(t, w, testRedirect)
}

// redeeming is the token request of "fapi" for a code, with a proof.
func (p *profile) redeeming(t *testing.T, code string) *tokenRequest {
	t.Helper()
	q := p.asserted(t, "fapi", "/token", nil)
	for name, values := range redemption("", code).form {
		q.form[name] = values
	}
	p.prove(t, q, p.dpopKey, nil)
	return q
}

// refreshing is the token request of a client for a refresh token, with a proof.
func (p *profile) refreshing(t *testing.T, client, token string) *tokenRequest {
	t.Helper()
	q := p.asserted(t, client, "/token", nil)
	q.form.Set("grant_type", "refresh_token")
	q.form.Set("refresh_token", token)
	p.prove(t, q, p.dpopKey, nil)
	return q
}

// flows says that a request leads to tokens; change edits what is pushed.
func flows(change func(*testing.T, *profile, *tokenRequest)) func(*testing.T, *profile) {
	return func(t *testing.T, p *profile) {
		q := p.pushing(t)
		if change != nil {
			change(t, p, q)
		}
		response := p.approved(t, q)
		if got, want := response.Get("state"), q.form.Get("state"); got != want {
			t.Errorf("got state %q, want %q", got, want)
		}
		checkGranted(t, p.send(t, p.redeeming(t, response.Get("code"))))
	}
}

// pushRefused says that a pushed request is refused, which differs in one thing from one that isn't.
func pushRefused(code string, reason Reason, change func(*testing.T, *profile, *tokenRequest)) func(*testing.T, *profile) {
	return func(t *testing.T, p *profile) {
		q := p.pushing(t)
		change(t, p, q)
		checkCode(t, p.send(t, q), code, reason)
	}
}

// redemptionRefused says the same of a token request; and that the code is still good.
func redemptionRefused(code string, reason Reason, change func(*testing.T, *profile, *tokenRequest)) func(*testing.T, *profile) {
	return func(t *testing.T, p *profile) {
		approved := p.approved(t, p.pushing(t)).Get("code")
		q := p.redeeming(t, approved)
		change(t, p, q)
		checkCode(t, p.send(t, q), code, reason)
		checkGranted(t, p.send(t, p.redeeming(t, approved)))
	}
}

func checkCode(t *testing.T, got result, code string, reason Reason) {
	t.Helper()
	status := http.StatusBadRequest
	switch {
	case code == "invalid_client":
		status = http.StatusUnauthorized
	case reason == MethodRefused:
		status = http.StatusMethodNotAllowed
	}
	checkRefused(t, got, status, code, reason)
}

// set edits a parameter; an empty value takes it away.
func set(name, value string) func(*testing.T, *profile, *tokenRequest) {
	return func(_ *testing.T, _ *profile, q *tokenRequest) {
		if q.form.Set(name, value); value == "" {
			q.form.Del(name)
		}
	}
}

// asserting makes another assertion; edit is told when now is.
func asserting(edit func(header, claims map[string]any, now time.Time)) func(*testing.T, *profile, *tokenRequest) {
	return func(t *testing.T, p *profile, q *tokenRequest) {
		p.assert(t, q, "fapi", p.assertions["fapi"], func(header, claims map[string]any) { edit(header, claims, p.now) })
	}
}

// refusedPage says that the user was told, and nobody else.
func refusedPage(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
		t.Errorf("got %d to %q, want a page", w.Code, w.Header().Get("Location"))
	}
}
