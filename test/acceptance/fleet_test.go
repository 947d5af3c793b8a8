package acceptance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load are requests without end.
type load struct {
	client  *client
	origin  string
	numbers atomic.Int64
	made    atomic.Int64
	refused atomic.Int64 // requests that the caller got no good answer to
	streams bool         // some are streams, which nobody can send again
	first   sync.Map     // some of the errors
}

// start runs workers, and what else should go on, until stop is called.
func (l *load) start(t *testing.T, workers int, enough int64, also ...func(done <-chan struct{})) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { l.run(workers, enough, done) })
	for _, f := range also {
		wg.Go(func() { f(done) })
	}
	stop = sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// run has workers make requests until there are enough and until is closed.
func (l *load) run(workers int, enough int64, until <-chan struct{}) {
	var wg sync.WaitGroup
	var tick *time.Ticker
	if !*full { // there is more to test on this machine meanwhile
		tick = time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
	}
	for range workers {
		wg.Go(func() {
			for {
				n := l.numbers.Add(1)
				if tick != nil {
					<-tick.C
				}
				select {
				case <-until:
					if n > enough {
						return
					}
				default:
				}
				l.one(n)
			}
		})
	}
	wg.Wait()
}

// one makes request number n: mostly reads, writes whose body may be sent again, and here and there a stream.
func (l *load) one(n int64) {
	l.made.Add(1)
	target, text := fmt.Sprintf("%s/orders/%d?page=%d", l.origin, n, n%7), ""
	method, body := http.MethodGet, io.Reader(nil)
	switch kind := n % 20; {
	case kind == 0 && l.streams:
		text = strings.Repeat("streamed ", 500)
		method, body = http.MethodPut, struct{ io.Reader }{strings.NewReader(text)} // nobody can tell its length
	case kind%4 == 0:
		text = fmt.Sprintf(`{"order":%d}`, n)
		method, body = http.MethodPost, strings.NewReader(text)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, target, body)
	if err == nil {
		err = l.client.send(r, text)
	}
	l.note(n, err)
}

// put sends a stream to a path, whatever the API makes of it.
func (l *load) put(path string, body io.Reader) {
	n := l.made.Add(1)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, l.origin+path, body)
	if err != nil {
		l.note(n, err)
		return
	}
	res, err := l.client.RoundTrip(r)
	if err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", path, res.Status)
		}
	}
	l.note(n, err)
}

// note keeps what a caller was refused.
func (l *load) note(n int64, err error) {
	if err != nil {
		l.refused.Add(1)
		l.first.LoadOrStore(err.Error(), n)
	}
}

// check fails if anything was refused.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.first.Range(func(err, n any) bool {
		t.Errorf("request %d: %s", n, err)
		return true
	})
	if got := l.refused.Load(); got != 0 {
		t.Errorf("%d of %d requests were refused to the caller", got, l.made.Load())
	}
}

// drain is the default. A balancer needs a fraction of it to notice, on a machine that has time for it.
const drain = 5 * time.Second

// TestFleet keeps three gateways busy while the fleet's secret is rotated twice and each of them is restarted. They share
// a secret and nothing else, and the balancer doesn't know who a request belongs to. No caller may notice.
func TestFleet(t *testing.T) {
	for _, tc := range []struct {
		name  string
		serve func(*testing.T, *balancer, net.Listener)
	}{
		{"request by request", perRequest},
		{"connection by connection", perConnection},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, binaries.asTests, tc.serve)
			const lifetime = 20 * time.Second
			s.drain = drain
			for range 3 {
				s.addGateway(sessionsText(lifetime, time.Time{}, "a"))
			}
			s.awaitReady()
			l := &load{client: s.newClient(nil), origin: s.balancer.origin, streams: true}
			l.one(l.numbers.Add(1)) // as the Transport's documentation says: servers with nonces want something else before a stream

			began := time.Now()
			stop := l.start(t, 64, int64(size(3_000, 100_000)))
			s.upheaval(lifetime)
			stop()
			s.report(l, time.Since(began))
		})
	}
}

