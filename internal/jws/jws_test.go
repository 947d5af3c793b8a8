package jws

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/keys"
)

func generate(t testing.TB, alg keys.Algorithm) *keys.Signer {
	t.Helper()
	signer, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestSign(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.ES256, keys.ES384, keys.ES512, keys.EdDSA, keys.Ed25519, keys.PS256, keys.RS256} {
		t.Run(string(alg), func(t *testing.T) {
			signer := generate(t, alg)
			h := Header{Typ: "x+jwt", KeyID: `a "b"`, JWK: string(signer.Public().AppendJWK(nil))}
			const payload = `{"a":1}`
			text, err := Sign(signer, h, []byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse(text, len(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Verify(signer.Public()); err != nil {
				t.Error(err)
			}
			h.Alg = alg
			if diff := cmp.Diff(c.Header, h); diff != "" || c.Payload != payload {
				t.Errorf("got payload %s and header (-got +want):\n%s", c.Payload, diff)
			}
			if alg == keys.Ed25519 {
				return // go-jose has only the older name
			}
			other, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := other.Verify(signer.Public().Key()); err != nil || string(got) != payload {
				t.Errorf("go-jose: got %s, %v", got, err)
			}
		})
	}
	for _, signer := range []*keys.Signer{nil, {}} {
		_, err := Sign(signer, Header{}, []byte("x"))
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != NoSigner {
			t.Errorf("without a signer: got %v, want %s", err, NoSigner)
		}
	}
}

// Sign writes no empty members.
func TestSignSmallestHeader(t *testing.T) {
	text, err := Sign(generate(t, keys.ES256), Header{}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(text, ".")
	if got, err := base64url.Decode(header); string(got) != `{"alg":"ES256"}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// signed makes a JWS with any header.
func signed(t testing.TB, signer *keys.Signer, header, payload string) string {
	t.Helper()
	text := base64url.Encode([]byte(header)) + "." + base64url.Encode([]byte(payload))
	signature, err := signer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64url.Encode(signature)
}

func TestParseRefuses(t *testing.T) {
	signer := generate(t, keys.ES256)
	good := signed(t, signer, `{"alg":"ES256"}`, `{}`)
	if c, err := Parse(good, len(good)); err != nil || c.Verify(signer.Public()) != nil {
		t.Fatal("the base of the cases is refused")
	}
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	tests := []struct {
		name   string
		text   string
		want   Reason
		member string
	}{
		{"longer than the limit", good + strings.Repeat("A", 1<<16), TooLong, ""},
		{"nothing", "", NotCompact, ""},
		{"one part", header, NotCompact, ""},
		{"two parts", header + "." + payload, NotCompact, ""},
		{"four parts", good + ".AA", NotCompact, ""},
		{"five parts, as a JWE", good + ".AA.AA", NotCompact, ""},
		{"no header", "." + payload + "." + signature, NotCompact, ""},
		{"no payload", header + ".." + signature, NotCompact, ""},
		{"no signature", header + "." + payload + ".", NotCompact, ""},
		{"the JSON form", `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`, NotCompact, ""},
		{"space in front", " " + good, Encoding, ""},
		{"line feed at the end", good + "\n", Encoding, ""},
		{"line feed in the payload", header + "." + payload + "\n." + signature, Encoding, ""},
		{"padded header", header + "=." + payload + "." + signature, Encoding, ""},
		{"bits after the signature", good[:len(good)-1] + next(good[len(good)-1:]), Encoding, ""},
		{"quoted", `"` + good + `"`, Encoding, ""},
		{"header no JSON", signed(t, signer, `alg`, `{}`), HeaderJSON, ""},
		{"header an array", signed(t, signer, `["alg"]`, `{}`), HeaderJSON, ""},
		{"header with trailing bytes", signed(t, signer, `{"alg":"ES256"}x`, `{}`), HeaderJSON, ""},
		{"header not UTF-8", signed(t, signer, "{\"alg\":\"ES256\",\"x\":\"\xff\"}", `{}`), HeaderJSON, ""},
		{"duplicate member", signed(t, signer, `{"alg":"ES256","alg":"ES256"}`, `{}`), HeaderJSON, ""},
		{"duplicate member in jwk", signed(t, signer, `{"alg":"ES256","jwk":{"kty":"EC","kty":"EC"}}`, `{}`), HeaderJSON, ""},
		{"no alg", signed(t, signer, `{}`, `{}`), BadMember, "alg"},
		{"alg in other letters", signed(t, signer, `{"Alg":"ES256"}`, `{}`), BadMember, "alg"},
		{"alg null", signed(t, signer, `{"alg":null}`, `{}`), BadMember, "alg"},
		{"typ a number", signed(t, signer, `{"alg":"ES256","typ":1}`, `{}`), BadMember, "typ"},
		{"kid a number", signed(t, signer, `{"alg":"ES256","kid":1}`, `{}`), BadMember, "kid"},
		{"jwk a string", signed(t, signer, `{"alg":"ES256","jwk":"{}"}`, `{}`), BadMember, "jwk"},
		{"crit", signed(t, signer, `{"alg":"ES256","crit":["exp"],"exp":1}`, `{}`), Critical, "crit"},
		{"crit empty", signed(t, signer, `{"alg":"ES256","crit":[]}`, `{}`), Critical, "crit"},
		{"b64 without crit", signed(t, signer, `{"alg":"ES256","b64":false}`, `{}`), Critical, "b64"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Parse(tc.text, 1<<16)
			e, ok := errors.AsType[*Error](err)
			if !ok || c != nil {
				t.Fatalf("got %v, %v, want a *Error", c, err)
			}
			if diff := cmp.Diff(*e, Error{Reason: tc.want, Member: tc.member}); diff != "" {
				t.Errorf("error (-got +want):\n%s", diff)
			}
		})
	}
}

// next returns the character after c in the alphabet: the same octets, but for bits that nobody reads.
func next(c string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.Index(alphabet, c)+1:][:1]
}

func TestVerifyRefuses(t *testing.T) {
	signer, other := generate(t, keys.ES256), generate(t, keys.ES256)
	tests := []struct {
		name string
		text string
		key  *keys.Public
		want keys.Reason
	}{
		{"other key", signed(t, signer, `{"alg":"ES256"}`, `{}`), other.Public(), keys.BadSignature},
		{"no key", signed(t, signer, `{"alg":"ES256"}`, `{}`), nil, keys.NoKey},
		{"none", signed(t, signer, `{"alg":"none"}`, `{}`), signer.Public(), keys.Unsupported},
		{"MAC", signed(t, signer, `{"alg":"HS256"}`, `{}`), signer.Public(), keys.Unsupported},
		{"algorithm of another key", signed(t, signer, `{"alg":"ES384"}`, `{}`), signer.Public(), keys.AlgorithmMismatch},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Parse(tc.text, 1<<16)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Verify(tc.key)
			if e, ok := errors.AsType[*keys.Error](err); !ok || e.Reason != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestAllocs(t *testing.T) {
	signer := generate(t, keys.ES256)
	text, err := Sign(signer, Header{Typ: "dpop+jwt", JWK: string(signer.Public().AppendJWK(nil))}, []byte(`{"jti":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(100, func() {
		if _, err := Parse(text, 8192); err != nil {
			t.Fatal(err)
		}
	})
	if got > 3 { // the octets, the text and the Compact
		t.Errorf("Parse: got %v allocations, want 3", got)
	}
}

// A JWS that is read has one spelling, and its header means the same to encoding/json.
func FuzzParse(f *testing.F) {
	var file struct {
		Cases []struct{ JWS json.RawMessage }
	}
	decode(f, "jws.json", &file)
	seeds := 0
	for _, c := range file.Cases {
		var text string
		if json.Unmarshal(c.JWS, &text) == nil {
			f.Add(text)
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seed found")
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text, 1<<16)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		header, _, _ := strings.Cut(text, ".")
		if again := header + "." + base64url.Encode([]byte(c.Payload)) + "." + base64url.Encode(c.Signature); again != text {
			t.Fatalf("%q is a second spelling of %q", text, again)
		}
		raw, err := base64url.Decode(header)
		if err != nil {
			t.Fatal(err)
		}
		var std map[string]any
		if err := json.Unmarshal(raw, &std); err != nil || std["alg"] != string(c.Header.Alg) {
			t.Fatalf("%s: encoding/json reads alg %v, %v", raw, std["alg"], err)
		}
	})
}
