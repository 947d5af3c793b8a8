package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/revocation"
)

// secret is what must show up nowhere.
const secret = "s3cr3t"

// newTelemetry traces nothing, and writes its log to the buffer.
func newTelemetry(t *testing.T, cfg Config) (*Telemetry, *bytes.Buffer) {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	tel, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tel, &log
}

// scrape returns the metrics of ours.
func scrape(t *testing.T, tel *Telemetry, prefix string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var found []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// routed is a handler that sets the pattern, as a router does.
func routed(pattern string, status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = pattern
		w.WriteHeader(status)
	})
}

func TestRequestMetrics(t *testing.T) {
	tel, log := newTelemetry(t, Config{})
	for _, tc := range []struct {
		method, pattern string
		status          int
	}{
		{"GET", "api.example/a", 200}, {"GET", "POST /token", 200}, {"GET", "", 404}, {"BREW", "/a", 200}, {"GET", "/a", 999},
	} {
		r := httptest.NewRequest(tc.method, "/"+secret+"?"+secret, nil)
		r.Header.Set("Authorization", "DPoP "+secret)
		tel.Handler(routed(tc.pattern, tc.status)).ServeHTTP(httptest.NewRecorder(), r)
	}
	want := []string{
		`holdfast_http_requests_total{code="200",method="GET",route="/token"} 1`,
		`holdfast_http_requests_total{code="200",method="GET",route="api.example/a"} 1`,
		`holdfast_http_requests_total{code="200",method="other",route="/a"} 1`,
		`holdfast_http_requests_total{code="404",method="GET",route="none"} 1`,
		`holdfast_http_requests_total{code="other",method="GET",route="/a"} 1`,
	}
	if diff := cmp.Diff(scrape(t, tel, "holdfast_http_requests_total"), want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	if got := scrape(t, tel, "holdfast_http_request_duration_seconds_count"); len(got) != 5 {
		t.Errorf("got durations %q, want of 5 routes and methods", got)
	}
	if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "route=api.example/a status=200") {
		t.Errorf("log: %s", log)
	}
}

// A handler that gives up is counted too.
func TestAbortedRequest(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	h := tel.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	func() {
		defer func() {
			if got := recover(); got != http.ErrAbortHandler {
				t.Errorf("recovered %v, want the handler's panic", got)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	if got := scrape(t, tel, "holdfast_http_requests_total"); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestObserve(t *testing.T) {
	tel, log := newTelemetry(t, Config{})
	r := httptest.NewRequest("GET", "/", nil)
	token := &accesstoken.Token{Issuer: "https://as.example", ClientID: "old-client", Subject: "alice"}
	for _, s := range []holdfast.Scheme{holdfast.SchemeDPoP, holdfast.SchemeDPoP, holdfast.SchemeHTTPSig, holdfast.SchemeBearer, holdfast.SchemeSession, holdfast.SchemeSignedURL, "made up"} {
		tel.Observe(t.Context(), r, &holdfast.Verdict{Scheme: s, Token: token}, nil)
	}
	tel.Observe(t.Context(), r, nil, &holdfast.Refusal{Reason: "replayed", Part: "htu", Expected: "https://a/b", Got: "https://a/c?" + secret})
	want := []string{
		`holdfast_verdicts_total{scheme="Bearer"} 1`, `holdfast_verdicts_total{scheme="DPoP"} 2`,
		`holdfast_verdicts_total{scheme="HTTPSig"} 1`, `holdfast_verdicts_total{scheme="PoP-Session"} 1`,
		`holdfast_verdicts_total{scheme="other"} 1`, `holdfast_verdicts_total{scheme="signed URL"} 1`,
	}
	if diff := cmp.Diff(scrape(t, tel, "holdfast_verdicts_total"), want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	if diff := cmp.Diff(scrape(t, tel, "holdfast_refusals_total"), []string{`holdfast_refusals_total{reason="replayed"} 1`}); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	for _, part := range []string{"client=old-client", "reason=replayed", "got=https://a/c?…"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, log)
		}
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log has a query: %s", log)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	for i := range 3 * maxReasons {
		tel.Observe(t.Context(), nil, nil, &holdfast.Refusal{Reason: fmt.Sprint("reason-", i)})
	}
	if got := len(scrape(t, tel, "holdfast_refusals_total")); got != maxReasons+1 {
		t.Errorf("got %d values, want %d and the rest as one", got, maxReasons)
	}
}

// Handlers behind need what net/http's own ResponseWriter can do.
func TestHandlerKeepsAbilities(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	srv := httptest.NewServer(tel.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := errors.Join(rc.EnableFullDuplex(), rc.Flush()); err != nil {
			t.Error(err)
		}
		c, _, err := rc.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})))
	defer srv.Close()
	if res, err := http.Get(srv.URL); err == nil {
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}

func TestAdmin(t *testing.T) {
	tel, log := newTelemetry(t, Config{Version: "v1"})
	failing := errors.New("no route to " + "the store")
	var now error
	tel.AddCheck("store", func(context.Context) error { return now })
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		tel.Admin().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	for _, tc := range []struct {
		name, path string
		err        error
		draining   bool
		status     int
		body       string
	}{
		{"alive", "/healthz", nil, false, 200, "ok"},
		{"alive but not ready", "/healthz", failing, false, 200, "ok"},
		{"ready", "/readyz", nil, false, 200, "ok"},
		{"not ready", "/readyz", failing, false, 503, "not ready: store"},
		{"stopping", "/readyz", nil, true, 503, "not ready: stopping"},
		{"anything else", "/", nil, false, 404, "404 page not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now = tc.err
			tel.draining.Store(tc.draining)
			if status, body := ask(tc.path); status != tc.status || body != tc.body {
				t.Errorf("got %d %q, want %d %q", status, body, tc.status, tc.body)
			}
		})
	}
	if !strings.Contains(log.String(), failing.Error()) {
		t.Errorf("the log lacks why: %s", log)
	}
	if got := scrape(t, tel, "holdfast_build_info"); len(got) != 1 || got[0] != `holdfast_build_info{version="v1"} 1` {
		t.Errorf("got %q", got)
	}
}

