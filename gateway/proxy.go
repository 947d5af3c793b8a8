package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-project/holdfast"
)

// exchange is one request on its way to the upstream and back.
type exchange struct {
	request *http.Request // the client's
	route   *route
	verdict *holdfast.Verdict // nil on a public route
	target  target
	path    string                // for the upstream
	header  http.Header           // of the answer, from before the upstream was asked
	failed  atomic.Pointer[error] // why the client's body couldn't be read to its end
	whole   atomic.Bool           // the client's body was read to its end
	told    bool                  // the client and the observers know
	trailer http.Header           // of the upstream's request, by name; values come with the end of the client's body
	cancel  context.CancelFunc    // ends the exchange
	unwatch func()                // ends the watch over what let an answer without an end in; nil for other answers
	out     severable             // to the client
	ident   string                // for the identity header
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// statusClientGone is for logs and metrics alone: its reader is gone. It is the number that nginx uses.
const statusClientGone = 499

// forward sends a request that was let through to the upstream.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, rt *route) {
	x := &exchange{request: r, route: rt}
	if !rt.InsecurePublic {
		x.verdict, _ = holdfast.FromContext(r.Context())
	}
	var refusal *holdfast.Refusal
	if x.target, refusal = parseTarget(r); refusal == nil {
		refusal = g.confirm(x)
	}
	if refusal == nil {
		x.path, refusal = rt.upstreamPath(x.target.path)
	}
	if refusal != nil {
		g.refuse(w, r, refusal)
		return
	}
	if g.identity != nil && x.verdict != nil {
		var err error
		if x.ident, err = g.identity.state(x.verdict, r.Method, rt.origin); err != nil {
			g.log.ErrorContext(r.Context(), "can't sign the identity header", "route", rt.pattern, "err", err)
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
	}
	// Interim answers (1xx) of the upstream would take away what is set here, so it is kept until the final one.
	if len(w.Header()) > 0 {
		x.header = w.Header().Clone()
		clear(w.Header())
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), exchangeKey{}, x))
	x.cancel, x.out.ResponseWriter = cancel, w
	defer g.end(x)
	in := r.WithContext(ctx)
	if r.ContentLength != 0 {
		// Fails where reading and writing at once is a matter of course (HTTP/2) or impossible.
		_ = http.NewResponseController(w).EnableFullDuplex()
		in.Body = &watchedBody{ReadCloser: r.Body, done: x.bodyEnded}
	}
	g.proxy.ServeHTTP(&x.out, in)
}

// bodyEnded is told how the client's body ended, before the upstream's request is.
func (x *exchange) bodyEnded(err error) {
	if err != io.EOF {
		x.failed.Store(&err)
		return
	}
	for name := range x.trailer {
		x.trailer[name] = x.request.Trailer[name]
	}
	x.whole.Store(true)
}

// closeUnlessWhole has the client's connection closed behind an answer that comes before the end of the request. The
// upstream's request may still be reading the body then: where it is stopped, what is left would be taken for another
// request (RFC 9112, section 9.3).
func (x *exchange) closeUnlessWhole(answer http.Header) {
	if x.request.ProtoMajor == 1 && x.request.ContentLength != 0 && !x.whole.Load() {
		answer.Set("Connection", "close")
	}
}

// end releases what an exchange holds. A changed body that showed when the answer had begun has cut that off; the
// observers are told here.
func (g *Gateway) end(x *exchange) {
	x.cancel()
	if x.unwatch != nil {
		x.unwatch()
	}
	if failed := x.failed.Load(); failed != nil && !x.told {
		g.observeBody(x.request, bodyRefusal(*failed))
	}
}

// confirm refuses what was verified for another route than it was matched to: behind a fixed origin or a trusted peer,
// the host that a proof covers isn't the Host field's.
func (g *Gateway) confirm(x *exchange) *holdfast.Refusal {
	if x.verdict == nil {
		return nil
	}
	_, host := origin(x.verdict.TargetURI)
	if host == x.request.Host {
		return nil // as matched
	}
	if rt, refusal := g.routes.find(host, x.target.path, x.request.Method); refusal != nil || rt != x.route {
		return &holdfast.Refusal{Reason: ReasonHost, Section: "RFC 9110, section 7.4", Part: "host", Expected: x.route.Host,
			Got: host, Status: http.StatusMisdirectedRequest}
	}
	return nil
}

