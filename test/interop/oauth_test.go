package interop

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// proofAlgorithms are those that both DPoP clients and we have by default.
var proofAlgorithms = []keys.Algorithm{keys.ES256, keys.Ed25519}

type oauthConfig struct {
	Issuer       string          `json:"issuer"`
	ClientID     string          `json:"client_id"`
	Secret       string          `json:"secret,omitempty"`
	AssertionKey json.RawMessage `json:"assertionKey,omitempty"` // a private JWK
	Alg          keys.Algorithm  `json:"alg"`                    // of proofs
	Scope        string          `json:"scope"`
	Resource     string          `json:"resource"`
	Calls        []oauthCall     `json:"calls"`
}

type oauthCall struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Body   string `json:"body"`
}

type oauthResult struct {
	Thumbprint string `json:"thumbprint"`
	TokenType  string `json:"tokenType"`
	Scope      string `json:"scope"`
	Retries    int    `json:"retries"` // of the token request
	Answers    []struct {
		Status  int    `json:"status"`
		Body    string `json:"body"`
		Retries int    `json:"retries"`
	} `json:"answers"`
}

func TestOAuth4WebAPI(t *testing.T) {
	for _, method := range []issuer.AuthMethod{issuer.ClientSecretBasic, issuer.PrivateKeyJWT} {
		for _, alg := range proofAlgorithms {
			t.Run(string(method)+"/"+string(alg), func(t *testing.T) {
				s := newStage(t, alg)
				config := oauthConfig{Issuer: s.issuer, Alg: alg, Scope: "transfer", Resource: audience, Calls: []oauthCall{
					{Method: http.MethodGet, URL: s.gateway + "/transfers/a%2Fb?page=1"},
					{Method: http.MethodPost, URL: s.gateway + "/transfers", Body: `{"amount":10}`},
				}}
				if method == issuer.ClientSecretBasic {
					config.ClientID, config.Secret = "shop", s.secret
				} else {
					config.ClientID = "robot-" + string(alg)
					var err error
					if config.AssertionKey, err = s.assertion[alg].MarshalPrivateJWK(); err != nil {
						t.Fatal(err)
					}
				}
				got := runNode[oauthResult](t, "oauth4webapi.mjs", config)
				if got.Scope != "transfer" {
					t.Errorf("scope: got %q, want transfer", got.Scope)
				}
				if got.Retries != 1 || len(got.Answers) != 2 || got.Answers[0].Retries != 1 || got.Answers[1].Retries != 0 {
					t.Errorf("got %+v, want one challenge by each server", got)
				}
				for _, a := range got.Answers {
					if a.Status != http.StatusOK || a.Body != "done" {
						t.Errorf("got status %d and %q, want 200 and what the API says", a.Status, a.Body)
					}
				}
				s.checkGrant(t, config.ClientID, got.TokenType, got.Thumbprint)
				s.checkCalls(t, config.ClientID, alg, got.Thumbprint)
				s.checkRefusals(t, string(dpop.NonceRequired))
			})
		}
	}
}

type dpopConfig struct {
	TokenEndpoint string         `json:"tokenEndpoint"`
	ClientID      string         `json:"client_id"`
	Secret        string         `json:"secret"`
	Alg           keys.Algorithm `json:"alg"`
	Resource      string         `json:"resource"`
	Target        string         `json:"target"` // what is called
	Other         string         `json:"other"`  // what isn't
}

type dpopResult struct {
	Thumbprint string `json:"thumbprint"`
	TokenType  string `json:"tokenType"`
	Retries    []int  `json:"retries"`
	Answers    []int  `json:"answers"` // status
	Refused    []struct {
		Name   string `json:"name"`
		Status int    `json:"status"`
	} `json:"refused"`
}

// misuses are what dpop.mjs tries, and why the gateway refuses it, in order.
var misuses = []struct{ name, want string }{
	{"proof used again", holdfast.ReasonReplayed},
	{"proof for another method", string(dpop.MethodMismatch)},
	{"proof for another URL", string(dpop.TargetMismatch)},
	{"proof by another key", string(dpop.KeyMismatch)},
	{"proof without a token", string(dpop.TokenMismatch)},
	{"proof for another token", string(dpop.TokenMismatch)},
	{"nonce of nobody", string(dpop.NonceMismatch)},
	{"nonce of the token endpoint", string(dpop.NonceMismatch)},
	{"RSA key", string(dpop.AlgRefused)},
	{"no proof", string(dpop.FieldCount)},
	{"Bearer", holdfast.ReasonDowngrade},
	{"Bearer without a proof", holdfast.ReasonDowngrade},
}

