package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// upstream records what it is asked.
type upstream struct {
	*httptest.Server
	seen chan *seen
}

// seen is a request as an upstream saw it.
type seen struct {
	target, host, method string
	header, trailer      http.Header
	body                 []byte
	bodyErr              error
}

// newUpstream starts an upstream that answers 200 and "ok".
func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{seen: make(chan *seen, 100)}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &seen{target: r.RequestURI, host: r.Host, method: r.Method, header: r.Header.Clone()}
		s.body, s.bodyErr = io.ReadAll(r.Body)
		s.trailer = r.Trailer
		u.seen <- s
		io.WriteString(w, "ok")
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) url(t testing.TB) *url.URL {
	t.Helper()
	return parseURL(t, u.URL)
}

func parseURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// front serves a gateway over TCP.
type front struct {
	*Gateway
	address string
	url     string
}

func serve(t testing.TB, cfg Config) *front {
	t.Helper()
	return serveOn(t, cfg, nil)
}

// serveOn serves with TLS if there is a certificate.
func serveOn(t testing.TB, cfg Config, cert *tls.Certificate) *front {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := g.NewServer()
	f := &front{Gateway: g, address: l.Addr().String(), url: "http://" + l.Addr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if cert != nil {
			srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
			srv.ServeTLS(l, "", "")
			return
		}
		srv.Serve(l)
	}()
	if cert != nil {
		f.url = "https://" + f.address
	}
	t.Cleanup(func() { srv.Close(); g.Close(); <-done })
	return f
}

func public(u *url.URL) []Route { return []Route{{Path: "/", Upstream: u, InsecurePublic: true}} }

