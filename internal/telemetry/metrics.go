package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/holdfast-project/holdfast"
)

// other is the value of a label that has too many.
const other = "other"

// maxReasons bounds the values of the label reason. There are fewer: reasons are closed lists.
const maxReasons = 200

// measurement is an answer on its way, with its status, duration and size. What else the ResponseWriter can do is there by
// way of http.ResponseController.
type measurement struct {
	http.ResponseWriter
	code     int // 0 before the final status is known
	written  int64
	began    time.Time
	duration time.Duration
}

// Unwrap is for http.ResponseController.
func (m *measurement) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (m *measurement) WriteHeader(code int) {
	if m.code == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		m.code = code
	}
	m.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (m *measurement) Write(p []byte) (int, error) {
	n, err := m.ResponseWriter.Write(p)
	m.written += int64(n)
	return n, err
}

// end is for when the handler has ended. One that wrote no status has sent 200.
func (m *measurement) end() {
	m.duration = time.Since(m.began)
	if m.code == 0 {
		m.code = http.StatusOK
	}
}

// metrics are the counters of a program.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	verdicts  *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	reasons   *bounded

	revocations *prometheus.CounterVec
}

func newMetrics(reg *prometheus.Registry, version string) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_http_requests_total", Help: "Requests answered.",
		}, []string{"method", "route", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_http_request_duration_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 17), // to 16 s
		}, []string{"method", "route"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_verdicts_total", Help: "Requests let through, by the scheme of their proof.",
		}, []string{"scheme"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_refusals_total", Help: "Requests refused, by reason.",
		}, []string{"reason"}),
		revocations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_revocations_total", Help: "Revocations by operators, by what was revoked.",
		}, []string{"kind"}),
		reasons: &bounded{most: maxReasons, seen: make(map[string]bool)},
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	for _, c := range []prometheus.Collector{
		m.requests, m.durations, m.verdicts, m.refusals, m.revocations, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return metrics{}, err
		}
	}
	return m, nil
}

func (m *metrics) request(method, route string, answer *measurement) {
	m.requests.WithLabelValues(method, route, codeLabel(answer.code)).Inc()
	m.durations.WithLabelValues(method, route).Observe(answer.duration.Seconds())
}

func (m *metrics) verified(s holdfast.Scheme) string {
	label := other
	switch s {
	case holdfast.SchemeDPoP, holdfast.SchemeHTTPSig, holdfast.SchemeMTLS, holdfast.SchemeBearer, holdfast.SchemeSession,
		holdfast.SchemeSignedURL:
		label = string(s)
	}
	m.verdicts.WithLabelValues(label).Inc()
	return label
}

func (m *metrics) refused(reason string) string {
	label := m.reasons.label(reason)
	m.refusals.WithLabelValues(label).Inc()
	return label
}

// bounded lets through the first values of a label that it sees.
type bounded struct {
	most int
	mu   sync.Mutex
	seen map[string]bool // value → true; guarded by mu
}

func (b *bounded) label(v string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.seen[v]:
		return v
	case len(b.seen) >= b.most:
		return other
	}
	b.seen[v] = true
	return v
}

func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return m
	}
	return other
}

// routeLabel is a pattern without the method that http.ServeMux puts before it.
func routeLabel(pattern string) string {
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return path
	}
	if pattern == "" {
		return "none"
	}
	return pattern
}

func codeLabel(code int) string {
	if code < 100 || code > 599 {
		return other
	}
	return strconv.Itoa(code)
}
