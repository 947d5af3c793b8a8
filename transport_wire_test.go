package holdfast_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/keys"
)

func TestTransportDPoP(t *testing.T) {
	key := wireKey(t)
	for _, tc := range []struct {
		name, method, path, body string
		start                    func(http.Handler) *httptest.Server
	}{
		{"GET", http.MethodGet, "/a", "", httptest.NewServer},
		{"over TLS", http.MethodGet, "/a", "", httptest.NewTLSServer},
		{"no method", "", "/a", "", httptest.NewServer},
		{"POST", http.MethodPost, "/a", "body", httptest.NewServer},
		{"query", http.MethodGet, "/a?x=1&y=%2F", "", httptest.NewServer},
		{"escaped path", http.MethodGet, "/a%2Fb%20c/../d", "", httptest.NewServer},
		{"no path", http.MethodGet, "", "", httptest.NewServer},
		{"own method", "PURGE", "/a", "", httptest.NewServer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, tc.start, nil)
			tr := &holdfast.Transport{Base: s.Client().Transport, Source: tokenSource("dpop"), Signer: key}
			r := wireRequest(t, tc.method, s.URL+tc.path, tc.body)
			r.Method = tc.method
			if status, _ := sendVia(t, tr, r); status != http.StatusOK {
				t.Fatalf("got status %d", status)
			}
			got := s.received(t, 1)[0]
			if got.body != tc.body {
				t.Errorf("got body %q, want %q", got.body, tc.body)
			}
			if proof := checkDPoP(t, got, key, wireToken, nil); proof.Nonce() != "" {
				t.Errorf("got nonce %q", proof.Nonce())
			}
			if f := got.r.Header["Signature-Input"]; f != nil {
				t.Errorf("got Signature-Input %q, which nobody asked for", f)
			}
		})
	}
}

