package issuer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	testRedirect = "https://app.example/callback"
	testVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B
)

// code has a user authorise a client, and returns the code. change edits what is stored.
func (f *fixture) code(t testing.TB, clientID string, change func(*store.Approval)) string {
	t.Helper()
	code := newSecret(kindCode)
	sum := sha256.Sum256([]byte(testVerifier))
	a := store.Approval{
		Grant: store.Grant{
			ID: rand.Text(), ClientID: clientID, Subject: "alice", Scope: []string{"read", "write"}, Resources: []string{testResource},
			AuthTime: testNow.Add(-time.Minute), Expires: testNow.Add(90 * 24 * time.Hour),
		},
		Code: store.Code{
			Hash: hashOf(code), RedirectURI: testRedirect, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Expires: testNow.Add(time.Minute),
		},
	}
	if change != nil {
		change(&a)
	}
	if err := f.store.CompleteAuthorization(t.Context(), testNow, a); err != nil {
		t.Fatal(err)
	}
	return code
}

// redemption is a request that redeems a code, without a proof.
func redemption(clientID, code string) *tokenRequest {
	q := request(clientID)
	q.form = url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testRedirect}, "code_verifier": {testVerifier}}
	return q.public()
}

// public makes it the request of a public client, if its client is one.
func (q *tokenRequest) public() *tokenRequest {
	if r := q.http(); r != nil {
		if id, _, ok := r.BasicAuth(); ok && id == "spa" {
			q.header.Del("Authorization")
			q.form.Set("client_id", id)
		}
	}
	return q
}

func TestCodeRedeemed(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		client  string
		refresh bool
	}{{"web", true}, {"spa", true}} {
		t.Run(tc.client, func(t *testing.T) {
			var grantID string
			q := redemption(tc.client, f.code(t, tc.client, func(a *store.Approval) { grantID = a.Grant.ID }))
			f.addProof(t, q, nil)
			got := f.send(t, q)
			checkGranted(t, got)
			token, _ := got.body["access_token"].(string)
			_, claims := claimsOf(t, token)
			want := map[string]any{
				"iss": testIssuer, "sub": "alice", "client_id": tc.client, "aud": testResource, "scope": "read write", "grant_id": grantID,
				"iat": float64(testNow.Unix()), "exp": float64(testNow.Unix() + 300), "auth_time": float64(testNow.Unix() - 60), "jti": claims["jti"],
				"cnf": map[string]any{"jkt": f.dpopKey.Public().Thumbprint().String()},
			}
			if d := cmp.Diff(claims, want); d != "" {
				t.Errorf("claims: -got +want\n%s", d)
			}
			refresh, _ := got.body["refresh_token"].(string)
			if _, ok := kindRefresh.parse(refresh); ok != tc.refresh {
				t.Errorf("refresh token: %v, want %v", ok, tc.refresh)
			}
			if got.event.GrantID != grantID {
				t.Errorf("event of grant %q, want %q", got.event.GrantID, grantID)
			}
		})
	}
}

// codeRefusals differ in one thing each from a request that is granted.
var codeRefusals = []struct {
	name   string
	change func(t *testing.T, f *fixture, q *tokenRequest)
	status int
	code   string
	reason Reason
}{
	{"no proof", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.header.Del("DPoP") }, 400, "invalid_request", ProofMissing},
	{"proof of another key", func(t *testing.T, f *fixture, q *tokenRequest) { otherProof(t, f, q) }, 400, "invalid_grant", KeyMismatch},
	{"proof for another URL", func(t *testing.T, f *fixture, q *tokenRequest) {
		q.header.Del("DPoP")
		f.addProof(t, q, func(p *dpop.Params) { p.TargetURI = testIssuer + "/other" })
	}, 400, "invalid_dpop_proof", DPoPRefused},
	{"no code", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.form.Del("code") }, 400, "invalid_request", FormRefused},
	{"no redirect_uri", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.form.Del("redirect_uri") }, 400, "invalid_request", FormRefused},
	{"another redirect_uri", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.form.Set("redirect_uri", testRedirect+"/") }, 400, "invalid_grant", CodeRefused},
	{"no verifier", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.form.Del("code_verifier") }, 400, "invalid_request", FormRefused},
	{"another verifier", func(_ *testing.T, _ *fixture, q *tokenRequest) {
		q.form.Set("code_verifier", strings.ToUpper(testVerifier))
	}, 400, "invalid_grant", CodeRefused},
	{"the challenge as the verifier", func(_ *testing.T, _ *fixture, q *tokenRequest) {
		q.form.Set("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
	}, 400, "invalid_grant", CodeRefused},
	{"a short verifier", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.form.Set("code_verifier", testVerifier[:42]) }, 400, "invalid_grant", CodeRefused},
	{"an unknown code", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.form.Set("code", newSecret(kindCode)) }, 400, "invalid_grant", CodeRefused},
	{"a code of another kind", func(_ *testing.T, _ *fixture, q *tokenRequest) {
		q.form.Set("code", strings.Replace(q.form.Get("code"), "hfc_", "hfr_", 1))
	}, 400, "invalid_grant", CodeRefused},
	{"another client", func(_ *testing.T, _ *fixture, q *tokenRequest) {
		q.form.Set("client_id", "spa")
		q.header.Del("Authorization")
	}, 400, "invalid_grant", CodeRefused},
	{"a wrong secret", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.basic("web", strings.ToUpper(testSecret)) }, 401, "invalid_client", SecretMismatch},
	{"a client without the grant type", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.basic("any", testSecret) }, 400, "unauthorized_client", ClientRefused},
	{"a resource that wasn't granted", func(_ *testing.T, _ *fixture, q *tokenRequest) { q.form.Set("resource", "https://other.example") }, 400, "invalid_target", TargetRefused},
}

