package accesstoken

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	testIssuer   = "https://issuer.example"
	testAudience = "https://api.example/"
)

var testNow = time.Unix(1_800_000_000, 0)

// object is a JSON object in the making.
type object map[string]any

// with returns a copy with some members replaced. A member set to absent is left out.
func (o object) with(members object) object {
	o = maps.Clone(o)
	maps.Copy(o, members)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == absent })
	return o
}

type absence struct{}

var absent absence

func (o object) json(t testing.TB) string {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func goodClaims() object {
	return object{
		"iss": testIssuer, "sub": "alice", "aud": testAudience, "client_id": "app", "jti": "t-1",
		"iat": testNow.Unix(), "exp": testNow.Unix() + 300, "scope": "read write",
	}
}

func newSigner(t testing.TB, alg keys.Algorithm) *keys.Signer {
	t.Helper()
	s, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publish returns the public half under a kid, bound to alg unless that is "".
func publish(t testing.TB, s *keys.Signer, kid string, alg keys.Algorithm) *keys.Public {
	t.Helper()
	p, err := keys.NewPublic(s.Public().Key(), kid, alg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sign makes a compact JWS of any header and payload.
func sign(t testing.TB, s *keys.Signer, header, payload string) string {
	t.Helper()
	signed := base64url.Encode([]byte(header)) + "." + base64url.Encode([]byte(payload))
	signature, err := s.Sign([]byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64url.Encode(signature)
}

// authorizationServer serves metadata and keys, and counts.
type authorizationServer struct {
	*httptest.Server
	mu       sync.Mutex
	keys     []*keys.Public
	status   int                                          // of every answer, if not 0
	answers  map[string]func(http.ResponseWriter, string) // path → answer, given the server's URL
	requests map[string]int                               // path → number
}

// newAuthorizationServer serves a key set at /jwks.
func newAuthorizationServer(t testing.TB, set ...*keys.Public) *authorizationServer {
	t.Helper()
	as := &authorizationServer{keys: set, requests: map[string]int{}}
	as.answers = map[string]func(http.ResponseWriter, string){"/jwks": func(w http.ResponseWriter, _ string) { as.serveKeys(w) }}
	as.Server = httptest.NewServer(as)
	t.Cleanup(as.Close)
	return as
}

func (as *authorizationServer) serveKeys(w http.ResponseWriter) {
	as.mu.Lock()
	defer as.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": as.keys})
}

func (as *authorizationServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	as.mu.Lock()
	as.requests[r.URL.Path]++
	status, answer := as.status, as.answers[r.URL.Path]
	as.mu.Unlock()
	switch {
	case status != 0:
		w.WriteHeader(status)
	case answer == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		answer(w, as.URL)
	}
}

// answer changes what the server answers at path.
func (as *authorizationServer) answer(path string, f func(http.ResponseWriter, string)) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.answers[path] = f
}

func (as *authorizationServer) set(status int, set ...*keys.Public) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.status, as.keys = status, set
}

func (as *authorizationServer) asked(path string) int {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.requests[path]
}
