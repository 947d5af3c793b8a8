package holdfast_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// selfSigned makes a client's certificate (RFC 8705, section 2.2).
func selfSigned(t testing.TB, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// withCertificate makes a certificate that is valid for an hour, and binds certToken to it.
func (w *world) withCertificate() *x509.Certificate {
	w.t.Helper()
	return w.bindTo(selfSigned(w.t, w.now.Add(-time.Hour), w.now.Add(time.Hour)).Leaf)
}

func (w *world) bindTo(cert *x509.Certificate) *x509.Certificate {
	w.config.Tokens.(tokenTable)[certToken].Confirmation.Certificate = certbound.ThumbprintOf(cert)
	return cert
}

// over puts r on a connection whose client presented certs.
func over(r *http.Request, certs ...*x509.Certificate) *http.Request {
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: certs}
	return r
}

// bearer is a request with a token under the scheme Bearer.
func bearer(method, body, token string) *http.Request {
	r := request(method, target, body)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestMTLSAccepted(t *testing.T) {
	strict := holdfast.Policy{Cover: []string{"@query", "content-type"}, CoverBody: true, Body: holdfast.BodyBuffered}
	for _, tc := range []struct {
		name   string
		policy holdfast.Policy
	}{
		{"any scheme", holdfast.Policy{}},
		{"mTLS only", holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeMTLS}}},
		{"covered by the connection", strict},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			cert := w.withCertificate()
			v := w.verifier(tc.policy)
			for range 2 { // TLS keeps replays out: the same request is another one
				got, err := v.Check(over(bearer("POST", body, certToken), cert))
				if err != nil {
					t.Fatal(err)
				}
				if got.Scheme != holdfast.SchemeMTLS || got.Key != keys.Thumbprint(certbound.ThumbprintOf(cert)) || got.Algorithm != "ECDSA" || !got.ProofTime.Equal(w.now) {
					t.Errorf("got %+v, want the certificate's", got)
				}
				if len(got.Covered) != 0 || got.BodyCovered {
					t.Errorf("got %q, %t covered: nothing was signed", got.Covered, got.BodyCovered)
				}
			}
			if n := w.config.Replay.(*replay.Memory).Len(); n != 0 {
				t.Errorf("got %d ids in the guard, want none", n)
			}
		})
	}
}

