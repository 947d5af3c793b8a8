package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/internal/config"
	"github.com/holdfast-project/holdfast/internal/telemetry"
	"github.com/holdfast-project/holdfast/issuer"
)

// serveFlags are the flags of all servers.
type serveFlags struct {
	Config    string `short:"c" env:"HOLDFAST_CONFIG" placeholder:"FILE" help:"Configuration file; every field is also an environment variable, see docs/configuration.md."`
	ReadyFile string `env:"HOLDFAST_READY_FILE" placeholder:"FILE" help:"Written with the address once the server listens; a second line has that of the admin listener, if there is one."`
}

type issuerCommand struct {
	serveFlags
}

// Run serves until it is told to stop.
func (c *issuerCommand) Run(ctx context.Context, std streams) error {
	p, err := c.open(ctx, "issuer", std)
	if err != nil {
		return err
	}
	defer p.close()
	parts, err := p.file.OpenIssuer(ctx, p.log, p.observe)
	if err != nil {
		return usageError{err}
	}
	defer parts.Close()
	p.telemetry.AddCheck("database and memory of proofs", parts.Ready)
	server, err := issuer.New(parts.Config)
	if err != nil {
		return usageError{err}
	}
	go parts.Keys.Run(ctx)
	go server.Run(ctx)
	s := p.file.Issuer
	return p.serve(ctx, c.ReadyFile, s.Listen, s.TLS, telemetry.NewServer(p.telemetry.Handler(server.Handler())))
}

type gatewayCommand struct {
	serveFlags
}

// Run serves until it is told to stop.
func (c *gatewayCommand) Run(ctx context.Context, std streams) error {
	p, err := c.open(ctx, "gateway", std)
	if err != nil {
		return err
	}
	defer p.close()
	revocations, revoke, err := p.file.Revocations(p.telemetry.ObserveRevocation)
	if err != nil {
		return usageError{err}
	}
	if revoke != nil {
		p.telemetry.HandleAdmin("/revocations", revoke)
	}
	cfg, ready, err := p.file.GatewayConfig(ctx, config.Service{
		Observers: []holdfast.Observer{p.telemetry}, Propagate: p.telemetry.Propagate, Logger: p.log, Revocations: revocations,
	})
	if err != nil {
		return usageError{err}
	}
	proxy, err := gateway.New(cfg)
	if err != nil {
		return usageError{err}
	}
	defer proxy.Close()
	defer p.onHangup(func() error { return c.reload(cfg.Verifier) })()
	p.telemetry.AddCheck("issuer keys and memory of proofs", ready)
	server := proxy.NewServer()
	server.Handler = p.telemetry.Handler(server.Handler)
	s := p.file.Gateway
	return p.serve(ctx, c.ReadyFile, s.Listen, s.TLS, server)
}

// program is what the servers have in common.
type program struct {
	name      string
	file      *config.File
	log       *slog.Logger
	telemetry *telemetry.Telemetry
}

func (c *serveFlags) open(ctx context.Context, name string, std streams) (*program, error) {
	file, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return nil, usageError{err}
	}
	log, err := telemetry.NewLogger(std.err, file.Log.Format, file.Log.Level)
	if err != nil {
		return nil, usageError{err}
	}
	cfg := telemetry.Config{
		Service: "holdfast-" + name, Version: version(), TraceEndpoint: file.Trace.Endpoint, Logger: log, Grace: file.Admin.Grace,
	}
	if file.Admin.Listen != "" { // otherwise nobody can see it
		cfg.Drain = file.Admin.Drain
	}
	t, err := telemetry.New(ctx, cfg)
	if err != nil {
		return nil, usageError{err}
	}
	return &program{name: name, file: file, log: log, telemetry: t}, nil
}

// close sends the last traces. The program's own context has ended by then.
func (p *program) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.telemetry.Close(ctx); err != nil {
		p.log.Warn("traces lost", "err", err)
	}
}

// serve serves until ctx ends, over TLS if there are files.
func (p *program) serve(ctx context.Context, readyFile, listen string, files config.TLS, server *http.Server) error {
	tlsConfig, err := files.Config()
	if err != nil {
		return usageError{err}
	}
	if tlsConfig != nil {
		cert, err := telemetry.OpenCertificate(files.CertFile, files.KeyFile, p.log)
		if err != nil {
			return usageError{err}
		}
		tlsConfig.GetCertificate = cert.Get
		server.TLSConfig = tlsConfig
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	servers, addresses := []telemetry.Server{{Name: p.name, HTTP: server, Listener: l}}, l.Addr().String()+"\n"
	if addr := p.file.Admin.Listen; addr != "" {
		al, err := net.Listen("tcp", addr)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		servers = append(servers, telemetry.Server{Name: "admin", HTTP: telemetry.NewServer(p.telemetry.Admin()), Listener: al})
		addresses += al.Addr().String() + "\n"
	}
	if readyFile != "" {
		if err := os.WriteFile(readyFile, []byte(addresses), 0o644); err != nil {
			return errors.Join(fmt.Errorf("ready file: %w", err), l.Close())
		}
	}
	return p.telemetry.Run(ctx, servers...)
}

// observe is the issuer's audit log: every grant and refusal, without any token or secret.
func (p *program) observe(ctx context.Context, e issuer.Event) {
	attrs := []slog.Attr{slog.String("endpoint", e.Endpoint), slog.String("client", e.ClientID)}
	if r := e.Refusal; r != nil {
		attrs = append(attrs, slog.String("reason", string(r.Reason)), slog.String("section", r.Section),
			slog.String("part", r.Part), slog.String("expected", r.Expected), slog.String("got", r.Got))
		if r.Err != nil {
			attrs = append(attrs, slog.String("err", r.Err.Error()))
		}
		p.log.LogAttrs(ctx, slog.LevelInfo, "refused", attrs...)
		return
	}
	if e.Subject != "" {
		attrs = append(attrs, slog.String("subject", e.Subject), slog.String("grant", e.GrantID))
	}
	attrs = append(attrs, slog.String("jti", e.TokenID), slog.String("audience", e.Audience), slog.Any("scope", e.Scope),
		slog.String("binding", string(e.Binding)))
	if !e.Key.IsZero() {
		attrs = append(attrs, slog.String("key", e.Key.String()))
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "granted", attrs...)
}
