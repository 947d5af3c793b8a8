package keys

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// The base keys of the tables: RFC 7515 A.3, RFC 8037 A.2 and RFC 7638, section 3.1.
var (
	ecJWK = jwk{
		"kty": "EC", "crv": "P-256",
		"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
	}
	okpJWK = jwk{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
	rsaJWK = jwk{"kty": "RSA", "e": "AQAB", "n": "" +
		"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3" +
		"oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA" +
		"ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-" +
		"kEgU8awapJzKnqDKgw",
	}
)

type jwk map[string]any

// with returns a copy with one member set, or deleted if value is absent.
func (k jwk) with(name string, value any) jwk {
	k = maps.Clone(k)
	if value == absent {
		delete(k, name)
	} else {
		k[name] = value
	}
	return k
}

const absent = "(absent)"

func (k jwk) text() string {
	b, err := json.Marshal(k)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// encodedRSA returns an RSA JWK with a modulus of size octets that begins and ends with the octets given.
func encodedRSA(first, last byte, size int) jwk {
	n := bytes.Repeat([]byte{0x55}, size)
	n[0], n[size-1] = first, last
	return rsaJWK.with("n", base64url.Encode(n))
}

func TestParsePublic(t *testing.T) {
	tests := []struct {
		name string
		jwk  jwk
	}{
		{"EC", ecJWK},
		{"OKP", okpJWK},
		{"RSA", rsaJWK},
		{"alg", ecJWK.with("alg", "ES256")},
		{"older name of Ed25519", okpJWK.with("alg", "EdDSA")},
		{"newer name of Ed25519", okpJWK.with("alg", "Ed25519")},
		{"PS512 on RSA", rsaJWK.with("alg", "PS512")},
		{"kid", ecJWK.with("kid", "a")},
		{"use", ecJWK.with("use", "sig")},
		{"key_ops", ecJWK.with("key_ops", []string{"verify"})},
		{"unknown members", ecJWK.with("x5c", []string{"MII"}).with("ext", true).with("D", 1)},
		{"RSA of 2048 bits", encodedRSA(0x80, 1, 256)},
		{"RSA of 4096 bits", encodedRSA(0xff, 1, 512)},
		{"exponent 3", rsaJWK.with("e", "Aw")},
		{"longest exponent", rsaJWK.with("e", "f____w")},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParsePublic(tc.jwk.text())
			if err != nil {
				t.Fatal(err)
			}
			// The parser makes the thumbprint of the text, NewPublic of the key: both must agree.
			again, err := NewPublic(p.Key(), p.KeyID(), p.Algorithm())
			if err != nil {
				t.Fatal(err)
			}
			if again.Thumbprint() != p.Thumbprint() {
				t.Errorf("thumbprint of the key: got %v, want %v", again.Thumbprint(), p.Thumbprint())
			}
			text, err := p.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			var got, want jwk
			if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal([]byte(tc.jwk.text()), &want)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"x5c", "ext", "D", "key_ops"} {
				delete(want, name)
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("written again (-got +want):\n%s", diff)
			}
		})
	}
}

