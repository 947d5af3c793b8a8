package interop

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

var joseAlgorithms = []keys.Algorithm{
	keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.EdDSA,
	keys.PS256, keys.PS384, keys.PS512, keys.RS256, keys.RS384, keys.RS512,
}

type joseConfig struct {
	Statements []joseStatement  `json:"statements"`
	Ours       []joseSignature  `json:"ours"`
	Algorithms []keys.Algorithm `json:"algorithms"`
}

// joseStatement is a JWT and what its recipient expects.
type joseStatement struct {
	JWT      string         `json:"jwt"`
	JWKS     string         `json:"jwks"`
	Issuer   string         `json:"issuer"`
	Audience string         `json:"audience"`
	Typ      string         `json:"typ"`
	Alg      keys.Algorithm `json:"alg"`
}

// joseSignature is a JWS by a key of ours.
type joseSignature struct {
	Alg keys.Algorithm `json:"alg"`
	JWK *keys.Public   `json:"jwk"`
	JWS string         `json:"jws"`
}

type joseResult struct {
	Statements []struct {
		Claims  joseClaims `json:"claims"`
		Refused string     `json:"refused"` // jose's code
	} `json:"statements"`
	Ours []struct {
		Thumbprint string `json:"thumbprint"`
		Payload    string `json:"payload"`
	} `json:"ours"`
	Theirs []struct {
		Alg        keys.Algorithm  `json:"alg"`
		JWK        json.RawMessage `json:"jwk"`
		Private    json.RawMessage `json:"private"`
		Thumbprint string          `json:"thumbprint"`
		JWS        string          `json:"jws"`
	} `json:"theirs"`
}

// joseClaims are those that the tests look at.
type joseClaims map[string]any

func (c joseClaims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

func (c joseClaims) thumbprint() string {
	confirmation, _ := c["cnf"].(map[string]any)
	s, _ := confirmation["jkt"].(string)
	return s
}

// jose reads access tokens by the issuer's key set, and Holdfast-Identity by the gateway's.
func TestJOSEReads(t *testing.T) {
	for _, alg := range proofAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			s := newStage(t, alg)
			signer := generate(t, keys.ES256)
			token := s.callOnce(t, signer)
			identity := s.identity(t)

			access := joseStatement{JWT: token, JWKS: s.issuer + "/jwks", Issuer: s.issuer, Audience: audience, Typ: "at+jwt", Alg: alg}
			told := joseStatement{
				JWT: identity, JWKS: s.gateway + "/.well-known/holdfast-gateway-jwks.json", Issuer: gatewayIssuer, Audience: s.api,
				Typ: "holdfast-identity+jwt", Alg: alg,
			}
			statements := []joseStatement{access, told}
			for _, honest := range []joseStatement{access, told} {
				changed, elsewhere := honest, honest
				changed.JWT = changePayload(t, honest.JWT)
				elsewhere.Audience = "https://elsewhere.example"
				statements = append(statements, changed, elsewhere)
			}
			got := runNode[joseResult](t, "jose.mjs", joseConfig{Statements: statements, Ours: []joseSignature{}, Algorithms: []keys.Algorithm{}}).Statements
			if len(got) != len(statements) {
				t.Fatalf("got %d answers, want %d", len(got), len(statements))
			}
			for i, want := range []string{"", "", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "ERR_JWT_CLAIM_VALIDATION_FAILED",
				"ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "ERR_JWT_CLAIM_VALIDATION_FAILED"} {
				if got[i].Refused != want {
					t.Errorf("statement %d: got refused by %q, want %q", i, got[i].Refused, want)
				}
			}
			thumbprint := signer.Public().Thumbprint().String()
			for i, claims := range []joseClaims{got[0].Claims, got[1].Claims} {
				if claims.text("client_id") != "shop" || claims.thumbprint() != thumbprint {
					t.Errorf("statement %d: got %v, want client_id shop and the key %s", i, claims, thumbprint)
				}
			}
			if c := got[1].Claims; c.text("htm") != http.MethodPost || c.text("htu") != s.gateway+"/transfers" || c.text("token_iss") != s.issuer {
				t.Errorf("identity: got %v, want the request that was made", c)
			}
		})
	}
}

