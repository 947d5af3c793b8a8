package holdfast_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// maxHostile is the size of header that the promise is about: any request of so many bytes is refused within 2 ms of
// CPU above an honest one (BenchmarkHostile). The tests here hold what is the same on every machine: no byte of the body
// is read, and bounds on memory and allocations, which time can't be spent without.
const maxHostile = 64 << 10

const (
	mostAllocs = 8_000
	mostBytes  = 2 << 20
	// mostText bounds what one refusal adds to a log.
	mostText = 1 << 10
)

// victim is a server with real tokens, and what attackers have: copies of them, and, as insiders, a key of their own.
type victim struct {
	tb            testing.TB
	signer, large *keys.Signer // P-256 and P-521
	// Tokens: for DPoP bound to signer's thumbprint and to that of an RSA key, for HTTPSig bound to signer and large.
	bound, boundRSA, sig, largeSig string
	usual                          *holdfast.Verifier
	generous                       *holdfast.Verifier // takes RSA and proofs of any length that fits
	behind                         *holdfast.Verifier // behind a trusted peer
}

func newVictim(tb testing.TB) *victim {
	tb.Helper()
	v := &victim{tb: tb, signer: generated(tb, keys.ES256), large: generated(tb, keys.ES512)}
	issuer := generated(tb, keys.ES256)
	tokens, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{
		Issuer: "https://as.example", Audience: origin, Keys: accesstoken.StaticKeys{issuer.Public()}, Now: startTime,
	})
	if err != nil {
		tb.Fatal(err)
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{Now: startTime, InsecureAcceptOlder: true})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := holdfast.Config{
		Tokens: accesstoken.NewCache(tokens, accesstoken.CacheConfig{Now: startTime}), Replay: guard, Now: startTime,
		External: holdfast.External{Origin: origin},
		Policy:   holdfast.Policy{Replay: holdfast.InsecureReplayOff}, // so that an honest request can be measured
	}
	v.usual = v.verifier(cfg)
	cfg.MaxProofBytes = 256 << 10
	cfg.DPoPAlgorithms = []keys.Algorithm{keys.ES256, keys.ES512, keys.PS256, keys.PS512, keys.RS256}
	v.generous = v.verifier(cfg)
	cfg.External = holdfast.External{Hosts: []string{"api.example"}, TrustedPeers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	v.behind = v.verifier(cfg)
	htsk, err := accesstoken.AppendHTSK(nil, v.signer.Public(), "ecdsa-p256-sha256")
	if err != nil {
		tb.Fatal(err)
	}
	costly, err := keys.ParsePublic(rsaJWK(512, longExponent))
	if err != nil {
		tb.Fatal(err)
	}
	v.bound = v.token(issuer, `{"jkt":"`+v.signer.Public().Thumbprint().String()+`"}`)
	v.boundRSA = v.token(issuer, `{"jkt":"`+costly.Thumbprint().String()+`"}`)
	v.sig = v.token(issuer, string(htsk))
	v.largeSig = v.token(issuer, `{"jwk":`+string(v.large.Public().AppendJWK(nil))+`}`)
	return v
}

func startTime() time.Time { return start }