func TestParsePublicRefuses(t *testing.T) {
	long := rsaJWK["n"].(string)
	tests := []struct {
		name   string
		jwk    string
		want   Reason
		member string
	}{
		{"nothing", "", Malformed, ""},
		{"an array", "[" + ecJWK.text() + "]", Malformed, ""},
		{"a set", `{"keys":[` + ecJWK.text() + `]}`, Malformed, "kty"},
		{"duplicate member", strings.TrimSuffix(ecJWK.text(), "}") + `,"kty":"EC"}`, Malformed, ""},
		{"trailing bytes", ecJWK.text() + "x", Malformed, ""},
		{"no kty", ecJWK.with("kty", absent).text(), Malformed, "kty"},
		{"kty in other letters", ecJWK.with("kty", "ec").text(), Unsupported, "kty"},
		{"kty oct", ecJWK.with("kty", "oct").text(), Unsupported, "kty"},
		{"kty a number", ecJWK.with("kty", 1).text(), Malformed, "kty"},
		{"kid a number", ecJWK.with("kid", 1).text(), Malformed, "kid"},

		{"no crv", ecJWK.with("crv", absent).text(), Malformed, "crv"},
		{"secp256k1", ecJWK.with("crv", "secp256k1").text(), Unsupported, "crv"},
		{"curve of another size", ecJWK.with("crv", "P-384").text(), Malformed, "x"},
		{"no x", ecJWK.with("x", absent).text(), Malformed, "x"},
		{"no y", ecJWK.with("y", absent).text(), Malformed, "y"},
		{"x a number", ecJWK.with("x", 5).text(), Malformed, "x"},
		{"x with padding", ecJWK.with("x", ecJWK["x"].(string)+"=").text(), Malformed, "x"},
		{"x with bits after its end", ecJWK.with("x", strings.TrimSuffix(ecJWK["x"].(string), "U")+"V").text(), Malformed, "x"},
		{"x in standard base64", ecJWK.with("y", strings.ReplaceAll(ecJWK["y"].(string), "_", "/")).text(), Malformed, "y"},
		{"x with a line feed", ecJWK.with("x", ecJWK["x"].(string)[:42]+"\n").text(), Malformed, "x"},
		{"x an octet short", ecJWK.with("x", ecJWK["x"].(string)[:42]).text(), Malformed, "x"},
		{"x an octet long", ecJWK.with("x", "AA"+ecJWK["x"].(string)[1:]).text(), Malformed, "x"},
		{"off the curve", ecJWK.with("x", "g"+ecJWK["x"].(string)[1:]).text(), Invalid, ""},
		{"the zero point", ecJWK.with("x", strings.Repeat("A", 43)).with("y", strings.Repeat("A", 43)).text(), Invalid, ""},
		{"coordinate over the field", ecJWK.with("x", "_____________________________________________w"[:42]+"8").text(), Invalid, ""},

		{"OKP without crv", okpJWK.with("crv", absent).text(), Malformed, "crv"},
		{"X25519", okpJWK.with("crv", "X25519").text(), Unsupported, "crv"},
		{"Ed448", okpJWK.with("crv", "Ed448").text(), Unsupported, "crv"},
		{"OKP without x", okpJWK.with("x", absent).text(), Malformed, "x"},
		{"OKP x short", okpJWK.with("x", okpJWK["x"].(string)[:42]).text(), Malformed, "x"},
		{"OKP x with bits after its end", okpJWK.with("x", okpJWK["x"].(string)[:42]+"p").text(), Malformed, "x"},
		{"small order", okpJWK.with("x", "AQ"+strings.Repeat("A", 41)).text(), Invalid, "x"},

		{"no n", rsaJWK.with("n", absent).text(), Malformed, "n"},
		{"n with a leading zero", rsaJWK.with("n", base64url.Encode(append([]byte{0}, mustDecode(long)...))).text(), Malformed, "n"},
		{"n with padding", rsaJWK.with("n", long+"==").text(), Malformed, "n"},
		{"RSA of 2047 bits", encodedRSA(0x7f, 1, 256).text(), SizeRefused, "n"},
		{"RSA of 4097 bits", encodedRSA(1, 1, 513).text(), SizeRefused, "n"},
		{"even modulus", encodedRSA(0x80, 2, 256).text(), SizeRefused, "n"},
		{"no e", rsaJWK.with("e", absent).text(), Malformed, "e"},
		{"e with a leading zero", rsaJWK.with("e", "AAEAAQ").text(), Malformed, "e"},
		{"exponent 0", rsaJWK.with("e", "AA").text(), Malformed, "e"},
		{"exponent 1", rsaJWK.with("e", "AQ").text(), SizeRefused, "e"},
		{"even exponent", rsaJWK.with("e", "AQAA").text(), SizeRefused, "e"},
		{"exponent of 32 bits", rsaJWK.with("e", "gAAAAQ").text(), SizeRefused, "e"},
		{"exponent of 40 bits", rsaJWK.with("e", "AQAAAAE").text(), SizeRefused, "e"},

		{"d", ecJWK.with("d", "AA").text(), PrivateMember, "d"},
		{"d null", ecJWK.with("d", nil).text(), Malformed, "d"},
		{"p", rsaJWK.with("p", "AA").text(), PrivateMember, "p"},
		{"q", rsaJWK.with("q", "AA").text(), PrivateMember, "q"},
		{"dp", rsaJWK.with("dp", "AA").text(), PrivateMember, "dp"},
		{"dq", rsaJWK.with("dq", "AA").text(), PrivateMember, "dq"},
		{"qi", rsaJWK.with("qi", "AA").text(), PrivateMember, "qi"},
		{"oth", rsaJWK.with("oth", []string{}).text(), PrivateMember, "oth"},
		{"k", ecJWK.with("k", "AA").text(), PrivateMember, "k"},

		{"use enc", ecJWK.with("use", "enc").text(), Unsupported, "use"},
		{"use empty", ecJWK.with("use", "").text(), Unsupported, "use"},
		{"key_ops without verify", ecJWK.with("key_ops", []string{"sign"}).text(), Unsupported, "key_ops"},
		{"key_ops empty", ecJWK.with("key_ops", []string{}).text(), Unsupported, "key_ops"},
		{"key_ops a string", ecJWK.with("key_ops", "verify").text(), Malformed, "key_ops"},
		{"alg of another curve", ecJWK.with("alg", "ES384").text(), AlgorithmMismatch, "alg"},
		{"alg of another type", ecJWK.with("alg", "RS256").text(), AlgorithmMismatch, "alg"},
		{"alg of a MAC", ecJWK.with("alg", "HS256").text(), Unsupported, "alg"},
		{"alg none", ecJWK.with("alg", "none").text(), Unsupported, "alg"},
		{"alg empty", ecJWK.with("alg", "").text(), Unsupported, "alg"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParsePublic(tc.jwk)
			e, ok := errors.AsType[*Error](err)
			if !ok || p != nil {
				t.Fatalf("got %v, %v, want a *Error", p, err)
			}
			if diff := cmp.Diff(*e, Error{Reason: tc.want, Member: tc.member}); diff != "" {
				t.Errorf("error (-got +want):\n%s", diff)
			}
		})
	}
}

