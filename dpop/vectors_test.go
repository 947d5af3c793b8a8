package dpop

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// readJSON reads a file of testdata. A member that the test doesn't know fails it.
func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type caseFile struct {
	Meta  json.RawMessage
	Cases []requestCase
}

type requestCase struct {
	ID, Group, Endpoint, Expect, Rule string
	RejectAt                          string `json:"reject_at"`
	Strict                            bool
	JKT                               string
	Now                               int64
	Request                           struct {
		Method, URL string
		Headers     [][2]string
		Body        string `json:"body_b64"`
	}
	Policy struct {
		Algs          []keys.Algorithm
		MaxAge        int `json:"max_age"`
		ClockSkew     int `json:"clock_skew"`
		MaxProofBytes int `json:"max_proof_bytes"`
		Tokens        map[string]struct {
			Cnf *struct{ JKT string }
		}
		BearerAllowed bool `json:"bearer_allowed"`
		Nonce         []string
		SeenJTI       []string `json:"seen_jti"`
		ExpectedJKT   string   `json:"expected_jkt"`
		DPoPRequired  *bool    `json:"dpop_required"`
	}
}

func cases(t testing.TB) []requestCase {
	var file caseFile
	readJSON(t, "cases.json", &file)
	if len(file.Cases) != 166 {
		t.Fatalf("got %d cases, want 166", len(file.Cases))
	}
	return file.Cases
}

// values returns the values of a field.
func (c requestCase) values(name string) []string {
	var list []string
	for _, h := range c.Request.Headers {
		if strings.EqualFold(h[0], name) {
			list = append(list, h[1])
		}
	}
	return list
}

type fixedNonces []string

func (f fixedNonces) Check(nonce string) error {
	for _, n := range f {
		if n == nonce {
			return nil
		}
	}
	return errors.New("unknown nonce")
}

