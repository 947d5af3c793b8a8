package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/keys"
)

// newCertificate makes a client's certificate with every kind of name; change edits it before it signs itself.
func newCertificate(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	uri, err := url.Parse("spiffe://example/worker")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "worker", Organization: []string{"Example"}},
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour),
		DNSNames: []string{"worker.example"}, URIs: []*url.URL{uri}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, EmailAddresses: []string{"worker@example"},
	}
	if change != nil {
		change(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, crypto.PublicKey(&key.PublicKey), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// certificateClient is a client that authenticates by certificate, and whose tokens are bound to it.
func certificateClient(method AuthMethod, identity TLSIdentity) func(*Config) {
	return func(cfg *Config) {
		cfg.Edges = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		cfg.Clients = append([]Client{{ID: "worker", AuthMethod: method, TLS: identity, Binding: MutualTLS, Scope: []string{"read"}, Audience: []string{testResource}}}, cfg.Clients...)
	}
}

// over sends a token request of the worker on a connection with a certificate; chained says that the TLS stack verified it.
func (f *fixture) over(t *testing.T, cert *x509.Certificate, chained bool, change func(*http.Request)) result {
	t.Helper()
	q := request("")
	q.form.Set("client_id", "worker")
	r := q.http()
	r.RemoteAddr = "198.51.100.7:4711"
	r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	if cert != nil {
		r.TLS.PeerCertificates = []*x509.Certificate{cert}
		if chained {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
		}
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	res := result{status: w.Code, header: w.Header(), event: f.events[len(f.events)-1]}
	if err := json.Unmarshal(w.Body.Bytes(), &res.body); err != nil {
		t.Fatal(err)
	}
	return res
}

func clientCert(cert *x509.Certificate) []string {
	return []string{":" + base64.StdEncoding.EncodeToString(cert.Raw) + ":"}
}

func TestCertificateAuthenticatesAndBinds(t *testing.T) {
	cert := newCertificate(t, nil)
	ip := netip.MustParseAddr("192.0.2.1")
	for _, tc := range []struct {
		name     string
		method   AuthMethod
		identity TLSIdentity
		chained  bool
	}{
		{"subject", TLSClientAuth, TLSIdentity{SubjectDN: "CN=worker,O=Example"}, true},
		{"DNS name", TLSClientAuth, TLSIdentity{DNS: "worker.example"}, true},
		{"URI", TLSClientAuth, TLSIdentity{URI: "spiffe://example/worker"}, true},
		{"address", TLSClientAuth, TLSIdentity{IP: ip}, true},
		{"email", TLSClientAuth, TLSIdentity{Email: "worker@example"}, true},
		{"self-signed", SelfSignedTLS, TLSIdentity{Certificates: []certbound.Thumbprint{{1}, certbound.ThumbprintOf(cert)}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, certificateClient(tc.method, tc.identity))
			got := f.over(t, cert, tc.chained, nil)
			checkGranted(t, got)
			_, claims := claimsOf(t, got.body["access_token"].(string))
			want := any(map[string]any{"x5t#S256": certbound.ThumbprintOf(cert).String()})
			if d := cmp.Diff(claims["cnf"], want); d != "" || got.body["token_type"] != "Bearer" {
				t.Errorf("token type %v, cnf: -got +want\n%s", got.body["token_type"], d)
			}
			if got.event.Binding != MutualTLS || got.event.Key != keys.Thumbprint(certbound.ThumbprintOf(cert)) {
				t.Errorf("got event %+v", got.event)
			}
		})
	}
	t.Run("told by an edge", func(t *testing.T) {
		f := newFixture(t, certificateClient(TLSClientAuth, TLSIdentity{DNS: "worker.example"}))
		checkGranted(t, f.over(t, nil, false, func(r *http.Request) {
			r.RemoteAddr, r.TLS = "192.0.2.9:1", nil
			r.Header[certbound.FieldName] = clientCert(cert)
		}))
	})
}

// Each differs in one thing from a request that is granted.
func TestCertificateRefused(t *testing.T) {
	named := newFixture(t, certificateClient(TLSClientAuth, TLSIdentity{DNS: "worker.example"}))
	cert := newCertificate(t, nil)
	pinned := newFixture(t, certificateClient(SelfSignedTLS, TLSIdentity{Certificates: []certbound.Thumbprint{certbound.ThumbprintOf(cert)}}))
	checkGranted(t, named.over(t, cert, true, nil))
	checkGranted(t, pinned.over(t, cert, false, nil))
	edge := func(lines ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr, r.TLS = "192.0.2.9:1", nil
			r.Header[certbound.FieldName] = lines
		}
	}
	for _, tc := range []struct {
		name    string
		f       *fixture
		cert    *x509.Certificate
		chained bool
		change  func(*http.Request)
	}{
		{"no certificate", named, nil, true, nil},
		{"no authority", named, cert, false, nil},
		{"another name", named, newCertificate(t, func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }), true, nil},
		{"expired", named, newCertificate(t, func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Second) }), true, nil},
		{"not yet valid", named, newCertificate(t, func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Second) }), true, nil},
		{"early data", named, cert, true, func(r *http.Request) { r.TLS.HandshakeComplete = false }},
		{"not over TLS", named, cert, true, func(r *http.Request) { r.TLS = nil }},
		{"another that is self-signed", pinned, newCertificate(t, nil), true, nil},
		{"none that is self-signed", pinned, nil, false, nil},
		{"a field that a client sends", named, nil, false, func(r *http.Request) { r.Header[certbound.FieldName] = clientCert(cert) }},
		{"an edge's own connection", named, cert, true, func(r *http.Request) { r.RemoteAddr = "192.0.2.9:1" }},
		{"an edge: empty", named, nil, false, edge("")},
		{"an edge: an empty sequence", named, nil, false, edge("::")},
		{"an edge: (null)", named, nil, false, edge("(null)")},
		{"an edge: two", named, nil, false, edge(clientCert(cert)[0], clientCert(cert)[0])},
		{"an edge: a string", named, nil, false, edge(`"x"`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkRefused(t, tc.f.over(t, tc.cert, tc.chained, tc.change), http.StatusUnauthorized, "invalid_client", CertificateRefused)
		})
	}
}

