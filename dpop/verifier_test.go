package dpop

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

// now is the time of the tests.
var now = time.Unix(1_700_000_000, 0)

const (
	token  = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	target = "https://rs.example/api/items?page=2"
)

// object is a JSON object that a test changes one member of.
type object map[string]any

func (o object) with(name string, value any) object {
	o = maps.Clone(o)
	if value == nil {
		delete(o, name)
	} else {
		o[name] = value
	}
	return o
}

// null is a member that is there and null.
var null = json.RawMessage("null")

func (o object) text(t testing.TB) []byte {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fixture has a signer and the parts of a good proof for one request.
type fixture struct {
	signer         *keys.Signer
	header, claims object
	request        Request
}

func newFixture(t testing.TB, alg keys.Algorithm) fixture {
	signer := generate(t, alg)
	return fixture{
		signer: signer,
		header: object{"typ": "dpop+jwt", "alg": alg, "jwk": json.RawMessage(signer.Public().AppendJWK(nil))},
		claims: object{
			"jti": "-BwC3ESc6acc2lTc", "htm": "GET", "htu": "https://rs.example/api/items", "iat": now.Unix(),
			"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
		},
		request: Request{Method: "GET", TargetURI: target, Token: token, Thumbprint: signer.Public().Thumbprint()},
	}
}

// proof signs any header and payload.
func (f fixture) proof(t testing.TB, header, payload []byte) string {
	t.Helper()
	text := base64url.Encode(header) + "." + base64url.Encode(payload)
	signature, err := f.signer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64url.Encode(signature)
}

func (f fixture) with(t testing.TB, header, claims object) Request {
	f.request.Fields = []string{f.proof(t, header.text(t), claims.text(t))}
	return f.request
}

func newVerifier(t testing.TB, cfg Config) *Verifier {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return now }
	}
	v, err := NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			f := newFixture(t, alg)
			v := newVerifier(t, Config{})
			claims := f.claims.with("nonce", "n-1").with("pso", "offer").with("n", 1)
			for range 2 { // the second time with the key remembered
				p, err := v.Verify(f.with(t, f.header, claims))
				if err != nil {
					t.Fatal(err)
				}
				got := []any{
					p.Thumbprint(), p.Key().Thumbprint(), p.Algorithm(), p.ID(), p.Nonce(), p.IssuedAt().Unix(),
					p.Expires().Sub(p.IssuedAt()), p.Claim("pso"), p.Claim("n"), p.Claim("absent"),
				}
				want := []any{
					f.request.Thumbprint, f.request.Thumbprint, alg, "-BwC3ESc6acc2lTc", "n-1", now.Unix(),
					65 * time.Second, "offer", "", "",
				}
				if diff := cmp.Diff(got, want); diff != "" {
					t.Errorf("proof (-got +want):\n%s", diff)
				}
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	f := newFixture(t, keys.ES256)
	other := newFixture(t, keys.ES256)
	rs := newFixture(t, keys.RS256)
	h, c := f.header, f.claims
	good := f.with(t, h, c)
	proof := good.Fields[0]
	with := func(change func(*Request)) Request {
		r := good
		change(&r)
		return r
	}
	raw := func(header, claims string) Request {
		r := good
		r.Fields = []string{f.proof(t, []byte(header), []byte(claims))}
		return r
	}
	text := func(o object) string { return string(o.text(t)) }
	twice := func(o object, member string) string { return strings.TrimSuffix(text(o), "}") + "," + member + "}" }

	tests := []struct {
		name    string
		request Request
		want    Reason
		step    int
		part    string
	}{
		{"no field", with(func(r *Request) { r.Fields = nil }), FieldCount, 1, "DPoP"},
		{"two fields", with(func(r *Request) { r.Fields = []string{proof, proof} }), FieldCount, 1, "DPoP"},

		{"no JWS", with(func(r *Request) { r.Fields = []string{"proof"} }), Malformed, 2, "jws: not-compact"},
		{"two proofs in one field", with(func(r *Request) { r.Fields = []string{proof + ", " + proof} }), Malformed, 2, "jws: not-compact"},
		{"longer than allowed", f.with(t, h, c.with("x", strings.Repeat("a", 8192))), Malformed, 2, "jws: too-long"},
		{"critical extension", f.with(t, h.with("crit", []string{"x"}).with("x", 1), c), Malformed, 2, "jws: critical crit"},
		{"header with a duplicate member", raw(twice(h, `"alg":"ES256"`), text(c)), Malformed, 2, "jws: header-json"},
		{"claims with a duplicate member", raw(text(h), twice(c, `"htm":"GET"`)), Malformed, 2, "claims: strictjson: duplicate at byte 149"},
		{"claims an array", raw(text(h), "["+text(c)+"]"), Malformed, 2, "claims: strictjson: not a JSON object"},
		{"kid a number", f.with(t, h.with("kid", 1), c), Malformed, 2, "kid"},

		{"no jti", f.with(t, h, c.with("jti", nil)), ClaimMissing, 3, "jti"},
		{"jti null", f.with(t, h, c.with("jti", null)), ClaimMissing, 3, "jti"},
		{"jti empty", f.with(t, h, c.with("jti", "")), ClaimMissing, 3, "jti"},
		{"jti a number", f.with(t, h, c.with("jti", 1)), ClaimMissing, 3, "jti"},
		{"jti too long", f.with(t, h, c.with("jti", strings.Repeat("a", 257))), ClaimMissing, 3, "jti"},
		{"no htm", f.with(t, h, c.with("htm", nil)), ClaimMissing, 3, "htm"},
		{"htm a list", f.with(t, h, c.with("htm", []string{"GET"})), ClaimMissing, 3, "htm"},
		{"no htu", f.with(t, h, c.with("htu", nil)), ClaimMissing, 3, "htu"},
		{"htu a number", f.with(t, h, c.with("htu", 1)), ClaimMissing, 3, "htu"},
		{"no iat", f.with(t, h, c.with("iat", nil)), ClaimMissing, 3, "iat"},
		{"iat a string", f.with(t, h, c.with("iat", "1700000000")), ClaimMissing, 3, "iat"},
		{"iat null", f.with(t, h, c.with("iat", null)), ClaimMissing, 3, "iat"},
		{"iat of many digits", f.with(t, h, c.with("iat", json.RawMessage("17"+strings.Repeat("0", 99)))), ClaimMissing, 3, "iat"},
		{"nonce a number", f.with(t, h, c.with("nonce", 1)), ClaimMissing, 3, "nonce"},
		{"claim in other letters", f.with(t, h, c.with("jti", nil).with("JTI", "a")), ClaimMissing, 3, "jti"},

		{"no typ", f.with(t, h.with("typ", nil), c), TypMismatch, 4, "typ"},
		{"typ a number", f.with(t, h.with("typ", 1), c), TypMismatch, 4, "typ"},
		{"typ of a token", f.with(t, h.with("typ", "at+jwt"), c), TypMismatch, 4, "typ"},
		{"typ in other letters", f.with(t, h.with("typ", "DPoP+jwt"), c), TypMismatch, 4, "typ"},

		{"no alg", f.with(t, h.with("alg", nil), c), AlgRefused, 5, "alg"},
		{"alg a number", f.with(t, h.with("alg", 1), c), AlgRefused, 5, "alg"},
		{"none", f.with(t, h.with("alg", "none"), c), AlgRefused, 5, "alg"},
		{"MAC", f.with(t, h.with("alg", "HS256"), c), AlgRefused, 5, "alg"},
		{"RSA, which must be asked for", rs.with(t, rs.header, rs.claims), AlgRefused, 5, "alg"},

		{"no jwk", f.with(t, h.with("jwk", nil), c), KeyRefused, 6, "jwk"},
		{"jwk a string", f.with(t, h.with("jwk", "key"), c), KeyRefused, 6, "jwk"},
		{"jwk null", f.with(t, h.with("jwk", null), c), KeyRefused, 6, "jwk"},
		{"key of another algorithm", f.with(t, h.with("alg", "ES384"), c), KeyRefused, 6, "jwk: keys: key-algorithm at alg"},
		{"signed by another key", with(func(r *Request) { r.Fields = other.with(t, h, c).Fields }), BadSignature, 6, ""},
		{"no signature", with(func(r *Request) { r.Fields = []string{proof[:strings.LastIndex(proof, ".")+1]} }), Malformed, 2, "jws: not-compact"},
		{"private key", f.with(t, h.with("jwk", privateJWK(t, f.signer)), c), KeyRefused, 7, "jwk: keys: key-private at d"},

		{"other method", with(func(r *Request) { r.Method = "POST" }), MethodMismatch, 8, "htm"},
		{"method in other letters", f.with(t, h, c.with("htm", "get")), MethodMismatch, 8, "htm"},
		{"no method", with(func(r *Request) { r.Method = "" }), MethodMismatch, 8, "htm"},

		{"other scheme", f.with(t, h, c.with("htu", "http://rs.example/api/items")), TargetMismatch, 9, "htu scheme"},
		{"other host", f.with(t, h, c.with("htu", "https://rs.example.evil/api/items")), TargetMismatch, 9, "htu host"},
		{"other port", f.with(t, h, c.with("htu", "https://rs.example:8443/api/items")), TargetMismatch, 9, "htu port"},
		{"other path", f.with(t, h, c.with("htu", "https://rs.example/api/items/")), TargetMismatch, 9, "htu path"},
		{"no URL", f.with(t, h, c.with("htu", "/api/items")), TargetMismatch, 9, "htu: not an absolute http URL: scheme"},
		{"htu with the query", f.with(t, h, c.with("htu", target)), TargetMismatch, 9, "htu query"},
		{"htu with a fragment", f.with(t, h, c.with("htu", "https://rs.example/api/items#a")), TargetMismatch, 9, "htu query"},
		{"target unknown", with(func(r *Request) { r.TargetURI = "" }), TargetMismatch, 9, "request target"},

		{"too old", f.with(t, h, c.with("iat", now.Unix()-65)), TooOld, 11, "iat"},
		{"expired", f.with(t, h, c.with("exp", now.Unix()-5)), TooOld, 11, "exp"},
		{"not good yet", f.with(t, h, c.with("nbf", now.Unix()+6)), InFuture, 11, "nbf"},
		{"exp that is no time", f.with(t, h, c.with("exp", "soon")), ClaimMissing, 3, "exp"},
		{"nbf that is no time", f.with(t, h, c.with("nbf", "soon")), ClaimMissing, 3, "nbf"},
		{"far too old", f.with(t, h, c.with("iat", json.RawMessage("-1e400"))), TooOld, 11, "iat"},
		{"in the future", f.with(t, h, c.with("iat", now.Unix()+6)), InFuture, 11, "iat"},
		{"a fraction in the future", f.with(t, h, c.with("iat", json.RawMessage("1700000005.5"))), InFuture, 11, "iat"},
		{"far in the future", f.with(t, h, c.with("iat", json.RawMessage("1e400"))), InFuture, 11, "iat"},

		{"no ath", f.with(t, h, c.with("ath", nil)), TokenMismatch, 12, "ath"},
		{"ath null", f.with(t, h, c.with("ath", null)), TokenMismatch, 12, "ath"},
		{"ath of another token", with(func(r *Request) { r.Token += "x" }), TokenMismatch, 12, "ath"},
		{"ath in standard base64", f.with(t, h, c.with("ath", c["ath"].(string)+"=")), TokenMismatch, 12, "ath"},
		// Before the signature: the key that a stranger brings is never computed with.
		{"another key, whose signature doesn't hold", f.with(t, h.with("jwk", other.header["jwk"]), c), KeyMismatch, 12, "jkt"},
		{"token bound to another key", with(func(r *Request) { r.Thumbprint = other.request.Thumbprint }), KeyMismatch, 12, "jkt"},
		{"token bound to no key", with(func(r *Request) { r.Thumbprint = keys.Thumbprint{} }), KeyMismatch, 12, "jkt"},
		{"code bound to another key", with(func(r *Request) { r.Token, r.Thumbprint = "", other.request.Thumbprint }), KeyMismatch, 12, "jkt"},
	}
	v := newVerifier(t, Config{})
	if _, err := v.Verify(good); err != nil {
		t.Fatalf("the base of the cases: %v", err)
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, err := v.Verify(tc.request)
			e, ok := errors.AsType[*Error](err)
			if !ok || p != nil {
				t.Fatalf("got %v, %v, want a *Error", p, err)
			}
			got := []any{e.Reason, e.Section, e.Part}
			want := []any{tc.want, fmt.Sprintf("RFC 9449, section 4.3, step %d", tc.step), tc.part}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("error (-got +want):\n%s", diff)
			}
			for _, secret := range []string{token, proof, c["ath"].(string)} {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("the error repeats a secret: %v", e)
				}
			}
		})
	}
}

