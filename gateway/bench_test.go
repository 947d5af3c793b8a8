package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"testing"

	"github.com/holdfast-project/holdfast"
)

// BenchmarkServe measures a request through the gateway to an upstream over TCP, beside net/http's bare proxy. Proofs
// are used again (replay off), so that no client's signing is in the figures.
func BenchmarkServe(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	b.Cleanup(up.Close)
	s := newStage(b)
	off := holdfast.Policy{Replay: holdfast.InsecureReplayOff}
	build := func(edit func(*Config)) http.Handler {
		cfg := Config{
			Verifier: s.verifier(holdfast.External{Origin: audience}),
			Routes:   []Route{{Path: "/", Upstream: parseURL(b, up.URL), Policy: off}},
			Logger:   slog.New(slog.DiscardHandler),
		}
		edit(&cfg)
		g, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(g.Close)
		return g
	}
	to := parseURL(b, up.URL)
	bare := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(to) }, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	for _, bc := range []struct {
		name    string
		handler http.Handler
		header  http.Header
	}{
		{"bare", bare, nil},
		{"public", build(func(c *Config) { c.Routes[0].InsecurePublic = true }), nil},
		{"DPoP", build(func(*Config) {}), s.signed(holdfast.SchemeDPoP, "GET", audience+"/orders/7", "")},
		{"HTTPSig", build(func(*Config) {}), s.signed(holdfast.SchemeHTTPSig, "GET", audience+"/orders/7", "")},
		{"DPoP+identity", build(withIdentity(newSigner(b))), s.signed(holdfast.SchemeDPoP, "GET", audience+"/orders/7", "")},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("GET", "/orders/7", nil)
				r.Host = "api.example"
				for name, values := range bc.header {
					r.Header[name] = values
				}
				w := httptest.NewRecorder()
				bc.handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	tab := testTable(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, refusal := tab.find("api.example", "/public/orders/7/items", "GET"); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

func BenchmarkClean(b *testing.B) {
	rules, err := newFieldRules("Holdfast-Identity", "X-Holdfast-")
	if err != nil {
		b.Fatal(err)
	}
	h := http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}, "Cookie": {"a=b"}, "User-Agent": {"x"},
		"Content-Type": {"application/json"}, "Content-Digest": {"x"}, "Traceparent": {"x"}, "Sec-Fetch-Mode": {"cors"}, "Origin": {"x"}}
	b.ReportAllocs()
	for b.Loop() {
		rules.clean(h, true)
	}
}