func mustDecode(s string) []byte {
	b, err := base64url.Decode(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Hazard 23: an RSA key in a proof costs the verifier nothing, however long it is.
func TestHazardRSAKeyTooLong(t *testing.T) {
	huge := rsaJWK.with("n", strings.Repeat("_", 1<<20)).text()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ParsePublic(huge)
	runtime.ReadMemStats(&after)
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != SizeRefused {
		t.Errorf("got %v, want %s", err, SizeRefused)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<10 {
		t.Errorf("refusing a modulus of 1 MiB allocated %d bytes: it was decoded before its length was looked at", allocated)
	}
}

// Under a key of small order, one signature that nobody made holds for many messages: the reason why they are refused.
func TestSmallOrder(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	y8, _ := new(big.Int).SetString("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16)
	for name, y := range map[string]*big.Int{
		"0": big.NewInt(0), "1": big.NewInt(1), "p-1": new(big.Int).Sub(p, big.NewInt(1)),
		"p": p, "p+1": new(big.Int).Add(p, big.NewInt(1)), "order 8": y8, "order 8, negated": new(big.Int).Sub(p, y8),
	} {
		for _, sign := range []byte{0, 0x80} {
			key := y.FillBytes(make([]byte, 32))
			for i, j := 0, 31; i < j; i, j = i+1, j-1 {
				key[i], key[j] = key[j], key[i]
			}
			key[31] |= sign
			if _, err := NewPublic(ed25519.PublicKey(key), "", ""); err == nil {
				t.Errorf("y = %s, sign %x: accepted", name, sign)
			}
			if held := forged(key); held == 0 && !(sign != 0 && (name == "1" || name == "p-1" || name == "p+1")) {
				t.Errorf("y = %s, sign %x: no forgery held, so there is no reason to refuse it", name, sign)
			}
		}
	}
}

// forged counts the messages that the signature R = identity, S = 0 holds for.
func forged(key ed25519.PublicKey) (held int) {
	signature := make([]byte, 64)
	signature[0] = 1
	for i := range 256 {
		if ed25519.Verify(key, []byte{byte(i)}, signature) {
			held++
		}
	}
	return held
}

func TestParseSet(t *testing.T) {
	usable := []jwk{ecJWK.with("kid", "a"), okpJWK.with("kid", "b"), rsaJWK.with("kid", "c")}
	ignored := []jwk{
		{"kty": "oct", "k": "AAAA"},
		{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
		ecJWK.with("crv", "secp256k1"),
		ecJWK.with("use", "enc"),
		ecJWK.with("alg", "ECDH-ES"),
		rsaJWK.with("key_ops", []string{"encrypt"}),
		encodedRSA(0xff, 1, 128),
		encodedRSA(0xff, 1, 1024),
	}
	for name, list := range map[string][]jwk{
		"usable":          usable,
		"some left out":   append(append([]jwk{}, ignored...), usable...),
		"other way round": append(append([]jwk{}, usable...), ignored...),
	} {
		set, err := ParseSet([]byte(jwk{"keys": list, "other": 1}.text()))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var kids []string
		for _, k := range set {
			kids = append(kids, k.KeyID())
		}
		if diff := cmp.Diff(kids, []string{"a", "b", "c"}); diff != "" {
			t.Errorf("%s: kids (-got +want):\n%s", name, diff)
		}
	}
	if set, err := ParseSet([]byte(`{"keys":[]}`)); len(set) != 0 || err != nil {
		t.Errorf("empty set: got %v, %v", set, err)
	}
}

func TestParseSetRefuses(t *testing.T) {
	tests := []struct {
		name string
		jwks string
		want Reason
	}{
		{"not JSON", `{`, Malformed},
		{"one key", ecJWK.text(), Malformed},
		{"no keys", `{}`, Malformed},
		{"keys an object", `{"keys":{}}`, Malformed},
		{"keys twice", `{"keys":[],"keys":[]}`, Malformed},
		{"entry a string", `{"keys":["a"]}`, Malformed},
		{"entry without kty", jwk{"keys": []jwk{ecJWK.with("kty", absent)}}.text(), Malformed},
		{"broken key of a known type", jwk{"keys": []jwk{ecJWK.with("x", "AA")}}.text(), Malformed},
		{"off the curve", jwk{"keys": []jwk{ecJWK.with("x", "g"+ecJWK["x"].(string)[1:])}}.text(), Invalid},
		{"private key", jwk{"keys": []jwk{ecJWK.with("d", "AA")}}.text(), PrivateMember},
		{"alg of another curve", jwk{"keys": []jwk{ecJWK.with("alg", "ES384")}}.text(), AlgorithmMismatch},
		{"65 keys", `{"keys":[` + strings.Repeat(okpJWK.text()+",", 64) + okpJWK.text() + `]}`, Malformed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			set, err := ParseSet([]byte(tc.jwks))
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != tc.want || set != nil {
				t.Errorf("got %v, %v, want %s", set, err, tc.want)
			}
		})
	}
	if set, err := ParseSet([]byte(`{"keys":[` + strings.Repeat(okpJWK.text()+",", 63) + okpJWK.text() + `]}`)); len(set) != 64 {
		t.Errorf("64 keys: got %d, %v", len(set), err)
	}
}