func otherProof(t *testing.T, f *fixture, q *tokenRequest) {
	t.Helper()
	q.header.Del("DPoP")
	proof, err := dpop.Sign(newKey(t, keys.ES256, ""), dpop.Params{Method: "POST", TargetURI: testToken, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	q.header.Set("DPoP", proof)
}

// A refused request uses nothing up: the right one still gets its tokens, with the same code.
func TestHazardRefusalKeepsTheCode(t *testing.T) {
	f := newFixture(t, nil)
	binding := []byte(`{"jkt":"` + f.dpopKey.Public().Thumbprint().String() + `"}`)
	for _, tc := range codeRefusals {
		t.Run(tc.name, func(t *testing.T) {
			code := f.code(t, "web", func(a *store.Approval) { a.Code.Binding = binding })
			q := redemption("web", code)
			f.addProof(t, q, nil)
			tc.change(t, f, q)
			checkRefused(t, f.send(t, q), tc.status, tc.code, tc.reason)

			q = redemption("web", code)
			f.addProof(t, q, nil)
			checkGranted(t, f.send(t, q))
		})
	}
}

// A challenge for a nonce costs nothing but a round trip (hazard 17).
func TestHazardNonceChallengeKeepsTheCode(t *testing.T) {
	f := newFixture(t, func(cfg *Config) { cfg.RequireNonce = true })
	q := redemption("spa", f.code(t, "spa", nil))
	f.addProof(t, q, nil)
	challenged := f.send(t, q)
	checkRefused(t, challenged, http.StatusBadRequest, "use_dpop_nonce", NonceNeeded)
	q.header.Del("DPoP")
	f.addProof(t, q, func(p *dpop.Params) { p.Nonce = challenged.header.Get("DPoP-Nonce") })
	checkGranted(t, f.send(t, q))
}

func TestCodeExpires(t *testing.T) {
	now := testNow
	f := newFixture(t, func(cfg *Config) { cfg.Now = func() time.Time { return now } })
	code := f.code(t, "web", nil)
	now = testNow.Add(time.Minute)
	q := redemption("web", code)
	f.addProof(t, q, func(p *dpop.Params) { p.Now = now })
	checkRefused(t, f.send(t, q), http.StatusBadRequest, "invalid_grant", CodeRefused)
}

// A code that comes twice ends all tokens that came of it.
func TestCodeUsedTwiceRevokes(t *testing.T) {
	f := newFixture(t, nil)
	code := f.code(t, "web", nil)
	redeem := func() result {
		q := redemption("web", code)
		f.addProof(t, q, nil)
		return f.send(t, q)
	}
	first := redeem()
	checkGranted(t, first)
	token, _ := first.body["access_token"].(string)
	if got := f.send(t, introspectionOf("rs", token)); got.body["active"] != true {
		t.Fatal("the token isn't active before")
	}
	checkRefused(t, redeem(), http.StatusBadRequest, "invalid_grant", CodeUsed)
	if got := f.send(t, introspectionOf("rs", token)); got.body["active"] != false {
		t.Error("the token is active after its code was used twice")
	}
	refresh, _ := first.body["refresh_token"].(string)
	q := refreshing("web", refresh)
	f.addProof(t, q, nil)
	checkRefused(t, f.send(t, q), http.StatusBadRequest, "invalid_grant", RefreshRefused)
}

// A thief who lacks the verifier, or the key, can't end the client's grant by a used code.
func TestUsedCodeWithoutTheRestRevokesNothing(t *testing.T) {
	f := newFixture(t, nil)
	binding := []byte(`{"jkt":"` + f.dpopKey.Public().Thumbprint().String() + `"}`)
	code := f.code(t, "web", func(a *store.Approval) { a.Code.Binding = binding })
	q := redemption("web", code)
	f.addProof(t, q, nil)
	first := f.send(t, q)
	checkGranted(t, first)
	for _, tc := range codeRefusals {
		q := redemption("web", code)
		f.addProof(t, q, nil)
		tc.change(t, f, q)
		checkRefused(t, f.send(t, q), tc.status, tc.code, tc.reason)
	}
	token, _ := first.body["access_token"].(string)
	if got := f.send(t, introspectionOf("rs", token)); got.body["active"] != true {
		t.Error("the token was revoked")
	}
}

// However many redeem one code at once, one gets tokens.
func TestCodeHasOneWinner(t *testing.T) {
	f := newFixture(t, nil)
	code := f.code(t, "spa", nil)
	if got := f.race(t, func() *tokenRequest { return redemption("spa", code) }); got != 1 {
		t.Errorf("got %d tokens, want 1", got)
	}
}

// race sends 200 requests at once, each with a proof of its own, and returns how many were granted.
func (f *fixture) race(t *testing.T, request func() *tokenRequest) int {
	t.Helper()
	const senders = 200
	requests := make([]*http.Request, senders)
	for i := range requests {
		q := request()
		f.addProof(t, q, nil)
		requests[i] = q.http()
	}
	var granted atomic.Int32
	var wg sync.WaitGroup
	for _, r := range requests {
		wg.Go(func() {
			w := httptest.NewRecorder()
			f.Handler().ServeHTTP(w, r)
			if w.Code == http.StatusOK {
				granted.Add(1)
			}
		})
	}
	wg.Wait()
	return int(granted.Load())
}