// raw sends text over a connection of its own and reads one answer.
func raw(t testing.TB, address, text string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func do(t testing.TB, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// h2c is a client of HTTP/2 without TLS.
func h2c(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestTargetAsSent(t *testing.T) {
	up := newUpstream(t)
	g := serve(t, Config{Routes: public(up.url(t))})
	for _, tc := range []struct{ name, target, want string }{
		{"plain", "/a/b?c=d", "/a/b?c=d"},
		{"escaped slash", "/a%2Fb/%2f", "/a%2Fb/%2f"},
		{"needless escapes", "/%41%7e~", "/%41%7e~"},
		{"broken escape in the query", "/?x=%zz;y&&=", "/?x=%zz;y&&="},
		{"empty query", "/a?", "/a?"},
		{"second question mark", "/a??", "/a??"},
		{"double slash", "/a//b", "/a//b"},
		{"characters that net/url escapes", "/a|b^{c}\"?d|\"<>", "/a|b^{c}\"?d|\"<>"},
		{"absolute form", "http://x.example/a%2Fb?c", "/a%2Fb?c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := raw(t, g.address, "GET "+tc.target+" HTTP/1.1\r\nHost: x.example\r\n\r\n")
			if res.StatusCode != http.StatusOK {
				t.Fatalf("status %d", res.StatusCode)
			}
			if got := (<-up.seen).target; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTargetRefused(t *testing.T) {
	up := newUpstream(t)
	g := serve(t, Config{Routes: public(up.url(t))})
	for _, target := range []string{"/a/../b", "/%2e%2e/b", "//evil.example/", "/a#b", "/..;/b", "/%00", "http://x.example"} {
		t.Run(target, func(t *testing.T) {
			res := raw(t, g.address, "GET "+target+" HTTP/1.1\r\nHost: x.example\r\n\r\n")
			if res.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d, want 400", res.StatusCode)
			}
		})
	}
	if len(up.seen) > 0 {
		t.Errorf("the upstream saw %q", (<-up.seen).target)
	}
}

func TestPublicFields(t *testing.T) {
	up := newUpstream(t)
	g := serve(t, Config{Routes: public(up.url(t))})
	r := request(t, "GET", g.url+"/", nil)
	r.Host = "api.example"
	r.Header = http.Header{
		"Authorization": {"Basic x"}, "Dpop": {"p"}, "Accept": {"*/*"}, "User-Agent": {"u"}, "Accept-Encoding": {"br"},
		"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"https"}, "Forwarded": {"host=evil"},
		"X-Holdfast-Subject": {"admin"}, "X_Holdfast_Subject": {"admin"}, "Holdfast-Identity": {"forged"}, "X-Http-Method-Override": {"DELETE"},
		"Upgrade": {"h2c"}, "Connection": {"Upgrade, HTTP2-Settings"}, "Http2-Settings": {"x"},
	}
	do(t, http.DefaultClient, r)
	s := <-up.seen
	want := http.Header{
		"Authorization": {"Basic x"}, "Dpop": {"p"}, "Accept": {"*/*"}, "User-Agent": {"u"}, "Accept-Encoding": {"br"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"api.example"}, "X-Forwarded-Proto": {"http"},
	}
	if diff := cmp.Diff(s.header, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	if s.host != up.url(t).Host {
		t.Errorf("host %q, want the upstream's", s.host)
	}
}

func TestForwardedByAPeer(t *testing.T) {
	up := newUpstream(t)
	sent := http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example"}}
	for _, tc := range []struct {
		name, peers      string
		edit             func(http.Header)
		chain, at, proto string
	}{
		{"trusted", "127.0.0.0/8", func(http.Header) {}, "192.0.2.1, 127.0.0.1", "api.example", "https"},
		{"not trusted", "10.0.0.0/8", func(http.Header) {}, "127.0.0.1", "x.example", "http"},
		{"two schemes", "127.0.0.0/8", func(h http.Header) { h.Add("X-Forwarded-Proto", "http") }, "192.0.2.1, 127.0.0.1", "api.example", "http"},
		{"no scheme at all", "127.0.0.0/8", func(h http.Header) { h.Set("X-Forwarded-Proto", "gopher") }, "192.0.2.1, 127.0.0.1", "api.example", "http"},
		{"two hosts", "127.0.0.0/8", func(h http.Header) { h.Add("X-Forwarded-Host", "b") }, "192.0.2.1, 127.0.0.1", "x.example", "https"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, Config{Routes: public(up.url(t)), TrustedPeers: []netip.Prefix{netip.MustParsePrefix(tc.peers)}})
			r := request(t, "GET", g.url+"/", nil)
			r.Host, r.Header = "x.example", sent.Clone()
			tc.edit(r.Header)
			do(t, http.DefaultClient, r)
			h := (<-up.seen).header
			got := []string{h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Host"), h.Get("X-Forwarded-Proto")}
			if diff := cmp.Diff(got, []string{tc.chain, tc.at, tc.proto}); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

func TestConnectionOptionRefused(t *testing.T) {
	up := newUpstream(t)
	g := serve(t, Config{Routes: public(up.url(t))})
	res := raw(t, g.address, "GET / HTTP/1.1\r\nHost: x\r\nX-Amount: 5\r\nConnection: X-Amount\r\n\r\n")
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", res.StatusCode)
	}
}

func TestHTTP2(t *testing.T) {
	up := newUpstream(t)
	for _, tc := range []struct {
		name string
		tls  bool
	}{{"TLS", true}, {"behind an edge", false}} {
		t.Run(tc.name, func(t *testing.T) {
			client := h2c(t)
			var cert *tls.Certificate
			if tc.tls {
				issued := httptest.NewUnstartedServer(nil)
				issued.StartTLS() // for its certificate
				t.Cleanup(issued.Close)
				cert = &issued.TLS.Certificates[0]
				pool := x509.NewCertPool()
				pool.AddCert(issued.Certificate())
				tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
				t.Cleanup(tr.CloseIdleConnections)
				client = &http.Client{Transport: tr}
			}
			g := serveOn(t, Config{Routes: public(up.url(t))}, cert)
			res, body := do(t, client, request(t, "POST", g.url+"/a%2Fb?c", strings.NewReader("hello")))
			if res.ProtoMajor != 2 || body != "ok" {
				t.Errorf("got %s and %q, want HTTP/2 and ok", res.Proto, body)
			}
			s := <-up.seen
			wantProto := map[bool]string{true: "https", false: "http"}[tc.tls]
			if s.target != "/a%2Fb?c" || string(s.body) != "hello" || s.header.Get("X-Forwarded-Proto") != wantProto {
				t.Errorf("upstream saw %q, %q, %q", s.target, s.body, s.header.Get("X-Forwarded-Proto"))
			}
		})
	}
}

func TestUpstreamHTTP2(t *testing.T) {
	proto := make(chan string, 1)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto <- r.Proto + " " + r.RequestURI
	}))
	up.Config.Protocols = new(http.Protocols)
	up.Config.Protocols.SetUnencryptedHTTP2(true)
	up.Start()
	t.Cleanup(up.Close)
	u := parseURL(t, up.URL)
	u.Scheme = "h2c"
	g := serve(t, Config{Routes: public(u)})
	do(t, http.DefaultClient, request(t, "GET", g.url+"/a%2F?b=%zz", nil))
	if got, want := <-proto, "HTTP/2.0 /a%2F?b=%zz"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Each side sends only after it has got something from the other.
func TestStreamsBothWays(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "echo %s\n", lines.Text())
			rc.Flush()
		}
	}))
	t.Cleanup(up.Close)
	g := serve(t, Config{Routes: public(parseURL(t, up.URL))})
	for name, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": h2c(t)} {
		t.Run(name, func(t *testing.T) {
			pr, pw := io.Pipe()
			defer pw.Close()
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(pw, "one\n")
				sent <- err
			}()
			res, err := client.Do(request(t, "POST", g.url+"/", pr))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(res.Body)
			for _, word := range []string{"one", "two", "three"} {
				if word != "one" {
					io.WriteString(pw, word+"\n")
				}
				got, err := in.ReadString('\n')
				if err != nil || got != "echo "+word+"\n" {
					t.Fatalf("got %q, %v, want the echo of %s", got, err, word)
				}
			}
		})
	}
}