func TestTransportHTTPSig(t *testing.T) {
	key := wireKey(t)
	const always = `"@method" "@target-uri" "authorization"`
	for _, tc := range []struct {
		name   string
		method string
		path   string
		body   string
		header http.Header
		change func(*holdfast.Transport)
		covers string
		digest bool
	}{
		{name: "GET", method: "GET", path: "/a?x=%2F", covers: always},
		{name: "POST", method: "POST", body: "body", covers: always},
		{name: "digest", method: "POST", body: "body", change: func(tr *holdfast.Transport) { tr.DigestBody = true },
			covers: always + ` "content-digest"`, digest: true},
		{name: "digest with type", method: "POST", body: "body", header: http.Header{"Content-Type": {"text/plain"}, "Content-Encoding": {"identity"}},
			change: func(tr *holdfast.Transport) { tr.DigestBody = true },
			covers: always + ` "content-digest" "content-type" "content-encoding"`, digest: true},
		{name: "digest of an empty POST", method: "POST", change: func(tr *holdfast.Transport) { tr.DigestBody = true },
			covers: always + ` "content-digest"`, digest: true},
		{name: "no digest of a GET", method: "GET", change: func(tr *holdfast.Transport) { tr.DigestBody = true }, covers: always},
		{name: "the caller's digest", method: "POST", body: "body", header: http.Header{"Content-Digest": {contentdigest.Sum(contentdigest.SHA512, []byte("body"))}},
			covers: always + ` "content-digest"`, digest: true},
		{name: "more covered", method: "GET", path: "/?x=1", header: http.Header{"X-A": {"1", "2"}, "User-Agent": {"me"}},
			change: func(tr *holdfast.Transport) {
				tr.Cover = []string{"@query", "x-a", "x-absent", "user-agent", "accept-encoding", "@method", "x-a"}
			},
			covers: always + ` "@query" "x-a" "user-agent"`},
		{name: "no user agent", method: "GET", header: http.Header{"User-Agent": {""}},
			change: func(tr *holdfast.Transport) { tr.Cover = []string{"user-agent"} }, covers: always},
		{name: "first user agent", method: "GET", header: http.Header{"User-Agent": {"me", "you"}},
			change: func(tr *holdfast.Transport) { tr.Cover = []string{"user-agent"} }, covers: always + ` "user-agent"`},
		{name: "host", method: "GET", change: func(tr *holdfast.Transport) { tr.Cover = []string{"host", "@authority"} },
			covers: always + ` "host" "@authority"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewTLSServer, nil)
			tr := &holdfast.Transport{Base: s.Client().Transport, Source: tokenSource("HTTPsig"), Signer: key, NoSessions: true}
			if tc.change != nil {
				tc.change(tr)
			}
			r := wireRequest(t, tc.method, s.URL+tc.path, tc.body)
			for name, values := range tc.header {
				r.Header[name] = values
			}
			if status, _ := sendVia(t, tr, r); status != http.StatusOK {
				t.Fatalf("got status %d", status)
			}
			got := s.received(t, 1)[0]
			in := checkSignature(t, got, key, holdfast.TagHTTPSig, strings.Fields(tc.covers)...)
			if in.Alg() != "" || in.KeyID() != "" || in.PublicKey() != nil {
				t.Errorf("got alg %q, keyid %q, pub %x: none of them is allowed", in.Alg(), in.KeyID(), in.PublicKey())
			}
			if f := got.r.Header["Authorization"]; len(f) != 1 || f[0] != "HTTPSig "+wireToken {
				t.Errorf("got Authorization %q", f)
			}
			digests := got.r.Header["Content-Digest"]
			if (digests != nil) != tc.digest {
				t.Fatalf("got Content-Digest %q, want one: %t", digests, tc.digest)
			}
			if tc.digest {
				checkDigest(t, digests, got.body)
			}
		})
	}
}

func checkDigest(t *testing.T, lines []string, body string) {
	t.Helper()
	d, err := contentdigest.Parse(lines)
	if err == nil {
		err = d.Verify([]byte(body))
	}
	if err != nil {
		t.Errorf("Content-Digest %q of %q: %v", lines, body, err)
	}
}

// A DPoP proof can't cover fields or the body: what the caller wants covered is signed beside it.
func TestTransportBesideDPoP(t *testing.T) {
	key := wireKey(t)
	const always = `"@method" "@target-uri" "authorization" "dpop"`
	for _, tc := range []struct {
		name   string
		tr     *holdfast.Transport
		covers string
	}{
		{"cover", &holdfast.Transport{Cover: []string{"x-a"}}, always + ` "x-a"`},
		{"digest", &holdfast.Transport{DigestBody: true}, always + ` "content-digest" "content-type"`},
		{"both", &holdfast.Transport{Cover: []string{"x-a", "content-type"}, DigestBody: true}, always + ` "content-digest" "content-type" "x-a"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, nil)
			tc.tr.Source, tc.tr.Signer = tokenSource("DPoP"), key
			r := wireRequest(t, "POST", s.URL+"/a?x=1", "body")
			r.Header.Set("X-A", "1")
			r.Header.Set("Content-Type", "text/plain")
			sendVia(t, tc.tr, r)
			got := s.received(t, 1)[0]
			checkDPoP(t, got, key, wireToken, nil)
			checkSignature(t, got, key, holdfast.TagProof, strings.Fields(tc.covers)...)
			if tc.tr.DigestBody {
				checkDigest(t, got.r.Header["Content-Digest"], got.body)
			}
		})
	}
}

// HTTP/2 has no Host field and writes header fields in its own way; what is signed is the same.
func newHTTP2Server(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	return s
}

func TestTransportHostOverride(t *testing.T) {
	key := wireKey(t)
	for _, tc := range []struct {
		name  string
		start func(http.Handler) *httptest.Server
		proto int
		host  string
	}{
		{"HTTP/1.1", httptest.NewServer, 1, "API.Example:80"},
		{"HTTP/2", newHTTP2Server, 2, "API.Example:443"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, tc.start, nil)
			tr := &holdfast.Transport{Base: s.Client().Transport, Source: tokenSource("DPoP"), Signer: key, Cover: []string{"host", "x-a", "cookie"}}
			r := wireRequest(t, "GET", s.URL+"/a%2Fb?x=1", "")
			r.Host = tc.host
			r.Header["X-A"] = []string{" 1 ", "2"}
			r.Header.Set("Cookie", "a=b; c=d")
			sendVia(t, tr, r)
			got := s.received(t, 1)[0]
			if got.r.Host != "api.example" || got.r.ProtoMajor != tc.proto {
				t.Errorf("got Host %q over %s", got.r.Host, got.r.Proto)
			}
			checkDPoP(t, got, key, wireToken, nil)
			checkSignature(t, got, key, holdfast.TagProof, `"@method"`, `"@target-uri"`, `"authorization"`, `"dpop"`, `"host"`, `"x-a"`, `"cookie"`)
		})
	}
}