func TestDPoP(t *testing.T) {
	for _, alg := range proofAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			s := newStage(t, alg)
			got := runNode[dpopResult](t, "dpop.mjs", dpopConfig{
				TokenEndpoint: s.issuer + "/token", ClientID: "shop", Secret: s.secret, Alg: alg, Resource: audience,
				Target: s.gateway + "/transfers", Other: s.gateway + "/transfer",
			})
			if !slices.Equal(got.Retries, []int{1, 1}) {
				t.Errorf("got %v challenges by the two servers, want one each", got.Retries)
			}
			if !slices.Equal(got.Answers, []int{http.StatusOK, http.StatusOK}) {
				t.Errorf("got status %v, want 200 twice", got.Answers)
			}
			s.checkGrant(t, "shop", got.TokenType, got.Thumbprint)
			s.checkCalls(t, "shop", alg, got.Thumbprint)
			want := []string{string(dpop.NonceRequired)}
			for i, m := range misuses {
				want = append(want, m.want)
				if i >= len(got.Refused) || got.Refused[i].Name != m.name || got.Refused[i].Status != http.StatusUnauthorized {
					t.Fatalf("attempt %d: got %v, want 401 for %q", i, got.Refused, m.name)
				}
			}
			s.checkRefusals(t, want...)
		})
	}
}

// checkGrant checks that the issuer challenged once, and then granted one token for the client's key.
func (s *stage) checkGrant(t *testing.T, clientID, tokenType, thumbprint string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if tokenType != "DPoP" && tokenType != "dpop" { // oauth4webapi lowers it
		t.Errorf("token type: got %q, want DPoP", tokenType)
	}
	if len(s.events) != 2 || s.events[0].Refusal == nil || s.events[0].Refusal.Reason != issuer.NonceNeeded {
		t.Fatalf("issuer: got %+v, want a challenge and a grant", s.events)
	}
	e := s.events[1]
	if e.Refusal != nil || e.ClientID != clientID || e.Binding != issuer.DPoP || e.Key.String() != thumbprint {
		t.Errorf("issuer: got %+v, want a grant to %s for the key %s", e, clientID, thumbprint)
	}
}

// checkCalls checks that a GET and a POST were verified by the client's key, and reached the API as they were sent,
// without what only the gateway needs.
func (s *stage) checkCalls(t *testing.T, clientID string, alg keys.Algorithm, thumbprint string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.verdicts) != 2 || len(s.calls) != 2 {
		t.Fatalf("got %d verdicts and %d calls, want 2 of each", len(s.verdicts), len(s.calls))
	}
	for i, method := range []string{http.MethodGet, http.MethodPost} {
		v, c := s.verdicts[i], s.calls[i]
		if v.Scheme != holdfast.SchemeDPoP || v.Algorithm != string(alg) || v.Key.String() != thumbprint || v.Token.ClientID != clientID {
			t.Errorf("%s: got %s by %s with the key %s for %s, want DPoP by %s with %s for %s",
				method, v.Scheme, v.Algorithm, v.Key, v.Token.ClientID, alg, thumbprint, clientID)
		}
		if c.Method != method || s.gateway+c.Target != v.TargetURI || (method == http.MethodPost) != (c.Body == `{"amount":10}`) {
			t.Errorf("%s: the API got %+v", method, c)
		}
		if c.Header.Get("Authorization") != "" || c.Header.Get("DPoP") != "" || c.Header.Get("Holdfast-Identity") == "" {
			t.Errorf("%s: the API got fields %v, want Holdfast-Identity without credentials", method, c.Header)
		}
	}
}

// checkRefusals checks why the gateway refused, in order.
func (s *stage) checkRefusals(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for _, r := range s.refusals {
		got = append(got, r.Reason)
	}
	if !slices.Equal(got, want) {
		t.Errorf("refusals: got %q, want %q", got, want)
	}
}