func (c requestCase) verifier(t testing.TB) *Verifier {
	cfg := Config{
		Algorithms: c.Policy.Algs,
		MaxAge:     time.Duration(c.Policy.MaxAge) * time.Second,
		Skew:       time.Duration(c.Policy.ClockSkew) * time.Second,
		MaxBytes:   c.Policy.MaxProofBytes,
		Now:        func() time.Time { return time.Unix(c.Now, 0) },
	}
	if c.Policy.Nonce != nil {
		cfg.Nonces = fixedNonces(c.Policy.Nonce)
	}
	v, err := NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// request is what a front door would ask of Verify, or false if it refuses or accepts without looking at a proof: those
// cases are about the credential, and package holdfast decides them.
func (c requestCase) request() (Request, bool) {
	r := Request{Fields: c.values("DPoP"), Method: c.Request.Method, TargetURI: c.Request.URL}
	if c.Endpoint == "token" {
		// A thumbprint that doesn't parse stays zero, which no key has.
		r.Thumbprint, _ = keys.ParseThumbprint(c.Policy.ExpectedJKT)
		required := c.Policy.DPoPRequired == nil || *c.Policy.DPoPRequired
		return r, required || len(r.Fields) > 0
	}
	authorization := c.values("Authorization")
	if len(authorization) != 1 || strings.Contains(c.Request.URL, "access_token=") {
		return r, false
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	r.Token = strings.TrimLeft(token, " ")
	entry, known := c.Policy.Tokens[r.Token]
	if !strings.EqualFold(scheme, "DPoP") || !known || entry.Cnf == nil {
		return r, false
	}
	r.Thumbprint, _ = keys.ParseThumbprint(entry.Cnf.JKT)
	return r, true
}

// reasons says which Reason the check has that a case should fail at.
var reasons = map[string]Reason{
	"DPoP field count":          FieldCount,
	"not a compact JWS":         Malformed,
	"not a JSON object":         Malformed,
	"oversize":                  Malformed,
	"base64url":                 Malformed,
	"base64url not canonical":   Malformed,
	"header JSON":               Malformed,
	"claims JSON":               Malformed,
	"duplicate JSON member":     Malformed,
	"crit":                      Malformed,
	"claim htm":                 ClaimMissing,
	"claim htu":                 ClaimMissing,
	"claim iat":                 ClaimMissing,
	"claim jti":                 ClaimMissing,
	"typ":                       TypMismatch,
	"alg":                       AlgRefused,
	"jwk":                       KeyRefused,
	"jwk type":                  KeyRefused,
	"jwk curve":                 KeyRefused,
	"jwk coordinate length":     KeyRefused,
	"private key in jwk":        KeyRefused,
	"RSA exponent":              KeyRefused,
	"RSA key too small":         KeyRefused,
	"signature":                 BadSignature,
	"htm":                       MethodMismatch,
	"htu":                       TargetMismatch,
	"htu has query or fragment": TargetMismatch,
	"nonce":                     NonceRequired,
	"iat too old":               TooOld,
	"iat in the future":         InFuture,
	"ath":                       TokenMismatch,
	"jkt":                       KeyMismatch,
}

// otherwise says where another check than the case names comes first, or one is told apart more finely.
var otherwise = map[string]Reason{
	"neg-nonce-case":                      NonceMismatch,
	"neg-nonce-number":                    ClaimMissing,
	"neg-alg-None-case":                   Malformed, // it has no signature at all
	"neg-sig-empty":                       Malformed,
	"neg-jwk-off-curve":                   KeyRefused,
	"neg-jwk-zero-point":                  KeyRefused,
	"neg-htu-empty":                       ClaimMissing,
	"neg-token-client-assertion-as-proof": ClaimMissing, // it has no htm either
}

func TestCases(t *testing.T) {
	// neg-htu-with-query is marked strict, as FAPI wants such proofs accepted. They are refused: htu is the URI "without
	// query and fragment parts" (RFC 9449, section 4.2), and a client that puts them there believes them covered.
	counts := map[string]int{}
	for _, tc := range cases(t) {
		r, ok := tc.request()
		if !ok {
			counts["front door"]++
			continue
		}
		counts[tc.Expect]++
		t.Run(tc.ID, func(t *testing.T) {
			p, err := tc.verifier(t).Verify(r)
			if tc.Expect == "accept" {
				if err != nil {
					t.Fatalf("got %v, want a proof", err)
				}
				if got := p.Thumbprint().String(); tc.JKT != "" && got != tc.JKT {
					t.Errorf("thumbprint: got %s, want %s", got, tc.JKT)
				}
				return
			}
			want, ok := otherwise[tc.ID]
			if !ok {
				want = reasons[tc.RejectAt]
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != want {
				t.Errorf("got %v, %v, want %s: %s", p, err, want, tc.Rule)
			}
		})
	}
	if diff := cmp.Diff(counts, map[string]int{"accept": 33, "reject": 122, "front door": 11}); diff != "" {
		t.Errorf("cases (-got +want):\n%s", diff)
	}
}

func TestProofs(t *testing.T) {
	var file struct {
		Meta  json.RawMessage
		Cases []struct {
			ID, Source, Proof, Method, URL, Expect, Rule, Note, JKT, Ath string

			Now            int64
			Header, Claims json.RawMessage
			SignatureValid bool   `json:"signature_valid"`
			AccessToken    string `json:"access_token"`
			ExpectedJKT    string `json:"expected_jkt"`
		}
	}
	readJSON(t, "proofs.json", &file)
	if len(file.Cases) != 17 {
		t.Fatalf("got %d cases, want 17", len(file.Cases))
	}
	for _, tc := range file.Cases {
		t.Run(tc.ID, func(t *testing.T) {
			v, err := NewVerifier(Config{
				Algorithms: []keys.Algorithm{keys.ES256, keys.ES384, keys.ES512, keys.EdDSA, keys.RS256},
				MaxAge:     300 * time.Second,
				Now:        func() time.Time { return time.Unix(tc.Now, 0) },
			})
			if err != nil {
				t.Fatal(err)
			}
			r := Request{Fields: []string{tc.Proof}, Method: tc.Method, TargetURI: tc.URL, Token: tc.AccessToken}
			r.Thumbprint, _ = keys.ParseThumbprint(tc.ExpectedJKT)
			p, err := v.Verify(r)
			if (err == nil) != (tc.Expect == "accept") {
				t.Fatalf("got %v, want %s: %s", err, tc.Expect, tc.Rule)
			}
			if e, ok := errors.AsType[*Error](err); ok {
				// The signature holds or not, as the vector says, whatever else is wrong.
				if early := e.Reason == BadSignature || e.Reason == KeyRefused || e.Reason == AlgRefused; early == tc.SignatureValid {
					t.Errorf("got %s for a proof with signature_valid %v", e.Reason, tc.SignatureValid)
				}
				return
			}
			if got := p.Thumbprint().String(); got != tc.JKT {
				t.Errorf("thumbprint: got %s, want %s", got, tc.JKT)
			}
		})
	}
}

// other.json has the figures of the RFC that aren't proofs.
func TestFigures(t *testing.T) {
	var file struct {
		AccessToken struct {
			Value, Ath string
			JKT        string `json:"jkt_of_rfc_key"`
		} `json:"access_token"`
		Nonces           []string
		Meta, Challenges json.RawMessage
		JWT              json.RawMessage `json:"jwt_access_token"`
		Introspection    json.RawMessage `json:"introspection_response"`
	}
	readJSON(t, "other.json", &file)
	c := check{claims: claims{ath: mustValue(t, `"`+file.AccessToken.Ath+`"`)}}
	if !c.hashes(file.AccessToken.Value) {
		t.Errorf("ath of the RFC's token: got another than %s", file.AccessToken.Ath)
	}
	if len(file.Nonces) != 2 {
		t.Fatalf("got %d nonces, want 2", len(file.Nonces))
	}
	for _, nonce := range file.Nonces {
		signer := generate(t, keys.ES256)
		proof, err := Sign(signer, Params{Method: "POST", TargetURI: "https://server.example.com/token", Nonce: nonce})
		if err != nil {
			t.Fatal(err)
		}
		v, err := NewVerifier(Config{Nonces: fixedNonces(file.Nonces)})
		if err != nil {
			t.Fatal(err)
		}
		p, err := v.Verify(Request{Fields: []string{proof}, Method: "POST", TargetURI: "https://server.example.com/token"})
		if err != nil || p.Nonce() != nonce {
			t.Errorf("nonce %s: got %v", nonce, err)
		}
	}
}

func mustValue(t testing.TB, text string) strictjson.Value {
	t.Helper()
	v, err := strictjson.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func generate(t testing.TB, alg keys.Algorithm) *keys.Signer {
	t.Helper()
	signer, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
