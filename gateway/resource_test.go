package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
	"github.com/holdfast-project/holdfast/resourcemeta"
)

// withSessions lets the gateway's verifier begin sessions, under its own key.
func withSessions(t testing.TB, signer *keys.Signer) func(*holdfast.Config) {
	windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *holdfast.Config) {
		c.Signer = signer
		c.Sessions = &holdfast.Sessions{Secrets: []popsession.Secret{{ID: "one", Key: make([]byte, 32)}}, Windows: windows}
	}
}

// described is a gateway in front of up that publishes what it is.
func (s *stage) described(up *upstream, signer *keys.Signer, edit func(*Config)) *front {
	s.t.Helper()
	at, err := resourcemeta.URL(audience)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.protect(up, holdfast.Policy{}, func(c *Config) {
		c.Verifier = s.verifier(holdfast.External{Origin: audience}, withSessions(s.t, signer), func(c *holdfast.Config) { c.MetadataURL = at })
		c.Resource = &Resource{Identifier: audience, Name: "Orders", AuthorizationServers: []string{issuerURL}}
		if edit != nil {
			edit(c)
		}
	})
}

// What the gateway says of itself follows from its routes, and comes from no upstream.
func TestResourceMetadata(t *testing.T) {
	s, up, signer, next := newStage(t), newUpstream(t), newSigner(t), newSigner(t)
	dpop := []holdfast.Scheme{holdfast.SchemeDPoP}
	for _, tc := range []struct {
		name   string
		routes []Route
		want   resourcemeta.Metadata // beside what all have
	}{
		{"every scheme", []Route{
			{Path: "/", Policy: holdfast.Policy{Scope: []string{"write", "read"}}},
			{Path: "/a", Policy: holdfast.Policy{Scope: []string{"admin", "read"}, Schemes: dpop}},
			{Path: "/public", InsecurePublic: true},
		}, resourcemeta.Metadata{Scopes: []string{"admin", "read", "write"}, CertificateBound: true, Sessions: true}},
		{"DPoP everywhere", []Route{{Path: "/", Policy: holdfast.Policy{Schemes: dpop}}}, resourcemeta.Metadata{DPoPRequired: true, Sessions: true}},
		{"DPoP or bearer", []Route{{Path: "/", Policy: holdfast.Policy{Schemes: dpop, Bearer: holdfast.InsecureBearerObserved}}}, resourcemeta.Metadata{Sessions: true}},
		{"signatures only", []Route{{Path: "/", Policy: holdfast.Policy{RequireSignature: true}}}, resourcemeta.Metadata{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := s.described(up, signer, func(c *Config) {
				c.Routes = tc.routes
				for i := range c.Routes {
					c.Routes[i].Upstream = up.url(t)
				}
				c.Resource.Others = []*keys.Public{next.Public()}
			})
			got, set, err := resourcemeta.Fetch(t.Context(), &http.Client{Transport: edge(g.address)}, audience)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Resource, tc.want.Name, tc.want.AuthorizationServers = audience, "Orders", []string{issuerURL}
			tc.want.JWKSURI, tc.want.BearerMethods = audience+resourcemeta.KeysPath, []string{"header"}
			tc.want.SigningAlgorithms = []keys.Algorithm{keys.ES256}
			tc.want.DPoPAlgorithms = []keys.Algorithm{keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.EdDSA}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("metadata (-want +got)\n%s", diff)
			}
			if len(set) != 2 || set[0].Thumbprint() != signer.Public().Thumbprint() || set[1].Thumbprint() != next.Public().Thumbprint() {
				t.Errorf("got %d keys, want the resource's and the next one", len(set))
			}
			if len(up.seen) != 0 {
				t.Error("the upstream was asked")
			}
		})
	}
}

// The keys that are fetched are those that answers are verified with.
func TestResourceKeysVerifyAnswers(t *testing.T) {
	s, up, signer := newStage(t), newUpstream(t), newSigner(t)
	g := s.described(up, signer, nil)
	_, set, err := resourcemeta.Fetch(t.Context(), &http.Client{Transport: edge(g.address)}, audience)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		keys []*keys.Public
		want holdfast.Scheme // of the second request
	}{
		{"fetched", set, holdfast.SchemeSession},
		{"another's", []*keys.Public{newSigner(t).Public()}, holdfast.SchemeDPoP},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := s.transport(holdfast.SchemeDPoP, edge(g.address))
			tr.ResourceKeys = tc.keys
			var used holdfast.Scheme
			tr.Trace = func(a *holdfast.Attempt) { used = a.Scheme }
			for range 2 {
				do(t, &http.Client{Transport: tr}, request(t, "GET", audience+"/", nil))
				<-up.seen
			}
			if used != tc.want {
				t.Errorf("got %s, want %s", used, tc.want)
			}
		})
	}
}

// Other spellings of the paths aren't passed on: an upstream that reads them could answer in the gateway's place.
func TestResourcePathsAreTheGateways(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.described(up, newSigner(t), func(c *Config) { c.Routes = public(up.url(t)) })
	for target, want := range map[string]int{
		resourcemeta.WellKnown:                             200,
		resourcemeta.WellKnown + "?x":                      200,
		resourcemeta.KeysPath:                              200,
		resourcemeta.WellKnown + "/":                       400,
		"/.well-known/oauth%2Dprotected-resource":          400,
		"/.Well-Known/oauth-protected-resource":            400,
		"/.well-known//oauth-protected-resource":           400,
		"/.well-known/holdfast%2dresource-jwks.json":       400,
		"/.well-known/oauth-protected-resource;a":          400,
		"/a/../.well-known/oauth-protected-resource":       400,
		"/.well-known/oauth-protected-resource/of/another": 200, // the upstream's own
	} {
		t.Run(target, func(t *testing.T) {
			res := raw(t, g.address, wire("GET", target, http.Header{"Connection": {"close"}}, "\r\n"))
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("got %d, want %d", res.StatusCode, want)
			}
		})
	}
	if n := len(up.seen); n != 1 {
		t.Errorf("the upstream was asked %d times, want once", n)
	}
}

