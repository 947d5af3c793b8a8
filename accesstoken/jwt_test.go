package accesstoken

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/keys"
)

// jwtCase differs from an accepted token in one thing.
type jwtCase struct {
	name   string
	header object // over {"typ":"at+jwt","alg":"ES256","kid":"k1"}
	claims object // over goodClaims
	signer *keys.Signer
	tamper func(token string) string
	keys   KeySource
	config func(*JWTConfig)
	want   Reason // "" accepts
}

// jwtSuite signs cases and verifies them.
type jwtSuite struct {
	signer *keys.Signer
	key    *keys.Public
}

func newJWTSuite(t testing.TB) *jwtSuite {
	s := newSigner(t, keys.ES256)
	return &jwtSuite{signer: s, key: publish(t, s, "k1", keys.ES256)}
}

func (s *jwtSuite) token(t testing.TB, tc jwtCase) string {
	t.Helper()
	signer := s.signer
	if tc.signer != nil {
		signer = tc.signer
	}
	header := object{"typ": "at+jwt", "alg": string(signer.Algorithm()), "kid": "k1"}.with(tc.header)
	token := sign(t, signer, header.json(t), goodClaims().with(tc.claims).json(t))
	if tc.tamper != nil {
		token = tc.tamper(token)
	}
	return token
}

func (s *jwtSuite) verifier(t testing.TB, tc jwtCase) Verifier {
	t.Helper()
	cfg := JWTConfig{
		Issuer: testIssuer, Audience: testAudience, Keys: StaticKeys{s.key},
		Now: func() time.Time { return testNow },
	}
	if tc.keys != nil {
		cfg.Keys = tc.keys
	}
	if tc.config != nil {
		tc.config(&cfg)
	}
	v, err := NewJWTVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *jwtSuite) run(t *testing.T, tests []jwtCase) {
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			token := s.token(t, tc)
			got, err := s.verifier(t, tc).Verify(t.Context(), token)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != nil {
				t.Errorf("got a token beside the error")
			}
			checkReason(t, err, tc.want)
			checkDiscretion(t, err, token)
		})
	}
}

