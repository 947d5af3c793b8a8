package explain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	issuerURL = "https://issuer.example"
	apiURL    = "https://api.example"
	resource  = "https://api.example/orders?amount=1"
	tokenURL  = "https://issuer.example/token"
)

var now = time.Unix(1_800_000_000, 0)

func clock() time.Time { return now }

// party is who makes requests, with an issuer's key to make tokens with.
type party struct {
	issuer, client *keys.Signer
}

func newParty(t testing.TB) *party {
	t.Helper()
	p := &party{}
	for _, s := range []**keys.Signer{&p.issuer, &p.client} {
		var err error
		if *s, err = keys.Generate(keys.ES256); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// input is what makes every check possible.
func (p *party) input() Input {
	return Input{Now: now, IssuerKeys: []*keys.Public{p.issuer.Public()}, Issuer: issuerURL, Audience: apiURL}
}

// token makes an access token with the confirmation.
func (p *party) token(t testing.TB, cnf string) string {
	t.Helper()
	claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"app","client_id":"app","iat":%d,"exp":%d,"jti":"t1"%s}`,
		issuerURL, apiURL, now.Unix(), now.Unix()+300, cnf)
	token, err := jws.Sign(p.issuer, jws.Header{Typ: "at+jwt"}, []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (p *party) jkt() string {
	return fmt.Sprintf(`,"cnf":{"jkt":%q}`, p.client.Public().Thumbprint())
}

func (p *party) htsk(t testing.TB) string {
	t.Helper()
	cnf, err := accesstoken.AppendHTSK([]byte(`,"cnf":`), p.client.Public(), "ecdsa-p256-sha256")
	if err != nil {
		t.Fatal(err)
	}
	return string(cnf)
}

// send makes a request through a real Transport and returns it as it would be on the wire.
func send(t testing.TB, tr *holdfast.Transport, method, url, body string) string {
	t.Helper()
	var raw bytes.Buffer
	tr.Now = clock
	tr.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
		fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Host)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(&raw, "%s: %s\r\n", name, r.Header[name][0])
		}
		raw.WriteString("\r\n")
		if r.Body != nil {
			if _, err := io.Copy(&raw, r.Body); err != nil {
				return nil, err
			}
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
	})
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return raw.String()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func source(kind, token string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token, TokenType: kind})
}

// dpop is a request with a DPoP proof.
func (p *party) dpop(t testing.TB) string {
	return send(t, &holdfast.Transport{Signer: p.client, Source: source("DPoP", p.token(t, p.jkt()))}, "GET", resource, "")
}

// beside is a request with a DPoP proof, and a signature that covers the body.
func (p *party) beside(t testing.TB) string {
	tr := &holdfast.Transport{Signer: p.client, Source: source("DPoP", p.token(t, p.jkt())), DigestBody: true}
	return send(t, tr, "POST", resource, "hello")
}

// httpsig is a request with an OAuth signature by a run-time key.
func (p *party) httpsig(t testing.TB) string {
	tr := &holdfast.Transport{Signer: p.client, Source: source("httpsig", p.token(t, p.htsk(t))), DigestBody: true}
	return send(t, tr, "POST", resource, "hello")
}

// plain is a request with a message signature and nothing of OAuth.
func plain(t testing.TB, cfg httpsig.SignerConfig, url string) string {
	t.Helper()
	cfg.Components, cfg.Now = httpsig.Components("@method", "@target-uri"), clock
	s, err := httpsig.NewSigner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Sign(&httpsig.Message{Method: "GET", TargetURI: url, Header: http.Header{}})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("GET /a?b=1 HTTP/1.1\nHost: api.example\nSignature-Input: %s\nSignature: %s\n\n", f.SignatureInput, f.Signature)
}

func explain(t *testing.T, raw string, in Input) *Report {
	t.Helper()
	r, err := Explain(context.Background(), []byte(raw), in)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return r
}

// found lists checks with an outcome as "group: name: reason".
func found(r *Report, o Outcome) []string {
	var out []string
	for _, g := range r.Groups {
		for _, c := range g.Checks {
			if c.Outcome == o {
				out = append(out, strings.TrimSuffix(g.Title+": "+c.Name+": "+c.Reason, ": "))
			}
		}
	}
	return out
}

func TestHolds(t *testing.T) {
	p := newParty(t)
	withKey := p.input()
	withKey.Keys = []*keys.Public{p.client.Public()}
	withSecret := p.input()
	withSecret.Secret = []byte("0123456789abcdef")
	for _, tc := range []struct {
		name string
		raw  string
		in   Input
	}{
		{"DPoP", p.dpop(t), p.input()},
		{"DPoP with signature", p.beside(t), p.input()},
		{"HTTPSig", p.httpsig(t), p.input()},
		{"DPoP token request", send(t, &holdfast.Transport{Signer: p.client}, "POST", tokenURL, "a=b"), p.input()},
		{"HTTPSig token request", send(t, &holdfast.Transport{Signer: p.client, Scheme: holdfast.SchemeHTTPSig}, "POST", tokenURL, "a=b"), p.input()},
		{"plain signature", plain(t, httpsig.SignerConfig{Key: p.client}, "https://api.example/a?b=1"), withKey},
		{"plain signature with alg", plain(t, httpsig.SignerConfig{Key: p.client, Alg: true, KeyID: p.client.Public().Thumbprint().String()}, "https://api.example/a?b=1"), withKey},
		{"hmac", plain(t, httpsig.SignerConfig{Secret: withSecret.Secret}, "https://api.example/a?b=1"), withSecret},
		{"line feeds only", strings.ReplaceAll(p.beside(t), "\r\n", "\n"), p.input()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := explain(t, tc.raw, tc.in)
			if got := append(found(r, Fail), found(r, NotChecked)...); got != nil {
				t.Errorf("got %q, want nothing to fail\n%s", got, tc.raw)
			}
			if r.Count(Pass) < 5 {
				t.Errorf("got %d checks that passed", r.Count(Pass))
			}
		})
	}
}

// swap replaces old, which must be there.
func swap(t *testing.T, s, old, replacement string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("%q isn't in the request:\n%s", old, s)
	}
	return strings.Replace(s, old, replacement, 1)
}

// withoutField takes a field out.
func withoutField(t *testing.T, raw, name string) string {
	t.Helper()
	before, rest, ok := strings.Cut(raw, "\r\n"+name+": ")
	_, after, ok2 := strings.Cut(rest, "\r\n")
	if !ok || !ok2 {
		t.Fatalf("no %s in the request:\n%s", name, raw)
	}
	return before + "\r\n" + after
}

// Each differs from a request that holds in one thing.
func TestFinds(t *testing.T) {
	p, other := newParty(t), newParty(t)
	other.issuer = p.issuer
	dpop, beside, sig := p.dpop(t), p.beside(t), p.httpsig(t)
	bearer := func(cnf string) string {
		return "GET / HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer " + p.token(t, cnf) + "\r\n\r\n"
	}
	for _, tc := range []struct {
		name string
		raw  string
		in   func(*Input)
		want []string
	}{
		{"method", swap(t, dpop, "GET /", "DELETE /"), nil, []string{"DPoP proof: htm: dpop-method-mismatch"}},
		{"path", swap(t, dpop, "/orders", "/refunds"), nil, []string{"DPoP proof: htu: dpop-target-mismatch"}},
		{"origin", dpop, func(in *Input) { in.Origin = "https://edge.example" }, []string{"DPoP proof: htu: dpop-target-mismatch"}},
		{"late", dpop, func(in *Input) { in.Now = now.Add(2 * time.Minute) }, []string{"DPoP proof: iat is fresh: dpop-too-old"}},
		{"early", dpop, func(in *Input) { in.Now = now.Add(-2 * time.Minute) }, []string{
			"credential: exp, nbf and iat: token-not-yet-valid", "DPoP proof: iat is fresh: dpop-in-future"}},
		{"expired", dpop, func(in *Input) { in.Now = now.Add(time.Hour) }, []string{
			"credential: exp, nbf and iat: token-expired", "DPoP proof: iat is fresh: dpop-too-old"}},
		{"two things", swap(t, swap(t, dpop, "GET /", "DELETE /"), "/orders", "/refunds"), nil, []string{
			"DPoP proof: htm: dpop-method-mismatch", "DPoP proof: htu: dpop-target-mismatch"}},
		{"another client's token", swap(t, dpop, "DPoP "+p.tokenOf(t, dpop), "DPoP "+p.token(t, other.jkt())), nil, []string{
			"DPoP proof: ath is the token's hash: dpop-token-mismatch", "DPoP proof: key is the token's: dpop-key-mismatch"}},
		{"no proof", withoutField(t, dpop, "Dpop"), nil, []string{
			"DPoP proof: exactly one DPoP field: dpop-field-count", "as a whole: carries a proof of possession: proof-missing"}},
		{"two proofs", swap(t, dpop, "Dpop: ", "Dpop: x\r\nDpop: "), nil, []string{"DPoP proof: exactly one DPoP field: dpop-field-count"}},
		{"another issuer", dpop, func(in *Input) { in.Issuer = "https://other.example" }, []string{"credential: iss: token-issuer-mismatch"}},
		{"another audience", dpop, func(in *Input) { in.Audience = "https://other.example" }, []string{"credential: aud: token-audience-mismatch"}},
		{"two credentials", swap(t, dpop, "Authorization: ", "Authorization: Basic eA==\r\nAuthorization: "), nil, []string{"credential: one Authorization field: credential-count"}},
		{"bound token as bearer", swap(t, dpop, "Authorization: DPoP", "Authorization: Bearer"), nil, []string{"credential: scheme is the one of the token's binding: scheme-mismatch"}},
		{"unbound token", bearer(""), nil, []string{
			"credential: scheme is the one of the token's binding: token-unbound", "as a whole: carries a proof of possession: proof-missing"}},
		{"unbound token as DPoP", swap(t, bearer(""), "Bearer", "DPoP"), nil, []string{
			"credential: scheme is the one of the token's binding: token-unbound", "DPoP proof: exactly one DPoP field: dpop-field-count",
			"as a whole: carries a proof of possession: proof-missing"}},
		{"query", swap(t, beside, "amount=1", "amount=9"), nil, []string{"signature sig1: signature: signature-invalid"}},
		{"longer body", beside + "!", nil, []string{"body: Content-Digest is the body's: digest-mismatch"}},
		{"body", swap(t, beside, "hello", "hullo"), nil, []string{"body: Content-Digest is the body's: digest-mismatch"}},
		{"method of a signature", swap(t, sig, "POST /", "PUT /"), nil, []string{"signature sig1: signature: signature-invalid"}},
		{"no signature", withoutField(t, withoutField(t, sig, "Signature"), "Signature-Input"), nil, []string{"signature: Signature-Input and Signature are well formed: signature-missing"}},
		{"late signature", sig, func(in *Input) { in.Now = now.Add(2 * time.Minute) }, []string{"signature sig1: created and expires: signature-too-old"}},
		{"three things wrong with a signature", plain(t, httpsig.SignerConfig{Key: p.client, Tag: holdfast.TagHTTPSig, Nonce: httpsig.NoNonce, Alg: true}, "https://api.example/a?b=1"), nil, []string{
			"signature sig1: coverage: signature-coverage", "signature sig1: parameters: signature-parameter", "signature sig1: parameters: signature-parameter"}},
		{"tag of another use", swap(t, sig, `tag="httpsig-oauth"`, `tag="other"`), nil, []string{"HTTPSig: has the scheme's signature: signature-missing"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := p.input()
			if tc.in != nil {
				tc.in(&in)
			}
			r := explain(t, tc.raw, in)
			if diff := cmp.Diff(found(r, Fail), tc.want); diff != "" {
				t.Errorf("failed checks (-got +want):\n%s", diff)
			}
		})
	}
}

// tokenOf takes the token out of a request.
func (p *party) tokenOf(t *testing.T, raw string) string {
	t.Helper()
	_, rest, _ := strings.Cut(raw, "Authorization: ")
	_, rest, _ = strings.Cut(rest, " ")
	token, _, ok := strings.Cut(rest, "\r\n")
	if !ok {
		t.Fatal("no token")
	}
	return token
}

// What can't be checked is said, never passed over.
func TestNotChecked(t *testing.T) {
	p := newParty(t)
	dpop := p.dpop(t)
	opaque := "GET / HTTP/1.1\nHost: api.example\nAuthorization: DPoP opaque\n\n"
	for _, tc := range []struct {
		name string
		raw  string
		in   func(*Input)
		want []string
	}{
		{"no issuer key", dpop, func(in *Input) { in.IssuerKeys = nil }, []string{
			"credential: is a well-formed JWT", "credential: typ is at+jwt", "credential: alg is accepted", "credential: key is the issuer's",
			"credential: signature", "credential: iss", "credential: aud", "credential: exp, nbf and iat", "credential: cnf is well formed"}},
		{"no issuer", dpop, func(in *Input) { in.Issuer = "" }, []string{"credential: iss"}},
		{"no audience", dpop, func(in *Input) { in.Audience = "" }, []string{"credential: aud"}},
		{"opaque token", opaque, nil, []string{"credential: token", "credential: scheme is the one of the token's binding",
			"DPoP proof: is one well-formed JWT", "DPoP proof: has the required claims", "DPoP proof: typ is dpop+jwt", "DPoP proof: alg is asymmetric and accepted",
			"DPoP proof: jwk is a sound public key", "DPoP proof: signature", "DPoP proof: htm", "DPoP proof: htu", "DPoP proof: nonce", "DPoP proof: iat is fresh",
			"DPoP proof: ath is the token's hash", "DPoP proof: key is the token's"}},
		{"a certificate's token", "GET / HTTP/1.1\nHost: api.example\nAuthorization: Bearer " + p.token(t, `,"cnf":{"x5t#S256":"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}`) + "\n\n", nil, []string{
			"credential: certificate is the one in cnf", "as a whole: carries a proof of possession"}},
		{"no key of a signature", plain(t, httpsig.SignerConfig{Key: p.client, KeyID: "k9"}, "https://api.example/a?b=1"), nil, []string{
			"signature sig1: key is known", "signature sig1: algorithm is the key's", "signature sig1: components are in the message", "signature sig1: signature"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := p.input()
			if tc.in != nil {
				tc.in(&in)
			}
			if diff := cmp.Diff(found(explain(t, tc.raw, in), NotChecked), tc.want); diff != "" {
				t.Errorf("checks not made (-got +want):\n%s", diff)
			}
		})
	}
}

