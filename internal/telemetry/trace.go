package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The attributes that a verdict leaves on a span.
const (
	attributeScheme = attribute.Key("holdfast.scheme")
	attributeReason = attribute.Key("holdfast.reason")
)

// traces makes and sends spans.
type traces struct {
	provider   *sdktrace.TracerProvider
	propagator propagation.TraceContext
}

// newTraces returns nil if no collector is configured. It sets OpenTelemetry's one error handler, which has no other
// place than a global.
func newTraces(ctx context.Context, cfg Config, log *slog.Logger) (*traces, error) {
	var opts []otlptracehttp.Option
	switch {
	case cfg.TraceEndpoint != "":
		u, err := url.Parse(cfg.TraceEndpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, fmt.Errorf("telemetry: trace endpoint %q isn't an http or https URL", cfg.TraceEndpoint)
		}
		opts = append(opts, otlptracehttp.WithEndpointURL(cfg.TraceEndpoint))
	case os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "":
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("telemetry: making the exporter of traces: %w", err)
	}
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version),
	), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("telemetry: describing this program: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing", "err", err) }))
	return &traces{provider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))}, nil
}

type urlKey struct{}

// handler makes a span for each request. A client's trace is linked to, not continued: anybody can claim to be part of
// one. The span doesn't get to see the URL: a path can be a secret too.
func (t *traces) handler(next http.Handler) http.Handler {
	spanned := otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL = r.Context().Value(urlKey{}).(*url.URL)
		next.ServeHTTP(w, r)
	}), "request",
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(t.propagator),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			return methodLabel(r.Method) + " " + routeLabel(r.Pattern)
		}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hidden := r.WithContext(context.WithValue(r.Context(), urlKey{}, r.URL))
		hidden.URL = new(url.URL)
		spanned.ServeHTTP(w, hidden)
	})
}

func (t *traces) inject(ctx context.Context, h http.Header) {
	t.propagator.Inject(ctx, propagation.HeaderCarrier(h))
}
