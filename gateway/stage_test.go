package gateway

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	issuerURL = "https://as.example"
	audience  = "https://api.example"
)

// stage is an issuer's key, a client's key, and what the gateway's observers saw.
type stage struct {
	t              testing.TB
	issuer, client *keys.Signer
	certificate    *x509.Certificate // the client's, for mTLS
	observed       *observed
	ahead          atomic.Int64 // of the verifiers' clock
}

// now is the verifiers' time.
func (s *stage) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func newStage(t testing.TB) *stage {
	t.Helper()
	return &stage{t: t, issuer: newSigner(t), client: newSigner(t), observed: new(observed)}
}

func newSigner(t testing.TB) *keys.Signer {
	t.Helper()
	s, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// observed collects what observers are told.
type observed struct {
	mu      sync.Mutex
	reasons []string // "" for a verdict; guarded by mu
}

func (o *observed) Observe(_ context.Context, _ *http.Request, _ *holdfast.Verdict, refusal *holdfast.Refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if refusal == nil {
		o.reasons = append(o.reasons, "")
		return
	}
	o.reasons = append(o.reasons, refusal.Reason)
}

// last returns the reason that was told last.
func (o *observed) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.reasons) == 0 {
		return "nothing"
	}
	return o.reasons[len(o.reasons)-1]
}

// verifier checks requests for host, or for a fixed origin.
func (s *stage) verifier(ext holdfast.External, edit ...func(*holdfast.Config)) *holdfast.Verifier {
	s.t.Helper()
	tokens, err := accesstoken.NewJWTVerifier(accesstoken.JWTConfig{
		Issuer: issuerURL, Audience: audience, Keys: accesstoken.StaticKeys{s.issuer.Public()},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := holdfast.Config{Tokens: tokens, Replay: guard, External: ext, Observers: []holdfast.Observer{s.observed}, Now: s.now}
	for _, f := range edit {
		f(&cfg)
	}
	v, err := holdfast.NewVerifier(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// protect serves a gateway in front of u, for requests to https://api.example behind an edge.
func (s *stage) protect(u *upstream, p holdfast.Policy, edit ...func(*Config)) *front {
	s.t.Helper()
	cfg := Config{
		Verifier:  s.verifier(holdfast.External{Origin: audience}),
		Routes:    []Route{{Path: "/", Upstream: u.url(s.t), Policy: p}},
		Observers: []holdfast.Observer{s.observed},
	}
	for _, f := range edit {
		f(&cfg)
	}
	return serve(s.t, cfg)
}

// token makes a token of the issuer's, bound to the client's key for scheme, or unbound for Bearer.
func (s *stage) token(scheme holdfast.Scheme, lifetime time.Duration) string {
	s.t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "alice", "client_id": "shop", "scope": "read write", "jti": "1",
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}
	switch scheme {
	case holdfast.SchemeDPoP:
		claims["cnf"] = map[string]string{"jkt": s.client.Public().Thumbprint().String()}
	case holdfast.SchemeHTTPSig:
		claims["cnf"] = map[string]any{"jwk": s.client.Public()}
	case holdfast.SchemeMTLS:
		claims["cnf"] = map[string]any{"x5t#S256": certbound.ThumbprintOf(s.certificate).String()}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := jws.Sign(s.issuer, jws.Header{Typ: "at+jwt"}, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// tokenType is how a token response names a scheme.
func tokenType(scheme holdfast.Scheme) string {
	if scheme == holdfast.SchemeHTTPSig {
		return "httpsig"
	}
	return string(scheme)
}

// transport signs for scheme, with every body digested, and sends by base.
func (s *stage) transport(scheme holdfast.Scheme, base http.RoundTripper) *holdfast.Transport {
	return &holdfast.Transport{
		Base:   base,
		Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: s.token(scheme, time.Minute), TokenType: tokenType(scheme)}),
		Signer: s.client, DigestBody: true,
	}
}

// edge ends TLS: it takes requests to https://api.example and sends them on to address in the clear.
func edge(address string, edit ...func(*http.Request)) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		out := r.Clone(r.Context())
		out.Host, out.URL.Scheme, out.URL.Host = r.URL.Host, "http", address
		for _, f := range edit {
			f(out)
		}
		return http.DefaultTransport.RoundTrip(out)
	})
}

// client calls https://api.example through an edge in front of g.
func (s *stage) caller(g *front, scheme holdfast.Scheme, edit ...func(*http.Request)) *http.Client {
	return &http.Client{Transport: s.transport(scheme, edge(g.address, edit...))}
}

// signed returns the fields that the client sends with a request, without sending it.
func (s *stage) signed(scheme holdfast.Scheme, method, url, body string) http.Header {
	s.t.Helper()
	var h http.Header
	t := s.transport(scheme, roundTripper(func(r *http.Request) (*http.Response, error) {
		h = r.Header.Clone()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}))
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	res, err := t.RoundTrip(request(s.t, method, url, b))
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return h
}

// wire is a request's text, with the host of https://api.example.
func wire(method, target string, h http.Header, rest string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: api.example\r\n", method, target)
	h.Write(&b)
	b.WriteString(rest)
	return b.String()
}

// reasonOf reads the reason of a refusal.
func reasonOf(t testing.TB, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d of type %q: not a refusal", res.StatusCode, got)
	}
	var p struct {
		Reason string `json:"reason"`
	}
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p.Reason
}
