// Package holdfasttest lets tests call handlers as they will be called: with tokens of a real issuer, bound to a key, and
// a proof by that key on each request. Nothing is mocked; everything is in memory and on the loopback interface.
//
// [NewServer] starts an issuer. [Server.Protect] serves a handler behind a verifier that trusts it, and [Server.Client]
// is a client that gets its tokens there. To play a thief, take [Server.Credentials] apart.
//
// Clocks are real. Replay is remembered by each verifier on its own, and not demanded of proofs made before it was.
package holdfasttest

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// Audience is the audience of all tokens, whatever the servers that take them are called.
const Audience = "https://api.test"

// Scope is what all tokens are for, space-separated.
const Scope = "read write"

// Server is an issuer. It lives as long as the test that it was made for.
type Server struct {
	// IssuerURL is the issuer identifier; its metadata and keys are served there.
	IssuerURL string

	t      testing.TB
	secret string // of all clients
	jwks   *accesstoken.JWKS
}

// clients maps each scheme to the client whose tokens are for it.
var clients = map[holdfast.Scheme]issuer.Client{
	holdfast.SchemeDPoP:    {ID: "dpop-client", Binding: issuer.DPoP},
	holdfast.SchemeHTTPSig: {ID: "httpsig-client", Binding: issuer.HTTPSigRuntime},
	holdfast.SchemeBearer:  {ID: "bearer-client", InsecureAllowUnbound: true},
}

// NewServer starts an issuer.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, secret: rand.Text()}
	var handler http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	s.IssuerURL = srv.URL
	hash, err := issuer.HashSecret(s.secret)
	s.must(err)
	var registered []issuer.Client
	for _, c := range clients {
		c.AuthMethod, c.SecretHash = issuer.ClientSecretBasic, hash
		c.Scope, c.Audience = []string{"read", "write"}, []string{Audience}
		registered = append(registered, c)
	}
	fleetSecret := []byte(rand.Text() + rand.Text())
	database, err := store.Open(t.Context(), "sqlite::memory:")
	s.must(err)
	t.Cleanup(func() { s.must(database.Close()) })
	ring, err := signing.Open(t.Context(), signing.Config{Store: database, Secrets: [][]byte{fleetSecret}})
	s.must(err)
	is, err := issuer.New(issuer.Config{
		Issuer: s.IssuerURL, Store: database, Keys: ring, Clients: registered, Secret: fleetSecret, Replay: s.guard(),
	})
	s.must(err)
	handler = is.Handler()
	s.jwks, err = accesstoken.OpenJWKS(context.Background(), accesstoken.JWKSConfig{Issuer: s.IssuerURL})
	s.must(err)
	t.Cleanup(func() { s.must(s.jwks.Close()) })
	return s
}

// Protect serves next on a server of its own, for requests with a DPoP or HTTPSig proof. See [holdfast.FromContext]
// for who called.
func (s *Server) Protect(next http.Handler) *httptest.Server {
	s.t.Helper()
	return s.ProtectWith(holdfast.Policy{}, next)
}

// ProtectWith is Protect under another policy.
func (s *Server) ProtectWith(p holdfast.Policy, next http.Handler) *httptest.Server {
	s.t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	cfg := s.Config(srv.Listener.Addr().String())
	cfg.Policy = p
	v, err := holdfast.NewVerifier(cfg)
	s.must(err)
	srv.Config.Handler = v.Handler(next)
	srv.Start()
	s.t.Cleanup(srv.Close)
	return srv
}

// Config configures a verifier that trusts this issuer, for requests to host, with a replay memory of its own.
func (s *Server) Config(host string) holdfast.Config {
	s.t.Helper()
	tokens, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{Issuer: s.IssuerURL, Audience: Audience, Keys: s.jwks})
	s.must(err)
	return holdfast.Config{Tokens: tokens, Replay: s.guard(), External: holdfast.External{Hosts: []string{host}}}
}

// Client is a client with a key of its own and tokens for scheme. SchemeBearer is a client of the old kind, whose tokens
// are bound to nothing. The digest of a body is covered where the server asks for it, and always with SchemeHTTPSig.
func (s *Server) Client(scheme holdfast.Scheme) *http.Client {
	s.t.Helper()
	source, signer := s.Credentials(scheme)
	return &http.Client{Transport: &holdfast.Transport{
		Source: source, Signer: signer, DigestBody: true, InsecureAllowBearer: scheme == holdfast.SchemeBearer,
	}}
}

// Credentials are what a client has: tokens for scheme, and the key that they are bound to.
func (s *Server) Credentials(scheme holdfast.Scheme) (oauth2.TokenSource, *keys.Signer) {
	s.t.Helper()
	c, ok := clients[scheme]
	if !ok {
		s.t.Fatalf("holdfasttest: no client for scheme %q", scheme)
	}
	signer := s.signer()
	grant := clientcredentials.Config{ClientID: c.ID, ClientSecret: s.secret, TokenURL: s.IssuerURL + "/token", AuthStyle: oauth2.AuthStyleInHeader}
	client := http.DefaultClient
	if scheme != holdfast.SchemeBearer {
		client = &http.Client{Transport: &holdfast.Transport{Signer: signer, Scheme: scheme}}
	}
	return grant.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client)), signer
}

func (s *Server) signer() *keys.Signer {
	s.t.Helper()
	k, err := keys.Generate(keys.ES256)
	s.must(err)
	return k
}

func (s *Server) guard() replay.Guard {
	s.t.Helper()
	g, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
	s.must(err)
	return g
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal("holdfasttest: ", err)
	}
}
