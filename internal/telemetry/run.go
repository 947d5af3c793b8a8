package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a server with the listener that it serves: with TLS if its TLSConfig is set.
type Server struct {
	Name     string // for the log
	HTTP     *http.Server
	Listener net.Listener
}

// NewServer returns a server for next with bounds that fit handlers of short requests, such as those of an issuer or
// [Telemetry.Admin].
func NewServer(next http.Handler) *http.Server {
	return &http.Server{
		Handler: next, MaxHeaderBytes: 64 << 10, ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}
}

func (s Server) serve() error {
	var err error
	if s.HTTP.TLSConfig != nil {
		err = s.HTTP.ServeTLS(s.Listener, "", "")
	} else {
		err = s.HTTP.Serve(s.Listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving %s: %w", s.Name, err)
}

// Run serves until ctx ends or a server fails. Then it turns unready and, unless a server failed, goes on for Config.Drain.
// After that it takes no new connections, and gives requests under way the time of Config.Grace; what is left then, and
// upgraded connections, are cut off. It closes the listeners.
func (t *Telemetry) Run(ctx context.Context, servers ...Server) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ended := make(chan error, len(servers))
	for _, s := range servers {
		s.HTTP.BaseContext = func(net.Listener) context.Context { return base }
		t.log.InfoContext(ctx, "serving", "server", s.Name, "address", s.Listener.Addr().String(), "tls", s.HTTP.TLSConfig != nil)
		go func() { ended <- s.serve() }()
	}
	left := len(servers)
	failed, err := t.untilStopped(ctx, ended)
	if failed {
		left--
	}
	t.draining.Store(true)
	t.log.InfoContext(ctx, "stopping", "grace", t.grace)
	t.shutdown(base, servers)
	for range left {
		err = errors.Join(err, <-ended)
	}
	return err
}

// untilStopped returns once ctx has ended and the drain is over, or before that with the error of a server that failed.
func (t *Telemetry) untilStopped(ctx context.Context, ended <-chan error) (failed bool, err error) {
	select {
	case <-ctx.Done():
	case err := <-ended:
		return true, err
	}
	t.draining.Store(true)
	t.log.InfoContext(ctx, "draining", "drain", t.drain)
	select {
	case <-time.After(t.drain):
		return false, nil
	case err := <-ended:
		return true, err
	}
}

func (t *Telemetry) shutdown(base context.Context, servers []Server) {
	ctx, cancel := context.WithTimeout(base, t.grace)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			if err := s.HTTP.Shutdown(ctx); err != nil {
				t.log.WarnContext(ctx, "requests cut off", "server", s.Name, "err", err)
				_ = s.HTTP.Close() // the listener is closed already; the rest is what is cut off
			}
		})
	}
	wg.Wait()
}
