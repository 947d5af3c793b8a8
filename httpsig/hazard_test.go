package httpsig

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// The tests here are named after what verifiers were found to get wrong. Each starts from an attempt that holds.

func TestHazard_UnknownKeyWithGarbageSignature(t *testing.T) {
	for name, source := range map[string]KeySource{
		"error":             noKey,
		"nil without error": only(nil),
		"key with error": func(context.Context, *Input) (*Key, error) {
			return newAttempt(t).key, errors.New("no")
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t)
			a.source = source
			a.after = func(m *Message) { m.Header[signatureField] = []string{"sig1=:AAAA:"} }
			if sigs, err := a.run(t); reasonOf(err) != UnknownKey || sigs != nil {
				t.Errorf("got %v, %v; want %s", sigs, err, UnknownKey)
			}
		})
	}
}

func TestHazard_HMACOfTheDigestOrItsPrefix(t *testing.T) {
	secret := []byte("0123456789abcdef")
	key, err := NewHMACKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	base := []byte("\"@method\": GET")
	digest := sha256.Sum256(base)
	h := hmac.New(sha256.New, secret)
	h.Write(digest[:])
	for name, forged := range map[string][]byte{"the digest": digest[:], "a MAC of the digest": h.Sum(nil), "nothing": {}, "one byte": key.macs.appendMAC(nil, base)[:1]} {
		if key.verify(base, forged) {
			t.Errorf("%s verifies", name)
		}
	}
}

// TestHazard_P384OverUnhashedPrefix signs 48 raw bytes of the base, as if they were its SHA-384.
func TestHazard_P384OverUnhashedPrefix(t *testing.T) {
	signer, key := testKey(t, ECDSAP384SHA384)
	base := []byte(strings.Repeat("x", 100))
	digest := sha512.Sum384(base)
	for name, message := range map[string][]byte{"prefix": base[:48], "digest": digest[:]} {
		signature, err := signer.Sign(message)
		if err != nil {
			t.Fatal(err)
		}
		if key.verify(base, signature) {
			t.Errorf("a signature over the %s verifies", name)
		}
	}
}

func TestHazard_FirstLineOfRepeatedFieldCovered(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after func(http.Header)
	}{
		{"line added after", func(h http.Header) { h["Authorization"] = append(h["Authorization"], "HTTPSig evil") }},
		{"line added before", func(h http.Header) { h["Authorization"] = append([]string{"HTTPSig evil"}, h["Authorization"]...) }},
		{"empty line added", func(h http.Header) { h["Authorization"] = append(h["Authorization"], "") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAttempt(t)
			a.after = func(m *Message) { tc.after(m.Header) }
			if _, err := a.run(t); reasonOf(err) != BadSignature {
				t.Errorf("got %v, want %s", err, BadSignature)
			}
		})
	}
}