// Each request differs from an accepted one in one thing.
func TestMTLSRefused(t *testing.T) {
	mtls := func(_ *world, cert *x509.Certificate) *http.Request { return over(bearer("GET", "", certToken), cert) }
	tests := []struct {
		name   string
		policy holdfast.Policy
		make   func(*world, *x509.Certificate) *http.Request
		reason string
	}{
		{name: "no TLS", make: func(*world, *x509.Certificate) *http.Request { return bearer("GET", "", certToken) }, reason: string(certbound.Missing)},
		{name: "no certificate", make: func(*world, *x509.Certificate) *http.Request { return over(bearer("GET", "", certToken)) }, reason: string(certbound.Missing)},
		{name: "early data", make: func(_ *world, cert *x509.Certificate) *http.Request {
			r := over(bearer("GET", "", certToken), cert)
			r.TLS.HandshakeComplete = false
			return r
		}, reason: string(certbound.Missing)},
		{name: "another certificate", make: func(w *world, _ *x509.Certificate) *http.Request {
			return over(bearer("GET", "", certToken), selfSigned(t, w.now.Add(-time.Hour), w.now.Add(time.Hour)).Leaf)
		}, reason: string(certbound.Mismatch)},
		{name: "another certificate where bearers are observed", policy: holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}, make: func(w *world, _ *x509.Certificate) *http.Request {
			return over(bearer("GET", "", certToken), selfSigned(t, w.now.Add(-time.Hour), w.now.Add(time.Hour)).Leaf)
		}, reason: string(certbound.Mismatch)},
		{name: "a certificate in a header", make: func(_ *world, cert *x509.Certificate) *http.Request {
			r := over(bearer("GET", "", certToken))
			r.Header.Set("X-Forwarded-Tls-Client-Cert", fmt.Sprintf("%x", cert.Raw))
			return r
		}, reason: string(certbound.Missing)},
		{name: "expired", make: func(w *world, cert *x509.Certificate) *http.Request {
			w.now = cert.NotAfter.Add(time.Second)
			return mtls(w, cert)
		}, reason: string(certbound.Expired)},
		{name: "not yet valid", make: func(w *world, cert *x509.Certificate) *http.Request {
			w.now = cert.NotBefore.Add(-time.Second)
			return mtls(w, cert)
		}, reason: string(certbound.NotYetValid)},
		{name: "as DPoP", make: func(w *world, cert *x509.Certificate) *http.Request {
			return over(w.prove(request("GET", target, ""), certToken), cert)
		}, reason: holdfast.ReasonDowngrade},
		{name: "as HTTPSig", make: func(w *world, cert *x509.Certificate) *http.Request {
			r := request("GET", target, "")
			r.Header.Set("Authorization", "HTTPSig "+certToken)
			return over(w.sign(r, holdfast.TagHTTPSig, "@method", "@target-uri", "authorization"), cert)
		}, reason: holdfast.ReasonDowngrade},
		{name: "as mTLS", make: func(_ *world, cert *x509.Certificate) *http.Request {
			r := over(request("GET", target, ""), cert)
			r.Header.Set("Authorization", "mTLS "+certToken)
			return r
		}, reason: holdfast.ReasonSchemeRefused},
		{name: "a key's token on the connection", make: func(_ *world, cert *x509.Certificate) *http.Request {
			return over(bearer("GET", "", boundToken), cert)
		}, reason: holdfast.ReasonDowngrade},
		{name: "an unbound token on the connection", make: func(_ *world, cert *x509.Certificate) *http.Request {
			return over(bearer("GET", "", bearerToken), cert)
		}, reason: holdfast.ReasonUnbound},
		{name: "not in the policy", policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeDPoP}}, make: mtls, reason: holdfast.ReasonSchemeRefused},
		{name: "a signature is required", policy: holdfast.Policy{RequireSignature: true}, make: mtls, reason: holdfast.ReasonSchemeRefused},
		{name: "scope", policy: holdfast.Policy{Scope: []string{"write"}}, make: mtls, reason: holdfast.ReasonScope},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			cert := w.withCertificate()
			_, err := w.verifier(tc.policy).Check(tc.make(w, cert))
			got := refusal(t, err, tc.reason)
			if _, ok := certReasons[tc.reason]; ok && (got.ErrorCode != "invalid_token" || got.Status != 401 || got.Section == "") {
				t.Errorf("got %d, %s, section %q; want 401, invalid_token (RFC 8705, section 3)", got.Status, got.ErrorCode, got.Section)
			}
		})
	}
}

var certReasons = map[string]bool{
	string(certbound.Missing): true, string(certbound.Mismatch): true, string(certbound.Expired): true, string(certbound.NotYetValid): true,
}

// A challenge says Bearer only to those who have to do with certificates.
func TestMTLSChallenge(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy holdfast.Policy
		make   func(*x509.Certificate) *http.Request
		want   []string // scheme, error and reason
	}{
		{"no credential", holdfast.Policy{}, func(*x509.Certificate) *http.Request { return over(request("GET", target, "")) },
			[]string{"DPoP  ", "HTTPSig  "}},
		{"no credential, mTLS only", holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeMTLS, holdfast.SchemeMTLS}},
			func(*x509.Certificate) *http.Request { return request("GET", target, "") }, []string{"Bearer  ", "Bearer  "}},
		{"no credential, a certificate", holdfast.Policy{}, func(cert *x509.Certificate) *http.Request { return over(request("GET", target, ""), cert) },
			[]string{"DPoP  ", "HTTPSig  ", "Bearer  "}},
		{"no certificate", holdfast.Policy{}, func(*x509.Certificate) *http.Request { return over(bearer("GET", "", certToken)) },
			[]string{"DPoP  ", "HTTPSig  ", "Bearer invalid_token certificate-missing"}},
		{"unbound token", holdfast.Policy{}, func(*x509.Certificate) *http.Request { return bearer("GET", "", bearerToken) },
			[]string{"DPoP invalid_token token-unbound", "HTTPSig  "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			_, h := answered(w.verifier(tc.policy), tc.make(w.withCertificate()))
			var got []string
			for _, line := range h["Www-Authenticate"] {
				scheme, params, _ := strings.Cut(line, " ")
				got = append(got, strings.Join([]string{scheme, quoted(params, "error"), quoted(params, "reason")}, " "))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("challenges (-want +got)\n%s", diff)
			}
		})
	}
}