// checkDiscretion fails if the error repeats a part of the token.
func checkDiscretion(t *testing.T, err error, token string) {
	t.Helper()
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 20 && strings.Contains(err.Error(), part[len(part)-20:]) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

func TestVerifyJWT(t *testing.T) {
	s := newJWTSuite(t)
	token := s.token(t, jwtCase{claims: object{"aud": []string{"other", testAudience}}})
	got, err := s.verifier(t, jwtCase{}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64url.Decode(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	want := &Token{
		Issuer: testIssuer, Subject: "alice", ClientID: "app", ID: "t-1",
		Audience: []string{"other", testAudience}, Scope: []string{"read", "write"},
		IssuedAt: testNow, Expires: testNow.Add(300 * time.Second),
		Hash: hashToken(token), Claims: payload,
	}
	if diff := cmp.Diff(got, want, cmp.AllowUnexported(keys.Public{})); diff != "" {
		t.Errorf("token (-got +want):\n%s", diff)
	}
}

func TestVerifyJWTHeader(t *testing.T) {
	s := newJWTSuite(t)
	rsa := newSigner(t, keys.PS256)
	rsaKey := func(alg keys.Algorithm) KeySource { return StaticKeys{publish(t, rsa, "k1", alg)} }
	ed := newSigner(t, keys.Ed25519)
	other := newSigner(t, keys.ES256)
	two := StaticKeys{s.key, publish(t, other, "k2", keys.ES256)}
	s.run(t, []jwtCase{
		{name: "typ in capitals", header: object{"typ": "AT+JWT"}},
		{name: "typ with application", header: object{"typ": "Application/at+jwt"}},
		{name: "typ absent", header: object{"typ": absent}, want: TypeMismatch},
		{name: "typ JWT", header: object{"typ": "JWT"}, want: TypeMismatch},
		{name: "typ of a DPoP proof", header: object{"typ": "dpop+jwt"}, want: TypeMismatch},
		{name: "typ with a parameter", header: object{"typ": "at+jwt;v=1"}, want: TypeMismatch},
		{name: "typ of another tree", header: object{"typ": "text/at+jwt"}, want: TypeMismatch},
		{name: "typ a number", header: object{"typ": 1}, want: Malformed},
		{name: "typ JWT where any will do", header: object{"typ": "JWT"}, config: anyType},
		{name: "typ absent where any will do", header: object{"typ": absent}, config: anyType},
		{name: "crit", header: object{"crit": []string{"exp"}}, want: Malformed},
		{name: "alg absent", header: object{"alg": absent}, want: Malformed},
		{name: "alg in other letters", header: object{"alg": "es256"}, want: AlgRefused},
		{name: "alg not configured", config: func(c *JWTConfig) { c.Algorithms = []keys.Algorithm{keys.PS256} }, want: AlgRefused},
		{name: "alg of the key's form", signer: rsa, keys: rsaKey("")},
		{name: "alg of the key", signer: rsa, keys: rsaKey(keys.PS256)},
		{name: "alg PS512 not among the defaults", signer: rsa, header: object{"alg": "PS512"}, keys: rsaKey(""), want: AlgRefused},
		{name: "EdDSA is Ed25519", signer: ed, header: object{"alg": "EdDSA"}, keys: StaticKeys{publish(t, ed, "k1", keys.Ed25519)}},
		{name: "kid second of two", signer: other, header: object{"kid": "k2"}, keys: two},
		{name: "kid of the other key", signer: other, keys: two, want: BadSignature},
		{name: "kid unknown", header: object{"kid": "k3"}, want: UnknownKey},
		{name: "kid in other letters", header: object{"kid": "K1"}, want: UnknownKey},
		{name: "kid absent, one key", header: object{"kid": absent}},
		{name: "kid absent, two keys", header: object{"kid": absent}, keys: two, want: UnknownKey},
		{name: "kid absent, no key", header: object{"kid": absent}, keys: StaticKeys{}, want: UnknownKey},
		{name: "kid of two keys", keys: StaticKeys{s.key, publish(t, other, "k1", "")}, want: UnknownKey},
		{name: "kid a number", header: object{"kid": 1}, want: Malformed},
		{name: "jwk in the header counts for nothing", signer: other, header: object{"jwk": other.Public()}, want: BadSignature},
		{name: "key source broken", keys: brokenKeys{}, want: Unavailable},
		{name: "key source without a key", keys: StaticKeys{nil}, header: object{"kid": absent}, want: Unavailable},
		{name: "key source without a key, kid", keys: StaticKeys{nil}, want: UnknownKey},
	})
}

func anyType(c *JWTConfig) { c.InsecureAnyType = true }

type brokenKeys struct{}

func (brokenKeys) Key(context.Context, string) (*keys.Public, error) {
	return nil, errors.New("broken")
}

func TestVerifyJWTSignature(t *testing.T) {
	s := newJWTSuite(t)
	part := func(n int, change func(string) string) func(string) string {
		return func(token string) string {
			parts := strings.Split(token, ".")
			parts[n] = change(parts[n])
			return strings.Join(parts, ".")
		}
	}
	flip := func(text string) string {
		b, err := base64url.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		return base64url.Encode(b)
	}
	s.run(t, []jwtCase{
		{name: "good"},
		{name: "by another key", signer: newSigner(t, keys.ES256), want: BadSignature},
		{name: "one bit off", tamper: part(2, flip), want: BadSignature},
		{name: "other claims", tamper: part(1, func(string) string {
			return base64url.Encode([]byte(goodClaims().with(object{"sub": "mallory"}).json(t)))
		}), want: BadSignature},
		{name: "of zeros", tamper: part(2, func(string) string { return base64url.Encode(make([]byte, 64)) }), want: BadSignature},
		{name: "short", tamper: part(2, func(sig string) string { return sig[:len(sig)-2] }), want: BadSignature},
		{name: "none", tamper: part(2, func(string) string { return "" }), want: Malformed},
		{name: "padded", tamper: part(2, func(sig string) string { return sig + "==" }), want: Malformed},
		{name: "nothing", tamper: func(string) string { return "" }, want: Malformed},
		{name: "two parts", tamper: func(token string) string { return token[:strings.LastIndex(token, ".")] }, want: Malformed},
		{name: "four parts", tamper: func(token string) string { return token + ".e30" }, want: Malformed},
		{name: "space behind", tamper: func(token string) string { return token + " " }, want: Malformed},
	})
}

func TestVerifyJWTClaims(t *testing.T) {
	s := newJWTSuite(t)
	now := testNow.Unix()
	noSkew := func(c *JWTConfig) { c.Skew = -1 }
	s.run(t, []jwtCase{
		{name: "iss absent", claims: object{"iss": absent}, want: IssuerMismatch},
		{name: "iss other", claims: object{"iss": "https://other.example"}, want: IssuerMismatch},
		{name: "iss with a slash", claims: object{"iss": testIssuer + "/"}, want: IssuerMismatch},
		{name: "iss in capitals", claims: object{"iss": "HTTPS://issuer.example"}, want: IssuerMismatch},
		{name: "iss a list", claims: object{"iss": []string{testIssuer}}, want: Malformed},
		{name: "aud second of two", claims: object{"aud": []string{"x", testAudience}}},
		{name: "aud absent", claims: object{"aud": absent}, want: AudienceMismatch},
		{name: "aud other", claims: object{"aud": "https://other.example/"}, want: AudienceMismatch},
		{name: "aud a prefix", claims: object{"aud": "https://api.example"}, want: AudienceMismatch},
		{name: "aud longer", claims: object{"aud": testAudience + "x"}, want: AudienceMismatch},
		{name: "aud empty list", claims: object{"aud": []string{}}, want: AudienceMismatch},
		{name: "aud null", claims: object{"aud": nil}, want: Malformed},
		{name: "aud a number in a list", claims: object{"aud": []any{testAudience, 1}}, want: Malformed},
		{name: "aud an object", claims: object{"aud": object{testAudience: true}}, want: Malformed},
		{name: "exp absent", claims: object{"exp": absent}, want: Malformed},
		{name: "exp null", claims: object{"exp": nil}, want: Malformed},
		{name: "exp a string", claims: object{"exp": "1900000000"}, want: Malformed},
		{name: "exp zero", claims: object{"exp": 0}, want: Expired},
		{name: "exp far away", claims: object{"exp": json.Number("1e300")}},
		{name: "exp with a fraction", claims: object{"exp": json.Number("1800000000.5")}, config: noSkew},
		{name: "exp within the skew", claims: object{"exp": now - 4}},
		{name: "exp at the skew", claims: object{"exp": now - 5}, want: Expired},
		{name: "exp now, no skew", claims: object{"exp": now}, config: noSkew, want: Expired},
		{name: "exp in a second, no skew", claims: object{"exp": now + 1}, config: noSkew},
		{name: "nbf past", claims: object{"nbf": now - 100}},
		{name: "nbf within the skew", claims: object{"nbf": now + 5}},
		{name: "nbf beyond the skew", claims: object{"nbf": now + 6}, want: NotYetValid},
		{name: "nbf ahead, no skew", claims: object{"nbf": now + 1}, config: noSkew, want: NotYetValid},
		{name: "nbf null", claims: object{"nbf": nil}, want: Malformed},
		{name: "iat within the skew", claims: object{"iat": now + 5}},
		{name: "iat beyond the skew", claims: object{"iat": now + 6}, want: NotYetValid},
		{name: "iat absent", claims: object{"iat": absent}, want: Malformed},
		{name: "iat a string", claims: object{"iat": "1"}, want: Malformed},
		{name: "sub absent", claims: object{"sub": absent}, want: Malformed},
		{name: "sub empty", claims: object{"sub": ""}, want: Malformed},
		{name: "sub a number", claims: object{"sub": 7}, want: Malformed},
		{name: "client_id absent", claims: object{"client_id": absent}, want: Malformed},
		{name: "client_id null", claims: object{"client_id": nil}, want: Malformed},
		{name: "jti absent", claims: object{"jti": absent}, want: Malformed},
		{name: "jti a number", claims: object{"jti": 7}, want: Malformed},
		{name: "scope absent", claims: object{"scope": absent}},
		{name: "scope a list", claims: object{"scope": []string{"read"}}, want: Malformed},
		{name: "active is the issuer's own claim", claims: object{"active": false}},
		{name: "only what every JWT needs", claims: object{"sub": absent, "client_id": absent, "jti": absent, "iat": absent}, config: anyType},
		{name: "any type, but no exp", claims: object{"exp": absent}, config: anyType, want: Malformed},
		{name: "any type, but no aud", claims: object{"aud": absent}, config: anyType, want: AudienceMismatch},
		{name: "cnf jkt", claims: object{"cnf": object{"jkt": rfc9449Thumbprint}}},
		{name: "cnf null", claims: object{"cnf": nil}, want: BadConfirmation},
		{name: "cnf empty", claims: object{"cnf": object{}}, want: BadConfirmation},
		{name: "cnf unknown", claims: object{"cnf": object{"kid": "k"}}, want: BadConfirmation},
	})
}

// Payloads that no JSON writer makes.
func TestVerifyJWTPayload(t *testing.T) {
	s := newJWTSuite(t)
	good := goodClaims().json(t)
	tests := []struct {
		name    string
		payload string
		want    Reason
	}{
		{"good", good, ""},
		{"a claim twice", good[:len(good)-1] + `,"aud":"` + testAudience + `"}`, Malformed},
		{"a claim in other letters", good[:len(good)-1] + `,"EXP":0}`, ""},
		{"trailing bytes", good + "x", Malformed},
		{"a list", "[" + good + "]", Malformed},
		{"not JSON", "claims", Malformed},
		{"not UTF-8", strings.Replace(good, "alice", "al\xffce", 1), Malformed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			token := sign(t, s.signer, `{"typ":"at+jwt","alg":"ES256","kid":"k1"}`, tc.payload)
			_, err := s.verifier(t, jwtCase{}).Verify(t.Context(), token)
			if tc.want != "" {
				checkReason(t, err, tc.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyJWTSize(t *testing.T) {
	s := newJWTSuite(t)
	token := func(padding int) string {
		return s.token(t, jwtCase{claims: object{"pad": strings.Repeat("x", padding)}})
	}
	longest := maxToken*3/4 - len(token(0))
	for len(token(longest+1)) <= maxToken {
		longest++
	}
	v := s.verifier(t, jwtCase{})
	if _, err := v.Verify(t.Context(), token(longest)); err != nil {
		t.Errorf("the longest token: %v", err)
	}
	_, err := v.Verify(t.Context(), token(longest+1))
	checkReason(t, err, Malformed)
}

// Hazard 8: the algorithm is the key's, whatever the message says.
func TestHazardAlgorithmFromMessage(t *testing.T) {
	s := newJWTSuite(t)
	rsa := newSigner(t, keys.PS256)
	mac := func(alg string) func(string) string {
		return func(token string) string {
			parts := strings.Split(token, ".")
			parts[0] = base64url.Encode([]byte(`{"typ":"at+jwt","alg":"` + alg + `","kid":"k1"}`))
			return strings.Join(parts, ".")
		}
	}
	s.run(t, []jwtCase{
		{name: "none", tamper: mac("none"), want: AlgRefused},
		{name: "HS256", tamper: mac("HS256"), want: AlgRefused},
		{name: "absent name", tamper: mac(""), want: AlgRefused},
		{name: "ES384 on P-256", header: object{"alg": "ES384"}, want: AlgRefused},
		{name: "RS256 on P-256", header: object{"alg": "RS256"}, want: AlgRefused},
		{name: "RS256 on a PS256 key", signer: rsa, header: object{"alg": "RS256"}, keys: StaticKeys{publish(t, rsa, "k1", keys.PS256)}, want: AlgRefused},
		{name: "RS256 header, PS256 signature", signer: rsa, header: object{"alg": "RS256"}, keys: StaticKeys{publish(t, rsa, "k1", "")}, want: BadSignature},
	})
}

// Hazard 12: nothing of the claims is looked at, least of all cnf, before the signature holds.
func TestHazardClaimsBeforeSignature(t *testing.T) {
	s := newJWTSuite(t)
	mallory := newSigner(t, keys.ES256)
	var tests []jwtCase
	for name, claims := range map[string]object{
		"cnf of another key": {"cnf": object{"jkt": mallory.Public().Thumbprint().String()}},
		"cnf broken":         {"cnf": 1},
		"exp broken":         {"exp": "x"},
		"iss other":          {"iss": "https://other.example"},
		"expired":            {"exp": 1},
	} {
		tests = append(tests, jwtCase{name: name, claims: claims, signer: mallory, want: BadSignature})
	}
	s.run(t, tests)
}

// Hazard 11: a bound token never looks unbound.
func TestHazardBoundTokenIsNeverUnbound(t *testing.T) {
	s := newJWTSuite(t)
	for name, cnf := range map[string]object{
		"jkt":      {"jkt": rfc9449Thumbprint},
		"x5t#S256": {"x5t#S256": rfc8705Thumbprint},
		"jwk":      {"jwk": s.signer.Public()},
		"htsk":     {"htsk": object{"alg": "ed25519", "pub": draftPublicKey}},
	} {
		t.Run(name, func(t *testing.T) {
			tok, err := s.verifier(t, jwtCase{}).Verify(t.Context(), s.token(t, jwtCase{claims: object{"cnf": cnf}}))
			if err != nil {
				t.Fatal(err)
			}
			if got := tok.Confirmation.Binding; got != Binding(name) {
				t.Errorf("got binding %q, want %q", got, name)
			}
		})
	}
}

func TestNewJWTVerifierRefuses(t *testing.T) {
	good := JWTConfig{Issuer: testIssuer, Audience: testAudience, Keys: StaticKeys{}}
	for name, change := range map[string]func(*JWTConfig){
		"no issuer":         func(c *JWTConfig) { c.Issuer = "" },
		"no audience":       func(c *JWTConfig) { c.Audience = "" },
		"no keys":           func(c *JWTConfig) { c.Keys = nil },
		"algorithm none":    func(c *JWTConfig) { c.Algorithms = []keys.Algorithm{"none"} },
		"algorithm HS256":   func(c *JWTConfig) { c.Algorithms = []keys.Algorithm{keys.ES256, "HS256"} },
		"algorithm without": func(c *JWTConfig) { c.Algorithms = []keys.Algorithm{""} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			if _, err := NewJWTVerifier(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
	if _, err := NewJWTVerifier(good); err != nil {
		t.Error(err)
	}
}

// vector is a case of testdata/rfc9068.json.
type vector struct {
	ID       string            `json:"id"`
	Source   string            `json:"source"`
	Token    string            `json:"token"`
	Keys     []json.RawMessage `json:"keys"`
	Now      int64             `json:"now"`
	Policy   vectorPolicy      `json:"policy"`
	Expect   string            `json:"expect"`
	Claims   json.RawMessage   `json:"claims"`
	Rule     string            `json:"rule"`
	RejectAt string            `json:"reject_at"`
}

type vectorPolicy struct {
	Algs     []keys.Algorithm `json:"algs"`
	Issuer   string           `json:"issuer"`
	Audience string           `json:"audience"`
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.Open("testdata/rfc9068.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var set struct {
		Meta  json.RawMessage `json:"meta"`
		Cases []vector        `json:"cases"`
	}
	d := json.NewDecoder(file)
	d.DisallowUnknownFields()
	if err := d.Decode(&set); err != nil {
		t.Fatal(err)
	}
	if len(set.Cases) == 0 {
		t.Fatal("no vectors")
	}
	return set.Cases
}

func (v vector) verifier(t testing.TB) Verifier {
	t.Helper()
	var set StaticKeys
	for _, jwk := range v.Keys {
		key, err := keys.ParsePublic(jwk)
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, key)
	}
	verifier, err := NewJWTVerifier(JWTConfig{
		Issuer: v.Policy.Issuer, Audience: v.Policy.Audience, Algorithms: v.Policy.Algs, Keys: set,
		Skew: -1, Now: func() time.Time { return time.Unix(v.Now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func TestVectorsRFC9068(t *testing.T) {
	reasons := map[string]Reason{
		"typ": TypeMismatch, "iss": IssuerMismatch, "aud": AudienceMismatch, "expired": Expired,
		"alg": AlgRefused, "signature": BadSignature, "claim iss": IssuerMismatch,
		"claim sub": Malformed, "claim client_id": Malformed, "claim jti": Malformed,
	}
	for _, tc := range readVectors(t) {
		t.Run(tc.ID, func(t *testing.T) {
			got, err := tc.verifier(t).Verify(t.Context(), tc.Token)
			if tc.Expect != "accept" {
				checkReason(t, err, reasons[tc.RejectAt])
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var claims, want any
			if err := json.Unmarshal(got.Claims, &claims); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(tc.Claims, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(claims, want); diff != "" {
				t.Errorf("claims (-got +want):\n%s", diff)
			}
		})
	}
}

// Whatever is accepted is a token that the issuer made, byte for byte: its RSA signatures have one spelling.
func FuzzVerifyJWT(f *testing.F) {
	var verifiers []Verifier
	genuine := map[string]bool{}
	for _, v := range readVectors(f) {
		f.Add(v.Token)
		verifiers = append(verifiers, v.verifier(f))
		genuine[v.Token] = true
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, v := range verifiers {
			_, err := v.Verify(t.Context(), token)
			if err == nil && !genuine[token] {
				t.Errorf("accepted %q", token)
			}
			if _, ok := errors.AsType[*Error](err); err != nil && !ok {
				t.Errorf("untyped error %v", err)
			}
		}
	})
}
