package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/holdfast-project/holdfast/signedurl"
)

// NewLogger makes a log on w: format is "text" or "json", level "debug", "info", "warn" or "error".
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var least slog.Level
	switch level {
	case "debug":
		least = slog.LevelDebug
	case "info":
		least = slog.LevelInfo
	case "warn":
		least = slog.LevelWarn
	case "error":
		least = slog.LevelError
	default:
		return nil, fmt.Errorf("telemetry: log level %q isn't debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("telemetry: log format %q isn't text or json", format)
}

// withoutQuery cuts a URL in a refusal before its query, which may hold what mustn't be kept. What a signed URL is made of is
// taken out wherever it stands.
func withoutQuery(s string) string {
	before, _, cut := strings.Cut(s, "?")
	if cut {
		before += "?…"
	}
	return signedurl.Redact(before)
}
