package holdfasttest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/holdfasttest"
)

// whoami answers with what was proved.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	v, ok := holdfast.FromContext(r.Context())
	if !ok {
		http.Error(w, "no verdict", http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, string(v.Scheme)+" "+v.Token.ClientID+" "+string(body))
})

func post(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Post(url, "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestClients(t *testing.T) {
	s := holdfasttest.NewServer(t)
	plain := s.Protect(whoami)
	strict := s.ProtectWith(holdfast.Policy{CoverBody: true, Scope: strings.Fields(holdfasttest.Scope)}, whoami)
	lax := s.ProtectWith(holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}, whoami)
	for _, tc := range []struct {
		name   string
		scheme holdfast.Scheme
		url    string
		status int
		body   string
	}{
		{"dpop", holdfast.SchemeDPoP, plain.URL, 200, "DPoP dpop-client hello"},
		{"dpop, body covered", holdfast.SchemeDPoP, strict.URL, 200, "DPoP dpop-client hello"},
		{"httpsig", holdfast.SchemeHTTPSig, plain.URL, 200, "HTTPSig httpsig-client hello"},
		{"httpsig, body covered", holdfast.SchemeHTTPSig, strict.URL, 200, "HTTPSig httpsig-client hello"},
		{"bearer", holdfast.SchemeBearer, plain.URL, 401, ""},
		{"bearer observed", holdfast.SchemeBearer, lax.URL, 200, "Bearer bearer-client hello"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body := post(t, s.Client(tc.scheme), tc.url)
			if status != tc.status || (tc.body != "" && body != tc.body) {
				t.Errorf("got %d %q, want %d %q", status, body, tc.status, tc.body)
			}
		})
	}
}

// A thief has the token, but a key of its own.
func TestStolenToken(t *testing.T) {
	s := holdfasttest.NewServer(t)
	api := s.Protect(whoami)
	for _, scheme := range []holdfast.Scheme{holdfast.SchemeDPoP, holdfast.SchemeHTTPSig} {
		t.Run(string(scheme), func(t *testing.T) {
			source, _ := s.Credentials(scheme)
			stolen, err := source.Token()
			if err != nil {
				t.Fatal(err)
			}
			_, own := s.Credentials(scheme)
			thief := &http.Client{Transport: &holdfast.Transport{Source: oauth2.StaticTokenSource(stolen), Signer: own}}
			if status, body := post(t, thief, api.URL); status != http.StatusUnauthorized {
				t.Errorf("got %d %q, want 401", status, body)
			}
		})
	}
}

func TestWithoutCredentials(t *testing.T) {
	s := holdfasttest.NewServer(t)
	if status, _ := post(t, http.DefaultClient, s.Protect(whoami).URL); status != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", status)
	}
}
