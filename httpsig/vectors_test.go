package httpsig

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/sfv"
	"github.com/holdfast-project/holdfast/keys"
)

// vectorFile is the common form of the files in testdata.
type vectorFile[T any] struct {
	Meta  json.RawMessage `json:"meta"`
	Cases []T             `json:"cases"`
}

func readVectors[T any](tb testing.TB, file string) []T {
	tb.Helper()
	var f vectorFile[T]
	readJSON(tb, file, &f)
	if len(f.Cases) == 0 {
		tb.Fatalf("%s: no cases", file)
	}
	return f.Cases
}

func readJSON(tb testing.TB, file string, to any) {
	tb.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
}

type vectorMessage struct {
	Method        string      `json:"method"`
	URL           string      `json:"url"`
	RequestTarget string      `json:"request_target"`
	Status        int         `json:"status"`
	Headers       [][2]string `json:"headers"`
	Trailers      [][2]string `json:"trailers"`
	Body          []byte      `json:"body_b64"`
}

func (v *vectorMessage) message() *Message {
	return &Message{
		Method:        v.Method,
		TargetURI:     v.URL,
		RequestTarget: v.RequestTarget,
		Status:        v.Status,
		Header:        header(v.Headers),
		Trailer:       header(v.Trailers),
	}
}

// header turns characters of ISO 8859-1 into the octets that net/http would have.
func header(lines [][2]string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		var value []byte
		for _, r := range line[1] {
			value = append(value, byte(r))
		}
		key := textproto.CanonicalMIMEHeaderKey(line[0])
		h[key] = append(h[key], string(value))
	}
	return h
}

// exchange is a request, perhaps with its response.
type exchange struct {
	Request  *vectorMessage `json:"request"`
	Response *vectorMessage `json:"response"`
}

func (e *exchange) last() *vectorMessage {
	if e.Response != nil {
		return e.Response
	}
	return e.Request
}

func (e *exchange) message() *Message {
	m := e.last().message()
	if e.Response != nil && e.Request != nil {
		m.Request = e.Request.message()
	}
	return m
}

// vectorKey is a JWK with the algorithm that it is bound to.
type vectorKey map[string]string

// key builds the key, with the algorithm that the signature asks for if it has none itself.
func (v vectorKey) key(alg string) (*Key, error) {
	if bound := v["http_alg"]; bound != "" {
		alg = bound
	}
	if v["kty"] == "oct" {
		secret, err := base64.RawURLEncoding.DecodeString(v["k"])
		if err != nil {
			return nil, err
		}
		return NewHMACKey(secret)
	}
	jwk := make(map[string]string)
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e", "kid"} {
		if v[name] != "" {
			jwk[name] = v[name]
		}
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		return nil, err
	}
	pub, err := keys.ParsePublic(text)
	if err != nil {
		return nil, err
	}
	return NewKey(pub, Algorithm(alg))
}

func fieldTypes(tb testing.TB, names map[string]string) map[string]FieldType {
	tb.Helper()
	types := make(map[string]FieldType)
	for field, name := range names {
		t, ok := map[string]FieldType{"item": Item, "list": List, "dictionary": Dictionary}[name]
		if !ok {
			tb.Fatalf("unknown type %q", name)
		}
		types[field] = t
	}
	return types
}

type verdictCase struct {
	ID       string      `json:"id"`
	Group    string      `json:"group"`
	Keys     []vectorKey `json:"keys"`
	Now      int64       `json:"now"`
	Expect   string      `json:"expect"`
	Rule     string      `json:"rule"`
	RejectAt string      `json:"reject_at"`
	Note     string      `json:"note"`
	Base     string      `json:"signature_base"`
	Strict   bool        `json:"strict"`
	Policy   struct {
		Label      string            `json:"label"`
		Tag        string            `json:"tag"`
		Fields     map[string]string `json:"structured_fields"`
		Components []string          `json:"required_components"`
		Params     []string          `json:"required_params"`
		Algs       []Algorithm       `json:"allowed_algs"`
		DefaultKey string            `json:"default_key"`
		MaxAge     int64             `json:"max_age"`
		Skew       int64             `json:"clock_skew"`
	} `json:"policy"`
	exchange
}

