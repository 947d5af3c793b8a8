package accesstoken

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	rfc9449Thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" // RFC 9449, section 6.1
	rfc8705Thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" // RFC 8705, appendix A
	draftPublicKey    = "iuemcj_GhRHmY_yCsMlDNp3BQgPZDdG00VRsg_BgU3s" // draft-richer-oauth-httpsig-03, examples

	ed25519JWK = `"kty":"OKP","crv":"Ed25519","x":"` + draftPublicKey + `"`
	// RFC 8705, appendix A.
	p256JWK = `"kty":"EC","crv":"P-256","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8"`
)

func TestParseConfirmation(t *testing.T) {
	jkt, err := keys.ParseThumbprint(rfc9449Thumbprint)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := keys.ParsePublic([]byte("{" + ed25519JWK + "}"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cnf  string
		want Confirmation // without Key, whose thumbprint says enough
		key  bool
	}{
		{"jkt", `{"jkt":"` + rfc9449Thumbprint + `"}`, Confirmation{Binding: BoundJKT, Thumbprint: jkt}, false},
		{"jkt with space", " {\n\"jkt\" : \"" + rfc9449Thumbprint + "\" } ", Confirmation{Binding: BoundJKT, Thumbprint: jkt}, false},
		{"x5t#S256", `{"x5t#S256":"` + rfc8705Thumbprint + `"}`, Confirmation{Binding: BoundX5T, Certificate: decode32(t, rfc8705Thumbprint)}, false},
		{"jwk", `{"jwk":{` + ed25519JWK + `,"alg":"Ed25519"}}`, Confirmation{Binding: BoundJWK, Thumbprint: ed.Thumbprint()}, true},
		{"jwk without alg", `{"jwk":{` + ed25519JWK + `}}`, Confirmation{Binding: BoundJWK, Thumbprint: ed.Thumbprint()}, true},
		{"jwk for EdDSA", `{"jwk":{` + ed25519JWK + `,"alg":"EdDSA"}}`, Confirmation{Binding: BoundJWK, Thumbprint: ed.Thumbprint()}, true},
		{"htsk", `{"htsk":{"alg":"ed25519","pub":"` + draftPublicKey + `"}}`,
			Confirmation{Binding: BoundHTSK, Thumbprint: ed.Thumbprint(), Algorithm: "ed25519"}, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseConfirmation([]byte(tc.cnf))
			if err != nil {
				t.Fatal(err)
			}
			if (got.Key != nil) != tc.key || tc.key && got.Key.Thumbprint() != got.Thumbprint {
				t.Errorf("got key %v with thumbprint %v", got.Key, got.Thumbprint)
			}
			got.Key = nil
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func decode32(t testing.TB, text string) [32]byte {
	t.Helper()
	b, err := base64url.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(b)
}

func badConfirmations() map[string]string {
	hex := "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd"
	zeros := strings.Repeat("A", 43)
	tests := map[string]string{
		"nothing":               ``,
		"null":                  `null`,
		"a string":              `"` + rfc9449Thumbprint + `"`,
		"a list":                `[{"jkt":"` + rfc9449Thumbprint + `"}]`,
		"trailing bytes":        `{"jkt":"` + rfc9449Thumbprint + `"}}`,
		"empty":                 `{}`,
		"unknown method":        `{"kid":"k1"}`,
		"x5t with SHA-1":        `{"x5t":"T8Qp8fPmVYqb9iHyzQUaAbxBedY"}`,
		"method in capitals":    `{"JKT":"` + rfc9449Thumbprint + `"}`,
		"jwe":                   `{"jwe":"eyJ"}`,
		"two methods":           `{"jkt":"` + rfc9449Thumbprint + `","x5t#S256":"` + rfc8705Thumbprint + `"}`,
		"one method twice":      `{"jkt":"` + rfc9449Thumbprint + `","jkt":"` + rfc9449Thumbprint + `"}`,
		"unknown after known":   `{"jkt":"` + rfc9449Thumbprint + `","kid":"k1"}`,
		"unknown before known":  `{"kid":"k1","jkt":"` + rfc9449Thumbprint + `"}`,
		"too long":              `{"jkt":"` + rfc9449Thumbprint + `"` + strings.Repeat(" ", maxConfirmation) + `}`,
		"jwk a string":          `{"jwk":"{}"}`,
		"jwk null":              `{"jwk":null}`,
		"jwk empty":             `{"jwk":{}}`,
		"jwk private":           `{"jwk":{` + ed25519JWK + `,"d":"` + draftPublicKey + `"}}`,
		"jwk secret":            `{"jwk":{"kty":"oct","k":"c2VjcmV0"}}`,
		"jwk off its curve":     `{"jwk":{` + strings.Replace(p256JWK, "1yfL", "1yfM", 1) + `}}`,
		"jwk for encryption":    `{"jwk":{` + p256JWK + `,"use":"enc"}}`,
		"jwk of another alg":    `{"jwk":{` + p256JWK + `,"alg":"ES384"}}`,
		"jwk for a MAC":         `{"jwk":{` + p256JWK + `,"alg":"HS256"}}`,
		"jwk with a twin":       `{"jwk":{` + p256JWK + `,"kty":"EC"}}`,
		"htsk null":             `{"htsk":null}`,
		"htsk empty":            `{"htsk":{}}`,
		"htsk without alg":      `{"htsk":{"pub":"` + draftPublicKey + `"}}`,
		"htsk without pub":      `{"htsk":{"alg":"ed25519"}}`,
		"htsk JOSE alg":         `{"htsk":{"alg":"Ed25519","pub":"` + draftPublicKey + `"}}`,
		"htsk MAC":              `{"htsk":{"alg":"hmac-sha256","pub":"` + draftPublicKey + `"}}`,
		"htsk key of other alg": `{"htsk":{"alg":"ecdsa-p256-sha256","pub":"` + draftPublicKey + `"}}`,
		"htsk padded":           `{"htsk":{"alg":"ed25519","pub":"` + draftPublicKey + `="}}`,
		"htsk base64":           `{"htsk":{"alg":"ed25519","pub":"` + strings.ReplaceAll(draftPublicKey, "_", "/") + `"}}`,
		"htsk extra member":     `{"htsk":{"alg":"ed25519","pub":"` + draftPublicKey + `","exp":1}}`,
		"htsk small order":      `{"htsk":{"alg":"ed25519","pub":"` + zeros + `"}}`,
	}
	for _, method := range []string{"jkt", "x5t#S256"} {
		for name, value := range map[string]string{
			"null":          `null`,
			"a number":      `1`,
			"a list":        `["` + rfc8705Thumbprint + `"]`,
			"empty":         `""`,
			"short":         `"` + rfc8705Thumbprint[:40] + `"`,
			"padded":        `"` + rfc8705Thumbprint + `="`,
			"line feed":     `"` + rfc8705Thumbprint + `\n"`,
			"hex":           `"` + hex + `"`,
			"base64":        `"6H31tD6/m4nKKyu/MaTnrVpA1ATPuy/MGkA8JlEoWtw"`,
			"loose bits":    `"` + rfc8705Thumbprint[:42] + `1"`,
			"zeros":         `"` + zeros + `"`,
			"SHA-1":         `"T8Qp8fPmVYqb9iHyzQUaAbxBedY"`,
			"SHA-512":       `"` + strings.Repeat("A", 85) + `g"`,
			"space before":  `" ` + rfc8705Thumbprint + `"`,
			"an object":     `{"` + rfc8705Thumbprint + `":1}`,
			"not even JSON": `x`,
		} {
			tests[method+" "+name] = `{"` + method + `":` + value + `}`
		}
	}
	return tests
}

func TestParseConfirmationRefuses(t *testing.T) {
	for name, cnf := range badConfirmations() {
		t.Run(name, func(t *testing.T) {
			got, err := ParseConfirmation([]byte(cnf))
			checkReason(t, err, BadConfirmation)
			if got != (Confirmation{}) {
				t.Errorf("got %+v beside the error", got)
			}
		})
	}
}

// Of an RSA key the type doesn't say which algorithm it is for.
func TestParseConfirmationRSA(t *testing.T) {
	signer := newSigner(t, keys.PS256)
	for alg, want := range map[keys.Algorithm]Reason{"": BadConfirmation, keys.PS256: ""} {
		jwk, err := json.Marshal(publish(t, signer, "", alg))
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseConfirmation([]byte(`{"jwk":` + string(jwk) + `}`))
		if want != "" {
			checkReason(t, err, want)
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestRuntimeKey(t *testing.T) {
	tests := []struct {
		alg  keys.Algorithm
		name string
		size int
	}{
		{keys.ES256, "ecdsa-p256-sha256", 65},
		{keys.ES384, "ecdsa-p384-sha384", 97},
		{keys.Ed25519, "ed25519", 32},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			key := newSigner(t, tc.alg).Public()
			name, pub, err := RuntimeKey(key)
			if err != nil || name != tc.name || len(pub) != tc.size {
				t.Fatalf("got %q, %d bytes, %v, want %q, %d bytes", name, len(pub), err, tc.name, tc.size)
			}
			back, err := ParseRuntimeKey(name, pub)
			if err != nil || back.Thumbprint() != key.Thumbprint() {
				t.Errorf("read again: got %v, %v", back, err)
			}
			for _, bad := range [][]byte{nil, pub[1:], append(pub[:len(pub):len(pub)], 0), make([]byte, len(pub))} {
				if _, err := ParseRuntimeKey(name, bad); err == nil {
					t.Errorf("accepted %x", bad)
				}
			}
			cnf, err := AppendHTSK([]byte("cnf="), key, name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseConfirmation(cnf[len("cnf="):])
			if err != nil || got.Thumbprint != key.Thumbprint() || got.Algorithm != name {
				t.Errorf("%s: got %+v, %v", cnf, got, err)
			}
		})
	}
}

func TestRuntimeKeyRefuses(t *testing.T) {
	key := newSigner(t, keys.ES256).Public()
	_, pub, err := RuntimeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*keys.Public{
		"none": nil, "RSA": newSigner(t, keys.PS256).Public(), "P-521": newSigner(t, keys.ES512).Public(),
	} {
		if _, _, err := RuntimeKey(key); err == nil {
			t.Errorf("RuntimeKey: %s accepted", name)
		}
		if _, err := AppendHTSK(nil, key, runtimeP256); err == nil {
			t.Errorf("AppendHTSK: %s accepted", name)
		}
	}
	if _, err := AppendHTSK(nil, key, runtimeP384); err == nil {
		t.Error("AppendHTSK: another algorithm than the key's accepted")
	}
	for _, name := range []string{"", "ES256", "rsa-pss-sha512", "hmac-sha256", runtimeP384} {
		if _, err := ParseRuntimeKey(name, pub); err == nil {
			t.Errorf("ParseRuntimeKey: %q accepted", name)
		}
	}
	if _, err := ParseRuntimeKey(runtimeP256, compressed(t)); err == nil {
		t.Error("ParseRuntimeKey: a compressed point accepted")
	}
}

func compressed(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{2 + pub[64]&1}, pub[1:33]...)
}

// What is accepted names one method and is bound to something; anything else is a BadConfirmation.
func FuzzParseConfirmation(f *testing.F) {
	for _, cnf := range badConfirmations() {
		f.Add([]byte(cnf))
	}
	f.Add([]byte(`{"jkt":"` + rfc9449Thumbprint + `"}`))
	f.Add([]byte(`{"x5t#S256":"` + rfc8705Thumbprint + `"}`))
	f.Add([]byte(`{"jwk":{` + p256JWK + `}}`))
	f.Add([]byte(`{"htsk":{"alg":"ed25519","pub":"` + draftPublicKey + `"}}`))
	f.Fuzz(func(t *testing.T, cnf []byte) {
		c, err := ParseConfirmation(cnf)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != BadConfirmation {
				t.Fatalf("got %v, want a BadConfirmation", err)
			}
			return
		}
		var methods map[Binding]json.RawMessage
		if err := json.Unmarshal(cnf, &methods); err != nil || len(methods) != 1 || methods[c.Binding] == nil {
			t.Fatalf("%s: got method %q, encoding/json %v, %v", cnf, c.Binding, methods, err)
		}
		if (c.Thumbprint == keys.Thumbprint{}) == (c.Certificate == [32]byte{}) {
			t.Fatalf("%s: bound to nothing, or to two things: %+v", cnf, c)
		}
		if c.Binding == BoundHTSK {
			text, err := AppendHTSK(nil, c.Key, c.Algorithm)
			if again, err2 := ParseConfirmation(text); err != nil || err2 != nil || again.Thumbprint != c.Thumbprint {
				t.Fatalf("%s: written as %s, %v, %v", cnf, text, err, err2)
			}
		}
	})
}
