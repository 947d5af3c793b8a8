package httpsig

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/keys"
)

func TestSignVerify(t *testing.T) {
	secret := []byte("0123456789abcdef")
	hmacKey, err := NewHMACKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	type pair struct {
		name string
		cfg  SignerConfig
		key  *Key
	}
	pairs := []pair{{"hmac-sha256", SignerConfig{Secret: secret}, hmacKey}}
	for _, alg := range []keys.Algorithm{keys.ES256, keys.ES384, keys.Ed25519, keys.EdDSA, keys.PS512, keys.RS256} {
		signer := signerFor(t, alg)
		key, err := NewKey(signer.Public(), registered(alg))
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair{string(registered(alg)) + " of " + string(alg), SignerConfig{Key: signer, Alg: true}, key})
	}
	for _, alg := range []keys.Algorithm{keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.EdDSA, keys.PS256, keys.PS384, keys.PS512, keys.RS256, keys.RS384, keys.RS512} {
		signer := signerFor(t, alg)
		pairs = append(pairs, pair{"JOSE " + string(alg), SignerConfig{Key: signer}, joseKey(t, signer.Public())})
	}
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			p.cfg.Components = Components("@method", "@target-uri", "authorization", `"@query-param";name="x"`, `"x-latin";bs`)
			p.cfg.Now = fixedNow
			m := testRequest()
			fields, err := newTestSigner(t, p.cfg).Sign(m)
			if err != nil {
				t.Fatal(err)
			}
			fields.Add(m.Header)
			v := newTestVerifier(t, Config{RequiredParams: []string{"nonce"}, MaxAge: time.Minute, Now: fixedNow})
			sigs, err := v.Verify(t.Context(), m, only(p.key))
			if err != nil {
				t.Fatal(err)
			}
			if sigs[0].Key() != p.key || sigs[0].Input().Label() != "sig1" || len(sigs) != 1 {
				t.Errorf("verified %v", sigs)
			}
			m.Method = "GET"
			if _, err := v.Verify(t.Context(), m, only(p.key)); reasonOf(err) != BadSignature {
				t.Errorf("another method: %v, want %s", err, BadSignature)
			}
		})
	}
}

func TestSignParameters(t *testing.T) {
	signer := signerFor(t, keys.Ed25519)
	raw := []byte(signer.Public().Key().(ed25519.PublicKey))
	m := testRequest()
	fields, err := newTestSigner(t, SignerConfig{
		Key:        signer,
		Label:      "client",
		Components: Components("@method"),
		Optional:   Components("content-digest", "content-type", `"@query-param";name="tag"`, `"@query-param";name="x"`, "@status", `"@path";req`),
		Tag:        `a"b`,
		KeyID:      "k",
		Alg:        true,
		Lifetime:   time.Minute,
		Nonce:      func() string { return "n" },
		PublicKey:  raw,
		Now:        fixedNow,
	}).Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	const want = `client=("@method" "content-type" "@query-param";name="x");created=1776650880;expires=1776650940;nonce="n";` +
		`alg="ed25519";keyid="k";tag="a\"b";pub=:`
	if got := fields.SignatureInput; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s…", got, want)
	}
	fields.Add(m.Header)
	inputs, err := ParseInputs(m.Header)
	if err != nil {
		t.Fatal(err)
	}
	in := inputs[0]
	type view struct {
		Label, KeyID, Tag, Nonce, Alg string
		Pub                           []byte
		Created, Expires              int64
		Components                    []string
	}
	got := view{in.Label(), in.KeyID(), in.Tag(), in.Nonce(), in.Alg(), in.PublicKey(), in.Created().Unix(), in.Expires().Unix(), ids(in.Components())}
	if diff := cmp.Diff(got, view{"client", "k", `a"b`, "n", "ed25519", raw, testNow, testNow + 60,
		[]string{`"@method"`, `"content-type"`, `"@query-param";name="x"`}}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if v, ok := in.Param("tag"); v != `"a\"b"` || !ok {
		t.Errorf("Param(tag) = %s, %v", v, ok)
	}
	if v, ok := in.Param("other"); ok {
		t.Errorf("Param(other) = %s", v)
	}
}

