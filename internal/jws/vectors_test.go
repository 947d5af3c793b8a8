package jws

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/keys"
)

func decode(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// publicJWK drops what a verifier doesn't get.
func publicJWK(t testing.TB, jwk json.RawMessage) []byte {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(jwk, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		delete(members, name)
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verdict is ours: "accept" or "reject".
func verdict(t testing.TB, text string, jwk json.RawMessage) string {
	t.Helper()
	c, err := Parse(text, 1<<16)
	if err != nil {
		return "reject"
	}
	key, err := keys.ParsePublic(publicJWK(t, jwk))
	if err != nil || c.Verify(key) != nil {
		return "reject"
	}
	return "accept"
}

// secondOpinion is the verdict of go-jose, with the key's own algorithm or that of the header. payload is nil unless
// it is detached.
func secondOpinion(t testing.TB, text string, jwk json.RawMessage, payload []byte) string {
	t.Helper()
	algs := []jose.SignatureAlgorithm{jose.HS256, jose.ES256, jose.ES512, jose.RS256, jose.EdDSA}
	var parsed *jose.JSONWebSignature
	var err error
	switch {
	case payload != nil:
		parsed, err = jose.ParseDetached(text, payload, algs)
	case strings.HasPrefix(text, "{"):
		parsed, err = jose.ParseSignedJSON(text, algs)
	default:
		parsed, err = jose.ParseSignedCompact(text, algs)
	}
	if err != nil {
		return "reject"
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(jwk, &key); err != nil {
		t.Fatal(err)
	}
	public := key.Key // a shared secret has no public half
	if half := key.Public(); half.Key != nil {
		public = half.Key
	}
	if payload != nil {
		err = parsed.DetachedVerify(payload, public)
	} else {
		_, _, _, err = parsed.VerifyMulti(public)
	}
	if err != nil {
		return "reject"
	}
	return "accept"
}

func TestVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			ID, Expect, Rule, Alg string
			JWS                   json.RawMessage
			Key                   json.RawMessage
			Keys                  []json.RawMessage
			Header                json.RawMessage
			Payload               []byte `json:"payload_b64"`
			Detached              []byte `json:"detached_payload_b64"`
		}
	}
	decode(t, "jws.json", &file)
	if len(file.Cases) != 24 {
		t.Fatalf("got %d cases, want 24", len(file.Cases))
	}
	// What is refused here although its RFC allows it, and what go-jose makes of it.
	outside := map[string]struct{ why, jose string }{
		"rfc7515-A.1":               {"a MAC", "accept"},
		"rfc7515-A.6-general":       {"the JSON form", "accept"},
		"rfc7515-F-detached":        {"a MAC over a detached payload", "accept"},
		"rfc7797-4.2-b64false":      {"an unencoded payload", "accept"},
		"cookbook-b64false-compact": {"an unencoded payload", "reject"}, // go-jose has them only detached
	}
	for _, tc := range file.Cases {
		t.Run(tc.ID, func(t *testing.T) {
			text := string(tc.JWS)
			if text[0] == '"' {
				if err := json.Unmarshal(tc.JWS, &text); err != nil {
					t.Fatal(err)
				}
			}
			jwks := append(tc.Keys, tc.Key)
			if o, ok := outside[tc.ID]; ok {
				for _, jwk := range jwks {
					if jwk == nil {
						continue
					}
					if got := verdict(t, text, jwk); got != "reject" {
						t.Errorf("got %s, want a refusal of %s", got, o.why)
					}
					if got := secondOpinion(t, text, jwk, tc.Detached); got != o.jose {
						t.Errorf("go-jose: got %s, want %s", got, o.jose)
					}
				}
				return
			}
			if got := verdict(t, text, tc.Key); got != tc.Expect {
				t.Errorf("got %s, want %s: %s", got, tc.Expect, tc.Rule)
			}
			if tc.Payload != nil {
				checkParts(t, text, tc.Payload)
			}
		})
	}
}

// checkParts checks what Parse made of an accepted JWS.
func checkParts(t *testing.T, text string, payload []byte) {
	t.Helper()
	c, err := Parse(text, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Payload, string(payload)); diff != "" {
		t.Errorf("payload (-got +want):\n%s", diff)
	}
	if got, want := string(c.signed), text[:strings.LastIndexByte(text, '.')]; got != want {
		t.Errorf("signed: got %s, want %s", got, want)
	}
}

func TestRFC7520(t *testing.T) {
	names, err := filepath.Glob("testdata/rfc7520/*.json")
	if err != nil || len(names) != 6 {
		t.Fatalf("got %d files, %v, want 6", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			var file struct {
				Input struct {
					Payload string
					Key     json.RawMessage
					Alg     keys.Algorithm
				}
				Signing struct {
					Input string `json:"sig-input"`
					Sig   string
				}
				Output struct {
					Compact  string
					JSON     json.RawMessage
					JSONFlat json.RawMessage `json:"json_flat"`
				}
			}
			decode(t, filepath.Join("rfc7520", filepath.Base(name)), &file)
			detached := strings.Contains(file.Output.Compact, "..")
			var payload []byte
			if detached {
				payload = []byte(file.Input.Payload)
			}
			forms := []string{string(file.Output.JSON), string(file.Output.JSONFlat)}
			ours := file.Input.Alg.Supported() && !detached && file.Output.Compact != ""
			if ours {
				if got := verdict(t, file.Output.Compact, file.Input.Key); got != "accept" {
					t.Errorf("compact: got %s, want accept", got)
				}
				checkParts(t, file.Output.Compact, []byte(file.Input.Payload))
				checkSigner(t, file.Input.Key, file.Input.Alg, file.Signing.Input, file.Signing.Sig)
			} else if file.Output.Compact != "" {
				forms = append(forms, file.Output.Compact)
			}
			for _, form := range forms {
				if got := verdict(t, form, file.Input.Key); got != "reject" {
					t.Errorf("%.20s…: got %s, want reject", form, got)
				}
				if detached && form[0] == '{' {
					continue // go-jose has detached payloads only in the compact form
				}
				if got := secondOpinion(t, form, file.Input.Key, payload); got != "accept" {
					t.Errorf("go-jose, %.20s…: got %s, want accept", form, got)
				}
			}
		})
	}
}