func TestHazard_RequirementMetByAnotherComponent(t *testing.T) {
	for _, tc := range []struct{ name, covered, required string }{
		{"query parameter of another name", `"@query-param";name="x"`, `"@query-param";name="name"`},
		{"whole query", `"@query"`, `"@query-param";name="x"`},
		{"another member", `"priority";key="u"`, `"priority";key="i"`},
		{"member for the field", `"priority";key="u"`, `"priority"`},
		{"trailer for the header", `"x-trailer";tr`, `"x-trailer"`},
		{"serialised for raw", `"priority";sf`, `"priority"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAttempt(t)
			a.input = strings.Replace(a.input, `"authorization"`, tc.covered, 1)
			a.cfg.Required = Components(tc.covered)
			if _, err := a.run(t); err != nil {
				t.Fatal(err)
			}
			b := newAttempt(t)
			b.input, b.cfg.Required = a.input, Components(tc.required)
			if _, err := b.run(t); reasonOf(err) != CoverageMissing {
				t.Errorf("got %v, want %s", err, CoverageMissing)
			}
		})
	}
	t.Run("request for the response", func(t *testing.T) {
		signer, key := testKey(t, Ed25519)
		m := &Message{Status: 200, Header: http.Header{"Content-Type": {"a"}}, Request: testRequest()}
		signRaw(t, m, "sig1", `("@status" "content-type";req)`, nil, signer)
		v := newTestVerifier(t, Config{Required: Components("content-type")})
		if _, err := v.Verify(t.Context(), m, only(key)); reasonOf(err) != CoverageMissing {
			t.Errorf("got %v, want %s", err, CoverageMissing)
		}
	})
}

// TestHazard_ParametersReserialised has parameters in an order, with values and of types that a fixed serialiser loses.
func TestHazard_ParametersReserialised(t *testing.T) {
	for _, input := range []string{
		`("@method" "@target-uri");tag="app";nonce="a\"b\\c";x;y=?0;z=1.50;w=:YQ:;v=tok/en;created=1776650875;u=@5;t=%"%c3%bc"`,
		`( "@method"  "@target-uri" ); nonce="n";keyid="";tag="app";created=1776650875`,
	} {
		t.Run(input, func(t *testing.T) {
			a := newAttempt(t)
			a.input = input
			if _, err := a.run(t); err != nil {
				t.Error(err)
			}
		})
	}
	// One base has one text: a repeated parameter would vanish from it.
	a := newAttempt(t)
	a.after = func(m *Message) {
		m.Header[inputField][0] = strings.Replace(m.Header[inputField][0], ";created=", ";created=1;created=", 1)
	}
	if _, err := a.run(t); reasonOf(err) != ParamRefused {
		t.Errorf("a repeated parameter: %v, want %s", err, ParamRefused)
	}
}

func TestHazard_DecodedPathOrEmptyServerURL(t *testing.T) {
	for _, tc := range []struct{ name, signed, received string }{
		{"path decoded", "https://api.example/a%2Fb?x=1", "https://api.example/a/b?x=1"},
		{"path in other hex", "https://api.example/a%2Fb?x=1", "https://api.example/a%2fb?x=1"},
		{"query reordered", "https://api.example/?a=1&b=2", "https://api.example/?b=2&a=1"},
		{"query gone", "https://api.example/?", "https://api.example/"},
		{"another host", "https://api.example/", "https://evil.example/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAttempt(t)
			a.m.TargetURI = tc.signed
			if _, err := a.run(t); err != nil {
				t.Fatal(err)
			}
			b := newAttempt(t)
			b.m.TargetURI = tc.signed
			b.after = func(m *Message) { m.TargetURI = tc.received }
			if _, err := b.run(t); reasonOf(err) != BadSignature {
				t.Errorf("got %v, want %s", err, BadSignature)
			}
		})
	}
	t.Run("URL of a server request", func(t *testing.T) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/b"}, RequestURI: "/b", Host: "api.example", Header: http.Header{}}
		for _, component := range []string{"@target-uri", "@authority", "@scheme", "@path"} {
			in := &Input{components: Components(component)}
			if base, err := Base(RequestMessage(r, r.URL.String()), in, nil); err == nil {
				t.Errorf("%s gives %q from a URL without scheme and host", component, base)
			}
		}
	})
}

func TestHazard_AlgorithmFromTheMessage(t *testing.T) {
	// The classic: a public key taken for an HMAC secret because the message says so.
	signer, key := testKey(t, Ed25519)
	a := newAttempt(t)
	a.key = key
	a.input += `;alg="hmac-sha256"`
	signRaw(t, a.m, "sig1", a.input, nil, signer)
	m, err := newMACs(rawPublic(signer.Public()))
	if err != nil {
		t.Fatal(err)
	}
	a.m.Header.Del(signatureField)
	a.m.Header.Del(inputField)
	addSignature(a.m, "sig1", a.input, m.appendMAC(nil, mustBase(a.m, a.input)))
	v := newTestVerifier(t, a.cfg)
	if _, err := v.Verify(t.Context(), a.m, only(key)); reasonOf(err) != AlgRefused {
		t.Errorf("got %v, want %s", err, AlgRefused)
	}
	for _, alg := range []string{`;alg="ed25519"`, ``} {
		b := newAttempt(t)
		b.input += alg
		if _, err := b.run(t); err != nil {
			t.Errorf("alg %q: %v", alg, err)
		}
	}
}

func TestHazard_DateWindowThatDoesNothing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		created int64
		want    Reason
	}{
		{"in the window", testNow - 30, ""},
		{"old", testNow - 3600, TooOld},
		{"ahead", testNow + 3600, InFuture},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAttempt(t)
			a.created(tc.created)
			if _, err := a.run(t); reasonOf(err) != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestHazard_AbsentIsSkipped(t *testing.T) {
	for name, part := range map[string]string{"nonce": `;nonce="n"`, "created": ";created=1776650875"} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t)
			a.input = strings.Replace(a.input, part, "", 1)
			if _, err := a.run(t); reasonOf(err) != ParamRefused {
				t.Errorf("got %v, want %s", err, ParamRefused)
			}
		})
	}
}

func TestHazard_EmptyCoverage(t *testing.T) {
	a := newAttempt(t)
	a.cfg.Required = nil
	a.input = `();created=1776650875;nonce="n";tag="app"`
	if _, err := a.run(t); reasonOf(err) != CoverageMissing {
		t.Errorf("got %v, want %s", err, CoverageMissing)
	}
}

// TestHazard_LabelTrusted gives the expected label to a signature of another application.
func TestHazard_LabelTrusted(t *testing.T) {
	a := newAttempt(t)
	a.input = strings.Replace(a.input, `tag="app"`, `tag="other"`, 1)
	if _, err := a.run(t); reasonOf(err) != Missing {
		t.Errorf("got %v, want %s", err, Missing)
	}
	b := newAttempt(t)
	b.label = "whatever"
	if _, err := b.run(t); err != nil {
		t.Errorf("an honest signature under another label: %v", err)
	}
}

func TestHazard_PanicOnHeaderOrNilKey(t *testing.T) {
	v := newTestVerifier(t, Config{Now: fixedNow})
	for _, m := range []*Message{
		{},
		{Status: 200},
		{Header: http.Header{inputField: nil, signatureField: nil}},
		{Header: http.Header{inputField: {}, signatureField: {}}},
		{Header: http.Header{inputField: {""}, signatureField: {""}}},
		{Header: http.Header{inputField: {"a=()"}, signatureField: {"a=::"}}},
		{Header: http.Header{inputField: {"a=(1 tok :YQ==: @1)"}, signatureField: {"a=::"}}},
		{Header: http.Header{inputField: {`a=("@query-param";name="x" "@method")`}, signatureField: {"a=::"}}},
		{Header: http.Header{inputField: {`a=("@path";req "x";req;tr)`}, signatureField: {"a=::"}}, Status: 200},
		{Header: http.Header{inputField: {`a=("x");created="x";tag=1;pub=1`}, signatureField: {"a=1"}}},
	} {
		if sigs, err := v.Verify(t.Context(), m, only(nil)); err == nil {
			t.Errorf("verified %v", sigs)
		}
	}
}

// hostileMessages cost a careless verifier seconds. Each has at most 64 KiB of headers and is refused.
func hostileMessages() map[string]*Message {
	signed := func(input string, edit func(*Message)) *Message {
		m := testRequest()
		m.Header.Set(inputField, "sig1="+input)
		m.Header.Set(signatureField, "sig1=:"+strings.Repeat("A", 88)+":")
		if edit != nil {
			edit(m)
		}
		return m
	}
	repeat := func(n int, text func(int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			b.WriteString(text(i))
		}
		return b.String()
	}
	const big = 60 << 10
	params := func(i int) string { return ";p" + strconv.FormatInt(int64(i%250), 36) }
	fields := func(m *Message) {
		m.Header.Set("X-Long", "a="+repeat(big, func(i int) string { return "1, k" + strconv.Itoa(i%1000) + "=" })+"1")
	}
	var members strings.Builder
	for i := range maxComponents {
		members.WriteString(` "x-long";key="k` + strconv.Itoa(i) + `"`)
	}
	return map[string]*Message{
		"long input":           signed(`("x"`+repeat(big, params)+`)`, nil),
		"many parameters":      signed(`("x")`+repeat(15<<10, params)[:15<<10], nil),
		"component parameters": signed(`(`+repeat(14<<10, func(int) string { return ` "x"` + repeat(700, params) })+`)`, nil),
		"many components":      signed(`(`+repeat(15<<10, func(i int) string { return ` "x` + strconv.Itoa(i) + `"` })+`)`, nil),
		"many labels":          signed(`("x")`+repeat(15<<10, func(i int) string { return `, l` + strconv.Itoa(i) + `=()` }), nil),
		"one label many times": signed(`("x")`+repeat(15<<10, func(int) string { return `, sig1=()` }), nil),
		"escapes":              signed(`("x";key="`+repeat(15<<10, func(int) string { return `\\` })+`")`, nil),
		"open strings":         signed(`("`+repeat(15<<10, func(int) string { return `" "` }), nil),
		"long signature":       signed(`("@method")`, func(m *Message) { m.Header.Set(signatureField, "sig1=:"+strings.Repeat("A", big)+":") }),
		"many members covered": signed(`(`+members.String()+`)`, fields),
		"long field":           signed(`("x-long" "x-long";bs)`, func(m *Message) { m.Header.Set("X-Long", strings.Repeat("a ", big/2)) }),
		"long structured field": signed(`("x-long";key="a")`, func(m *Message) {
			m.Header.Set("X-Long", "a=("+repeat(big/2, func(int) string { return ` 1` + repeat(700, params) })+")")
		}),
		"many lines": signed(`("x-long")`, func(m *Message) { m.Header["X-Long"] = strings.Split(strings.Repeat("a ", big/4), " ") }),
		"many folds": signed(`("x-long")`, func(m *Message) { m.Header.Set("X-Long", strings.Repeat("\n ", big/2)+"a") }),
		"many query parameters": signed(`(`+repeat(1500, func(i int) string { return ` "@query-param";name="q` + strconv.Itoa(i) + `"` })+`)`, func(m *Message) {
			m.TargetURI = "https://a/?" + repeat(big, func(i int) string { return "q" + strconv.Itoa(i) + "&" })
		}),
	}
}

// TestHazard_CostBeforeKeys checks that hostile headers are refused. BenchmarkHostile tells what that costs.
func TestHazard_CostBeforeKeys(t *testing.T) {
	_, key := testKey(t, Ed25519)
	v := newTestVerifier(t, Config{Fields: map[string]FieldType{"x-long": Dictionary}})
	for name, m := range hostileMessages() {
		t.Run(name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), m, only(key)); err == nil || reasonOf(err) == "" {
				t.Errorf("got %v, want an *Error", err)
			} else if len(err.Error()) > 1000 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

func BenchmarkHostile(b *testing.B) {
	signer, err := keys.Generate(keys.Ed25519)
	if err != nil {
		b.Fatal(err)
	}
	key, err := NewKey(signer.Public(), Ed25519)
	if err != nil {
		b.Fatal(err)
	}
	v := newTestVerifier(b, Config{MaxAge: 0, Skew: time.Second})
	for name, m := range hostileMessages() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Verify(context.Background(), m, only(key))
			}
		})
	}
}

// TestHazard_RepeatedLabels covers both fields, and what lies between: the parser would keep the last member silently.
func TestHazard_RepeatedLabels(t *testing.T) {
	for name, field := range map[string]string{"Signature-Input": inputField, "Signature": signatureField} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t)
			a.after = func(m *Message) { m.Header[field] = append([]string{"sig1=()"}, m.Header[field]...) }
			if _, err := a.run(t); reasonOf(err) != Malformed {
				t.Errorf("got %v, want %s", err, Malformed)
			}
		})
	}
}
