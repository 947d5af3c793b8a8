// Package gateway is a reverse proxy that lets only verified requests through to the APIs behind it.
//
// [New] makes a [Gateway], an http.Handler; [Gateway.NewServer] makes the server for it, with HTTP/1.1 and HTTP/2, over
// TLS or in the clear behind an edge that ends TLS.
//
// Each request is matched to a [Route] by host, longest path prefix and method, and verified under that route's
// holdfast.Policy. What reaches the upstream is what was verified: path and query byte for byte as sent, the body only
// as long as its covered digest can still match. The last byte waits for that (see contentdigest.NewReader), so no
// upstream ever sees the whole of a changed body; the client is answered with the refusal.
//
// Who called is told to the upstream by a signed header ([Identity]) and, if asked for, by plain ones. Whatever a client
// sends under those names is dropped, and so is every field whose name has other bytes than letters, digits and hyphens:
// many frameworks take X_Holdfast_Subject, or X_Amount, for the field with hyphens that was made here or verified.
//
// # Paths
//
// A path is matched as sent. It is also read the way a lenient upstream might read it: percent-decoded twice, with
// backslashes for slashes, without path parameters (";…"), empty segments and differences of case. A request is refused
// if that reading has dot segments, names another route, or holds control characters or bytes that aren't UTF-8.
// So /a%2Fb passes as it is, unless it could be taken for a path of another route.
//
// # Fields towards the upstream
//
// On routes with a proof, Authorization, DPoP, Signature, Signature-Input, Signature-Key and PoP-* are dropped: what
// they prove was checked, and an upstream or its logs could only leak them. All signatures are dropped, also those of
// other parties. Routes with InsecurePublic keep these fields, for the upstream has to check them itself. On all routes,
// X-Forwarded-* and Forwarded are made anew, and fields that make some upstream take another client address, client
// certificate, method or path than the verified ones (X-Real-IP, Client-Cert, X-HTTP-Method-Override, X-Original-URL, …)
// are dropped. The full list is in fields.go.
//
// # Answers without an end
//
// A WebSocket and a stream of events (text/event-stream) are cut off, in both directions, when the token or the session ends that
// let them in, and when what they were let in by is revoked (holdfast.Config.Revocations). Other answers go on to their end.
//
// # What is not checked
//
// The bytes after an upgrade to WebSocket, a body whose digest isn't covered (plain DPoP covers none; a policy can ask
// for it), and what upstreams answer. An upstream that acts before the end of a body acts on unverified bytes; a policy
// with BodyBuffered keeps them from it. An upstream that can be reached around the gateway must check [Identity].
//
// # Limits
//
// 64 KiB of header fields in both directions, 10 s to send them, and the timeouts of [Limits]. Bodies have no limit but
// that of the policy, and take constant memory.
package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast"
)

