package keys

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t testing.TB, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, name), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestThumbprintVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			ID        string
			JWK       json.RawMessage
			Canonical string
			SHA256    string `json:"sha256_b64u"`
		}
	}
	decode(t, "thumbprints.json", &file)
	if len(file.Cases) != 5 {
		t.Fatalf("got %d cases, want 5", len(file.Cases))
	}
	for _, tc := range file.Cases {
		t.Run(tc.ID, func(t *testing.T) {
			p, err := ParsePublic(tc.JWK)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(p.AppendJWK(nil)); got != tc.Canonical {
				t.Errorf("JWK: got %s, want %s", got, tc.Canonical)
			}
			if got := p.Thumbprint().String(); got != tc.SHA256 {
				t.Errorf("thumbprint: got %s, want %s", got, tc.SHA256)
			}
			parsed, err := ParseThumbprint(tc.SHA256)
			if err != nil || parsed != p.Thumbprint() {
				t.Errorf("ParseThumbprint: got %v, %v", parsed, err)
			}
		})
	}
}

func TestParseThumbprintRefuses(t *testing.T) {
	const good = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	if _, err := ParseThumbprint(good); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":                   "",
		"padded":                  good + "=",
		"short":                   good[:42],
		"long":                    good + "A",
		"standard base64":         "NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs",
		"bits after the end":      good[:42] + "t",
		"line feed":               good[:42] + "\n",
		"SHA-512":                 good + good,
		"hexadecimal of the same": hex.EncodeToString(make([]byte, 32)),
	} {
		if got, err := ParseThumbprint(text); err == nil || !got.IsZero() {
			t.Errorf("%s: got %v, %v, want an error", name, got, err)
		}
	}
}

type wycheproof struct {
	TestGroups []struct {
		PublicKeyJWK json.RawMessage
		KeyJWK       json.RawMessage
		PublicKeyDER string
		Tests        []struct {
			TcID    int
			Comment string
			Msg     string
			Sig     string
			Result  string
			Flags   []string
		}
	}
}

func TestWycheproofSignatures(t *testing.T) {
	for name, tc := range map[string]struct {
		alg           Algorithm
		valid, others int
	}{
		"ecdsa_secp256r1_sha256_p1363_test.json": {ES256, 40, 28},
		"ecdsa_secp384r1_sha384_p1363_test.json": {ES384, 34, 24},
		"ed25519_test.json":                      {Ed25519, 23, 31},
		"rsa_signature_2048_sha256_test.json":    {RS256, 6, 37},
		"rsa_pss_2048_sha256_mgf1_32_test.json":  {PS256, 17, 9},
		"rsa_pss_4096_sha512_mgf1_64_test.json":  {PS512, 16, 10},
	} {
		t.Run(name, func(t *testing.T) {
			var file wycheproof
			decode(t, "wycheproof/"+name, &file)
			verdicts := map[bool]int{}
			for _, group := range file.TestGroups {
				key := wycheproofKey(t, group.PublicKeyDER, append(group.PublicKeyJWK, group.KeyJWK...))
				for _, test := range group.Tests {
					msg, err1 := hex.DecodeString(test.Msg)
					sig, err2 := hex.DecodeString(test.Sig)
					if err := errors.Join(err1, err2); err != nil {
						t.Fatal(err)
					}
					err := key.Verify(tc.alg, msg, sig)
					// "acceptable" are RSA signatures without the NULL of RFC 8017; the standard library refuses them.
					if want := test.Result == "valid"; (err == nil) != want {
						t.Errorf("test %d (%s): got %v, want %s", test.TcID, test.Comment, err, test.Result)
					}
					verdicts[err == nil]++
				}
			}
			if diff := cmp.Diff(verdicts, map[bool]int{true: tc.valid, false: tc.others}); diff != "" {
				t.Errorf("verdicts (-got +want):\n%s", diff)
			}
		})
	}
}

