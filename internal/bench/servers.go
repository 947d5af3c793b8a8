package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/internal/telemetry"
)

// answerBody is what the API answers.
const answerBody = `{"transactions":[{"id":"8f14","amount":"12.30","currency":"EUR","booked":"2026-01-31"}],"next":"eyJpZCI6MTczfQ"}`

// way is a way to the API, with what a client sends on it.
type way struct {
	name    string
	address string
	sign    func(http.Header) error // writes the fields of the next request into an empty header
}

// street is an API with two servers in front of it: the gateway as the command runs it, with metrics and a log that goes
// nowhere, and a bare proxy with the same settings of net/http.
type street struct {
	ways    []way
	servers []*http.Server
	serving sync.WaitGroup
	closers []func() error
}

// openStreet starts the servers. ctx governs the gateway's traces, which the environment may ask for.
func openStreet(ctx context.Context) (*street, error) {
	s := &street{}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

func (s *street) open(ctx context.Context) error {
	// All lines are made, as with the command's defaults, and none is kept.
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	t, err := telemetry.New(ctx, telemetry.Config{Service: "holdfast-bench", Logger: log})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return t.Close(ctx) })
	c, err := newClient(0, t)
	if err != nil {
		return err
	}
	api, err := s.serve(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answerBody) // a client that is gone shows as an error of its own
	})})
	if err != nil {
		return err
	}
	upstream := &url.URL{Scheme: "http", Host: api}
	g, err := gateway.New(gateway.Config{
		Verifier:  c.verifier,
		Routes:    []gateway.Route{{Path: "/", Upstream: upstream, Policy: holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}}},
		Observers: []holdfast.Observer{t}, Propagate: t.Propagate, Logger: log,
	})
	if err != nil {
		return err
	}
	transport := bareTransport()
	s.closers = append(s.closers, func() error { g.Close(); transport.CloseIdleConnections(); return nil })
	server, other := g.NewServer(), g.NewServer()
	server.Handler, other.Handler = t.Handler(server.Handler), bareProxy(upstream, transport)
	guarded, err := s.serve(server)
	if err != nil {
		return err
	}
	proxied, err := s.serve(other)
	if err != nil {
		return err
	}
	s.ways, err = c.ways(api, proxied, guarded)
	return err
}

// bareTransport has the gateway's settings.
func bareTransport() *http.Transport {
	return &http.Transport{
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 256,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
}

// bareProxy is the least that a reverse proxy does.
func bareProxy(upstream *url.URL, transport *http.Transport) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(upstream)
			pr.SetXForwarded()
		},
		Transport: transport,
		// Without, every answer would cost 32 KiB of garbage, and the comparison would be with that.
		BufferPool: new(buffers),
	}
}

// buffers lends buffers of 32 KiB.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return new([32 << 10]byte)[:]
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }

// serve starts a server on loopback and returns its address.
func (s *street) serve(server *http.Server) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s.servers = append(s.servers, server)
	s.serving.Go(func() { _ = server.Serve(l) }) // until it is closed
	return l.Addr().String(), nil
}

// end stops the servers.
func (s *street) end() error {
	var err error
	for _, server := range s.servers {
		err = errors.Join(err, server.Close())
	}
	s.serving.Wait()
	for _, f := range s.closers {
		err = errors.Join(err, f())
	}
	return err
}

// WayDirect is the name of the way that no proxy is on.
const WayDirect = "direct"

// The other ways, by name.
const (
	wayProxy   = "bare proxy"
	wayBearer  = "gateway, bearer observed"
	waySession = "gateway, session"
	wayDPoP    = "gateway, DPoP P-256"
)

func (c *client) ways(api, proxied, guarded string) ([]way, error) {
	macs, err := newMACs(c.session)
	if err != nil {
		return nil, err
	}
	proofs, err := newSigned(c.signer, c.grants)
	if err != nil {
		return nil, err
	}
	plain := func(h http.Header) error {
		h["Authorization"] = []string{"Bearer " + c.grants.bearer}
		return nil
	}
	return []way{
		{WayDirect, api, plain},
		{wayProxy, proxied, plain},
		{wayBearer, guarded, plain},
		{waySession, guarded, macs.sign},
		{wayDPoP, guarded, proofs.dpop},
	}, nil
}

// appendWire appends a GET of the target with these fields, and those that any client sends.
func appendWire(dst []byte, h http.Header) []byte {
	dst = append(dst, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nAccept: application/json\r\nUser-Agent: holdfast-bench\r\n"...)
	for name, values := range h {
		for _, v := range values {
			dst = append(dst, name+": "+v+"\r\n"...)
		}
	}
	return append(dst, "\r\n"...)
}