// quoted returns the value of one parameter of a challenge.
func quoted(params, name string) string {
	_, rest, _ := strings.Cut(", "+params, ", "+name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// The session ends with the certificate, and is bound to it.
func TestMTLSSessionEnds(t *testing.T) {
	for _, tc := range []struct {
		name        string
		cert, token time.Duration // how long they are good
		want        time.Duration
	}{
		{"by itself", time.Hour, time.Hour, 5 * time.Minute},
		{"with the certificate", time.Minute, time.Hour, time.Minute},
		{"with the token", time.Hour, time.Minute, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t).withSessions()
			cert := w.bindTo(selfSigned(t, w.now.Add(-time.Hour), w.now.Add(tc.cert)).Leaf)
			w.config.Tokens.(tokenTable)[certToken].Expires = w.now.Add(tc.token)
			v := w.verifier(holdfast.Policy{})
			s := w.certSession(v, cert)
			if got := s.Expires().Sub(w.now); got != tc.want {
				t.Errorf("got a session of %s, want %s", got, tc.want)
			}
			w.now = w.now.Add(tc.want - time.Second)
			got, err := v.Check(w.mac(request("GET", target, ""), s)) // on a connection without the certificate
			if err != nil {
				t.Fatal(err)
			}
			thumbprint := certbound.ThumbprintOf(cert)
			want := accesstoken.Confirmation{Binding: accesstoken.BoundX5T, Certificate: thumbprint}
			if got.Key != keys.Thumbprint(thumbprint) || got.Token.Confirmation != want || got.Session.Scheme != holdfast.SchemeMTLS || got.Session.Algorithm != "ECDSA" {
				t.Errorf("got %+v of %+v, want the certificate's", got.Session, got.Token.Confirmation)
			}
			w.now = w.now.Add(time.Second)
			_, err = v.Check(w.mac(request("GET", target, ""), s))
			refusal(t, err, string(popsession.Expired))
		})
	}
}

// certSession begins a session over a connection with cert.
func (w *world) certSession(v *holdfast.Verifier, cert *x509.Certificate) *popsession.Session {
	w.t.Helper()
	offer := newOffer(w.t)
	r := over(bearer("GET", "", certToken), cert)
	r.Header.Set("PoP-Session-Offer", offer.Field())
	_, h := answered(v, r)
	s, err := offer.Accept(h["Pop-Session"], popsession.Binding{
		Thumbprint: keys.Thumbprint(certbound.ThumbprintOf(cert)), TokenHash: w.config.Tokens.(tokenTable)[certToken].Hash, Audience: origin,
	}, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// A session that a certificate began is only as good as the policy takes certificates for.
func TestMTLSSessionRefused(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{})
	s := w.certSession(v, w.withCertificate())
	for _, p := range []holdfast.Policy{{RequireSignature: true}, {Schemes: []holdfast.Scheme{holdfast.SchemeDPoP, holdfast.SchemeHTTPSig}}} {
		strict, err := v.With(p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = strict.Check(w.mac(request("GET", target, ""), s))
		refusal(t, err, holdfast.ReasonSessionRefused)
	}
}

// fleet is nodes that end TLS, all of them api.example.com, and a client that reaches one of them.
type fleet struct {
	*world
	nodes  []*httptest.Server
	client tls.Certificate
	reach  atomic.Int32 // which of the nodes
	log    *resource    // what they were sent
	last   atomic.Pointer[holdfast.Verdict]
}

const fleetOrigin = "https://api.example.com" // of the certificate of net/http/httptest

// newFleet starts a node for each way of asking for certificates.
func newFleet(t *testing.T, asking ...tls.ClientAuthType) *fleet {
	t.Helper()
	f := &fleet{world: newWorld(t).withSessions()}
	f.log = &resource{world: f.world}
	f.now = time.Now().Truncate(time.Second) // the answers' Date is of the real clock
	for _, token := range f.config.Tokens.(tokenTable) {
		token.Expires = f.now.Add(time.Hour)
	}
	f.client = selfSigned(t, f.now.Add(-time.Hour), f.now.Add(time.Hour))
	f.bindTo(f.client.Leaf)
	f.config.External = holdfast.External{Origin: fleetOrigin}
	for _, auth := range asking {
		f.config.Replay = f.newGuard(replay.MemoryConfig{InsecureAcceptOlder: true})
		f.config.Sessions.Windows = f.newWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
		v := f.verifier(holdfast.Policy{CoverBody: true})
		node := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.log.record(r.Header)
			v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				verdict, _ := holdfast.FromContext(r.Context())
				f.last.Store(verdict)
				echo(w, r)
			})).ServeHTTP(w, r)
		}))
		node.TLS = &tls.Config{ClientAuth: auth}
		node.EnableHTTP2 = true
		node.StartTLS()
		t.Cleanup(node.Close)
		f.nodes = append(f.nodes, node)
	}
	return f
}

