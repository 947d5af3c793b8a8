package config

import "time"

// Log is the section of the log.
type Log struct {
	Format string `yaml:"format" default:"text" enum:"text,json" help:"Form of the lines."`
	Level  string `yaml:"level" default:"info" enum:"debug,info,warn,error" help:"The least that is written."`
}

// Admin is the section of how the program is watched and stopped.
type Admin struct {
	Listen string        `yaml:"listen" help:"Address and port of /healthz, /readyz and /metrics, and of /revocations at a gateway that has a secret for it. If empty, there is no such listener."`
	Drain  time.Duration `yaml:"drain" default:"5s" zero:"true" help:"How long a program with this listener goes on serving when it is stopped, while /readyz answers 503: longer than balancers take to notice."`
	Grace  time.Duration `yaml:"grace" default:"15s" help:"For requests under way after that."`
}

// Trace is the section of traces.
type Trace struct {
	Endpoint string `yaml:"endpoint" help:"URL of an OTLP/HTTP collector. If empty, the OTEL_EXPORTER_OTLP_* variables count; without them, nothing is traced."`
}