// Config configures a Gateway.
type Config struct {
	// Verifier checks requests, under each route's policy in place of its own. Required, unless all routes are public.
	Verifier *holdfast.Verifier
	// Routes, at least one.
	Routes []Route
	// Resource, if set, tells clients what they must know of the gateway.
	Resource *Resource
	// Identity, if set, tells upstreams who called in a signed header.
	Identity *Identity
	// PlainHeaders tells upstreams who called in unsigned headers as well: PlainPrefix followed by Subject, Client,
	// Scope, Scheme, Key, Issuer, Covered and Body. Only for upstreams that nobody else can reach.
	PlainHeaders bool
	// PlainPrefix starts the names of plain headers. If empty, "X-Holdfast-". Fields with it are dropped from clients'
	// requests even if PlainHeaders is off.
	PlainPrefix string
	// TrustedPeers are edges in front of the gateway: their X-Forwarded-For is extended, and on public routes upstreams
	// are told their X-Forwarded-Proto and X-Forwarded-Host. What the Verifier believes is its own configuration.
	TrustedPeers []netip.Prefix
	// UpstreamTLS is used towards https upstreams. If nil, the system's roots.
	UpstreamTLS *tls.Config
	// Limits bound what peers may take.
	Limits Limits
	// Observers are told of the refusals that are the gateway's own, and of bodies that turned out to be changed. The
	// Verifier has its own list for the rest.
	Observers []holdfast.Observer
	// Propagate, if set, writes the trace context of ctx to a request to an upstream.
	Propagate func(ctx context.Context, upstream http.Header)
	// Logger is told of failures of upstreams. If nil, slog.Default.
	Logger *slog.Logger
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

// Route says where requests for a host and path prefix go, and what they must prove.
type Route struct {
	// Host that requests must name, "api.example" or "api.example:8443". If empty, any. Routes with the request's host
	// go before routes for any. An edge in front must pass the host on.
	Host string
	// Path is a prefix of whole segments: "/orders" is /orders and /orders/7, not /orders2. Required; "/" is everything.
	Path string
	// Methods of the route; GET includes HEAD. If empty, all that no other route with this host and path has.
	Methods []string
	// Upstream is where requests go: http, https, or h2c for HTTP/2 without TLS; with a path to put before the
	// request's, if any. Required.
	Upstream *url.URL
	// Policy is what requests must prove.
	Policy holdfast.Policy
	// InsecurePublic lets everybody in, without any proof. The upstream gets the credentials as they were sent.
	InsecurePublic bool
	// StripPrefix is taken off the path before it is sent on: Path, or a prefix of it of whole segments.
	StripPrefix string
}

// Limits bound what peers may take.
type Limits struct {
	// HeaderBytes of a request or an answer. If zero, 64 KiB.
	HeaderBytes int
	// HeaderTimeout is how long a client may take to send a request's header. If zero, 10 s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long an unused connection of a client is kept. If zero, 2 minutes.
	IdleTimeout time.Duration
	// DialTimeout is how long connecting to an upstream may take. If zero, 5 s.
	DialTimeout time.Duration
	// AnswerTimeout is how long an upstream may take from the end of a request to the header of its answer. If zero,
	// 1 minute.
	AnswerTimeout time.Duration
}

// Gateway is the proxy. It is safe for concurrent use. It sets Request.Pattern to the route's host and path, as
// http.ServeMux does, for the metrics of whoever wraps it.
type Gateway struct {
	routes    table
	own       map[string]http.Handler // path → what the gateway answers itself
	identity  *identity               // nil without Identity
	plain     string                  // prefix of plain headers, or "" for none
	fields    fieldRules
	proxy     *httputil.ReverseProxy
	http, h2c *http.Transport // to upstreams of either kind
	trusted   []netip.Prefix
	observers []holdfast.Observer
	propagate func(context.Context, http.Header)
	log       *slog.Logger
	now       func() time.Time
	limits    Limits
}

const defaultPlainPrefix = "X-Holdfast-"

// New checks cfg and copies it.
func New(cfg Config) (*Gateway, error) {
	g := &Gateway{
		trusted: slices.Clone(cfg.TrustedPeers), observers: slices.Clone(cfg.Observers), propagate: cfg.Propagate,
		log: cfg.Logger, now: cfg.Now, limits: cfg.Limits,
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.now == nil {
		g.now = time.Now
	}
	if err := g.limits.complete(); err != nil {
		return nil, err
	}
	var err error
	if g.identity, err = newIdentity(cfg.Identity, g.now); err != nil {
		return nil, err
	}
	header, prefix := defaultIdentityHeader, cfg.PlainPrefix
	if g.identity != nil {
		header = g.identity.Header
	}
	if prefix == "" {
		prefix = defaultPlainPrefix
	}
	if cfg.PlainHeaders {
		g.plain = prefix
	}
	if g.fields, err = newFieldRules(header, prefix); err != nil {
		return nil, err
	}
	g.buildProxy(cfg.UpstreamTLS)
	g.routes, err = newTable(cfg.Routes, func(rt *route) (http.Handler, error) { return g.lead(cfg.Verifier, rt) })
	if err != nil {
		return nil, err
	}
	if err := g.answerItself(cfg); err != nil {
		return nil, err
	}
	if err := g.routes.reserve(g.own); err != nil {
		return nil, err
	}
	return g, nil
}

// complete fills in the defaults.
func (l *Limits) complete() error {
	if l.HeaderBytes < 0 || min(l.HeaderTimeout, l.IdleTimeout, l.DialTimeout, l.AnswerTimeout) < 0 {
		return errors.New("gateway: config: negative limit")
	}
	l.HeaderBytes = cmp.Or(l.HeaderBytes, 64<<10)
	l.HeaderTimeout = cmp.Or(l.HeaderTimeout, 10*time.Second)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 2*time.Minute)
	l.DialTimeout = cmp.Or(l.DialTimeout, 5*time.Second)
	l.AnswerTimeout = cmp.Or(l.AnswerTimeout, time.Minute)
	return nil
}

// lead makes the handler of a route: verify, then proxy.
func (g *Gateway) lead(v *holdfast.Verifier, rt *route) (http.Handler, error) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.forward(w, r, rt) })
	if rt.InsecurePublic {
		return next, nil
	}
	if v == nil {
		return nil, errors.New("a Verifier is required")
	}
	own, err := v.With(rt.Policy)
	if err != nil {
		return nil, err
	}
	return own.Handler(next), nil
}

// NewServer returns a server for g that speaks HTTP/1.1 and HTTP/2, and HTTP/2 without TLS too, for an edge that ends
// TLS. Set its TLSConfig to end TLS here.
func (g *Gateway) NewServer() *http.Server {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: g, Protocols: &p,
		MaxHeaderBytes: g.limits.HeaderBytes, ReadHeaderTimeout: g.limits.HeaderTimeout, IdleTimeout: g.limits.IdleTimeout,
		// A peer that is gone without a word, or reads nothing, is found out; bodies may take as long as they like.
		HTTP2:    &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: time.Minute},
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, refusal := parseTarget(r)
	if refusal == nil {
		refusal = checkConnection(r.Header)
	}
	if refusal != nil {
		g.refuse(w, r, refusal)
		return
	}
	if own := g.own[t.path]; own != nil {
		r.Pattern = t.path
		own.ServeHTTP(w, r)
		return
	}
	rt, refusal := g.routes.find(r.Host, t.path, r.Method)
	if refusal != nil {
		g.refuse(w, r, refusal)
		return
	}
	r.Pattern = rt.pattern
	rt.handler.ServeHTTP(w, r)
}

// refuse answers with a refusal that is the gateway's own.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, refusal *holdfast.Refusal) {
	g.observe(r, refusal)
	refusal.ServeHTTP(w, r)
}

func (g *Gateway) observe(r *http.Request, refusal *holdfast.Refusal) {
	for _, o := range g.observers {
		o.Observe(r.Context(), r, nil, refusal)
	}
}

// Close closes the idle connections to upstreams. Requests under way are not disturbed.
func (g *Gateway) Close() {
	g.http.CloseIdleConnections()
	g.h2c.CloseIdleConnections()
}