func (c *verdictCase) config(tb testing.TB) Config {
	cfg := Config{
		Tag:                   c.Policy.Tag,
		Label:                 c.Policy.Label,
		Required:              Components(c.Policy.Components...),
		RequiredParams:        c.Policy.Params,
		Algorithms:            c.Policy.Algs,
		MaxAge:                time.Duration(c.Policy.MaxAge) * time.Second,
		Skew:                  time.Duration(c.Policy.Skew) * time.Second,
		InsecureEmptyCoverage: true, // one case shows that the syntax allows it
		Fields:                fieldTypes(tb, c.Policy.Fields),
		Now:                   func() time.Time { return time.Unix(c.Now, 0) },
	}
	if cfg.Skew == 0 {
		cfg.Skew = -1
	}
	return cfg
}

func (c *verdictCase) source(_ context.Context, in *Input) (*Key, error) {
	id := in.KeyID()
	if id == "" {
		id = c.Policy.DefaultKey
	}
	for _, k := range c.Keys {
		if k["kid"] == id && id != "" {
			return k.key(in.Alg())
		}
	}
	return nil, errors.New("no such key")
}

// verify runs the case, with the digest that is the caller's to check.
func (c *verdictCase) verify(tb testing.TB) ([]*Signature, error) {
	v, err := NewVerifier(c.config(tb))
	if err != nil {
		tb.Fatal(err)
	}
	m := c.message()
	sigs, err := v.Verify(context.Background(), m, c.source)
	if err != nil {
		return nil, err
	}
	for _, s := range sigs {
		if !s.Input().Covers(contentDigest) {
			continue
		}
		if !digestMatches(m.Header["Content-Digest"], c.last().Body) {
			return nil, errors.New("the digest isn't that of the body")
		}
	}
	return sigs, nil
}

// digestMatches reports whether all members that can be relied on match, at least one (RFC 9530).
func digestMatches(lines []string, body []byte) bool {
	dict, err := sfv.ParseDictionary(lines...)
	if err != nil {
		return false
	}
	found := false
	for _, m := range dict {
		switch sum256, sum512 := sha256.Sum256(body), sha512.Sum512(body); {
		case m.Key == "sha-256" && bytes.Equal(m.Value.Bytes(), sum256[:]):
			found = true
		case m.Key == "sha-512" && bytes.Equal(m.Value.Bytes(), sum512[:]):
			found = true
		case m.Key == "sha-256", m.Key == "sha-512":
			return false
		}
	}
	return found
}

var contentDigest = Components("content-digest")[0]

func TestCases(t *testing.T) {
	for _, c := range readVectors[verdictCase](t, "rfc9421/cases.json") {
		t.Run(c.Group+"/"+c.ID, func(t *testing.T) {
			sigs, err := c.verify(t)
			if c.Expect == "reject" {
				if err == nil {
					t.Fatalf("accepted, want a refusal: %s", c.Rule)
				}
				return
			}
			if err != nil || c.Expect != "accept" {
				t.Fatalf("got %v, want %s", err, c.Expect)
			}
			if c.Base == "" {
				return
			}
			base, err := Base(c.message(), sigs[0].Input(), fieldTypes(t, c.Policy.Fields))
			if diff := cmp.Diff(string(base), c.Base); err != nil || diff != "" {
				t.Errorf("%v, base (-got +want):\n%s", err, diff)
			}
		})
	}
}