// origin returns scheme and authority of an absolute URI.
func origin(uri string) (scheme, host string) {
	scheme, rest, _ := strings.Cut(uri, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return scheme, rest
}

func (g *Gateway) buildProxy(tlsConfig *tls.Config) {
	newTransport := func() *http.Transport {
		return &http.Transport{
			// No proxy: an upstream is reached as configured, whatever the environment says.
			DialContext:            (&net.Dialer{Timeout: g.limits.DialTimeout}).DialContext,
			TLSHandshakeTimeout:    g.limits.DialTimeout,
			ResponseHeaderTimeout:  g.limits.AnswerTimeout,
			ExpectContinueTimeout:  time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConnsPerHost:    256,
			MaxResponseHeaderBytes: int64(g.limits.HeaderBytes),
			DisableCompression:     true, // an answer passes as it is
			Protocols:              new(http.Protocols),
		}
	}
	g.http, g.h2c = newTransport(), newTransport()
	g.http.Protocols.SetHTTP1(true)
	g.http.Protocols.SetHTTP2(true)
	g.h2c.Protocols.SetUnencryptedHTTP2(true)
	if tlsConfig != nil {
		g.http.TLSClientConfig = tlsConfig.Clone()
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite: g.rewrite, ModifyResponse: g.modify, ErrorHandler: g.fail, FlushInterval: flushAfter,
		Transport:  roundTripper(g.roundTrip),
		BufferPool: &bufferPool{},
		ErrorLog:   slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// flushAfter is how long an answer with an announced length may gather before it is sent: a short one then leaves in
// one piece, header and body, and one that comes slowly isn't held up. Without a length every piece is sent at once. To
// send each header alone took 12 µs of the processor.
const flushAfter = time.Millisecond

// roundTripper is a function that makes requests.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (g *Gateway) roundTrip(r *http.Request) (*http.Response, error) {
	if exchangeOf(r.Context()).route.h2c && r.Header.Get("Upgrade") == "" {
		return g.h2c.RoundTrip(r)
	}
	return g.http.RoundTrip(r)
}

// rewrite makes the upstream's request.
func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In.Context())
	out := pr.Out
	// Opaque is the one way to have net/http send a path as it is.
	*out.URL = url.URL{
		Scheme: x.route.Upstream.Scheme, Host: x.route.Upstream.Host, Opaque: x.path,
		RawQuery: x.target.query, ForceQuery: x.target.mark,
	}
	out.Host = x.route.Upstream.Host
	g.fields.clean(out.Header, !x.route.InsecurePublic)
	g.fields.clean(out.Trailer, !x.route.InsecurePublic)
	if !strings.EqualFold(out.Header.Get("Upgrade"), "websocket") {
		// Nothing else: an upstream that accepts h2c would take unverified requests through the same connection.
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	g.setForwarded(pr, x)
	if x.verdict != nil {
		if x.ident != "" {
			out.Header.Set(g.identity.Header, x.ident)
		}
		if g.plain != "" {
			tell(out.Header, g.plain, x.verdict)
		}
	}
	if g.propagate != nil {
		g.propagate(out.Context(), out.Header)
	}
	x.trailer = out.Trailer
}

// setForwarded tells the upstream what the client called, as it was verified. On a public route, that is what a trusted
// peer says, or else the connection.
func (g *Gateway) setForwarded(pr *httputil.ProxyRequest, x *exchange) {
	in, out := pr.In, pr.Out.Header
	scheme, host := "http", in.Host
	if in.TLS != nil {
		scheme = "https"
	}
	addr, trusted := g.peer(in.RemoteAddr)
	switch {
	case x.verdict != nil:
		scheme, host = origin(x.verdict.TargetURI)
	case trusted:
		if s := in.Header["X-Forwarded-Proto"]; len(s) == 1 && (s[0] == "http" || s[0] == "https") {
			scheme = s[0]
		}
		if h := in.Header["X-Forwarded-Host"]; len(h) == 1 && h[0] != "" {
			host = h[0]
		}
	}
	values := []string{scheme, host, ""} // one array for three fields
	out["X-Forwarded-Proto"], out["X-Forwarded-Host"] = values[0:1:1], values[1:2:2]
	if !addr.IsValid() {
		return // not over TCP: there is no address to tell
	}
	values[2] = addr.String()
	if trusted {
		values[2] = strings.Join(append(slices.Clone(in.Header["X-Forwarded-For"]), values[2]), ", ")
	}
	out["X-Forwarded-For"] = values[2:3:3]
}

// peer returns the address at the other end of the connection, and whether it is a trusted peer's.
func (g *Gateway) peer(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, false
	}
	addr := ap.Addr().Unmap()
	return addr, slices.ContainsFunc(g.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// modify looks at the upstream's answer before the client gets it.
func (g *Gateway) modify(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	if failed := x.failed.Load(); failed != nil {
		return *failed // the upstream's comment on a body that it didn't get
	}
	if x.verdict != nil {
		// These speak for the verifier.
		maps.DeleteFunc(res.Header, func(name string, _ []string) bool {
			return name == "Dpop-Nonce" || strings.HasPrefix(name, "Pop-")
		})
	}
	maps.Copy(res.Header, x.header)
	x.closeUnlessWhole(res.Header)
	if x.verdict == nil {
		return nil
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		if err := x.verdict.SignUpgrade(res.Header); err != nil {
			return err
		}
	}
	if res.StatusCode == http.StatusSwitchingProtocols || isEventStream(res.Header.Get("Content-Type")) {
		// Such an answer has no end of its own; it mustn't outlive what let it in.
		x.unwatch = x.verdict.Watch(func(why *holdfast.Refusal) { g.sever(x, why) })
	}
	return nil
}

// isEventStream tells whether a media type is that of an answer without an end, parameters or not.
func isEventStream(media string) bool {
	const want = "text/event-stream"
	return len(media) >= len(want) && strings.EqualFold(media[:len(want)], want)
}

// fail answers where the upstream didn't. The client learns no details.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	maps.Copy(w.Header(), x.header)
	x.closeUnlessWhole(w.Header())
	if failed := x.failed.Load(); failed != nil {
		refusal := bodyRefusal(*failed)
		x.told = true
		g.observeBody(x.request, refusal)
		refusal.ServeHTTP(w, x.request)
		return
	}
	status := http.StatusBadGateway
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		status = statusClientGone
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		status = http.StatusGatewayTimeout
	}
	if status != statusClientGone {
		g.log.WarnContext(r.Context(), "upstream failed", "route", x.route.pattern, "status", status, "err", err)
	}
	http.Error(w, http.StatusText(status), status)
}

// observeBody tells of a body that isn't what was signed. One that merely ended early is no refusal of ours.
func (g *Gateway) observeBody(r *http.Request, refusal *holdfast.Refusal) {
	if refusal.Reason != ReasonBody {
		g.observe(r, refusal)
	}
}

// bufferPool lends the buffers that answers are copied with.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return new([32 << 10]byte)[:]
}

func (p *bufferPool) Put(b []byte) { p.pool.Put((*[32 << 10]byte)(b)) }