func privateJWK(t testing.TB, signer *keys.Signer) json.RawMessage {
	t.Helper()
	text, err := signer.MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVerifyAccepts(t *testing.T) {
	f := newFixture(t, keys.ES256)
	h, c := f.header, f.claims
	tests := []struct {
		name    string
		request Request
	}{
		{"oldest", f.with(t, h, c.with("iat", now.Unix()-64))},
		{"expired a moment ago", f.with(t, h, c.with("exp", now.Unix()-4))},
		{"good in a moment", f.with(t, h, c.with("nbf", now.Unix()+5))},
		{"newest", f.with(t, h, c.with("iat", now.Unix()+5))},
		{"a fraction of a second", f.with(t, h, c.with("iat", json.RawMessage("1699999999.75")))},
		{"longest jti", f.with(t, h, c.with("jti", strings.Repeat("a", 256)))},
		{"equivalent htu", f.with(t, h, c.with("htu", "HTTPS://RS.example:443/x/../api/%69tems"))},
		{"nonce that nobody asked for", f.with(t, h, c.with("nonce", "n"))},
		{"further members", f.with(t, h.with("kid", "k").with("x", 1), c.with("aud", "x").with("Htm", "POST"))},
	}
	v := newVerifier(t, Config{})
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := v.Verify(tc.request); err != nil {
				t.Error(err)
			}
		})
	}
	// At the token endpoint there is no access token, and maybe no key that anything is bound to.
	atTokenEndpoint := f.with(t, h, c.with("ath", 1))
	atTokenEndpoint.Token = ""
	if _, err := v.Verify(atTokenEndpoint); err != nil {
		t.Errorf("at the token endpoint: %v", err)
	}
	atTokenEndpoint.Thumbprint = keys.Thumbprint{}
	if _, err := v.Verify(atTokenEndpoint); err != nil {
		t.Errorf("at the token endpoint, nothing bound: %v", err)
	}
}