// wycheproofKey reads the key in both forms. Some groups have only the first.
func wycheproofKey(t *testing.T, der string, jwk []byte) *Public {
	t.Helper()
	b, err := hex.DecodeString(der)
	if err != nil {
		t.Fatal(err)
	}
	std, err := x509.ParsePKIXPublicKey(b)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewPublic(std, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if jwk != nil {
		parsed, err := ParsePublic(jwk)
		if err != nil || parsed.Thumbprint() != key.Thumbprint() {
			t.Fatalf("the JWK is another key than the DER: %v", err)
		}
	}
	return key
}

// The key sets of Wycheproof that should be refused give no key that verifies the JWS beside them. Sets for MACs give
// none at all, as shared secrets are not for this package.
func TestWycheproofKeySets(t *testing.T) {
	var file struct {
		TestGroups []struct {
			Comment string
			Public  json.RawMessage
			Private json.RawMessage
			Tests   []struct {
				TcID   int
				JWS    string
				Result string
			}
		}
	}
	decode(t, "wycheproof/json_web_key_test.json", &file)
	if len(file.TestGroups) != 18 {
		t.Fatalf("got %d groups, want 18", len(file.TestGroups))
	}
	want := map[string]string{
		"rs256": "valid",
		// A key made by a broken generator (ROCA). Telling it from others takes a search that no verifier here does;
		// whoever has such a key can be impersonated by who factors it, and nobody else. On record.
		"jws_rsa_roca_key": "valid",
	}
	for _, group := range file.TestGroups {
		t.Run(group.Comment, func(t *testing.T) {
			text := group.Public
			if text == nil {
				text = group.Private
			}
			set, _ := ParseSet(text)
			for _, test := range group.Tests {
				parts := bytes.Split([]byte(test.JWS), []byte("."))
				signature, err := base64.RawURLEncoding.DecodeString(string(parts[2]))
				if err != nil {
					t.Fatal(err)
				}
				verdict := ""
				for _, key := range set {
					if key.Verify(RS256, bytes.Join(parts[:2], []byte(".")), signature) == nil ||
						key.Verify(ES256, bytes.Join(parts[:2], []byte(".")), signature) == nil {
						verdict = "valid"
					}
				}
				if verdict != want[group.Comment] {
					t.Errorf("test %d: got %q from %d keys, want %q", test.TcID, verdict, len(set), want[group.Comment])
				}
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	message := []byte("message")
	signers := map[Algorithm]*Signer{}
	for _, alg := range []Algorithm{ES256, ES384, ES512, Ed25519, PS256} {
		signer, err := Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		signers[alg] = signer
	}
	unbound := func(alg Algorithm) *Public {
		p, err := NewPublic(signers[alg].Public().Key(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	tests := []struct {
		name   string
		key    *Public
		signer Algorithm // whose signature
		alg    Algorithm // as the message names it
		change func([]byte) []byte
		want   Reason // "" if it verifies
	}{
		{"ES256", unbound(ES256), ES256, ES256, nil, ""},
		{"ES384", unbound(ES384), ES384, ES384, nil, ""},
		{"ES512", unbound(ES512), ES512, ES512, nil, ""},
		{"Ed25519", unbound(Ed25519), Ed25519, Ed25519, nil, ""},
		{"Ed25519 named EdDSA", unbound(Ed25519), Ed25519, EdDSA, nil, ""},
		{"bound to Ed25519, named EdDSA", signers[Ed25519].Public(), Ed25519, EdDSA, nil, ""},
		{"PS256", unbound(PS256), PS256, PS256, nil, ""},
		{"bound", signers[ES256].Public(), ES256, ES256, nil, ""},

		{"no key", nil, ES256, ES256, nil, NoKey},
		{"zero key", &Public{}, ES256, ES256, nil, NoKey},
		{"no algorithm", unbound(ES256), ES256, "", nil, Unsupported},
		{"none", unbound(ES256), ES256, "none", nil, Unsupported},
		{"HS256", unbound(ES256), ES256, "HS256", nil, Unsupported},
		{"lower case", unbound(ES256), ES256, "es256", nil, Unsupported},
		{"algorithm of another curve", unbound(ES256), ES256, ES384, nil, AlgorithmMismatch},
		{"algorithm of another type", unbound(ES256), ES256, PS256, nil, AlgorithmMismatch},
		{"other algorithm than bound to", signers[PS256].Public(), PS256, RS256, nil, AlgorithmMismatch},
		{"PS256 taken for RS256", unbound(PS256), PS256, RS256, nil, BadSignature},
		{"PS256 taken for PS384", unbound(PS256), PS256, PS384, nil, BadSignature},
		{"other key", unbound(ES256), ES384, ES256, nil, BadSignature},
		{"empty", unbound(ES256), ES256, ES256, func([]byte) []byte { return nil }, BadSignature},
		{"zeros", unbound(ES256), ES256, ES256, func(s []byte) []byte { return make([]byte, len(s)) }, BadSignature},
		{"r zero", unbound(ES256), ES256, ES256, func(s []byte) []byte { clear(s[:32]); return s }, BadSignature},
		{"s zero", unbound(ES256), ES256, ES256, func(s []byte) []byte { clear(s[32:]); return s }, BadSignature},
		{"octet more", unbound(ES256), ES256, ES256, func(s []byte) []byte { return append(s, 0) }, BadSignature},
		{"octet less", unbound(ES256), ES256, ES256, func(s []byte) []byte { return s[:63] }, BadSignature},
		{"two octets more in front", unbound(ES256), ES256, ES256, func(s []byte) []byte { return append([]byte{0, 0}, s...) }, BadSignature},
		{"DER", unbound(ES256), ES256, ES256, func(s []byte) []byte { der, _ := appendDER(nil, s, 32); return der }, BadSignature},
		{"bit changed", unbound(ES512), ES512, ES512, func(s []byte) []byte { s[0] ^= 1; return s }, BadSignature},
		{"Ed25519 short", unbound(Ed25519), Ed25519, Ed25519, func(s []byte) []byte { return s[:63] }, BadSignature},
		{"RSA short", unbound(PS256), PS256, PS256, func(s []byte) []byte { return s[1:] }, BadSignature},
		{"RSA long", unbound(PS256), PS256, PS256, func(s []byte) []byte { return append([]byte{0}, s...) }, BadSignature},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			signature, err := signers[tc.signer].Sign(message)
			if err != nil {
				t.Fatal(err)
			}
			if tc.change != nil {
				signature = tc.change(signature)
			}
			err = tc.key.Verify(tc.alg, message, signature)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestAllocs(t *testing.T) {
	signer, err := Generate(ES256)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("message")
	signature, err := signer.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	key := signer.Public()
	got := testing.AllocsPerRun(100, func() {
		if err := key.Verify(ES256, message, signature); err != nil {
			t.Fatal(err)
		}
	})
	if got > 11 { // 10 are VerifyASN1's own
		t.Errorf("Verify: got %v allocations, want 11", got)
	}
}
