package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// seedJWKs adds the keys of the vectors, and fails if there are none.
func seedJWKs(f *testing.F) {
	var file struct {
		Cases []struct{ JWK json.RawMessage }
	}
	decode(f, "thumbprints.json", &file)
	if len(file.Cases) == 0 {
		f.Fatal("no seed found")
	}
	for _, c := range file.Cases {
		f.Add([]byte(c.JWK))
	}
	for _, k := range []jwk{ecJWK, okpJWK, rsaJWK, ecJWK.with("d", "AA"), ecJWK.with("key_ops", []string{"verify"})} {
		f.Add([]byte(k.text()))
	}
}

// What is read is written and read again as the same key; what isn't gives a typed error.
func FuzzParsePublic(f *testing.F) {
	seedJWKs(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePublic(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := p.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParsePublic(again)
		if err != nil {
			t.Fatalf("%s, written again as %s: %v", text, again, err)
		}
		if p.Thumbprint() != q.Thumbprint() || p.KeyID() != q.KeyID() || p.Algorithm() != q.Algorithm() {
			t.Fatalf("%s, written again as %s, is another key", text, again)
		}
		if p.Thumbprint() != p.hash() {
			t.Fatalf("%s: the thumbprint of the text isn't that of the key", text)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte(jwk{"keys": []jwk{ecJWK, okpJWK, rsaJWK}}.text()))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}],"a":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := ParseSet(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok || set != nil {
				t.Fatalf("got %v, %v", set, err)
			}
			return
		}
		if len(set) > maxSet {
			t.Fatalf("got %d keys", len(set))
		}
		for _, p := range set {
			if p.Thumbprint().IsZero() {
				t.Fatal("a key without thumbprint")
			}
		}
	})
}

func FuzzParseSigner(f *testing.F) {
	for _, alg := range []Algorithm{ES256, Ed25519, RS256} {
		signer, err := Generate(alg)
		if err != nil {
			f.Fatal(err)
		}
		text, err := signer.MarshalPrivateJWK()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	seedJWKs(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		signer, err := ParseSigner(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		signature, err := signer.Sign(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Public().Verify(signer.Algorithm(), text, signature); err != nil {
			t.Fatalf("%s: own signature: %v", text, err)
		}
	})
}

// R || S → DER → R || S is the identity.
func FuzzDER(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1}, 64))
	f.Add(append(make([]byte, 63), 1))
	f.Add(bytes.Repeat([]byte{0xff}, 132))
	f.Fuzz(func(t *testing.T, raw []byte) {
		size := len(raw) / 2
		if size > 66 {
			return
		}
		der, ok := appendDER(nil, raw, size)
		if !ok {
			return
		}
		if len(der) > maxDER {
			t.Fatalf("%d octets of DER", len(der))
		}
		again, ok := rawSignature(der, size)
		if !ok || !bytes.Equal(again, raw) {
			t.Fatalf("%x became %x and then %x", raw, der, again)
		}
	})
}
