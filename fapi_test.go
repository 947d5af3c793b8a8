package holdfast_test

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// fapiProof is a DPoP proof under construction, good as newFAPIProof makes it.
type fapiProof struct {
	header, claims map[string]any
	signer         *keys.Signer
}

func newFAPIProof(t *testing.T, w *world) *fapiProof {
	t.Helper()
	sum := sha256.Sum256([]byte(boundToken))
	return &fapiProof{
		signer: w.signer,
		header: map[string]any{"typ": "dpop+jwt", "alg": w.signer.Algorithm(), "jwk": w.signer.Public()},
		claims: map[string]any{
			"jti": rand.Text(), "htm": "GET", "htu": origin + "/transfers", "iat": w.now.Unix(),
			"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
		},
	}
}

// by makes it one of another key.
func (p *fapiProof) by(t *testing.T, alg keys.Algorithm) {
	t.Helper()
	signer, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	p.signer, p.header["alg"], p.header["jwk"] = signer, alg, signer.Public()
}

func (p *fapiProof) seal(t *testing.T) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{p.header, p.claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	signature, err := p.signer.Sign([]byte(strings.Join(parts, ".")))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), ".")
}

// fapiStep differs in one thing from a request that is good, and is refused for reason; or accepted, if that is "".
type fapiStep struct {
	name   string
	reason string
	proof  func(*testing.T, *world, *fapiProof)
	send   func(*testing.T, *http.Request) // after the proof is in it
}

func without(name string) func(*testing.T, *world, *fapiProof) {
	return func(_ *testing.T, _ *world, p *fapiProof) {
		delete(p.claims, name)
		delete(p.header, name)
	}
}

func claim(name string, value any) func(*testing.T, *world, *fapiProof) {
	return func(_ *testing.T, _ *world, p *fapiProof) { p.claims[name] = value }
}

func head(name string, value any) func(*testing.T, *world, *fapiProof) {
	return func(_ *testing.T, _ *world, p *fapiProof) { p.header[name] = value }
}

func issued(off time.Duration) func(*testing.T, *world, *fapiProof) {
	return func(_ *testing.T, w *world, p *fapiProof) { p.claims["iat"] = w.now.Add(off).Unix() }
}