func TestWebSocket(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(echoSocket))
	t.Cleanup(up.Close)
	g := serve(t, Config{Routes: public(parseURL(t, up.URL))})
	c, _, err := websocket.Dial(t.Context(), g.url+"/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	echo(t, c)
}

func echoSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the origin is the gateway's
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, data); err != nil {
			return
		}
	}
}

func echo(t *testing.T, c *websocket.Conn) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestTrailers(t *testing.T) {
	got := make(chan http.Header, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got <- r.Trailer
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "ok")
		w.Header().Set("X-Sum", "2")
	}))
	t.Cleanup(up.Close)
	g := serve(t, Config{Routes: public(parseURL(t, up.URL))})
	for name, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": h2c(t)} {
		t.Run(name, func(t *testing.T) {
			r := request(t, "POST", g.url+"/", io.NopCloser(strings.NewReader("hello")))
			r.Trailer = http.Header{"X-Sum": {"1"}, "X-Holdfast-Subject": {"admin"}}
			res, _ := do(t, client, r)
			if diff := cmp.Diff(<-got, http.Header{"X-Sum": {"1"}}); diff != "" {
				t.Errorf("request: got -, want +:\n%s", diff)
			}
			if diff := cmp.Diff(res.Trailer, http.Header{"X-Sum": {"2"}}); diff != "" {
				t.Errorf("answer: got -, want +:\n%s", diff)
			}
		})
	}
}

func TestExpectContinue(t *testing.T) {
	up := newUpstream(t)
	g := serve(t, Config{Routes: public(up.url(t))})
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("got %q, %v, want 100", line, err)
	}
	if line, err := in.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("got %q, %v, want the end of the interim answer", line, err)
	}
	io.WriteString(c, "hello")
	res, err := http.ReadResponse(in, nil)
	for err == nil && res.StatusCode == http.StatusContinue { // the upstream's own may come as well (RFC 9110, section 15.2)
		res, err = http.ReadResponse(in, nil)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v, want 200", res, err)
	}
	if got := (<-up.seen).body; string(got) != "hello" {
		t.Errorf("upstream read %q", got)
	}
}