func TestNewLogger(t *testing.T) {
	for _, tc := range []struct {
		format, level string
		want          string // prefix of a warning, "" for none, "error" for a refusal
	}{
		{"text", "info", "time="}, {"json", "debug", `{"time":`}, {"text", "warn", "time="}, {"text", "error", ""},
		{"xml", "info", "error"}, {"text", "loud", "error"}, {"", "info", "error"}, {"text", "", "error"},
	} {
		t.Run(tc.format+" "+tc.level, func(t *testing.T) {
			var b bytes.Buffer
			log, err := NewLogger(&b, tc.format, tc.level)
			if (err != nil) != (tc.want == "error") {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			log.Warn("x")
			if got := b.String(); !strings.HasPrefix(got, tc.want) || (tc.want == "") != (got == "") {
				t.Errorf("got %q, want %q first", got, tc.want)
			}
		})
	}
}

// collector takes spans.
func collector(t *testing.T) (*httptest.Server, chan []byte) {
	t.Helper()
	got := make(chan []byte, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(bufio.NewReader(r.Body))
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		got <- b
	}))
	t.Cleanup(srv.Close)
	return srv, got
}

func TestTraces(t *testing.T) {
	srv, spans := collector(t)
	for _, tc := range []struct {
		name string
		env  string
		cfg  Config
	}{
		{"configured", "", Config{TraceEndpoint: srv.URL + "/v1/traces"}},
		{"by the environment", srv.URL, Config{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", tc.env)
			tc.cfg.Service, tc.cfg.Logger = "holdfast-test", slog.New(slog.DiscardHandler)
			tel, err := New(t.Context(), tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			out := http.Header{}
			h := tel.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				r.Pattern = "api.example/route"
				if r.URL.Path != "/"+secret || r.URL.RawQuery != secret {
					t.Errorf("the handler got %s", r.URL)
				}
				tel.Propagate(r.Context(), out)
				tel.Observe(r.Context(), r, nil, &holdfast.Refusal{Reason: "test-reason"})
			}))
			r := httptest.NewRequest("GET", "/"+secret+"?"+secret, nil)
			r.Header.Set("Authorization", "DPoP "+secret)
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if err := tel.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := <-spans
			for _, part := range []string{"GET api.example/route", "holdfast-test", "test-reason"} {
				if !bytes.Contains(got, []byte(part)) {
					t.Errorf("no %q in the spans", part)
				}
			}
			if bytes.Contains(got, []byte(secret)) {
				t.Errorf("the spans have the path or query:\n%q", got)
			}
			if p := out.Get("Traceparent"); len(p) != 55 || strings.Contains(p, "0af7651916cd43dd8448eb211c80319c") {
				t.Errorf("propagated %q, want a trace of our own", p)
			}
		})
	}
}

func TestTraceEndpointRefused(t *testing.T) {
	for _, url := range []string{"collector:4318", "ftp://collector", "http://", "%"} {
		if _, err := New(t.Context(), Config{TraceEndpoint: url}); err == nil {
			t.Errorf("%q accepted", url)
		}
	}
}

func TestNothingToPropagate(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	h := http.Header{"Traceparent": {"theirs"}}
	tel.Propagate(t.Context(), h)
	if h.Get("Traceparent") != "theirs" {
		t.Errorf("got %q", h)
	}
	if err := tel.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestObserveRevocation(t *testing.T) {
	tel, log := newTelemetry(t, Config{})
	tel.ObserveRevocation(t.Context(), revocation.Entry{Name: revocation.Client("https://as.example", "shop"), Until: time.Unix(1_800_000_000, 0)}, nil)
	tel.ObserveRevocation(t.Context(), revocation.Entry{}, &revocation.Error{Reason: revocation.Full})
	tel.ObserveRevocation(t.Context(), revocation.Entry{}, errors.New("the store is away"))
	if diff := cmp.Diff(scrape(t, tel, "holdfast_revocations_total"), []string{`holdfast_revocations_total{kind="client"} 1`}); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	want := []string{`holdfast_refusals_total{reason="revocations-full"} 1`, `holdfast_refusals_total{reason="revocations-unavailable"} 1`}
	if diff := cmp.Diff(scrape(t, tel, "holdfast_refusals_total"), want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	for _, part := range []string{"msg=revoked kind=client issuer=https://as.example id=shop until=", `msg="not revoked" reason=revocations-full`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, log)
		}
	}
}

func TestHandleAdmin(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	tel.HandleAdmin("/more", routed("/more", http.StatusTeapot))
	for path, want := range map[string]int{"/more": http.StatusTeapot, "/healthz": http.StatusOK, "/revocations": http.StatusNotFound} {
		w := httptest.NewRecorder()
		tel.Admin().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}
