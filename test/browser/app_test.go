package browser

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// app is the client: a program with a key of its own.
type app struct {
	*stage
	key             *keys.Signer
	state, verifier string
}

func newApp(t *testing.T, s *stage) *app {
	t.Helper()
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return &app{stage: s, key: key, state: rand.Text(), verifier: rand.Text() + rand.Text()}
}

// request pushes an authorization request (RFC 9126) and returns where the browser goes with it.
func (a *app) request(t *testing.T) string {
	t.Helper()
	challenge := sha256.Sum256([]byte(a.verifier))
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	a.post(t, "/par", url.Values{
		"client_id": {"photos"}, "response_type": {"code"}, "redirect_uri": {a.app + "/callback"}, "state": {a.state},
		"scope": {"openid photos:read"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}, http.StatusCreated, &pushed)
	return a.issuer + "/authorize?" + url.Values{"client_id": {"photos"}, "request_uri": {pushed.RequestURI}}.Encode()
}

// response checks the authorization response (RFC 9207), and returns its code or error.
func (a *app) response(t *testing.T, name string) string {
	t.Helper()
	got := a.answer(t)
	if got.Get("state") != a.state || got.Get("iss") != a.issuer || got.Get(name) == "" {
		t.Fatalf("got %v, want %s, and state and iss that are right", got, name)
	}
	return got.Get(name)
}

// redeem gets a token for a code.
func (a *app) redeem(t *testing.T, code string) string {
	t.Helper()
	var got struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	a.post(t, "/token", url.Values{
		"client_id": {"photos"}, "grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {a.verifier},
		"redirect_uri": {a.app + "/callback"},
	}, http.StatusOK, &got)
	if got.Type != "DPoP" {
		t.Fatalf("got a token of type %q", got.Type)
	}
	return got.Token
}

// userinfo asks who the user is: the name, or "" if the answer is a refusal.
func (a *app) userinfo(t *testing.T, token string, key *keys.Signer) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.issuer+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	a.prove(t, r, key, token)
	var got struct {
		Name string `json:"name"`
	}
	if send(t, r, &got) == http.StatusUnauthorized {
		return ""
	}
	return got.Name
}

func (a *app) post(t *testing.T, path string, form url.Values, want int, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a.prove(t, r, a.key, "")
	if got := send(t, r, into); got != want {
		t.Fatalf("%s: got %d, want %d", path, got, want)
	}
}

func (a *app) prove(t *testing.T, r *http.Request, key *keys.Signer, token string) {
	t.Helper()
	proof, err := dpop.Sign(key, dpop.Params{Method: r.Method, TargetURI: r.URL.String(), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("DPoP", proof)
}

// send returns the status, and reads JSON.
func send(t *testing.T, r *http.Request, into any) int {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return resp.StatusCode
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}