func TestTLSIdentityRefused(t *testing.T) {
	thumbprints := []certbound.Thumbprint{{1}}
	for _, tc := range []struct {
		name     string
		method   AuthMethod
		identity TLSIdentity
	}{
		{"tls_client_auth without a name", TLSClientAuth, TLSIdentity{}},
		{"tls_client_auth with two names", TLSClientAuth, TLSIdentity{DNS: "a.example", Email: "a@example"}},
		{"tls_client_auth with a certificate", TLSClientAuth, TLSIdentity{DNS: "a.example", Certificates: thumbprints}},
		{"self-signed without a certificate", SelfSignedTLS, TLSIdentity{}},
		{"self-signed with a name", SelfSignedTLS, TLSIdentity{DNS: "a.example", Certificates: thumbprints}},
		{"a name for another method", HTTPSigAuth, TLSIdentity{DNS: "a.example"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.identity.check(tc.method); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// A client's connection has a certificate in a mesh, whatever it proves: a DPoP proof goes first.
func TestProofBesideCertificate(t *testing.T) {
	f := newFixture(t, nil)
	q := request("any")
	f.addProof(t, q, nil)
	r := q.http()
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{newCertificate(t, nil)}}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	if e := f.events[len(f.events)-1]; w.Code != http.StatusOK || e.Binding != DPoP {
		t.Errorf("got %d, event %+v", w.Code, e)
	}
}

// Every way of authenticating is the client's only one.
func TestAuthMethods(t *testing.T) {
	hash, err := HashSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(cfg *Config) {
		cfg.Clients = append([]Client{
			{ID: "post", AuthMethod: ClientSecretPost, SecretHash: hash, Scope: []string{"read"}, Audience: []string{testResource}},
			{ID: "signer", AuthMethod: HTTPSigAuth, Binding: HTTPSigPreregistered, Keys: cfg.Clients[3].Keys, Scope: []string{"read"}, Audience: []string{testResource}},
		}, cfg.Clients...)
	})
	post := func(id, secret string) *tokenRequest {
		q := request("")
		q.form.Set("client_id", id)
		q.form.Set("client_secret", secret)
		f.addProof(t, q, nil)
		return q
	}
	signed := func(id string) *tokenRequest {
		q := request("")
		q.form.Set("client_id", id)
		f.addSignature(t, q, f.preregistered)
		return q
	}
	basic := request("post")
	f.addProof(t, basic, nil)
	bare := request("")
	bare.form.Set("client_id", "signer")
	both := post("post", testSecret)
	both.basic("post", testSecret)
	checkGranted(t, f.send(t, post("post", testSecret)))
	checkGranted(t, f.send(t, signed("signer")))
	for _, tc := range []struct {
		name   string
		q      *tokenRequest
		status int
		code   string
		reason Reason
	}{
		{"a wrong secret in the body", post("post", testSecret+"x"), 401, "invalid_client", SecretMismatch},
		{"an unknown client", post("nobody", testSecret), 401, "invalid_client", AuthRefused},
		{"the secret in the body for a client of the header", post("any", testSecret), 401, "invalid_client", AuthRefused},
		{"the secret in the header for a client of the body", basic, 401, "invalid_client", AuthRefused},
		{"both", both, 400, "invalid_request", AuthAmbiguous},
		{"no signature", bare, 401, "invalid_client", AuthMissing},
		{"a signature of a client that has a secret", signed("signed"), 401, "invalid_client", AuthMissing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkRefused(t, f.send(t, tc.q), tc.status, tc.code, tc.reason)
		})
	}
}