// An interim answer of the upstream mustn't take away what was set for the final one.
func TestEarlyHints(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
	}))
	t.Cleanup(up.Close)
	g, err := New(Config{Routes: public(parseURL(t, up.URL)), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", "ours")
		g.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	res, _ := do(t, srv.Client(), request(t, "GET", srv.URL, nil))
	if got := res.Header.Values("Dpop-Nonce"); len(got) != 1 || got[0] != "ours" {
		t.Errorf("got nonce %q", got)
	}
}

func TestUpstreamFailures(t *testing.T) {
	unreachable := func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return "http://" + l.Addr().String()
	}
	handler := func(h http.HandlerFunc) func(*testing.T) string {
		return func(t *testing.T) string {
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			return s.URL
		}
	}
	for _, tc := range []struct {
		name string
		url  func(*testing.T) string
		want int
	}{
		{"unreachable", unreachable, http.StatusBadGateway},
		{"hangs up", handler(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), http.StatusBadGateway},
		{"silent", handler(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), http.StatusGatewayTimeout},
		{"headers too large", handler(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 100<<10))
		}), http.StatusBadGateway},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, Config{Routes: public(parseURL(t, tc.url(t))), Limits: Limits{AnswerTimeout: 300e6}})
			res, body := do(t, http.DefaultClient, request(t, "GET", g.url+"/", nil))
			if res.StatusCode != tc.want || strings.TrimSpace(body) != http.StatusText(tc.want) {
				t.Errorf("got %d %q, want %d without details", res.StatusCode, body, tc.want)
			}
		})
	}
}

func TestHeaderLimit(t *testing.T) {
	up := newUpstream(t)
	g := serve(t, Config{Routes: public(up.url(t))})
	r := request(t, "GET", g.url+"/", nil)
	r.Header.Set("X-Large", strings.Repeat("x", 70<<10))
	res, _ := do(t, http.DefaultClient, r)
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", res.StatusCode)
	}
}

func TestPropagate(t *testing.T) {
	up := newUpstream(t)
	g := serve(t, Config{Routes: public(up.url(t)), Propagate: func(_ context.Context, h http.Header) { h.Set("Traceparent", "ours") }})
	r := request(t, "GET", g.url+"/", nil)
	r.Header.Set("Traceparent", "theirs")
	do(t, http.DefaultClient, r)
	if got := (<-up.seen).header.Values("Traceparent"); len(got) != 1 || got[0] != "ours" {
		t.Errorf("got %q", got)
	}
}

func TestPattern(t *testing.T) {
	up := newUpstream(t)
	g, err := New(Config{Routes: []Route{{Host: "api.example", Path: "/a", Upstream: up.url(t), InsecurePublic: true}}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://api.example/a/secret", nil)
	g.ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "api.example/a" {
		t.Errorf("got %q", r.Pattern)
	}
}

func TestConfigRefused(t *testing.T) {
	up := &url.URL{Scheme: "http", Host: "upstream.example"}
	for _, tc := range []struct {
		name string
		edit func(*Config)
	}{
		{"no routes", func(c *Config) { c.Routes = nil }},
		{"no verifier", func(c *Config) { c.Routes[0].InsecurePublic = false }},
		{"negative limit", func(c *Config) { c.Limits.HeaderBytes = -1 }},
		{"negative timeout", func(c *Config) { c.Limits.DialTimeout = -1 }},
		{"prefix that isn't a name", func(c *Config) { c.PlainPrefix = "X:" }},
		{"identity without a signer", func(c *Config) { c.Identity = &Identity{Issuer: "g"} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := Config{Routes: public(up)}
			if _, err := New(cfg); err != nil {
				t.Fatalf("the good configuration: %v", err)
			}
			tc.edit(&cfg)
			if _, err := New(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}
