package interop

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/login"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	audience = "https://payments.example"
	// gatewayIssuer names the gateway in what it tells upstreams.
	gatewayIssuer = "https://gateway.example"
	// developer is whom everybody logs in as.
	developer = "alice"
)

// stage is an issuer, an API, and a gateway before it, all of which want nonces.
type stage struct {
	issuer, gateway, api string // origins
	secret               string // of the client "shop"
	assertion            map[keys.Algorithm]*keys.Signer
	issuerAlg            keys.Algorithm
	gatewayKey           *keys.Signer

	mu       sync.Mutex // guards what follows
	events   []issuer.Event
	verdicts []*holdfast.Verdict
	refusals []*holdfast.Refusal
	calls    []call
}

// call is a request as the API saw it.
type call struct {
	Method, Target, Body string
	Header               http.Header
}

// newStage starts everything. alg is that of the keys of issuer and gateway.
func newStage(t *testing.T, alg keys.Algorithm) *stage {
	t.Helper()
	s := &stage{
		secret:    "+%/: " + rand.Text(), // what clients must encode (RFC 6749, section 2.3.1)
		issuerAlg: alg, gatewayKey: generate(t, alg),
		assertion: map[keys.Algorithm]*keys.Signer{keys.ES256: generate(t, keys.ES256), keys.Ed25519: generate(t, keys.Ed25519)},
	}
	s.api = serve(t, &http.Server{Handler: http.HandlerFunc(s.serveAPI)}, listen(t))
	s.openIssuer(t)
	s.openGateway(t)
	return s
}

func generate(t *testing.T, alg keys.Algorithm) *keys.Signer {
	t.Helper()
	signer, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs server until the test ends, and returns its origin.
func serve(t *testing.T, server *http.Server, l net.Listener) string {
	t.Helper()
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // http.ErrServerClosed
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return "http://" + l.Addr().String()
}

func (s *stage) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "incomplete request", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call{Method: r.Method, Target: r.RequestURI, Body: string(body), Header: r.Header.Clone()})
	// A client that is gone will miss the answer, and its test fails on that.
	_, _ = io.WriteString(w, "done")
}

func (s *stage) openIssuer(t *testing.T) {
	t.Helper()
	hash, err := issuer.HashSecret(s.secret)
	if err != nil {
		t.Fatal(err)
	}
	clients := []issuer.Client{{ID: "shop", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash}}
	for alg, signer := range s.assertion {
		clients = append(clients, issuer.Client{
			ID: "robot-" + string(alg), AuthMethod: issuer.PrivateKeyJWT, Keys: []*keys.Public{signer.Public()},
		})
	}
	for i := range clients {
		clients[i].Audience, clients[i].Scope, clients[i].Binding = []string{audience}, []string{"transfer", "read"}, issuer.DPoP
	}
	clients = append(clients, userClients(hash)...)
	s.issuer = startIssuer(t, s.issuerAlg, issuer.Config{
		Clients: clients, RequireNonce: true,
		Registration: &issuer.DynamicRegistration{Documents: true, Audience: []string{audience}, Scope: []string{"read"}},
		Observer: func(_ context.Context, e issuer.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	})
}

// startIssuer serves an issuer with a database and a development user of its own, and returns its identifier.
func startIssuer(t *testing.T, alg keys.Algorithm, cfg issuer.Config) string {
	t.Helper()
	database, err := store.Open(t.Context(), "sqlite::memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg.Store, cfg.Secret, cfg.Replay = database, random(), newGuard(t)
	cfg.Keys, err = signing.Open(t.Context(), signing.Config{Store: database, Secrets: [][]byte{cfg.Secret}, Algorithms: []keys.Algorithm{alg}})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	cfg.Issuer = "http://" + l.Addr().String()
	cfg.Login, err = login.New(login.Config{Issuer: cfg.Issuer, Store: database, InsecureDevelopmentUser: developer, Observer: cfg.Observer})
	if err != nil {
		t.Fatal(err)
	}
	server, err := issuer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, &http.Server{Handler: server.Handler()}, l)
}

// userClients act for users: one confidential, one public.
func userClients(hash issuer.SecretHash) []issuer.Client {
	clients := []issuer.Client{{ID: "portal", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash}, {ID: "spa", AuthMethod: issuer.NoAuth}}
	for i := range clients {
		c := &clients[i]
		c.Grants, c.RedirectURIs, c.RequirePushedRequests = []issuer.GrantType{issuer.CodeGrant, issuer.RefreshGrant}, []string{redirectURI}, true
		c.Audience, c.Scope, c.Binding = []string{audience}, []string{"transfer", "openid"}, issuer.DPoP
	}
	// A client of the MCP harness has no proof: its metadata says nothing of one.
	return append(clients, issuer.Client{
		ID: "mcp", AuthMethod: issuer.NoAuth, Grants: []issuer.GrantType{issuer.CodeGrant}, RedirectURIs: []string{"http://127.0.0.1/callback"},
		Audience: []string{audience}, Scope: []string{"read"}, InsecureAllowUnbound: true,
	})
}

func (s *stage) openGateway(t *testing.T) {
	t.Helper()
	jwks, err := accesstoken.OpenJWKS(t.Context(), accesstoken.JWKSConfig{Issuer: s.issuer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := jwks.Close(); err != nil {
			t.Error(err)
		}
	})
	tokens, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{Issuer: s.issuer, Audience: audience, Keys: jwks})
	if err != nil {
		t.Fatal(err)
	}
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: random(), Scope: "gateway"})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	verifier, err := holdfast.NewVerifier(holdfast.Config{
		Tokens: tokens, Replay: newGuard(t), External: holdfast.External{Origin: "http://" + l.Addr().String()},
		Nonces: nonces, Observers: []holdfast.Observer{s},
	})
	if err != nil {
		t.Fatal(err)
	}
	upstream, err := url.Parse(s.api)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{
		Verifier: verifier, Logger: slog.New(slog.DiscardHandler),
		Identity: &gateway.Identity{Signer: s.gatewayKey, Issuer: gatewayIssuer},
		Routes: []gateway.Route{{
			Path: "/", Upstream: upstream,
			Policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeDPoP}, Scope: []string{"transfer"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	s.gateway = serve(t, g.NewServer(), l)
}

// newGuard makes an empty memory. It is as old as the test, so it accepts what was made within the same second.
func newGuard(t *testing.T) replay.Guard {
	t.Helper()
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func random() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// Observe implements holdfast.Observer.
func (s *stage) Observe(_ context.Context, _ *http.Request, verdict *holdfast.Verdict, refusal *holdfast.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal != nil {
		s.refusals = append(s.refusals, refusal)
		return
	}
	s.verdicts = append(s.verdicts, verdict)
}
