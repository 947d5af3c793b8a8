package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var algorithms = []Algorithm{ES256, ES384, ES512, Ed25519, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512}

func TestSignAndVerify(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			signer, err := Generate(alg)
			if err != nil {
				t.Fatal(err)
			}
			if got := signer.Algorithm(); got != alg {
				t.Errorf("algorithm: got %s", got)
			}
			if got, want := signer.Public().KeyID(), signer.Public().Thumbprint().String(); got != want {
				t.Errorf("kid: got %s, want the thumbprint %s", got, want)
			}
			jwk, err := signer.MarshalPrivateJWK()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseSigner(jwk)
			if err != nil {
				t.Fatal(err)
			}
			// What the key says of itself is what anybody else reads.
			text, err := json.Marshal(again.Public())
			if err != nil {
				t.Fatal(err)
			}
			public, err := ParsePublic(text)
			if err != nil {
				t.Fatal(err)
			}
			signature, err := again.Sign([]byte("message"))
			if err != nil {
				t.Fatal(err)
			}
			if err := public.Verify(alg, []byte("message"), signature); err != nil {
				t.Errorf("own signature: %v", err)
			}
			if err := public.Verify(alg, []byte("Message"), signature); err == nil {
				t.Error("the signature holds for another message")
			}
		})
	}
}

// Short integers are what conversions between DER and R || S get wrong: one signature in 128 has one.
func TestSignatureLength(t *testing.T) {
	signer, err := Generate(ES256)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		message := fmt.Append(nil, i)
		signature, err := signer.Sign(message)
		if err != nil || len(signature) != 64 {
			t.Fatalf("got %d octets, %v", len(signature), err)
		}
		if err := signer.Public().Verify(ES256, message, signature); err != nil {
			t.Fatalf("%x: %v", signature, err)
		}
	}
}

func TestRawSignatureRefuses(t *testing.T) {
	for name, der := range map[string]string{
		"nothing":            "",
		"another tag":        "\x31\x06\x02\x01\x01\x02\x01\x01",
		"trailing bytes":     "\x30\x06\x02\x01\x01\x02\x01\x01\x00",
		"three integers":     "\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01",
		"one integer":        "\x30\x03\x02\x01\x01",
		"length past end":    "\x30\x06\x02\x01\x01\x02\x02\x01",
		"long form past end": "\x30\x81",
		"indefinite":         "\x30\x80\x02\x01\x01\x02\x01\x01",
		"integer too long":   "\x30\x81\x26\x02\x21" + strings.Repeat("\x01", 33) + "\x02\x01\x01",
	} {
		if raw, ok := rawSignature([]byte(der), 32); ok {
			t.Errorf("%s: got %x", name, raw)
		}
	}
	want := append(append(make([]byte, 31), 1), append(make([]byte, 31), 0x80)...)
	if raw, ok := rawSignature([]byte("\x30\x07\x02\x01\x01\x02\x02\x00\x80"), 32); !ok || !bytes.Equal(raw, want) {
		t.Errorf("got %x, want %x", raw, want)
	}
}

// hardware is a signer whose key can't be taken out.
type hardware struct{ crypto.Signer }

func TestHardwareSigner(t *testing.T) {
	for _, key := range []crypto.Signer{mustKey(generate(formP256)), mustKey(generate(formEd25519))} {
		signer, err := NewSigner(hardware{key}, "card", "")
		if err != nil {
			t.Fatal(err)
		}
		signature, err := signer.Sign([]byte("message"))
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Public().Verify(signer.Algorithm(), []byte("message"), signature); err != nil {
			t.Error(err)
		}
		if jwk, err := signer.MarshalPrivateJWK(); err == nil {
			t.Errorf("got %d bytes of private JWK, want an error", len(jwk))
		}
	}
}

func mustKey(key crypto.Signer, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return key
}

// broken is a signer that fails, or answers with something that is no signature.
type broken struct {
	crypto.Signer
	answer []byte
	err    error
}

func (b broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.answer, b.err }

func TestBrokenSigner(t *testing.T) {
	unplugged := errors.New("unplugged")
	for _, b := range []broken{{err: unplugged}, {answer: []byte("no DER")}} {
		b.Signer = mustKey(generate(formP256))
		signer, err := NewSigner(b, "", ES256)
		if err != nil {
			t.Fatal(err)
		}
		if signature, err := signer.Sign(nil); err == nil || !errors.Is(err, b.err) && b.err != nil {
			t.Errorf("got %x, %v", signature, err)
		}
	}
}

