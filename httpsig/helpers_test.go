package httpsig

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

const testNow = 1_776_650_880

func fixedNow() time.Time { return time.Unix(testNow, 0) }

// testRequest is a POST with one header of each sort that the tests need.
func testRequest() *Message {
	return &Message{
		Method:    "POST",
		TargetURI: "https://api.example/a%2Fb?x=1&name=J%C3%BCrgen&tag=a&tag=b",
		Header: http.Header{
			"Authorization": {"HTTPSig t"},
			"Content-Type":  {"application/json"},
			"Priority":      {"u=1,   i"},
			"X-Latin":       {"caf\xe9"},
			"X-Two":         {"one", "two"},
		},
		Trailer: http.Header{"X-Trailer": {"end"}},
		host:    "api.example",
	}
}

// testKey makes a key for one of the registered algorithms.
func testKey(tb testing.TB, alg Algorithm) (*keys.Signer, *Key) {
	tb.Helper()
	signer, err := keys.Generate(joseOf(alg))
	if err != nil {
		tb.Fatal(err)
	}
	key, err := NewKey(signer.Public(), alg)
	if err != nil {
		tb.Fatal(err)
	}
	return signer, key
}

func newTestVerifier(tb testing.TB, cfg Config) *Verifier {
	tb.Helper()
	v, err := NewVerifier(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func only(key *Key) KeySource {
	return func(context.Context, *Input) (*Key, error) { return key, nil }
}

// attempt is one verification, for tables that change one thing of it.
type attempt struct {
	m      *Message
	input  string // inner list with parameters
	label  string
	cfg    Config
	key    *Key
	source KeySource
	signer *keys.Signer
	after  func(*Message) // what happens to the message once it is signed
}

// newAttempt returns an attempt that holds.
func newAttempt(tb testing.TB) *attempt {
	tb.Helper()
	signer, key := testKey(tb, Ed25519)
	return &attempt{
		m:      testRequest(),
		label:  "sig1",
		input:  `("@method" "@target-uri" "authorization");created=1776650875;nonce="n";keyid="k";tag="app"`,
		signer: signer,
		key:    key,
		after:  func(*Message) {},
		cfg: Config{
			Tag:            "app",
			Required:       Components("@method", "@target-uri"),
			RequiredParams: []string{"nonce"},
			MaxAge:         time.Minute,
			Now:            fixedNow,
		},
	}
}

// run signs the base as far as there is one, and verifies.
func (a *attempt) run(tb testing.TB) ([]*Signature, error) {
	tb.Helper()
	signRaw(tb, a.m, a.label, a.input, a.cfg.Fields, a.signer)
	a.after(a.m)
	source := a.source
	if source == nil {
		source = only(a.key)
	}
	return newTestVerifier(tb, a.cfg).Verify(tb.Context(), a.m, source)
}

// signRaw adds a signature with an input of any form. Where there is no base, any bytes are as good as others.
func signRaw(tb testing.TB, m *Message, label, input string, fields map[string]FieldType, signer *keys.Signer) {
	tb.Helper()
	base := []byte("no base")
	if inputs, err := ParseInputs(http.Header{inputField: {label + "=" + input}}); err == nil {
		if b, err := Base(m, inputs[0], fields); err == nil {
			base = b
		}
	}
	signature, err := signer.Sign(base)
	if err != nil {
		tb.Fatal(err)
	}
	addSignature(m, label, input, signature)
}

func reasonOf(err error) Reason {
	if e, ok := err.(*Error); ok {
		return e.Reason
	}
	return ""
}

func mustBase(m *Message, input string) []byte {
	inputs, err := ParseInputs(http.Header{inputField: {"x=" + input}})
	if err != nil {
		panic(err)
	}
	base, err := Base(m, inputs[0], nil)
	if err != nil {
		panic(err)
	}
	return base
}

func addSignature(m *Message, label, input string, signature []byte) {
	Fields{label + "=" + input, label + "=:" + base64.StdEncoding.EncodeToString(signature) + ":"}.Add(m.Header)
}

func seconds(unix int64) string { return strconv.FormatInt(unix, 10) }

// padding returns a member that fills Signature-Input to n bytes.
func padding(m *Message, n int) string {
	const start, end = `pad=("x");x="`, `"`
	return start + strings.Repeat("x", n-len(m.Header.Get(inputField))-len(start)-len(end)) + end
}

// labels returns n members that no test selects.
func labels(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = "l" + strconv.Itoa(i) + "=()"
	}
	return strings.Join(members, ", ")
}

// manyComponents gives the message of a fields, and returns its input with n components.
func manyComponents(a *attempt, n int) string {
	var list strings.Builder
	for i := 3; i < n; i++ {
		name := "x-" + strconv.Itoa(i)
		a.m.Header.Set(name, "v")
		list.WriteString(` "` + name + `"`)
	}
	return strings.Replace(a.input, `"authorization"`, `"authorization"`+list.String(), 1)
}

func manyParams(n int) string {
	var list strings.Builder
	for i := range n {
		list.WriteString(";p" + strconv.Itoa(i))
	}
	return list.String()
}
