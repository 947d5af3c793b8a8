package interop

import (
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// redirectURI is where users of "portal" and "spa" come back to. Nothing is there: the scripts read it.
const redirectURI = "https://portal.example/callback"

type codeConfig struct {
	Issuer      string         `json:"issuer"`
	ClientID    string         `json:"client_id"`
	Secret      string         `json:"secret,omitempty"`
	Alg         keys.Algorithm `json:"alg"` // of proofs
	Scope       string         `json:"scope"`
	Resource    string         `json:"resource"`
	RedirectURI string         `json:"redirectURI"`
	Target      string         `json:"target"` // what is called
}

type codeResult struct {
	Thumbprint string `json:"thumbprint"`
	TokenType  string `json:"tokenType"`
	Challenges int    `json:"challenges"` // as far as the script was told
	Answers    []int  `json:"answers"`    // status, of calls before and after refreshing
	Refused    string `json:"refused"`    // what a revoked refresh token got
	User       string `json:"user"`
}

// Unchanged clients take a user's way, from discovery to revocation: pushed requests, login and consent, every token
// bound to one key, nonces demanded everywhere.
func TestCodeFlow(t *testing.T) {
	for _, script := range []string{"oauth4webapi-code.mjs", "openid-client.mjs"} {
		for _, client := range []string{"portal", "spa"} {
			t.Run(script+"/"+client, func(t *testing.T) {
				s := newStage(t, keys.ES256)
				config := codeConfig{
					Issuer: s.issuer, ClientID: client, Alg: keys.ES256, Scope: "openid transfer", Resource: audience,
					RedirectURI: redirectURI, Target: s.gateway + "/transfers?page=1",
				}
				if client == "portal" {
					config.Secret = s.secret
				}
				got := runNode[codeResult](t, script, config)
				if !slices.Equal(got.Answers, []int{http.StatusOK, http.StatusOK}) || got.Refused != "invalid_grant" || got.User != developer {
					t.Errorf("got %+v, want two calls answered, the revoked token refused, and the user %s", got, developer)
				}
				s.checkUser(t, client, got.Thumbprint)
			})
		}
	}
}

// checkUser checks what issuer and gateway saw of it.
func (s *stage) checkUser(t *testing.T, clientID, thumbprint string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var done []string
	var subject string
	for _, e := range s.events {
		switch {
		case e.Refusal == nil:
			done = append(done, e.Endpoint)
		case e.Refusal.Reason != issuer.NonceNeeded && e.Refusal.Reason != issuer.RefreshRefused:
			t.Errorf("issuer: got %v", e.Refusal)
		}
		if e.Endpoint == "authorization" {
			subject = e.Subject
		}
		if e.Endpoint == "token" && e.Refusal == nil && (e.ClientID != clientID || e.Key.String() != thumbprint) {
			t.Errorf("issuer: got %+v, want a grant to %s for the key %s", e, clientID, thumbprint)
		}
	}
	want := []string{"par", "login", "consent", "authorization", "token", "token", "userinfo", "revocation"}
	if !slices.Equal(done, want) {
		t.Errorf("issuer: got %q, want %q", done, want)
	}
	if len(s.verdicts) != 2 {
		t.Fatalf("gateway: got %d verdicts, want 2", len(s.verdicts))
	}
	for _, v := range s.verdicts {
		if v.Scheme != holdfast.SchemeDPoP || v.Key.String() != thumbprint || v.Token.Subject != subject || subject == "" {
			t.Errorf("gateway: got %s with the key %s for %s, want DPoP with %s for %s", v.Scheme, v.Key, v.Token.Subject, thumbprint, subject)
		}
	}
}