// base connects anew for each request, with these certificates.
func (f *fleet) base(certs ...tls.Certificate) *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(f.nodes[0].Certificate())
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, f.nodes[f.reach.Load()].Listener.Addr().String())
		},
	}
}

func sourceOf(token, kind string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token, TokenType: kind})
}

func (f *fleet) transport() *holdfast.Transport {
	return &holdfast.Transport{
		Base: f.base(f.client), Source: sourceOf(certToken, "Bearer"), Certificate: f.client.Leaf, Now: func() time.Time { return f.now },
		ResourceKeys: []*keys.Public{f.config.Signer.Public()},
	}
}

func (f *fleet) ask(tr http.RoundTripper, body string) {
	f.t.Helper()
	f.log.post(tr, wireRequest(f.t, "POST", fleetOrigin+"/a?x=1", body), body)
}

// One handshake with the certificate, then a MAC a request: on connections without it, at nodes that don't ask for it.
func TestTransportMTLS(t *testing.T) {
	for _, auth := range []tls.ClientAuthType{tls.RequestClientCert, tls.RequireAnyClientCert} {
		t.Run(auth.String(), func(t *testing.T) {
			f := newFleet(t, auth, tls.NoClientCert)
			tr := f.transport()
			f.ask(tr, "one")
			if v := f.last.Load(); v.Scheme != holdfast.SchemeMTLS {
				t.Errorf("got scheme %s, want mTLS", v.Scheme)
			}
			f.ask(tr, "two")
			f.reach.Store(1)
			f.ask(tr, strings.Repeat("three", 1<<20))
			if v := f.last.Load(); v.Session == nil || v.Session.Scheme != holdfast.SchemeMTLS || !v.BodyCovered {
				t.Errorf("got %+v, want a session that mTLS began", v)
			}
			f.log.sent("Bearer+offer", "PoP-Session+digest", "PoP-Session+stream")
		})
	}
}

func TestTransportMTLSEveryRequest(t *testing.T) {
	f := newFleet(t, tls.RequestClientCert)
	tr := f.transport()
	tr.NoSessions = true
	f.ask(tr, "one")
	f.ask(tr, "two")
	f.log.sent("Bearer", "Bearer")
}

// An answer that the resource didn't sign begins no session.
func TestTransportMTLSAnswerOfAnother(t *testing.T) {
	f := newFleet(t, tls.RequestClientCert)
	tr := f.transport()
	tr.ResourceKeys = []*keys.Public{wireKey(t).Public()}
	f.ask(tr, "one")
	f.ask(tr, "two")
	f.log.sent("Bearer+offer", "Bearer")
}

// A session that the fleet doesn't know any more is begun again by the certificate.
func TestTransportMTLSFallsBack(t *testing.T) {
	f := newFleet(t, tls.RequestClientCert, tls.RequestClientCert)
	f.config.Sessions.Secrets = []popsession.Secret{{ID: "other", Key: slices.Repeat([]byte{7}, 32)}}
	f.config.Sessions.Windows = f.newWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
	v := f.verifier(holdfast.Policy{})
	f.nodes[1].Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.log.record(r.Header)
		v.Handler(http.HandlerFunc(echo)).ServeHTTP(w, r)
	})
	tr := f.transport()
	f.ask(tr, "one")
	f.reach.Store(1)
	f.ask(tr, "two")
	f.ask(tr, "three")
	f.log.sent("Bearer+offer", "PoP-Session+digest", "Bearer+offer", "PoP-Session+digest")
}