// callOnce gets a token for signer's key, calls the API with it, and returns it.
func (s *stage) callOnce(t *testing.T, signer *keys.Signer) string {
	t.Helper()
	cfg := clientcredentials.Config{
		ClientID: "shop", ClientSecret: s.secret, TokenURL: s.issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	tokens := &http.Client{Transport: &holdfast.Transport{Signer: signer}}
	token, err := cfg.Token(context.WithValue(t.Context(), oauth2.HTTPClient, tokens))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &holdfast.Transport{Source: oauth2.StaticTokenSource(token), Signer: signer}}
	resp, err := client.Post(s.gateway+"/transfers?page=1", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("got status %d, %q, %v; want 200", resp.StatusCode, body, err)
	}
	return token.AccessToken
}

// identity returns what the API was told of the one call.
func (s *stage) identity(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) != 1 {
		t.Fatalf("got %d calls, want 1", len(s.calls))
	}
	return s.calls[0].Header.Get("Holdfast-Identity")
}

// changePayload changes one character in the middle of a JWT's payload.
func changePayload(t *testing.T, jwt string) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("got %d parts, want a JWT", len(parts))
	}
	payload := []byte(parts[1])
	middle := len(payload) / 2
	if payload[middle] == 'A' {
		payload[middle] = 'B'
	} else {
		payload[middle] = 'A'
	}
	return parts[0] + "." + string(payload) + "." + parts[2]
}

// Keys, thumbprints and signatures go both ways.
func TestJOSEKeys(t *testing.T) {
	config := joseConfig{Statements: []joseStatement{}, Algorithms: joseAlgorithms}
	for _, alg := range joseAlgorithms {
		signer := joseSigner(t, alg)
		signature, err := jws.Sign(signer, jws.Header{Typ: "JWT"}, []byte("from Go"))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		config.Ours = append(config.Ours, joseSignature{Alg: alg, JWK: signer.Public(), JWS: signature})
	}
	got := runNode[joseResult](t, "jose.mjs", config)
	if len(got.Ours) != len(joseAlgorithms) || len(got.Theirs) != len(joseAlgorithms) {
		t.Fatalf("got %d and %d answers, want %d", len(got.Ours), len(got.Theirs), len(joseAlgorithms))
	}
	for i, alg := range joseAlgorithms {
		t.Run(string(alg), func(t *testing.T) {
			if got, want := got.Ours[i].Thumbprint, config.Ours[i].JWK.Thumbprint().String(); got != want {
				t.Errorf("thumbprint of our key: got %s, want %s", got, want)
			}
			if got := got.Ours[i].Payload; got != "from Go" {
				t.Errorf("our signature: got payload %q, want %q", got, "from Go")
			}
			theirs := got.Theirs[i]
			public, err := keys.ParsePublic(theirs.JWK)
			if err != nil {
				t.Fatal(err)
			}
			if got := public.Thumbprint().String(); got != theirs.Thumbprint {
				t.Errorf("thumbprint of their key: got %s, want %s", got, theirs.Thumbprint)
			}
			signature, err := jws.Parse(theirs.JWS, 8192)
			if err != nil {
				t.Fatal(err)
			}
			if err := signature.Verify(public); err != nil || signature.Payload != "from jose" || signature.Header.Alg != alg {
				t.Errorf("their signature: got %v, %q by %s; want it to verify", err, signature.Payload, signature.Header.Alg)
			}
			private, err := keys.ParseSigner(theirs.Private)
			if err != nil {
				t.Fatal(err)
			}
			if got := private.Public().Thumbprint(); got != public.Thumbprint() || private.Algorithm() != alg {
				t.Errorf("their private key: got %s for %s, want %s for %s", got, private.Algorithm(), public.Thumbprint(), alg)
			}
		})
	}
}

// joseSigner makes a key for alg. RSA keys are one, for they take long to make.
func joseSigner(t *testing.T, alg keys.Algorithm) *keys.Signer {
	t.Helper()
	if !strings.HasPrefix(string(alg), "PS") && !strings.HasPrefix(string(alg), "RS") {
		return generate(t, alg)
	}
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.NewSigner(key, "", alg)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