// The steps of the FAPI 2.0 suite's negative tests of DPoP, in its order and with its numbers, and what else it tests at
// a resource. docs/conformance.md lists the same.
var fapiSteps = []fapiStep{
	{name: "01-header-name-in-capitals", send: func(t *testing.T, r *http.Request) {
		// As it comes over the wire, where no client's library gets at the name.
		text := "GET " + r.RequestURI + " HTTP/1.1\r\nHost: api.example\r\nDPOP: " + r.Header.Get("DPoP") + "\r\n\r\n"
		read, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Del("DPoP")
		maps.Copy(r.Header, read.Header)
	}},
	{name: "02-two-proofs", reason: string(dpop.FieldCount), send: func(_ *testing.T, r *http.Request) { r.Header.Add("DPoP", r.Header.Get("DPoP")) }},
	{name: "03-not-a-jwt", reason: string(dpop.Malformed), send: func(_ *testing.T, r *http.Request) { r.Header.Set("DPoP", "no-jwt") }},
	{name: "04-no-typ", reason: string(dpop.TypMismatch), proof: without("typ")},
	{name: "05-no-alg", reason: string(dpop.AlgRefused), proof: without("alg")},
	{name: "06-no-jwk", reason: string(dpop.KeyRefused), proof: without("jwk")},
	{name: "07-no-jti", reason: string(dpop.ClaimMissing), proof: without("jti")},
	{name: "08-no-htm", reason: string(dpop.ClaimMissing), proof: without("htm")},
	{name: "09-no-htu", reason: string(dpop.ClaimMissing), proof: without("htu")},
	{name: "10-no-iat", reason: string(dpop.ClaimMissing), proof: without("iat")},
	{name: "11-no-ath", reason: string(dpop.TokenMismatch), proof: without("ath")},
	{name: "12-wrong-typ", reason: string(dpop.TypMismatch), proof: head("typ", "JWT")},
	{name: "13-RS256", reason: string(dpop.AlgRefused), proof: func(t *testing.T, _ *world, p *fapiProof) { p.by(t, keys.RS256) }},
	{name: "14-alg-none", reason: string(dpop.AlgRefused), proof: head("alg", "none")},
	{name: "15-broken-signature", reason: string(dpop.BadSignature), send: func(_ *testing.T, r *http.Request) {
		text := r.Header.Get("DPoP")
		at := strings.LastIndex(text, ".") + 1
		first := "A"
		if strings.HasPrefix(text[at:], first) {
			first = "B"
		}
		r.Header.Set("DPoP", text[:at]+first+text[at+1:])
	}},
	{name: "16-private-key-in-jwk", reason: string(dpop.KeyRefused), proof: func(t *testing.T, w *world, p *fapiProof) {
		jwk, err := w.signer.MarshalPrivateJWK()
		if err != nil {
			t.Fatal(err)
		}
		p.header["jwk"] = json.RawMessage(jwk)
	}},
	{name: "17-wrong-htm", reason: string(dpop.MethodMismatch), proof: claim("htm", "POST")},
	{name: "18-htu-with-query-and-fragment", reason: string(dpop.TargetMismatch), proof: claim("htu", origin+target+"#fragment")},
	{name: "19-htu-without-the-query", proof: claim("htu", origin+"/transfers")},
	{name: "20-another-htu", reason: string(dpop.TargetMismatch), proof: claim("htu", "https://other.example/transfers")},
	{name: "21-iat-an-hour-ahead", reason: string(dpop.InFuture), proof: issued(time.Hour)},
	{name: "22-iat-an-hour-ago", reason: string(dpop.TooOld), proof: issued(-time.Hour)},
	{name: "23-jti-of-the-next", proof: claim("jti", "the same jti twice")},
	{name: "24-jti-again", reason: holdfast.ReasonReplayed, proof: claim("jti", "the same jti twice")},
	{name: "25-wrong-ath", reason: string(dpop.TokenMismatch), proof: claim("ath", strings.Repeat("A", 43))},
	{name: "26-another-key", reason: string(dpop.KeyMismatch), proof: func(t *testing.T, _ *world, p *fapiProof) { p.by(t, keys.ES256) }},
	{name: "27-unknown-members", proof: func(_ *testing.T, _ *world, p *fapiProof) { p.header["unknown"], p.claims["unknown"] = "a", "b" }},
	{name: "28-scheme-and-host-in-capitals", proof: claim("htu", "HTTPS://API.EXAMPLE/transfers")},
	{name: "29-default-port", proof: claim("htu", "https://api.example:443/transfers")},
	{name: "30-no-proof", reason: string(dpop.FieldCount), send: func(_ *testing.T, r *http.Request) { r.Header.Del("DPoP") }},
	{name: "31-no-proof-as-Bearer", reason: holdfast.ReasonDowngrade, send: func(_ *testing.T, r *http.Request) {
		r.Header.Del("DPoP")
		r.Header.Set("Authorization", "Bearer "+boundToken)
	}},
	{name: "32-a-good-proof-at-the-end"},

	{name: "access-token-type-header-case-sensitivity", send: func(_ *testing.T, r *http.Request) { r.Header.Set("Authorization", "dpOp "+boundToken) }},
	{name: "check-dpop-proof-nbf-exp", proof: func(_ *testing.T, w *world, p *fapiProof) {
		p.claims["nbf"], p.claims["exp"] = w.now.Unix(), w.now.Add(5*time.Minute).Unix()
	}},
	{name: "ensure-dpopproof-with-iat-10seconds-before-succeeds", proof: issued(-10 * time.Second)},
	{name: "ensure-dpopproof-with-iat-10seconds-after-succeeds", proof: issued(10 * time.Second)},
}

func TestFAPI2Resource(t *testing.T) {
	w := newWorld(t)
	w.config.Skew = 10 * time.Second // the default is 5 s
	v := w.verifier(holdfast.Policy{})
	for _, step := range fapiSteps {
		t.Run(step.name, func(t *testing.T) {
			p := newFAPIProof(t, w)
			if step.proof != nil {
				step.proof(t, w, p)
			}
			r := request("GET", target, "")
			r.Header.Set("Authorization", "DPoP "+boundToken)
			r.Header.Set("DPoP", p.seal(t))
			if step.send != nil {
				step.send(t, r)
			}
			_, err := v.Check(r)
			if step.reason != "" {
				refusal(t, err, step.reason)
			} else if err != nil {
				t.Errorf("got %v, want it accepted", err)
			}
		})
	}
}

// A nonce doesn't make a wrong clock right: the age of a proof is checked besides.
func TestFAPI2ResourceNonceAndTime(t *testing.T) {
	w := newWorld(t)
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: make([]byte, 32), Scope: "test", Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	w.config.Nonces = nonces
	v := w.verifier(holdfast.Policy{})
	for _, tc := range []struct {
		off    time.Duration
		reason dpop.Reason
	}{{0, ""}, {time.Hour, dpop.InFuture}, {-time.Hour, dpop.TooOld}} {
		t.Run(tc.off.String(), func(t *testing.T) {
			_, err := v.Check(w.prove(request("GET", target, ""), boundToken, func(p *dpop.Params) {
				p.Nonce, p.Now = nonces.Issue(), w.now.Add(tc.off)
			}))
			if tc.reason != "" {
				refusal(t, err, string(tc.reason))
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// The document names exactly the steps that are tested.
func TestFAPI2ResourceDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Resource\n")
	section, _, _ = strings.Cut(section, "\n##")
	var documented, tested []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (pass|diverges) \\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1])
	}
	for _, step := range fapiSteps {
		tested = append(tested, step.name)
	}
	if d := cmp.Diff(documented, tested); d != "" {
		t.Errorf("documented and tested steps: -documented +tested\n%s", d)
	}
}