// Nothing in the first request told the server the client's clock.
func TestTransportMTLSWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			f := newFleet(t, tls.RequestClientCert)
			tr := f.transport()
			tr.Now = func() time.Time { return time.Now().Add(off) }
			f.ask(tr, "one")
			f.ask(tr, "two")
			f.log.sent("Bearer+offer", "PoP-Session+digest")
		})
	}
}

func TestTransportMTLSRefused(t *testing.T) {
	now := time.Now()
	other, expired := selfSigned(t, now.Add(-time.Hour), now.Add(time.Hour)), selfSigned(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	for _, tc := range []struct {
		name   string
		change func(*fleet, *holdfast.Transport)
		want   string
	}{
		{"no certificate on the connection", func(f *fleet, tr *holdfast.Transport) { tr.Base = f.base() }, string(certbound.Missing)},
		{"another certificate", func(f *fleet, tr *holdfast.Transport) { tr.Base = f.base(other) }, string(certbound.Mismatch)},
		{"expired certificate", func(f *fleet, tr *holdfast.Transport) {
			f.bindTo(expired.Leaf)
			tr.Base, tr.Certificate = f.base(expired), expired.Leaf
		}, string(certbound.Expired)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t, tls.RequestClientCert)
			tr := f.transport()
			tc.change(f, tr)
			status, got := sendVia(t, tr, wireRequest(t, "GET", fleetOrigin, ""))
			if status != http.StatusUnauthorized || !strings.Contains(got, tc.want) {
				t.Errorf("got %d %s, want 401 %s", status, got, tc.want)
			}
			f.log.sent("Bearer+offer")
		})
	}
	for _, tc := range []struct {
		name, kind, url string
		want            holdfast.TransportReason
	}{
		{"without TLS", "Bearer", "http://127.0.0.1:1/", holdfast.TransportTargetUnusable},
		{"a token that needs a key", "DPoP", "https://127.0.0.1:1/", holdfast.TransportMisconfigured},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := &holdfast.Transport{Source: tokenSource(tc.kind), Certificate: other.Leaf}
			_, err := tr.RoundTrip(wireRequest(t, "GET", tc.url, ""))
			refusedAs(t, err, tc.want)
		})
	}
}

// With a Signer as well, the token's type chooses.
func TestTransportMTLSBesideDPoP(t *testing.T) {
	f := newFleet(t, tls.RequestClientCert)
	tr := f.transport()
	tr.Signer, tr.Source, tr.NoSessions = f.signer, sourceOf(boundToken, "DPoP"), true
	f.log.post(tr, wireRequest(t, "GET", fleetOrigin+"/a", ""), "")
	if v := f.last.Load(); v.Scheme != holdfast.SchemeDPoP || !slices.Contains(v.Covered, "@path") {
		t.Errorf("got %s covering %q, want DPoP", v.Scheme, v.Covered)
	}
	f.log.sent("DPoP")
}

// A proof of the first kind may lie beside a certificate: the token's confirmation chooses, not the connection.
func TestMTLSConnectionIsNoProof(t *testing.T) {
	w := newWorld(t)
	cert := w.withCertificate()
	v := w.verifier(holdfast.Policy{})
	if _, err := v.Check(over(w.prove(request("GET", target, ""), boundToken), cert)); err != nil {
		t.Error(err)
	}
	_, err := v.Check(over(w.prove(request("GET", target, ""), boundToken, func(p *dpop.Params) { p.Token = "another" }), cert))
	refusal(t, err, string(dpop.TokenMismatch))
}

func BenchmarkMTLS(b *testing.B) {
	w := newWorld(b)
	cert := w.withCertificate()
	v := w.verifier(holdfast.Policy{})
	r := over(bearer("GET", "", certToken), cert)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Check(r); err != nil {
			b.Fatal(err)
		}
	}
}