// upheaval is what operators do to a fleet in a year.
func (s *stage) upheaval(lifetime time.Duration) {
	s.t.Helper()
	turn := s.rotate(lifetime, "a", "b")
	s.restart(s.nodes[0])
	s.restart(s.nodes[1])
	// The first secret may go once the last session under it is over.
	s.until(func() bool { return time.Now().After(turn.Add(lifetime)) })
	s.rotate(lifetime, "b", "c")
	s.restart(s.nodes[2])
}

// rotate hands the secrets to node after node, and returns when the last one comes into use: once all have it.
func (s *stage) rotate(lifetime time.Duration, secrets ...string) time.Time {
	s.t.Helper()
	turn := time.Now().Add(3 * time.Second).Truncate(time.Second)
	for _, m := range s.nodes {
		s.configure(m.config, sessionsText(lifetime, turn, secrets...))
		m.process.hangup(s.t, "fleet secrets reloaded")
	}
	if time.Now().After(turn) {
		s.t.Error("the machine is too slow for this test: a secret came into use before all nodes had it")
	}
	s.until(func() bool { return time.Now().After(turn) })
	return turn
}

// report checks that nobody noticed, and tells the figures.
func (s *stage) report(l *load, took time.Duration) {
	s.t.Helper()
	c, n := l.client, l.made.Load()
	refused := s.refused()
	s.t.Logf("%d requests in %.0f s, %d refused to the caller; %d sessions begun, %d full proofs, %d fallbacks to one",
		n, took.Seconds(), l.refused.Load(), c.begun.Load(), c.full.Load(), c.retried("session"))
	s.t.Logf("attempts for other reasons: nonce %d, replayed %d; refused at the gateways: %v",
		c.retried("use_dpop_nonce"), c.retried("replayed"), refused)
	l.check(s.t)
	for what, wrong := range map[string]bool{
		"the balancer found no node":                  s.balancer.failed.Load() != 0,
		"a rotation or a restart ended a session":     refused["session-ticket-unknown"] != 0,
		"a window took a request for a replay":        refused["replayed"] != 0,
		"the fleet's sessions weren't used":           c.full.Load() > n/10,
		"no session was renewed":                      c.begun.Load() < 2,
		"the API was sent another number of requests": s.api.served.Load() != n || s.api.cut.Load() != 0,
		"the API was sent a request twice":            s.api.repeated() != 0,
	} {
		if wrong {
			s.t.Errorf("%s", what)
		}
	}
	for _, m := range s.nodes {
		if m.taken+m.node.taken == 0 {
			s.t.Errorf("%s had nothing to do", m.config)
		}
	}
}

// TestReload gives a running gateway configurations that it can't use, which change nothing, and one without the secret
// that sessions are sealed under, as after a theft: they end at once, and callers don't notice.
func TestReload(t *testing.T) {
	t.Parallel()
	s := open(t, binaries.asTests, perRequest)
	m := s.addGateway(sessionsText(5*time.Minute, time.Time{}, "a"))
	s.awaitReady()
	l := &load{client: s.newClient(nil), origin: s.balancer.origin}
	for n, tc := range []struct{ name, sessions, said string }{
		{"started", "", ""},
		{"a secret that isn't there", sessionsText(5*time.Minute, time.Now(), "a", "gone"), "not reloaded; everything stays as it was"},
		{"no secret", "    secrets: []\n", "not reloaded; everything stays as it was"},
		{"none in force", "    secrets: [{id: a, secret_file: $DIR/a.secret, not_before: 2100-01-01T00:00:00Z}]\n", "not reloaded; everything stays as it was"},
		{"one more", sessionsText(5*time.Minute, time.Now().Add(time.Hour), "a", "b"), "fleet secrets reloaded"},
		{"another", sessionsText(5*time.Minute, time.Time{}, "c"), "fleet secrets reloaded"},
	} {
		if tc.said != "" {
			s.configure(m.config, tc.sessions)
			m.process.hangup(t, tc.said)
		}
		for i := range 20 {
			l.one(int64(20*n + i))
		}
		want := int64(0)
		if tc.name == "another" {
			want = 1
		}
		if got := l.client.retried("session"); got != want {
			t.Errorf("%s: %d sessions were refused, want %d", tc.name, got, want)
		}
	}
	l.check(t)
	if got := l.client.begun.Load(); got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
}