func TestNewSignerRefuses(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		key  crypto.Signer
		alg  Algorithm
		want Reason
	}{
		{"no key", nil, ES256, NoKey},
		{"unknown algorithm", mustKey(generate(formP256)), "ES257", Unsupported},
		{"algorithm of another curve", mustKey(generate(formP256)), ES384, AlgorithmMismatch},
		{"P-224", p224, "", Unsupported},
		{"RSA of 1024 bits", short, RS256, SizeRefused},
		{"RSA without algorithm", mustKey(rsa.GenerateKey(rand.Reader, 2048)), "", AlgorithmMismatch},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			signer, err := NewSigner(tc.key, "", tc.alg)
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != tc.want {
				t.Errorf("got %v, %v, want %s", signer, err, tc.want)
			}
		})
	}
	if _, err := Generate("none"); err == nil {
		t.Error("Generate made a key for none")
	}
	for _, none := range []*Signer{nil, {}} {
		if _, err := none.Sign(nil); err == nil {
			t.Error("a signer without a key signed")
		}
		if _, err := none.MarshalPrivateJWK(); err == nil {
			t.Error("a signer without a key was written")
		}
		if none.Algorithm() != "" || none.Public() != nil || none.Public().Thumbprint() != (Thumbprint{}) {
			t.Error("a signer without a key has one")
		}
	}
}

func TestParseSignerRefuses(t *testing.T) {
	private := func(alg Algorithm) jwk {
		signer, err := Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signer.MarshalPrivateJWK()
		if err != nil {
			t.Fatal(err)
		}
		var k jwk
		if err := json.Unmarshal(text, &k); err != nil {
			t.Fatal(err)
		}
		return k
	}
	ec, ed, rs := private(ES256), private(Ed25519), private(RS256)
	if _, err := ParseSigner([]byte(ec.with("alg", absent).text())); err != nil {
		t.Errorf("without alg: %v", err)
	}
	tests := []struct {
		name string
		jwk  jwk
		want Reason
	}{
		{"no d", ec.with("d", absent), Malformed},
		{"d short", ec.with("d", "AA"), Malformed},
		{"d zero", ec.with("d", strings.Repeat("A", 43)), Invalid},
		{"d of another key", ec.with("d", private(ES256)["d"]), Invalid},
		{"Ed25519 d of another key", ed.with("d", private(Ed25519)["d"]), Invalid},
		{"Ed25519 d short", ed.with("d", "AA"), Malformed},
		{"other public half", ec.with("x", ecJWK["x"]).with("y", ecJWK["y"]), Invalid},
		{"RSA without alg", rs.with("alg", absent), AlgorithmMismatch},
		{"RSA without p", rs.with("p", absent), Malformed},
		{"RSA without qi", rs.with("qi", absent), Malformed},
		{"RSA p and q swapped", rs.with("p", rs["q"]).with("q", rs["p"]), Invalid},
		{"RSA d changed", rs.with("d", "AQAB"), Invalid},
		{"RSA dp changed", rs.with("dp", "AQAB"), Invalid},
		{"RSA of three primes", rs.with("oth", []any{}), Unsupported},
		{"key_ops without sign", ec.with("key_ops", []string{"verify"}), Unsupported},
		{"use enc", ec.with("use", "enc"), Unsupported},
		{"alg of another curve", ec.with("alg", "ES384"), AlgorithmMismatch},
		{"no JSON object", nil, Malformed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			signer, err := ParseSigner([]byte(tc.jwk.text()))
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != tc.want {
				t.Errorf("got %v, %v, want %s", signer, err, tc.want)
			}
		})
	}
}

// A key must not end up in a log, in whatever way it is printed.
func TestRedacted(t *testing.T) {
	signer, err := Generate(Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("key", "signer", signer)
	got := []string{signer.String(), signer.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		got = append(got, fmt.Sprintf(verb, signer), fmt.Sprintf(verb, *signer))
	}
	for _, text := range got {
		if text != redacted {
			t.Errorf("got %q, want %q", text, redacted)
		}
	}
	if !strings.HasSuffix(logged.String(), "signer=[redacted]\n") {
		t.Errorf("slog: got %q", logged.String())
	}
	//lint:ignore SA9005 that nothing of it is marshalled is the point
	if text, err := json.Marshal(signer); err != nil || string(text) != "{}" {
		t.Errorf("json: got %s, %v", text, err)
	}
}

func TestMarshalJSON(t *testing.T) {
	key := mustKey(generate(formEd25519))
	public, err := NewPublic(key.Public(), `a "b"`, EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	var got jwk
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := jwk{"kty": "OKP", "crv": "Ed25519", "x": got["x"], "kid": `a "b"`, "alg": "EdDSA", "use": "sig"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("JWK (-got +want):\n%s", diff)
	}
	if _, err := (&Public{}).MarshalJSON(); err == nil {
		t.Error("a zero Public was written")
	}
}

// Hazard 15: a key written without crv is refused by others.
func TestHazardCurveWritten(t *testing.T) {
	for _, alg := range []Algorithm{ES256, ES384, ES512, Ed25519} {
		signer, err := Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		full, err := signer.Public().MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{full, signer.Public().AppendJWK(nil)} {
			var got struct{ Crv string }
			if err := json.Unmarshal(text, &got); err != nil || got.Crv != string(signer.method.form) {
				t.Errorf("%s: got crv %q, %v, want %q", text, got.Crv, err, signer.method.form)
			}
		}
	}
}