func TestSignNonce(t *testing.T) {
	sign := func(nonce func() string) string {
		s := newTestSigner(t, SignerConfig{Secret: make([]byte, 16), Components: Components("@method"), Nonce: nonce})
		fields, err := s.Sign(testRequest())
		if err != nil {
			t.Fatal(err)
		}
		return fields.SignatureInput
	}
	if got := sign(NoNonce); strings.Contains(got, "nonce") {
		t.Errorf("got a nonce: %s", got)
	}
	if a, b := sign(nil), sign(nil); !strings.Contains(a, `;nonce="`) || a == b {
		t.Errorf("got %s and %s, want two nonces", a, b)
	}
}

func TestSignRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*SignerConfig, *Message)
		want   Reason
	}{
		{"nothing", func(*SignerConfig, *Message) {}, ""},
		{"absent component", func(c *SignerConfig, _ *Message) { c.Components = Components("x-none") }, ComponentInvalid},
		{"nonce outside ASCII", func(c *SignerConfig, _ *Message) { c.Nonce = func() string { return "ü" } }, ParamRefused},
		{"label taken", func(_ *SignerConfig, m *Message) { m.Header.Set(inputField, `sig1=("@method")`) }, Malformed},
		{"label taken in Signature", func(_ *SignerConfig, m *Message) { m.Header.Set(signatureField, `sig1=:AA==:`) }, Malformed},
		{"another label taken", func(_ *SignerConfig, m *Message) { m.Header.Set(inputField, `sig2=("@method")`) }, ""},
		{"malformed signatures", func(_ *SignerConfig, m *Message) { m.Header.Set(inputField, `sig2=(`) }, Malformed},
		{"field text at the limit", func(c *SignerConfig, m *Message) { setLong(c, m, maxFieldText-len(", ")) }, ""},
		{"field text beyond the limit", func(c *SignerConfig, m *Message) { setLong(c, m, maxFieldText) }, ComponentInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := SignerConfig{Secret: make([]byte, 16), Components: Components("@method")}
			m := testRequest()
			tc.change(&cfg, m)
			_, err := newTestSigner(t, cfg).Sign(m)
			if reasonOf(err) != tc.want || (err == nil) != (tc.want == "") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func setLong(c *SignerConfig, m *Message, n int) {
	c.Components = Components("x-long")
	m.Header.Set("X-Long", strings.Repeat("a", n))
}

func TestNewSignerRefuses(t *testing.T) {
	signer, other := signerFor(t, keys.ES512), signerFor(t, keys.Ed25519)
	for _, tc := range []struct {
		name   string
		change func(*SignerConfig)
		ok     bool
	}{
		{"nothing", func(*SignerConfig) {}, true},
		{"no key", func(c *SignerConfig) { c.Key = nil }, false},
		{"key and secret", func(c *SignerConfig) { c.Secret = make([]byte, 16) }, false},
		{"secret", func(c *SignerConfig) { c.Key, c.Secret = nil, make([]byte, 16) }, true},
		{"short secret", func(c *SignerConfig) { c.Key, c.Secret = nil, make([]byte, 15) }, false},
		{"label", func(c *SignerConfig) { c.Label = "Sig" }, false},
		{"no components", func(c *SignerConfig) { c.Components = nil }, false},
		{"zero component", func(c *SignerConfig) { c.Components = []Component{{}} }, false},
		{"component twice", func(c *SignerConfig) { c.Optional = Components("@method") }, false},
		{"too many components", func(c *SignerConfig) { c.Optional = make([]Component, 64) }, false},
		{"algorithm without a registered name", func(c *SignerConfig) { c.Alg = true }, false},
		{"algorithm with one", func(c *SignerConfig) { c.Alg, c.Key = true, other }, true},
		{"tag outside ASCII", func(c *SignerConfig) { c.Tag = "ü" }, false},
		{"key id outside ASCII", func(c *SignerConfig) { c.KeyID = "ü" }, false},
		{"negative lifetime", func(c *SignerConfig) { c.Lifetime = -time.Second }, false},
		{"part of a second", func(c *SignerConfig) { c.Lifetime = time.Millisecond }, false},
		{"another public key", func(c *SignerConfig) { c.PublicKey = rawPublic(other.Public()) }, false},
		{"its public key", func(c *SignerConfig) { c.PublicKey = rawPublic(signer.Public()) }, true},
		{"public key for a secret", func(c *SignerConfig) { c.Key, c.Secret, c.PublicKey = nil, make([]byte, 16), []byte{1} }, false},
		{"field without type", func(c *SignerConfig) { c.Fields = map[string]FieldType{"x": 4} }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := SignerConfig{Key: signer, Components: Components("@method")}
			tc.change(&cfg)
			if _, err := NewSigner(cfg); (err == nil) != tc.ok {
				t.Errorf("got %v, want success: %v", err, tc.ok)
			}
		})
	}
}

// TestCountersign is RFC 9421, section 4.3: a proxy changes the authority and signs what it forwards, with the client's
// signature.
func TestCountersign(t *testing.T) {
	client, clientKey := testKey(t, ECDSAP256SHA256)
	proxy, proxyKey := testKey(t, Ed25519)
	m := testRequest()
	fields, err := newTestSigner(t, SignerConfig{Key: client, Components: Components("@method", "@authority"), Tag: "client", Now: fixedNow}).Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	fields.Add(m.Header)
	asClient := newTestVerifier(t, Config{Tag: "client", MaxAge: time.Minute, Now: fixedNow})
	if _, err := asClient.Verify(t.Context(), m, only(clientKey)); err != nil {
		t.Fatal(err)
	}

	m.TargetURI = "https://inner.example/a%2Fb"
	m.Header.Set("Forwarded", "for=192.0.2.123;host=api.example;proto=https")
	over := Components("@method", "@authority", "forwarded", `"signature";key="sig1"`, `"signature-input";key="sig1"`)
	fields, err = newTestSigner(t, SignerConfig{Key: proxy, Label: "proxy", Components: over, Tag: "proxy", Now: fixedNow}).Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	fields.Add(m.Header)
	asOrigin := newTestVerifier(t, Config{Tag: "proxy", Required: over, MaxAge: time.Minute, Now: fixedNow})
	if _, err := asOrigin.Verify(t.Context(), m, only(proxyKey)); err != nil {
		t.Errorf("the proxy's signature: %v", err)
	}
	if _, err := asClient.Verify(t.Context(), m, only(clientKey)); reasonOf(err) != BadSignature {
		t.Errorf("the client's signature over another authority: %v, want %s", err, BadSignature)
	}
	m.Header[signatureField][0] = "sig1=:AAAA:"
	if _, err := asOrigin.Verify(t.Context(), m, only(proxyKey)); err == nil {
		t.Error("the proxy's signature holds over another client's")
	}
}

func TestSignResponse(t *testing.T) {
	signer, key := testKey(t, Ed25519)
	request := testRequest()
	response := &Message{Status: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Request: request}
	s := newTestSigner(t, SignerConfig{Key: signer, Components: Components("@status", "content-type", `"@method";req`, `"authorization";req`), Now: fixedNow})
	fields, err := s.Sign(response)
	if err != nil {
		t.Fatal(err)
	}
	fields.Add(response.Header)
	v := newTestVerifier(t, Config{MaxAge: time.Minute, Now: fixedNow})
	if _, err := v.Verify(t.Context(), response, only(key)); err != nil {
		t.Error(err)
	}
	request.Header.Set("Authorization", "HTTPSig u")
	if _, err := v.Verify(t.Context(), response, only(key)); reasonOf(err) != BadSignature {
		t.Errorf("with another request: %v, want %s", err, BadSignature)
	}
}

func TestSignatureInTrailer(t *testing.T) {
	signer, key := testKey(t, Ed25519)
	m := testRequest()
	fields, err := newTestSigner(t, SignerConfig{Key: signer, Components: Components("@method", `"x-trailer";tr`), Now: fixedNow}).Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	fields.Add(m.Trailer)
	v := newTestVerifier(t, Config{MaxAge: time.Minute, Now: fixedNow})
	if _, err := v.Verify(t.Context(), m, only(key)); err != nil {
		t.Error(err)
	}
	m.Header.Set(inputField, `other=("@method")`)
	if _, err := v.Verify(t.Context(), m, only(key)); reasonOf(err) != Malformed {
		t.Errorf("with a field in the header: %v, want %s", err, Malformed)
	}
}
