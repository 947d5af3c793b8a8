package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout is how long a readiness check may take: less than probes usually wait.
const checkTimeout = 2 * time.Second

// Admin serves /metrics, /healthz (the program runs) and /readyz (it can do its work: all checks pass and it isn't
// stopping), and what HandleAdmin added. It authenticates nobody by itself, so its listener belongs on a private network.
func (t *Telemetry) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if failed := t.notReady(r.Context()); len(failed) > 0 {
			http.Error(w, "not ready: "+strings.Join(failed, ", "), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, more := range t.admin {
		mux.Handle(more.pattern, more.handler)
	}
	return mux
}

// notReady returns the names of the checks that failed. Their errors go to the log.
func (t *Telemetry) notReady(ctx context.Context) []string {
	if t.draining.Load() {
		return []string{"stopping"}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var failed []string
	for _, c := range t.allChecks() {
		if err := c.ok(ctx); err != nil {
			t.log.WarnContext(ctx, "not ready", "check", c.name, "err", err)
			failed = append(failed, c.name)
		}
	}
	return failed
}