// shown returns the text of that name in a group.
func shown(t *testing.T, r *Report, title, name string) string {
	t.Helper()
	for _, g := range r.Groups {
		for _, s := range g.Shown {
			if g.Title == title && s.Name == name {
				return s.Text
			}
		}
	}
	t.Fatalf("no %s in %s", name, title)
	return ""
}

func TestBase(t *testing.T) {
	p := newParty(t)
	raw := plain(t, httpsig.SignerConfig{Key: p.client}, "https://api.example/a?b=1")
	base := shown(t, explain(t, raw, Input{}), "signature sig1", "signature base")
	for _, tc := range []struct {
		name, base string
		want       Check
	}{
		{"same", base, Check{Outcome: Pass}},
		{"same with a line end", base + "\n", Check{Outcome: Pass}},
		{"another method", "\"@method\": get" + strings.TrimPrefix(base, `"@method": GET`), Check{Outcome: Fail, Reason: "base-differs",
			Part: "line 1", Expected: `"@method": GET`, Got: `"@method": get`}},
		{"carriage return", strings.Replace(base, "\n", "\r\n", 1), Check{Outcome: Fail, Reason: "base-differs",
			Part: "line 1", Expected: `"@method": GET`, Got: `"\"@method\": GET\r"`}},
		{"fewer lines", `"@method": GET`, Check{Outcome: Fail, Reason: "base-differs",
			Part: "line 2", Expected: `"@target-uri": https://api.example/a?b=1`, Got: "nothing: there are fewer lines"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := explain(t, raw, Input{Base: []byte(tc.base)})
			tc.want.Name, tc.want.Section = "signature base is the client's", "RFC 9421, section 2.5"
			g := r.Groups[slices.IndexFunc(r.Groups, func(g Group) bool { return g.Title == "signature sig1" })]
			if diff := cmp.Diff(g.Checks[len(g.Checks)-1], tc.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

// A wrong signature comes with what would have made it right, where that is one of the usual mistakes.
func TestGuess(t *testing.T) {
	p := newParty(t)
	for _, tc := range []struct {
		name, signed, want string
	}{
		{"scheme", "http://api.example/a?b=1", "it would hold if the external URL were http://api.example/a?b=1"},
		{"query left out", "https://api.example/a", "it would hold if the external URL were https://api.example/a"},
		{"slash before the query", "https://api.example/a/?b=1", "it would hold if the external URL were https://api.example/a/?b=1"},
		{"something else", "https://other.example/", "the message differs from what was signed, or the key is another one; the client's signature base tells which"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw := plain(t, httpsig.SignerConfig{Key: p.client}, tc.signed)
			r := explain(t, raw, Input{Now: now, Keys: []*keys.Public{p.client.Public()}})
			if diff := cmp.Diff(found(r, Fail), []string{"signature sig1: signature: signature-invalid"}); diff != "" {
				t.Fatalf("failed checks (-got +want):\n%s", diff)
			}
			for _, g := range r.Groups {
				for _, c := range g.Checks {
					if c.Outcome == Fail && c.Why != tc.want {
						t.Errorf("got %q, want %q", c.Why, tc.want)
					}
				}
			}
		})
	}
}

// A line end that an editor added is told from a changed body.
func TestLineEndAfterBody(t *testing.T) {
	p := newParty(t)
	for _, tc := range []struct{ name, after, want string }{
		{"line end", "\n", "it would be right without the line end after the body, which the capture may have added"},
		{"other text", "!", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := explain(t, p.beside(t)+tc.after, p.input())
			for _, c := range r.Groups[slices.IndexFunc(r.Groups, func(g Group) bool { return g.Title == "body" })].Checks {
				if c.Outcome != Fail || c.Why != tc.want {
					t.Errorf("got %+v, want a failure because %q", c, tc.want)
				}
			}
		})
	}
}

// What came with the request can't steer a terminal.
func TestTextIsPlain(t *testing.T) {
	r := explain(t, "GET / HTTP/1.1\nHost: a\nAuthorization: \x9b31m\u009b x\n\n", Input{})
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(b.String(), func(c rune) bool { return c < ' ' && c != '\n' || c >= 0x7f && c < 0xa0 }) {
		t.Errorf("got %q", b.String())
	}
}

func FuzzExplain(f *testing.F) {
	p := newParty(f)
	seeds := []string{p.dpop(f), p.beside(f), p.httpsig(f), "GET * HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n1\na\n0\n\n"}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	in := p.input()
	in.Keys, in.Secret, in.Base = []*keys.Public{p.client.Public()}, []byte("0123456789abcdef"), []byte("x")
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Explain(t.Context(), raw, in)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("got %T: %v", err, err)
			}
			return
		}
		if err := r.WriteText(io.Discard); err != nil {
			t.Error(err)
		}
	})
}
