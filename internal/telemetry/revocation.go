package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/holdfast-project/holdfast/revocation"
)

// HandleAdmin adds to what Admin serves. It must be called before Admin.
func (t *Telemetry) HandleAdmin(pattern string, h http.Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.admin = append(t.admin, adminRoute{pattern, h})
}

type adminRoute struct {
	pattern string
	handler http.Handler
}

// ObserveRevocation is a revocation.HandlerConfig's Observe: it counts and logs what was revoked, or why it wasn't.
func (t *Telemetry) ObserveRevocation(ctx context.Context, e revocation.Entry, err error) {
	if err != nil {
		reason := revocation.Unavailable
		if refused, ok := errors.AsType[*revocation.Error](err); ok {
			reason = refused.Reason
		}
		t.log.LogAttrs(ctx, slog.LevelWarn, "not revoked", slog.String("reason", t.metrics.refused(string(reason))), slog.String("err", err.Error()))
		return
	}
	t.metrics.revocations.WithLabelValues(string(e.Name.Kind())).Inc()
	t.log.LogAttrs(ctx, slog.LevelWarn, "revoked", slog.String("kind", string(e.Name.Kind())), slog.String("issuer", e.Name.Issuer()),
		slog.String("id", e.Name.ID()), slog.Time("until", e.Until))
}