// checkSigner checks that our signature is the vector's where the algorithm gives only one, and verifies otherwise.
func checkSigner(t *testing.T, jwk json.RawMessage, alg keys.Algorithm, input, want string) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(jwk, &members); err != nil {
		t.Fatal(err)
	}
	members["alg"] = alg
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.ParseSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	if got := base64url.Encode(signature); alg != keys.ES512 && got != want {
		t.Errorf("signature: got %s, want %s", got, want)
	}
	if err := signer.Public().Verify(alg, []byte(input), signature); err != nil {
		t.Error(err)
	}
}

func TestWycheproof(t *testing.T) {
	var file struct {
		TestGroups []struct {
			Comment         string
			Public, Private json.RawMessage
			Tests           []struct {
				TcID         int
				Comment, JWS string
				Result       string
			}
		}
	}
	decode(t, "wycheproof/json_web_signature_test.json", &file)
	// Payloads that are empty could be detached ones, and nothing here signs nothing.
	emptyPayload := map[int]bool{264: true, 272: true, 320: true}
	// Where go-jose is laxer: it skips bits after the last octet.
	lax := map[int]bool{374: true}
	counts := map[string]int{}
	for _, group := range file.TestGroups {
		for _, test := range group.Tests {
			want := map[string]string{"valid": "accept", "invalid": "reject"}[test.Result]
			if group.Public == nil {
				if got := verdict(t, test.JWS, group.Private); got != "reject" {
					t.Errorf("test %d (%s): got %s, want a refusal of the MAC", test.TcID, test.Comment, got)
				}
				if got := secondOpinion(t, test.JWS, group.Private, nil); (got == want) == lax[test.TcID] {
					t.Errorf("test %d (%s): go-jose: got %s, want %s", test.TcID, test.Comment, got, want)
				}
				counts["mac"]++
				continue
			}
			if emptyPayload[test.TcID] {
				want = "reject"
			}
			if got := verdict(t, test.JWS, group.Public); got != want {
				t.Errorf("test %d (%s): got %s, want %s", test.TcID, test.Comment, got, want)
			}
			counts[want]++
		}
	}
	if diff := cmp.Diff(counts, map[string]int{"accept": 19, "reject": 219, "mac": 24}); diff != "" {
		t.Errorf("verdicts (-got +want):\n%s", diff)
	}
}
