// Package telemetry is what every long-running program of holdfast needs to be watched and to be stopped: a log, metrics
// for Prometheus, traces by OpenTelemetry, health checks, an orderly end ([Telemetry.Run]) and certificates that are
// reloaded ([Certificate]).
//
// Programs make one [Telemetry] with [New], wrap their handlers with [Telemetry.Handler], give the Telemetry to their
// holdfast.Verifier as an observer, and serve [Telemetry.Admin] on a listener of its own.
//
// Labels have a bounded number of values, whatever clients send. Logs and spans name a request by its route
// (Request.Pattern), never by its path or query, and hold no token and no key.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-project/holdfast"
)

// Config configures a Telemetry.
type Config struct {
	// Service is the program's name in traces, such as "holdfast-gateway". Version is its version.
	Service, Version string
	// TraceEndpoint is the URL of an OTLP/HTTP collector. If empty, the standard variables
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_EXPORTER_OTLP_ENDPOINT count; without them, nothing is traced.
	TraceEndpoint string
	// Drain is how long the program goes on serving after it has turned unready, when it is stopped: time for balancers to
	// notice. If zero, none.
	Drain time.Duration
	// Grace is how long requests under way may take after that. If zero, 15 s.
	Grace time.Duration
	// Logger is the program's log. If nil, slog.Default.
	Logger *slog.Logger
}

// Telemetry watches a program. It is safe for concurrent use.
type Telemetry struct {
	log      *slog.Logger
	drain    time.Duration
	grace    time.Duration
	registry *prometheus.Registry
	metrics  metrics
	traces   *traces // nil if nothing is traced
	draining atomic.Bool

	mu     sync.Mutex
	checks []check      // guarded by mu
	admin  []adminRoute // guarded by mu
}

// New makes a Telemetry. ctx governs connecting to the collector only. Close it to send the last traces.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	t := &Telemetry{log: cfg.Logger, drain: cfg.Drain, grace: cfg.Grace, registry: prometheus.NewRegistry()}
	if t.log == nil {
		t.log = slog.Default()
	}
	if t.grace == 0 {
		t.grace = 15 * time.Second
	}
	var err error
	if t.metrics, err = newMetrics(t.registry, cfg.Version); err != nil {
		return nil, err
	}
	t.traces, err = newTraces(ctx, cfg, t.log)
	return t, err
}

// Close sends what was traced and not sent yet, until ctx ends.
func (t *Telemetry) Close(ctx context.Context) error {
	if t.traces == nil {
		return nil
	}
	return t.traces.provider.Shutdown(ctx)
}

// Registerer takes further metrics. Their labels must be bounded as well.
func (t *Telemetry) Registerer() prometheus.Registerer { return t.registry }

// Handler counts, times, logs and traces the requests to next. While the program is being stopped, it asks clients to
// take their next request elsewhere (RFC 9110, section 7.6.1; over HTTP/2 net/http makes that a GOAWAY).
func (t *Telemetry) Handler(next http.Handler) http.Handler {
	measured := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := &measurement{ResponseWriter: w, began: time.Now()}
		defer t.record(r, m)
		if t.draining.Load() && r.Header["Upgrade"] == nil { // Connection is then the upgrade's
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(m, r)
	})
	if t.traces == nil {
		return measured
	}
	return t.traces.handler(measured)
}

func (t *Telemetry) record(r *http.Request, m *measurement) {
	m.end()
	method, route := methodLabel(r.Method), routeLabel(r.Pattern)
	t.metrics.request(method, route, m)
	t.log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("method", method), slog.String("route", route), slog.Int("status", m.code),
		slog.Duration("duration", m.duration), slog.Int64("bytes", m.written))
}

// Observe implements holdfast.Observer: it counts verdicts and refusals, logs refusals and accepted bearer tokens, and
// marks the request's span.
func (t *Telemetry) Observe(ctx context.Context, _ *http.Request, v *holdfast.Verdict, refusal *holdfast.Refusal) {
	span := trace.SpanFromContext(ctx)
	if refusal != nil {
		reason := t.metrics.refused(refusal.Reason)
		span.SetAttributes(attributeReason.String(reason))
		t.log.LogAttrs(ctx, slog.LevelInfo, "refused", slog.String("reason", reason), slog.String("section", refusal.Section),
			slog.String("part", withoutQuery(refusal.Part)), slog.String("expected", withoutQuery(refusal.Expected)), slog.String("got", withoutQuery(refusal.Got)))
		return
	}
	scheme := t.metrics.verified(v.Scheme)
	span.SetAttributes(attributeScheme.String(scheme))
	if v.Scheme == holdfast.SchemeBearer {
		t.log.LogAttrs(ctx, slog.LevelWarn, "unbound bearer token accepted",
			slog.String("issuer", v.Token.Issuer), slog.String("client", v.Token.ClientID))
	}
}

// Propagate writes the trace context of ctx to the header of a request that is made for the one being served. Without
// tracing it leaves the header alone.
func (t *Telemetry) Propagate(ctx context.Context, h http.Header) {
	if t.traces != nil {
		t.traces.inject(ctx, h)
	}
}

// check is a condition for being ready.
type check struct {
	name string
	ok   func(context.Context) error
}

// AddCheck makes readiness depend on ok. Each time, all checks together have 2 s to answer.
func (t *Telemetry) AddCheck(name string, ok func(context.Context) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks = append(t.checks, check{name, ok})
}

func (t *Telemetry) allChecks() []check {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.checks)
}