// newPlainServer leaves "OPTIONS *" to the handler.
func newPlainServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	return s
}

// The request target isn't always in origin form (RFC 9112, section 3.2).
func TestTransportRequestTargets(t *testing.T) {
	key := wireKey(t)
	for _, tc := range []struct{ name, method, path, opaque, want string }{
		{"asterisk", "OPTIONS", "*", "", "*"},
		{"absolute form", "GET", "", "//HOST/a%2Fb", "http://HOST/a%2Fb?x=1"},
		{"opaque path", "GET", "", "/a%2Fb", "/a%2Fb?x=1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, newPlainServer, nil)
			host := s.Listener.Addr().String()
			tr := &holdfast.Transport{Source: tokenSource("httpsig"), Signer: key, Cover: []string{"@request-target"}, NoSessions: true}
			r := wireRequest(t, tc.method, s.URL, "")
			r.URL.Path, r.URL.Opaque = tc.path, strings.Replace(tc.opaque, "HOST", host, 1)
			if tc.path == "" {
				r.URL.RawQuery = "x=1"
			}
			sendVia(t, tr, r)
			got := s.received(t, 1)[0]
			if want := strings.Replace(tc.want, "HOST", host, 1); got.r.RequestURI != want {
				t.Errorf("got request target %q, want %q", got.r.RequestURI, want)
			}
			checkSignature(t, got, key, holdfast.TagHTTPSig, `"@method"`, `"@target-uri"`, `"authorization"`, `"@request-target"`)
		})
	}
}

type sourceFunc func() (*oauth2.Token, error)

func (f sourceFunc) Token() (*oauth2.Token, error) { return f() }

func TestTransportTokens(t *testing.T) {
	key := wireKey(t)
	errSource := errors.New("no token today")
	token := func(kind, value string) sourceFunc {
		return func() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: value, TokenType: kind}, nil }
	}
	for _, tc := range []struct {
		name   string
		source oauth2.TokenSource
		want   holdfast.TransportReason // "" means that it is sent
	}{
		{"DPoP", token("DPoP", "a"), ""},
		{"other letters", token("dPoP", "a"), ""},
		{"Bearer", token("Bearer", "a"), holdfast.TransportBearerRefused},
		{"no type", token("", "a"), holdfast.TransportBearerRefused},
		{"unknown type", token("N_A", "a"), holdfast.TransportTypeUnknown},
		{"empty", token("DPoP", ""), holdfast.TransportNoToken},
		{"not a token", token("DPoP", "a b"), holdfast.TransportNoToken},
		{"nil", sourceFunc(func() (*oauth2.Token, error) { return nil, nil }), holdfast.TransportNoToken},
		{"error", sourceFunc(func() (*oauth2.Token, error) { return nil, errSource }), holdfast.TransportNoToken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, nil)
			tr := &holdfast.Transport{Source: tc.source, Signer: key}
			resp, err := tr.RoundTrip(wireRequest(t, "GET", s.URL, ""))
			if tc.want != "" {
				refusedAs(t, err, tc.want)
				s.received(t, 0)
				if tc.name == "error" && !errors.Is(err, errSource) {
					t.Errorf("got %v, which doesn't wrap the source's error", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			s.received(t, 1)
		})
	}
	t.Run("Bearer allowed", func(t *testing.T) {
		s := newWireServer(t, httptest.NewServer, func(_ int, w http.ResponseWriter, _ *http.Request) {
			wireChallenge(w, `Bearer error="invalid_token"`, "Accept-Signature", `sig1=("@method")`, "DPoP-Nonce", "n")
		})
		tr := &holdfast.Transport{Source: tokenSource("Bearer"), Signer: key, InsecureAllowBearer: true, DigestBody: true}
		if status, _ := sendVia(t, tr, wireRequest(t, "POST", s.URL, "body")); status != http.StatusUnauthorized {
			t.Errorf("got status %d", status)
		}
		h := s.received(t, 1)[0].r.Header
		if diff := cmp.Diff([]string{"Bearer " + wireToken}, h["Authorization"]); diff != "" {
			t.Errorf("Authorization (-want +got)\n%s", diff)
		}
		if h["Dpop"] != nil || h["Signature-Input"] != nil || h["Content-Digest"] != nil {
			t.Errorf("a bearer request has a proof: %v", h)
		}
	})
}

