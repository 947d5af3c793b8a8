package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// audience is the resource that all tokens are for.
const audience = "https://payments.example"

// stage is everything that runs.
type stage struct {
	api       *api
	lanes     []*lane
	issuerURL string
	gateway   string            // host:port, where the attacker sends bytes
	second    string            // the same of a gateway of the same fleet, for another origin
	resource  *keys.Signer      // the gateways' key
	fleet     popsession.Secret // of both gateways
	clock     *clock
	tap       func(server string, l net.Listener) net.Listener // if set, listens in place of each listener
	shop      *keys.Signer                                     // that the client authenticates to the issuer with
	closers   []io.Closer
	cancel    context.CancelFunc
}

// clock is the time of servers and clients alike. It can only be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(by time.Duration) { c.ahead.Add(int64(by)) }

// api is the sample API: it acts on a request once it has read all of it.
type api struct{ acted atomic.Int64 }

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
		http.Error(w, "incomplete request", http.StatusBadRequest)
		return
	}
	a.acted.Add(1)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, `{"done":true}`)
}

// lane is a column: a scheme, the gateway's route for it, and an honest client.
type lane struct {
	name     string
	prefix   string // of the gateway's route
	scheme   holdfast.Scheme
	policy   holdfast.Policy
	kind     kind
	resource []*keys.Public // of the gateway, that clients of sessions know
	origin   string         // of the gateway, as clients call it
	signer   *keys.Signer
	tokens   oauth2.TokenSource
	clock    *clock
	// open lists the attacks that this scheme can't stop, by its standard.
	open func(attack) bool
}

func newLanes() []*lane {
	lanes := schemes()
	for _, l := range lanes {
		l.policy.RequireSignature = l.kind == onHeaders
	}
	return lanes
}

func schemes() []*lane {
	transfer := []string{"@query", "content-type", "idempotency-key"}
	return []*lane{
		{
			name: "Bearer", prefix: "/bearer", scheme: holdfast.SchemeBearer, kind: onHeaders,
			policy: holdfast.Policy{Bearer: holdfast.InsecureBearerObserved},
			open:   func(attack) bool { return true },
		},
		{
			name: "DPoP", prefix: "/dpop", scheme: holdfast.SchemeDPoP, kind: onHeaders,
			policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeDPoP}},
			open:   func(a attack) bool { return a.content }, // RFC 9449, section 11.7
		},
		{
			name: "DPoP + signature", prefix: "/covered", scheme: holdfast.SchemeDPoP, kind: onHeaders,
			policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeDPoP}, Cover: transfer, CoverBody: true, Body: holdfast.BodyBuffered},
			open:   func(attack) bool { return false },
		},
		{
			name: "HTTPSig", prefix: "/httpsig", scheme: holdfast.SchemeHTTPSig, kind: onHeaders,
			policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeHTTPSig}, Cover: transfer, CoverBody: true},
			open:   func(attack) bool { return false },
		},
		{
			name: "session", prefix: "/session", scheme: holdfast.SchemeHTTPSig, kind: onSessions,
			policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeHTTPSig}, Cover: transfer, CoverBody: true},
			open:   func(attack) bool { return false },
		},
		{
			name: "signed URL", prefix: "/url", scheme: holdfast.SchemeHTTPSig, kind: onURLs,
			policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeHTTPSig}},
			open:   func(a attack) bool { return a.fields }, // a URL can cover none
		},
	}
}

func openStage(ctx context.Context) (*stage, error) {
	return openStageWith(ctx, newLanes(), nil)
}

func openStageWith(ctx context.Context, lanes []*lane, tap func(string, net.Listener) net.Listener) (*stage, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &stage{api: &api{}, lanes: lanes, clock: &clock{}, tap: tap, cancel: cancel}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *stage) open(ctx context.Context) error {
	secret := random32()
	clientSecret := base64.RawURLEncoding.EncodeToString(secret[:24])
	upstream, err := s.serve("api", s.api)
	if err != nil {
		return err
	}
	if err := s.openIssuer(ctx, secret, clientSecret); err != nil {
		return err
	}
	if err := s.openGateways(ctx, secret, upstream); err != nil {
		return err
	}
	for _, l := range s.lanes {
		if err := s.openClient(ctx, l, clientSecret); err != nil {
			return fmt.Errorf("%s: a token: %w", l.name, err)
		}
	}
	return nil
}