func TestResourceChallenge(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.described(up, newSigner(t), nil)
	res, _ := do(t, &http.Client{Transport: edge(g.address)}, request(t, "GET", audience+"/", nil))
	lines := res.Header["Www-Authenticate"]
	if len(lines) != 2 {
		t.Fatalf("got %q, want two challenges", lines)
	}
	for _, line := range lines {
		if !strings.Contains(line, `resource_metadata="`+audience+resourcemeta.WellKnown+`"`) {
			t.Errorf("got %s, want it to name the metadata", line)
		}
	}
}

// Each differs from an accepted configuration in one thing.
func TestResourceRefused(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	signer := newSigner(t)
	for _, tc := range []struct {
		name string
		edit func(*Config)
	}{
		{"no identifier", func(c *Config) { c.Resource.Identifier = "" }},
		{"over http", func(c *Config) { c.Resource.Identifier = "http://api.example" }},
		{"with a query", func(c *Config) { c.Resource.Identifier += "/?x" }},
		{"path that isn't plain", func(c *Config) { c.Resource.Identifier += "/a%2Fb" }},
		{"an issuer over http", func(c *Config) { c.Resource.AuthorizationServers = []string{"http://as.example"} }},
		{"others without a key", func(c *Config) {
			c.Verifier, c.Resource.Others = s.verifier(holdfast.External{Origin: audience}), []*keys.Public{signer.Public()}
		}},
		{"no verifier", func(c *Config) { c.Verifier, c.Routes[0].InsecurePublic = nil, true }},
		{"a route at the metadata", func(c *Config) { c.Routes[0].Path = resourcemeta.WellKnown }},
		{"a route at the metadata, in other letters", func(c *Config) { c.Routes[0].Path = strings.ToUpper(resourcemeta.WellKnown) }},
		{"a host's route at the keys", func(c *Config) { c.Routes[0].Host, c.Routes[0].Path = "api.example", resourcemeta.KeysPath }},
		{"the identity's keys at the same path", func(c *Config) {
			c.Identity = &Identity{Signer: signer, Issuer: "g", KeysPath: resourcemeta.KeysPath}
		}},
		{"a route at the identity's keys", func(c *Config) {
			c.Identity = &Identity{Signer: signer, Issuer: "g"}
			c.Routes[0].Path = defaultKeysPath
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := Config{
				Verifier: s.verifier(holdfast.External{Origin: audience}, withSessions(t, signer)),
				Routes:   []Route{{Path: "/", Upstream: up.url(t)}},
				Resource: &Resource{Identifier: audience, AuthorizationServers: []string{issuerURL}},
			}
			good := cfg
			if _, err := New(good); err != nil {
				t.Fatalf("the good configuration: %v", err)
			}
			cfg.Routes = []Route{cfg.Routes[0]}
			tc.edit(&cfg)
			if _, err := New(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// clientCertificate makes a self-signed one.
func clientCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Upstreams are told who came by certificate, also in the session that follows.
func TestMTLS(t *testing.T) {
	s, up, signer := newStage(t), newUpstream(t), newSigner(t)
	certificate := clientCertificate(t)
	s.certificate = certificate.Leaf
	g, err := New(Config{
		Verifier:     s.verifier(holdfast.External{Origin: audience}, withSessions(t, signer)),
		Routes:       []Route{{Path: "/", Upstream: up.url(t), Policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeMTLS}, CoverBody: true}}},
		Identity:     &Identity{Signer: signer, Issuer: "https://gateway.example"},
		PlainHeaders: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	server := httptest.NewUnstartedServer(g)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	base := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: "example.com", Certificates: []tls.Certificate{certificate}},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	t.Cleanup(base.CloseIdleConnections)
	c := &http.Client{Transport: &holdfast.Transport{
		Base: base, Certificate: s.certificate, ResourceKeys: []*keys.Public{signer.Public()},
		Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: s.token(holdfast.SchemeMTLS, time.Minute), TokenType: "Bearer"}),
	}}
	thumbprint := certbound.ThumbprintOf(s.certificate).String()
	for _, want := range []holdfast.Scheme{holdfast.SchemeMTLS, holdfast.SchemeSession} {
		res, _ := do(t, c, request(t, "POST", audience+"/a", strings.NewReader("body")))
		if res.StatusCode != 200 {
			t.Fatalf("got %s", res.Status)
		}
		h := (<-up.seen).header
		if h.Get("X-Holdfast-Scheme") != string(want) || h.Get("X-Holdfast-Key") != thumbprint || h.Get("Authorization") != "" {
			t.Errorf("got %v, want %s by %s", h, want, thumbprint)
		}
		if got := claimsOf(t, h.Get("Holdfast-Identity")); got.Confirm["x5t#S256"] != thumbprint || len(got.Confirm) != 1 {
			t.Errorf("got cnf %v, want the certificate's", got.Confirm)
		}
	}
}

// claimsOf reads a statement, whose signature other tests verify.
func claimsOf(t *testing.T, token string) statement {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	var s statement
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	return s
}