func TestTransportMisconfigured(t *testing.T) {
	key := wireKey(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	nameless, err := keys.NewSigner(private, "", keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	rawless, err := keys.Generate(keys.ES512)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		tr   *holdfast.Transport
	}{
		{"no signer", &holdfast.Transport{Source: tokenSource("DPoP")}},
		{"token request with a certificate", &holdfast.Transport{Signer: key, Certificate: new(x509.Certificate)}},
		{"certificate and unbound tokens", &holdfast.Transport{Source: tokenSource("Bearer"), Certificate: new(x509.Certificate), InsecureAllowBearer: true}},
		{"cover malformed", &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, Cover: []string{"@nothing"}}},
		{"cover of a response", &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, Cover: []string{"@status"}}},
		{"cover of framing", &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, Cover: []string{"content-length"}}},
		{"too much covered", &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, Cover: slices.Repeat([]string{"@query"}, 25)}},
		{"source and scheme", &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, Scheme: holdfast.SchemeDPoP}},
		{"source and preregistered", &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, Preregistered: true}},
		{"scheme Bearer", &holdfast.Transport{Signer: key, Scheme: holdfast.SchemeBearer}},
		{"DPoP preregistered", &holdfast.Transport{Signer: key, Preregistered: true}},
		{"DPoP token request with cover", &holdfast.Transport{Signer: key, Cover: []string{"@query"}}},
		{"DPoP token request with digest", &holdfast.Transport{Signer: key, DigestBody: true}},
		{"preregistered without key id", &holdfast.Transport{Signer: nameless, Scheme: holdfast.SchemeHTTPSig, Preregistered: true}},
		{"key without a raw form", &holdfast.Transport{Signer: rawless, Scheme: holdfast.SchemeHTTPSig}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, nil)
			for range 2 { // a Transport is checked once, and refuses for good
				_, err := tc.tr.RoundTrip(wireRequest(t, "GET", s.URL, ""))
				refusedAs(t, err, holdfast.TransportMisconfigured)
			}
			s.received(t, 0)
		})
	}
}

func TestTransportFieldsOfTheCaller(t *testing.T) {
	key := wireKey(t)
	for _, tc := range []struct {
		name, field string
		source      oauth2.TokenSource
		refused     bool
	}{
		{"Authorization", "Authorization", tokenSource("DPoP"), true},
		{"Authorization in other letters", "authorization", tokenSource("DPoP"), true},
		{"DPoP", "DPoP", tokenSource("DPoP"), true},
		{"DPoP for httpsig", "Dpop", tokenSource("httpsig"), true},
		{"Signature", "Signature", tokenSource("DPoP"), true},
		{"Signature-Input", "signature-input", tokenSource("DPoP"), true},
		{"another field", "X-Signature", tokenSource("DPoP"), false},
		{"DPoP to a token endpoint", "DPoP", nil, true},
		{"client authentication", "Authorization", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, nil)
			tr := &holdfast.Transport{Source: tc.source, Signer: key}
			r := wireRequest(t, "POST", s.URL, "body")
			r.Header[tc.field] = []string{"Basic YTpi"}
			resp, err := tr.RoundTrip(r)
			if tc.refused {
				refusedAs(t, err, holdfast.TransportHasProof)
				s.received(t, 0)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if got := s.received(t, 1)[0].r.Header[tc.field]; len(got) != 1 || got[0] != "Basic YTpi" {
				t.Errorf("got %s %q", tc.field, got)
			}
		})
	}
}

// What can't be signed as it is sent isn't sent.
func TestTransportSigningFails(t *testing.T) {
	s := newWireServer(t, httptest.NewServer, nil)
	tr := &holdfast.Transport{Source: tokenSource("httpsig"), Signer: wireKey(t), Cover: []string{"x-a"}}
	r := wireRequest(t, "GET", s.URL, "")
	r.Header.Set("X-A", "a\nb")
	_, err := tr.RoundTrip(r)
	refusedAs(t, err, holdfast.TransportSigningFailed)
	s.received(t, 0)
}