// listen takes a loopback port of the system's choosing.
func (s *stage) listen(server string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil && s.tap != nil {
		l = s.tap(server, l)
	}
	return l, err
}

// serve starts a server and returns its origin.
func (s *stage) serve(server string, h http.Handler) (string, error) {
	l, err := s.listen(server)
	if err != nil {
		return "", err
	}
	return s.serveOn(l, &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}), nil
}

func (s *stage) serveOn(l net.Listener, server *http.Server) string {
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.closers = append(s.closers, server)
	go server.Serve(l) // ends with Close
	return "http://" + l.Addr().String()
}

func (s *stage) openIssuer(ctx context.Context, secret []byte, clientSecret string) error {
	l, err := s.listen("issuer")
	if err != nil {
		return err
	}
	s.issuerURL = "http://" + l.Addr().String()
	database, err := store.Open(ctx, "sqlite::memory:")
	if err != nil {
		return err
	}
	s.closers = append(s.closers, database)
	ring, err := signing.Open(ctx, signing.Config{Store: database, Secrets: [][]byte{secret}, Now: s.clock.now})
	if err != nil {
		return err
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{Now: s.clock.now, InsecureAcceptOlder: true})
	if err != nil {
		return err
	}
	hash, err := issuer.HashSecret(clientSecret)
	if err != nil {
		return err
	}
	if s.shop, err = keys.Generate(keys.ES256); err != nil {
		return err
	}
	server, err := issuer.New(issuer.Config{
		Issuer: s.issuerURL, Store: database, Keys: ring, Secret: secret, RequireNonce: true, TokenLifetime: 10 * time.Minute, Replay: guard, Now: s.clock.now,
		Clients: []issuer.Client{
			{ID: "shop", AuthMethod: issuer.PrivateKeyJWT, Keys: []*keys.Public{s.shop.Public()}, Audience: []string{audience}, Scope: []string{"transfer"}},
			{ID: "legacy", AuthMethod: issuer.ClientSecretBasic, SecretHash: hash, Audience: []string{audience}, Scope: []string{"transfer"}, InsecureAllowUnbound: true},
		},
	})
	if err != nil {
		return err
	}
	s.serveOn(l, &http.Server{Handler: server.Handler(), ReadHeaderTimeout: 10 * time.Second})
	return nil
}

// openGateways starts the gateway that clients call, and another of its fleet. Both protect the same API.
func (s *stage) openGateways(ctx context.Context, secret []byte, upstream string) (err error) {
	if s.resource, err = keys.Generate(keys.ES256); err != nil {
		return err
	}
	s.fleet = popsession.Secret{ID: "demo", Key: random32()}
	if s.gateway, err = s.openGateway(ctx, "gateway", secret, upstream); err != nil {
		return err
	}
	if s.second, err = s.openGateway(ctx, "second", secret, upstream); err != nil {
		return err
	}
	for _, lane := range s.lanes {
		lane.origin, lane.clock = "http://"+s.gateway, s.clock
		if lane.kind != onHeaders {
			lane.resource = []*keys.Public{s.resource.Public()}
		}
	}
	return nil
}

// openGateway starts a gateway and returns its address.
func (s *stage) openGateway(ctx context.Context, name string, secret []byte, upstream string) (string, error) {
	l, err := s.listen(name)
	if err != nil {
		return "", err
	}
	address := l.Addr().String()
	verifier, err := s.newVerifier(ctx, secret, "http://"+address)
	if err != nil {
		return "", err
	}
	to, err := url.Parse(upstream)
	if err != nil {
		return "", err
	}
	cfg := gateway.Config{Verifier: verifier, Logger: slog.New(slog.DiscardHandler), Now: s.clock.now}
	for _, lane := range s.lanes {
		cfg.Routes = append(cfg.Routes, gateway.Route{Path: lane.prefix, Upstream: to, Policy: lane.policy, StripPrefix: lane.prefix})
	}
	g, err := gateway.New(cfg)
	if err != nil {
		return "", err
	}
	s.serveOn(l, g.NewServer())
	return address, nil
}