type signatureCase struct {
	ID            string            `json:"id"`
	Section       string            `json:"section"`
	Source        string            `json:"source"`
	Label         string            `json:"label"`
	KeyID         string            `json:"keyid"`
	KeyName       string            `json:"key_name"`
	Key           vectorKey         `json:"key"`
	Alg           string            `json:"alg"`
	Fields        map[string]string `json:"structured_fields"`
	Base          string            `json:"signature_base"`
	InRFC         bool              `json:"signature_base_in_rfc"`
	Signature     []byte            `json:"signature_b64"`
	Deterministic bool              `json:"deterministic"`
	DigestMatches bool              `json:"content_digest_matches_body"`
	Expect        string            `json:"expect"`
	Now           int64             `json:"now"`
	Why           string            `json:"why"`
	RejectAt      string            `json:"reject_at"`
	exchange
}

// now returns the time of the case, or that at which the signature says it was made.
func (c *signatureCase) now(t *testing.T, m *Message) int64 {
	if c.Now != 0 {
		return c.Now
	}
	inputs, err := ParseInputs(m.Header)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range inputs {
		if in.Label() == c.Label {
			return in.created
		}
	}
	t.Fatalf("no label %q", c.Label)
	return 0
}

type rfcKey struct {
	JWK     vectorKey `json:"jwk"`
	Alg     string    `json:"http_alg"`
	Public  string    `json:"public_pem"`
	Private string    `json:"private_pem"`
	Secret  string    `json:"secret_b64"`
}

// rfcKeys maps the key ids of RFC 9421, appendix B.1, to the keys.
func rfcKeys(tb testing.TB) map[string]vectorKey {
	tb.Helper()
	var f struct {
		Meta json.RawMessage `json:"meta"`
		Keys []rfcKey        `json:"keys"`
	}
	readJSON(tb, "rfc9421/keys.json", &f)
	found := make(map[string]vectorKey)
	for _, k := range f.Keys {
		k.JWK["http_alg"] = k.Alg
		found[k.JWK["kid"]] = k.JWK
	}
	return found
}

func TestSignatures(t *testing.T) {
	byID := rfcKeys(t)
	for _, file := range []string{"rfc9421/signatures.json", "rfc9421/third-party.json", "oauth-httpsig-draft/examples.json"} {
		for _, c := range readVectors[signatureCase](t, file) {
			t.Run(c.ID, func(t *testing.T) {
				if c.Key == nil {
					c.Key = byID[c.KeyID]
				}
				checkSignatureCase(t, &c)
			})
		}
	}
}