// A guard that forgets a proof at Expires forgets none that Verify would still accept.
func TestExpires(t *testing.T) {
	f := newFixture(t, keys.ES256)
	clock := now
	v := newVerifier(t, Config{Now: func() time.Time { return clock }, Skew: -1})
	r := f.with(t, f.header, f.claims)
	p, err := v.Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	clock = p.Expires().Add(-1)
	if _, err := v.Verify(r); err != nil {
		t.Errorf("before Expires: %v", err)
	}
	clock = p.Expires()
	if _, err := v.Verify(r); err == nil {
		t.Error("accepted at Expires")
	}
	if got := p.Expires().Sub(p.IssuedAt()); got != time.Minute {
		t.Errorf("without skew: good for %v, want 1 minute", got)
	}
}

func TestVerifyNonces(t *testing.T) {
	f := newFixture(t, keys.ES256)
	v := newVerifier(t, Config{Nonces: fixedNonces{"right"}})
	for nonce, want := range map[string]Reason{"right": "", "wrong": NonceMismatch, "Right": NonceMismatch, "": NonceRequired} {
		_, err := v.Verify(f.with(t, f.header, f.claims.with("nonce", nonce)))
		e, _ := errors.AsType[*Error](err)
		if want == "" && err != nil || want != "" && (e == nil || e.Reason != want) {
			t.Errorf("%q: got %v, want %q", nonce, err, want)
		}
	}
	// Hazard 9: absent is refused, not skipped.
	_, err := v.Verify(f.with(t, f.header, f.claims))
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != NonceRequired {
		t.Errorf("absent: got %v, want %s", err, NonceRequired)
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"unknown algorithm": {Algorithms: []keys.Algorithm{keys.ES256, "none"}},
		"MAC":               {Algorithms: []keys.Algorithm{"HS256"}},
		"negative age":      {MaxAge: -1},
		"age over a day":    {MaxAge: 25 * time.Hour},
		"skew over a day":   {Skew: 25 * time.Hour},
		"negative size":     {MaxBytes: -1},
	} {
		if _, err := NewVerifier(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	algs := []keys.Algorithm{keys.RS256}
	v := newVerifier(t, Config{Algorithms: algs})
	algs[0] = "none"
	v.Algorithms()[0] = "none"
	if diff := cmp.Diff(v.Algorithms(), []keys.Algorithm{keys.RS256}); diff != "" {
		t.Errorf("algorithms (-got +want):\n%s", diff)
	}
}

// Hazard 12: cnf.jkt compared, whatever else is right.
func TestHazardThumbprintCompared(t *testing.T) {
	f, thief := newFixture(t, keys.ES256), newFixture(t, keys.ES256)
	r := thief.with(t, thief.header, thief.claims) // a perfect proof, by another key
	r.Thumbprint = f.request.Thumbprint
	_, err := newVerifier(t, Config{}).Verify(r)
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != KeyMismatch {
		t.Errorf("got %v, want %s", err, KeyMismatch)
	}
}

// Hazard 13: missing ath, private key, several fields.
func TestHazardProofParts(t *testing.T) {
	f := newFixture(t, keys.Ed25519)
	good := f.with(t, f.header, f.claims)
	several := good
	several.Fields = []string{good.Fields[0], "garbage"}
	for want, r := range map[Reason]Request{
		TokenMismatch: f.with(t, f.header, f.claims.with("ath", nil)),
		KeyRefused:    f.with(t, f.header.with("jwk", privateJWK(t, f.signer)), f.claims),
		FieldCount:    several,
	} {
		_, err := newVerifier(t, Config{}).Verify(r)
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Hazard 15: the key in a proof has its crv.
func TestHazardCurveInProof(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.ES256, keys.ES384, keys.ES512, keys.Ed25519} {
		proof, err := Sign(generate(t, alg), Params{Method: "GET", TargetURI: target})
		if err != nil {
			t.Fatal(err)
		}
		c, err := jws.Parse(proof, 8192)
		if err != nil {
			t.Fatal(err)
		}
		var jwk struct{ Crv string }
		if err := json.Unmarshal([]byte(c.Header.JWK), &jwk); err != nil || jwk.Crv == "" {
			t.Errorf("%s: got %s, %v", alg, c.Header.JWK, err)
		}
	}
}

// Hazard 23: RSA keys are bounded before they are used, also where RSA is accepted.
func TestHazardRSAKeySize(t *testing.T) {
	f := newFixture(t, keys.RS256)
	v := newVerifier(t, Config{Algorithms: []keys.Algorithm{keys.RS256}, MaxBytes: 1 << 20})
	if _, err := v.Verify(f.with(t, f.header, f.claims)); err != nil {
		t.Fatal(err)
	}
	n := f.signer.Public().Key().(*rsa.PublicKey).N
	for name, modulus := range map[string]*big.Int{
		"1024 bits": new(big.Int).Rsh(n, 2048),
		"4104 bits": new(big.Int).Lsh(n, 1032),
		"100 KiB":   new(big.Int).Lsh(n, 800_000),
	} {
		jwk := object{"kty": "RSA", "e": "AQAB", "n": base64url.Encode(modulus.Bytes())}
		_, err := v.Verify(f.with(t, f.header.with("jwk", jwk), f.claims))
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != KeyRefused || e.Part != "jwk: keys: key-size at n" {
			t.Errorf("%s: got %v, want %s", name, err, KeyRefused)
		}
	}
}

// Hazard 24: no kind of JSON value anywhere makes Verify panic.
func TestHazardWrongKinds(t *testing.T) {
	f := newFixture(t, keys.ES256)
	v := newVerifier(t, Config{Nonces: fixedNonces{"n"}})
	for _, kind := range []string{`null`, `true`, `0`, `-1e999`, `""`, `"a"`, `[]`, `[[]]`, `{}`, `{"a":{}}`} {
		value := json.RawMessage(kind)
		for name := range f.header {
			if _, err := v.Verify(f.with(t, f.header.with(name, value), f.claims)); err == nil {
				t.Errorf("header %s %s: accepted", name, kind)
			}
		}
		for name := range f.claims.with("nonce", "n") {
			if _, err := v.Verify(f.with(t, f.header, f.claims.with("nonce", "n").with(name, value))); err == nil && name != "jti" {
				t.Errorf("claim %s %s: accepted", name, kind)
			}
		}
	}
	if _, err := v.Verify(Request{}); err == nil {
		t.Error("the zero request: accepted")
	}
}

// Hazard 26: an id of 1 MiB is refused, even if proofs may be long.
func TestHazardLongID(t *testing.T) {
	f := newFixture(t, keys.ES256)
	v := newVerifier(t, Config{MaxBytes: 4 << 20})
	_, err := v.Verify(f.with(t, f.header, f.claims.with("jti", strings.Repeat("a", 1<<20))))
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Reason != ClaimMissing || len(e.Error()) > 1024 {
		t.Errorf("got %.200v, want %s", err, ClaimMissing)
	}
}

// An error names what differed, bounded, with what the sender chose quoted.
func TestErrorText(t *testing.T) {
	f := newFixture(t, keys.ES256)
	_, err := newVerifier(t, Config{}).Verify(f.with(t, f.header, f.claims.with("htm", "X\n"+strings.Repeat("y", 999))))
	want := `dpop: dpop-method-mismatch: htm: expected "GET", got "X\n` + strings.Repeat("y", 126) +
		`" (RFC 9449, section 4.3, step 8)`
	if got := err.Error(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAllocs(t *testing.T) {
	f := newFixture(t, keys.ES256)
	v := newVerifier(t, Config{})
	r := f.with(t, f.header, f.claims)
	verify := func() {
		if _, err := v.Verify(r); err != nil {
			t.Fatal(err)
		}
	}
	verify()
	// 10 of them are VerifyASN1's own.
	if got := testing.AllocsPerRun(100, verify); got > 20 {
		t.Errorf("Verify, key known: got %v allocations, want 20 at most", got)
	}
	cold := func() {
		v.keys.young, v.keys.old = nil, nil
		verify()
	}
	if got := testing.AllocsPerRun(100, cold); got > 32 {
		t.Errorf("Verify, key new: got %v allocations, want 32 at most", got)
	}
}