func (s *stage) newVerifier(ctx context.Context, secret []byte, origin string) (*holdfast.Verifier, error) {
	jwks, err := accesstoken.OpenJWKS(ctx, accesstoken.JWKSConfig{Issuer: s.issuerURL})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, jwks)
	tokens, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{Issuer: s.issuerURL, Audience: audience, Keys: jwks, Now: s.clock.now})
	if err != nil {
		return nil, err
	}
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: secret, Scope: "demo gateway", Now: s.clock.now})
	if err != nil {
		return nil, err
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{Now: s.clock.now, InsecureAcceptOlder: true})
	if err != nil {
		return nil, err
	}
	windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{Now: s.clock.now, InsecureAcceptOlder: true})
	if err != nil {
		return nil, err
	}
	return holdfast.NewVerifier(holdfast.Config{
		Tokens: accesstoken.NewCache(tokens, accesstoken.CacheConfig{Now: s.clock.now}), Replay: guard,
		External: holdfast.External{Origin: origin}, Nonces: nonces, Now: s.clock.now,
		Signer: s.resource, Sessions: &holdfast.Sessions{Secrets: []popsession.Secret{s.fleet}, Windows: windows},
	})
}

// openClient makes the lane's key and gets it a token.
func (s *stage) openClient(ctx context.Context, l *lane, secret string) (err error) {
	if l.signer, err = keys.Generate(keys.ES256); err != nil {
		return err
	}
	cfg := clientcredentials.Config{TokenURL: s.issuerURL + "/token"}
	client := http.DefaultClient
	if l.scheme == holdfast.SchemeBearer {
		cfg.ClientID, cfg.ClientSecret, cfg.AuthStyle = "legacy", secret, oauth2.AuthStyleInHeader
	} else {
		assertion, err := s.assertion()
		if err != nil {
			return err
		}
		cfg.ClientID, cfg.AuthStyle = "shop", oauth2.AuthStyleInParams
		cfg.EndpointParams = url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
		client = &http.Client{Transport: &holdfast.Transport{Signer: l.signer, Scheme: l.scheme, Now: s.clock.now}}
	}
	token, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return err
	}
	l.tokens = oauth2.StaticTokenSource(token)
	return nil
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertion authenticates the shop once (RFC 7523, section 3). A secret would be the attacker's as soon as TLS is off.
func (s *stage) assertion() (string, error) {
	now := s.clock.now()
	claims, err := json.Marshal(map[string]any{
		"iss": "shop", "sub": "shop", "aud": s.issuerURL, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": rand.Text(),
	})
	if err != nil {
		return "", err
	}
	return jws.Sign(s.shop, jws.Header{Typ: "JWT", KeyID: s.shop.Public().KeyID()}, claims)
}

// client is an honest client of the lane, over base.
func (l *lane) client(base http.RoundTripper) *http.Client {
	t := l.transport(base, l.signer)
	if l.kind != onURLs {
		return &http.Client{Transport: t}
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &http.Client{Transport: urlClient{t, base}}
}

func (l *lane) transport(base http.RoundTripper, signer *keys.Signer) *holdfast.Transport {
	t := &holdfast.Transport{Base: base, Source: l.tokens, Signer: signer, Now: l.clock.now}
	t.InsecureAllowBearer = l.scheme == holdfast.SchemeBearer
	t.Cover, t.DigestBody = l.policy.Cover, l.policy.CoverBody
	t.NoSessions, t.ResourceKeys = l.kind == onHeaders, l.resource
	return t
}

// transfer is what honest clients ask for. By a URL, they look one up.
func (s *stage) transfer(ctx context.Context, l *lane, id string) (*http.Request, error) {
	if l.kind == onURLs {
		return http.NewRequestWithContext(ctx, http.MethodGet, l.origin+l.prefix+"/transfers?account=7", nil)
	}
	body := strings.NewReader(`{"to":"bob","amount":10,"currency":"EUR"}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.origin+l.prefix+"/transfers?account=7", body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", id)
	return r, nil
}

// random32 returns a new secret. crypto/rand ends the process rather than fail.
func random32() []byte {
	secret := make([]byte, 32)
	rand.Read(secret)
	return secret
}

// Close ends everything that runs.
func (s *stage) Close() error {
	s.cancel()
	var err error
	for _, c := range s.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}