func checkSignatureCase(t *testing.T, c *signatureCase) {
	m := c.message()
	v, err := NewVerifier(Config{
		Label:                 c.Label,
		InsecureEmptyCoverage: true,
		Fields:                fieldTypes(t, c.Fields),
		Skew:                  -1,
		Now:                   func() time.Time { return time.Unix(c.now(t, m), 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := c.Key.key(c.Alg)
	if err != nil {
		t.Fatal(err)
	}
	sigs, err := v.Verify(t.Context(), m, func(context.Context, *Input) (*Key, error) { return key, nil })
	if got := map[bool]string{true: "accept", false: "reject"}[err == nil]; got != c.Expect {
		t.Fatalf("%s (%v), want %s", got, err, c.Expect)
	}
	if c.Expect == "reject" {
		return
	}
	base, err := Base(m, sigs[0].Input(), fieldTypes(t, c.Fields))
	if diff := cmp.Diff(string(base), c.Base); err != nil || diff != "" {
		t.Errorf("%v, base (-got +want):\n%s", err, diff)
	}
	if !key.verify([]byte(c.Base), c.Signature) {
		t.Error("signature_b64 isn't over signature_base")
	}
	if c.Deterministic {
		if got := signBase(t, c.Key, []byte(c.Base)); !bytes.Equal(got, c.Signature) {
			t.Errorf("signed to %x, want %x", got, c.Signature)
		}
	}
}

// signBase signs base with the private key of a vector.
func signBase(t *testing.T, v vectorKey, base []byte) []byte {
	t.Helper()
	if v["kty"] == "oct" {
		secret, err := base64.RawURLEncoding.DecodeString(v["k"])
		if err != nil {
			t.Fatal(err)
		}
		m, err := newMACs(secret)
		if err != nil {
			t.Fatal(err)
		}
		return m.appendMAC(nil, base)
	}
	signature, err := parseSigner(t, v).Sign(base)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func parseSigner(t testing.TB, v vectorKey) *keys.Signer {
	t.Helper()
	jwk := make(map[string]string)
	for name, value := range v {
		if name != "http_alg" {
			jwk[name] = value
		}
	}
	if alg := joseOf(Algorithm(v["http_alg"])); alg != "" {
		jwk["alg"] = string(alg)
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.ParseSigner(text)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

type valuesCase struct {
	ID         string            `json:"id"`
	Section    string            `json:"section"`
	Note       string            `json:"note"`
	Fields     map[string]string `json:"structured_fields"`
	Components []struct {
		Component string `json:"component"`
		Value     string `json:"value"`
	} `json:"components"`
	exchange
}

func TestComponentValues(t *testing.T) {
	for _, c := range readVectors[valuesCase](t, "rfc9421/component-values.json") {
		t.Run(c.ID, func(t *testing.T) {
			for _, want := range c.Components {
				component, err := ParseComponent(want.Component)
				if err != nil {
					t.Fatal(err)
				}
				in := &Input{components: []Component{component}, params: "()"}
				base, err := Base(c.message(), in, fieldTypes(t, c.Fields))
				if err != nil {
					t.Fatal(err)
				}
				got, _, _ := strings.Cut(string(base), "\n")
				if line := want.Component + ": " + want.Value; got != line {
					t.Errorf("got %q, want %q", got, line)
				}
			}
		})
	}
}

type parseCase struct {
	ID         string   `json:"id"`
	Section    string   `json:"section"`
	Field      string   `json:"field"`
	Value      string   `json:"value"`
	Label      string   `json:"label"`
	Components []string `json:"components"`
	Params     [][2]any `json:"params"` // a name, and a string, a number or true
}

func TestParseVectors(t *testing.T) {
	for _, c := range readVectors[parseCase](t, "rfc9421/parse.json") {
		t.Run(c.ID, func(t *testing.T) {
			switch c.Field {
			case "inner-list":
				checkInnerList(t, &c)
			case "Accept-Signature":
				checkAcceptVector(t, &c)
			default:
				t.Fatalf("unknown field %q", c.Field)
			}
		})
	}
}

func checkInnerList(t *testing.T, c *parseCase) {
	inputs, err := ParseInputs(http.Header{"Signature-Input": {"sig1=" + c.Value}})
	if err != nil {
		t.Fatal(err)
	}
	in := inputs[0]
	if in.params != c.Value {
		t.Errorf("serialised to %s, want %s", in.params, c.Value)
	}
	if diff := cmp.Diff(ids(in.Components()), c.Components); diff != "" {
		t.Errorf("components (-got +want):\n%s", diff)
	}
	for _, p := range c.Params {
		want, err := json.Marshal(p[1])
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := in.Param(p[0].(string)); got != string(want) || !ok {
			t.Errorf("parameter %s is %q, %v; want %s", p[0], got, ok, want)
		}
	}
}

func checkAcceptVector(t *testing.T, c *parseCase) {
	reqs, err := ParseAcceptSignature([]string{c.Value})
	if err != nil {
		t.Fatal(err)
	}
	var params []RequestParam
	for _, p := range c.Params {
		value, _ := p[1].(string) // true for a bare name
		params = append(params, RequestParam{p[0].(string), value})
	}
	want := Request{Label: c.Label, Components: Components(c.Components...), Params: params}
	if diff := cmp.Diff(reqs, []Request{want}, cmp.AllowUnexported(Component{})); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if text, err := AcceptSignature(reqs); err != nil || text != c.Value {
		t.Errorf("serialised to %s, %v; want %s", text, err, c.Value)
	}
}

func ids(list []Component) []string {
	var texts []string
	for _, c := range list {
		texts = append(texts, c.String())
	}
	return texts
}