func generated(tb testing.TB, alg keys.Algorithm) *keys.Signer {
	tb.Helper()
	s, err := keys.Generate(alg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (v *victim) verifier(cfg holdfast.Config) *holdfast.Verifier {
	v.tb.Helper()
	out, err := holdfast.NewVerifier(cfg)
	if err != nil {
		v.tb.Fatal(err)
	}
	return out
}

func (v *victim) token(issuer *keys.Signer, cnf string) string {
	v.tb.Helper()
	claims := fmt.Sprintf(`{"iss":"https://as.example","aud":%q,"sub":"alice","client_id":"shop","jti":%q,"iat":%d,"exp":%d,"cnf":%s}`,
		origin, cnf[2:6], start.Unix(), start.Unix()+300, cnf)
	token, err := jws.Sign(issuer, jws.Header{Typ: "at+jwt"}, []byte(claims))
	if err != nil {
		v.tb.Fatal(err)
	}
	return token
}

// untouchable is a body that nobody may read.
type untouchable struct{ tb testing.TB }

func (u untouchable) Read([]byte) (int, error) {
	u.tb.Error("a byte of the body was read before the proof held")
	return 0, io.EOF
}

func (untouchable) Close() error { return nil }

// request is a POST of 64 MiB with further fields, as pairs of name and value.
func (v *victim) request(target string, fields ...string) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery, r.RequestURI, r.Host = path, query, target, "api.example"
	r.Body, r.ContentLength = untouchable{v.tb}, 64<<20
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// withSignature is a request with the copied token and signature fields of the attacker's.
func (v *victim) withSignature(target, input, signature string, fields ...string) *http.Request {
	return v.request(target, append(fields, "Authorization", "HTTPSig "+v.sig, "Signature-Input", input, "Signature", signature)...)
}

// signed is an insider's: n signatures that hold, with the labels s0, s1, …, over these components. With spoil, the last
// one doesn't.
func (v *victim) signed(r *http.Request, signer *keys.Signer, token string, n int, spoil bool, ids ...string) *http.Request {
	v.tb.Helper()
	r.Header.Set("Authorization", "HTTPSig "+token)
	ids = append([]string{"@method", "@target-uri", "authorization"}, ids...)
	for i := range n {
		s, err := httpsig.NewSigner(httpsig.SignerConfig{
			Key: signer, Label: fmt.Sprint("s", i), Tag: holdfast.TagHTTPSig, Components: httpsig.Components(ids...), Now: startTime,
		})
		if err != nil {
			v.tb.Fatal(err)
		}
		out := r.Clone(r.Context())
		out.Header.Del("Signature-Input")
		out.Header.Del("Signature")
		fields, err := s.Sign(httpsig.RequestMessage(out, origin+r.RequestURI))
		if err != nil {
			v.tb.Fatal(err)
		}
		if spoil && i == n-1 {
			fields.Signature = fmt.Sprintf("s%d=:%s:", i, strings.Repeat("AAAA", 22))
		}
		fields.Add(r.Header)
	}
	return r
}

// withProof is a request with the copied token and a proof of the attacker's.
func (v *victim) withProof(proof string, fields ...string) *http.Request {
	return v.request("/", append(fields, "Authorization", "DPoP "+v.bound, "DPoP", proof)...)
}

// compact is a JWS of any header and payload, with a signature of so many bytes that is none.
func compact(header, payload string, signature int) string {
	return base64url.Encode([]byte(header)) + "." + base64url.Encode([]byte(payload)) + "." + base64url.Encode(make([]byte, signature))
}

// proof is a DPoP proof with more members in its header or claims. Its signature is none.
func (v *victim) proof(header, claims string) string {
	return compact(
		`{"typ":"dpop+jwt","alg":"ES256","jwk":`+string(v.signer.Public().AppendJWK(nil))+header+`}`,
		fmt.Sprintf(`{"jti":"a","htm":"POST","htu":"%s/","iat":%d,"ath":"%043d"%s}`, origin, start.Unix(), 0, claims), 64)
}

func rsaJWK(modulus int, exponent string) string {
	n := base64url.Encode([]byte("\xff" + strings.Repeat("\x55", modulus-1)))
	return `{"kty":"RSA","n":"` + n + `","e":"` + exponent + `"}`
}

// rsaProof is a proof whose key has a modulus of so many bytes. Its signature is none.
func rsaProof(modulus int, exponent string) string {
	return compact(`{"typ":"dpop+jwt","alg":"PS256","jwk":`+rsaJWK(modulus, exponent)+`}`,
		fmt.Sprintf(`{"jti":"a","htm":"POST","htu":"%s/","iat":%d}`, origin, start.Unix()), min(modulus, 512))
}

// signedProof is a proof whose signature holds.
func (v *victim) signedProof(signer *keys.Signer, token, id string) string {
	v.tb.Helper()
	hash := sha256.Sum256([]byte(token))
	proof, err := jws.Sign(signer, jws.Header{Typ: "dpop+jwt", JWK: string(signer.Public().AppendJWK(nil))},
		fmt.Appendf(nil, `{"jti":%q,"htm":"POST","htu":"%s/","iat":%d,"ath":%q}`, id, origin, start.Unix(), base64url.Encode(hash[:])))
	if err != nil {
		v.tb.Fatal(err)
	}
	return proof
}

// fill repeats what part makes of 0, 1, 2, … up to size bytes, without the last byte, a separator.
func fill(size int, part func(i int) string) string {
	var b strings.Builder
	for i := 0; ; i++ {
		s := part(i)
		if b.Len()+len(s) > size {
			break
		}
		b.WriteString(s)
	}
	return strings.TrimRight(b.String(), " ,;&")
}

// TestHostile sends the worst requests that we could think of. Each must be refused for the right reason, without reading
// the body, and with little work.
func TestHostile(t *testing.T) {
	v := newVictim(t)
	for _, tc := range hostileCases() {
		t.Run(tc.name, func(t *testing.T) {
			r := tc.make(v)
			if n := headerSize(r); n > maxHostile && !tc.longer {
				t.Fatalf("a header of %d bytes, want at most %d", n, maxHostile)
			}
			check := tc.verifier(v).Check
			_, err := check(r)
			if text := refusal(t, err, tc.reason).Error(); len(text) > mostText {
				t.Errorf("got a log line of %d bytes, want at most %d", len(text), mostText)
			}
			allocs := testing.AllocsPerRun(3, func() { _, err = check(r) })
			bytes := bytesPerRun(3, func() { _, err = check(r) })
			t.Logf("%.0f allocations, %d bytes", allocs, bytes)
			if allocs > mostAllocs {
				t.Errorf("got %.0f allocations, want at most %d", allocs, mostAllocs)
			}
			if bytes > mostBytes {
				t.Errorf("got %d bytes, want at most %d", bytes, mostBytes)
			}
		})
	}
}

// headerSize is how long the header is on the wire.
func headerSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(" HTTP/1.1\r\n ") + len("Host: api.example\r\n\r\n")
	for name, lines := range r.Header {
		for _, line := range lines {
			n += len(name) + len(line) + len(": \r\n")
		}
	}
	return n
}

// bytesPerRun is testing.AllocsPerRun for bytes.
func bytesPerRun(runs int, f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / uint64(runs)
}

// Each signature with our tag costs a verification, so there may be one and no more.
func TestOneSignatureAtMost(t *testing.T) {
	v := newVictim(t)
	if _, err := v.usual.Check(v.signed(v.request("/"), v.signer, v.sig, 1, false)); err != nil {
		t.Errorf("one: %v", err)
	}
	_, err := v.usual.Check(v.signed(v.request("/"), v.signer, v.sig, 2, false))
	refusal(t, err, "signature-ambiguous")
}

// The honest requests that hostile ones are compared with are accepted.
func TestHonestVictim(t *testing.T) {
	v := newVictim(t)
	for _, tc := range v.honest() {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := v.usual.Check(tc.r); err != nil {
				t.Error(err)
			}
		})
	}
}

type honestCase struct {
	name string
	r    *http.Request
}

func (v *victim) honest() []honestCase {
	return []honestCase{
		{"DPoP", v.withProof(v.signedProof(v.signer, v.bound, "a"))},
		{"HTTPSig", v.signed(v.request("/transfers?account=7"), v.signer, v.sig, 1, false)},
		{"HTTPSig/ES512", v.signed(v.request("/transfers?account=7"), v.large, v.largeSig, 1, false)},
	}
}

// jsonText is s as a JSON string.
func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}
