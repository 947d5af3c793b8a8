package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
)

// TestWrongClock is about clients whose clocks are off. A Transport believes the server's, and its session knows.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	s := open(t, binaries.asTests, perRequest)
	s.addGateway(sessionsText(5*time.Minute, time.Time{}, "a"))
	s.awaitReady()
	for _, off := range []time.Duration{-3 * time.Hour, -5 * time.Minute, -30 * time.Second, 30 * time.Second, 5 * time.Minute, 3 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			c := s.newClient(func(tr *holdfast.Transport) {
				tr.Now = func() time.Time { return time.Now().Add(off) }
			})
			l := &load{client: c, origin: s.balancer.origin, streams: true}
			l.one(1)
			for range 40 {
				l.one(l.numbers.Add(1))
			}
			t.Logf("%d attempts for %d requests, %d full proofs, clock corrected %d times", c.attempts.Load(), l.made.Load(), c.full.Load(), c.retried("clock"))
			l.check(t)
			if c.begun.Load() != 1 || c.full.Load() > 4 {
				t.Errorf("%d sessions, %d full proofs: the clock was in the way", c.begun.Load(), c.full.Load())
			}
		})
	}
}

// TestStampede has a thousand requests at once begin.
func TestStampede(t *testing.T) {
	t.Parallel()
	s := open(t, binaries.withoutRaces, perRequest)
	s.addGateway(sessionsText(5*time.Minute, time.Time{}, "a"))
	s.awaitReady()
	l := &load{client: s.newClient(nil), origin: s.balancer.origin}
	l.client.connections.MaxConnsPerHost = 100 // files, not sessions, are what would run out
	var wg sync.WaitGroup
	began, begin := time.Now(), make(chan struct{})
	for i := range 1000 {
		wg.Go(func() { <-begin; l.one(20*int64(i) + 1) }) // a read each
	}
	close(begin)
	wg.Wait()
	l.check(t)
	t.Logf("1,000 requests at once: %d sessions begun at the gateway", s.balancer.begun.Load())
	// One, and another for each ten seconds that the answer to an offer takes.
	if got, most := s.balancer.begun.Load(), 1+int64(time.Since(began)/(10*time.Second)); got < 1 || got > most {
		t.Errorf("%d sessions begun, want 1 to %d", got, most)
	}
}

// TestRenewal keeps a client busy through several sessions. Each is renewed by one request before it ends, and streams
// that began in one end well after it.
func TestRenewal(t *testing.T) {
	t.Parallel()
	const lifetime, sessions = 8 * time.Second, 3
	s := open(t, binaries.asTests, perRequest)
	s.addGateway(sessionsText(lifetime, time.Time{}, "a"))
	s.awaitReady()
	l := &load{client: s.newClient(nil), origin: s.balancer.origin, streams: true}
	s.begin(l.client)
	began, full := time.Now(), l.client.full.Load()

	var slow atomic.Int64
	stop := l.start(t, 16, 0, func(done <-chan struct{}) {
		for more := true; more; slow.Add(1) {
			// It ends once a session that is new now must be over.
			until := time.Now().Add(lifetime + time.Second)
			l.put("/slow/"+fmt.Sprint(slow.Load()), &trickle{until: until})
			select {
			case <-done:
				more = false
			default:
			}
		}
	})
	s.until(func() bool { return s.balancer.begun.Load() >= sessions })
	took := time.Since(began)
	stop()

	renewals, proofs := s.balancer.begun.Load()-1, l.client.full.Load()-full
	t.Logf("%d requests in %.0f s: %d renewals, %d full proofs, %d slow streams", l.made.Load(), took.Seconds(), renewals, proofs, slow.Load())
	l.check(t)
	if fell := l.client.retried("session"); fell != 0 {
		t.Errorf("%d requests came too late for their session", fell)
	}
	// A session is renewed when three quarters of it are over.
	if most := int64(took/(lifetime*3/4)) + 1; renewals > most {
		t.Errorf("%d renewals in %s, want at most %d", renewals, took, most)
	}
	if proofs > 10*renewals {
		t.Errorf("%d full proofs for %d renewals", proofs, renewals)
	}
}

// trickle is a body that comes little by little, until a time.
type trickle struct{ until time.Time }

func (b *trickle) Read(p []byte) (int, error) {
	if time.Now().After(b.until) {
		return 0, io.EOF
	}
	<-time.After(poll)
	return copy(p, "."), nil
}

// TestHTTP2 has clients speak HTTP/2 over TLS to two gateways, one of which is restarted: its streams end, its connections
// move.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	s := open(t, binaries.asTests, perConnection)
	pool := s.certificate()
	s.balancer.origin = strings.Replace(s.balancer.origin, "http:", "https:", 1)
	s.drain = drain
	for range 2 {
		s.addGateway("    lifetime: 5m\n    secrets: [{id: a, secret_file: $DIR/a.secret}]\n  tls: {cert_file: $DIR/tls.crt, key_file: $DIR/tls.key}\n")
	}
	s.awaitReady()
	c := s.newClient(nil)
	c.connections.TLSClientConfig = &tls.Config{RootCAs: pool}
	c.connections.ForceAttemptHTTP2 = true
	// No streams: of those that are on their way when a server says goodbye, net/http sends again what can be.
	l := &load{client: c, origin: s.balancer.origin}
	l.one(l.numbers.Add(1))
	stop := l.start(t, 32, int64(size(500, 20_000)))
	s.restart(s.nodes[0])
	s.restart(s.nodes[1])
	stop()
	t.Logf("%d requests, %d full proofs, %d connections", l.made.Load(), c.full.Load(), s.balancer.turn.Load())
	l.check(t)
	if c.begun.Load() != 1 || c.http2.Load() != c.attempts.Load() {
		t.Errorf("%d sessions, %d of %d answers over HTTP/2", c.begun.Load(), c.http2.Load(), c.attempts.Load())
	}
}

// certificate writes one for the gateways, and returns what clients trust.
func (s *stage) certificate() *x509.CertPool {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	s.write("tls.crt", string(text))
	s.write("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}
