package telemetry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// running runs a server until stop is called, at the latest when the test ends.
func running(t *testing.T, tel *Telemetry, srv *http.Server) (address string, stop func(), ended <-chan error) {
	t.Helper()
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	result, done := make(chan error, 1), make(chan bool)
	go func() {
		defer close(done)
		result <- tel.Run(ctx, Server{Name: "test", HTTP: srv, Listener: l})
	}()
	t.Cleanup(func() { stop(); <-done })
	return l.Addr().String(), stop, result
}

func TestRunLetsRequestsEnd(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	begun, release := make(chan bool), make(chan bool)
	srv := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-release
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request's context: %v", err)
		}
		io.WriteString(w, "done")
	}))
	shut := make(chan bool)
	srv.RegisterOnShutdown(func() { close(shut) })
	address, stop, ended := running(t, tel, srv)
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + address)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	<-begun
	stop()
	<-shut
	if !tel.draining.Load() {
		t.Error("ready while stopping")
	}
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + address); err == nil {
		t.Error("still serving")
	}
}

// While it drains, a program serves as before, but for what it tells balancers and clients.
func TestRunDrains(t *testing.T) {
	tel, _ := newTelemetry(t, Config{Drain: time.Hour})
	srv := NewServer(tel.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "done") })))
	l, admin := listen(t), listen(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- tel.Run(ctx, Server{Name: "test", HTTP: srv, Listener: l}, Server{Name: "admin", HTTP: NewServer(tel.Admin()), Listener: admin})
	}()
	get := func(l net.Listener, path string) *http.Response {
		res, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res
	}
	if res := get(l, "/"); res.Close || get(admin, "/readyz").StatusCode != http.StatusOK {
		t.Error("draining from the start")
	}
	stop()
	for get(admin, "/readyz").StatusCode == http.StatusOK {
	}
	if res := get(l, "/"); res.StatusCode != http.StatusOK || !res.Close {
		t.Errorf("got %s, close %t; want an answer that ends the connection", res.Status, res.Close)
	}
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want that the listener is closed", err)
	}
}

func TestRunEndsWhenDrained(t *testing.T) {
	tel, _ := newTelemetry(t, Config{Drain: time.Millisecond})
	_, stop, ended := running(t, tel, NewServer(http.NotFoundHandler()))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRunCutsOffAfterGrace(t *testing.T) {
	tel, _ := newTelemetry(t, Config{Grace: time.Millisecond})
	begun, cut := make(chan bool), make(chan bool)
	address, stop, ended := running(t, tel, NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(cut)
	})))
	go http.Get("http://" + address)
	<-begun
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-cut
}

// Upgraded connections aren't the server's any more; their contexts end with the program.
func TestRunEndsUpgradedConnections(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	begun, cut := make(chan bool), make(chan bool)
	address, stop, ended := running(t, tel, NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		close(begun)
		<-r.Context().Done()
		close(cut)
	})))
	go http.Get("http://" + address)
	<-begun
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-cut
}

func TestRunEndsWhenAServerFails(t *testing.T) {
	tel, _ := newTelemetry(t, Config{})
	broken := listen(t)
	broken.Close()
	err := tel.Run(t.Context(),
		Server{Name: "whole", HTTP: NewServer(http.NotFoundHandler()), Listener: listen(t)},
		Server{Name: "broken", HTTP: NewServer(http.NotFoundHandler()), Listener: broken})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want that the listener is closed", err)
	}
}
