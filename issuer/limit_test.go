package issuer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
)

const testLimit = 3

// limited is a server with a limit, whose clock the test moves.
type limited struct {
	*fixture
	now time.Time
}

func newLimited(t *testing.T) *limited {
	l := &limited{now: testNow}
	l.fixture = newFixture(t, func(cfg *Config) {
		cfg.FailureLimit, cfg.Now, cfg.Edges = testLimit, func() time.Time { return l.now }, []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}
	})
	return l
}

// from sends a request from an address, and returns its status and Retry-After.
func (l *limited) from(t *testing.T, remote string, q *tokenRequest) (int, string) {
	t.Helper()
	r, w := q.http(), httptest.NewRecorder()
	r.RemoteAddr = remote
	l.Handler().ServeHTTP(w, r)
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("got body %q, want JSON", w.Body)
	}
	return w.Code, w.Header().Get("Retry-After")
}

func (l *limited) want(t *testing.T, remote string, q *tokenRequest, want int) {
	t.Helper()
	if got, _ := l.from(t, remote, q); got != want {
		t.Errorf("from %s: got status %d, want %d", remote, got, want)
	}
}

func wrongSecret(id string) *tokenRequest {
	q := request("")
	q.basic(id, "not-"+testSecret)
	return q
}

const (
	here      = "198.51.100.1:4000"
	elsewhere = "198.51.100.2:4000"
)

// Who fails too often waits, even with the right secret; others, and other clients from there, don't.
func TestFailuresAreLimited(t *testing.T) {
	l := newLimited(t)
	for range testLimit {
		l.want(t, here, wrongSecret("unbound"), http.StatusUnauthorized)
	}
	status, retry := l.from(t, here, request("unbound"))
	if status != http.StatusTooManyRequests || retry != "20" {
		t.Errorf("got status %d, Retry-After %s, want 429 and 20", status, retry)
	}
	l.want(t, elsewhere, request("unbound"), http.StatusOK)
	l.want(t, here, wrongSecret("any"), http.StatusUnauthorized)
	l.now = l.now.Add(19 * time.Second)
	l.want(t, here, request("unbound"), http.StatusTooManyRequests)
	l.now = l.now.Add(time.Second)
	l.want(t, here, request("unbound"), http.StatusOK)
}

func TestSuccessesAreNotLimited(t *testing.T) {
	l := newLimited(t)
	for range 10 * testLimit {
		l.want(t, here, request("unbound"), http.StatusOK)
	}
}

// Each of these counts, or doesn't.
func TestWhatCounts(t *testing.T) {
	for _, tc := range []struct {
		name  string
		make  func(t *testing.T, l *limited) *tokenRequest
		stops bool
	}{
		{"unknown client", func(*testing.T, *limited) *tokenRequest { return wrongSecret("nobody") }, true},
		{"unknown client without a secret", func(*testing.T, *limited) *tokenRequest {
			q := request("")
			q.form.Set("client_id", "nobody")
			return q
		}, true},
		{"assertion", func(t *testing.T, l *limited) *tokenRequest {
			return l.asserted(t, func(_, claims map[string]any) { claims["aud"] = "https://other.example" })
		}, true},
		{"DPoP proof", func(t *testing.T, l *limited) *tokenRequest {
			q := request("dpop")
			l.addProof(t, q, func(p *dpop.Params) { p.TargetURI = "https://other.example" })
			return q
		}, true},
		{"no proof at all", func(*testing.T, *limited) *tokenRequest { return request("dpop") }, false},
		{"a scope too many", func(*testing.T, *limited) *tokenRequest {
			q := request("unbound")
			q.form.Set("scope", "admin")
			return q
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLimited(t)
			for range testLimit {
				if got, _ := l.from(t, here, tc.make(t, l)); got == http.StatusTooManyRequests {
					t.Errorf("got status %d too early", got)
				}
			}
			got, _ := l.from(t, here, tc.make(t, l))
			if stopped := got == http.StatusTooManyRequests; stopped != tc.stops {
				t.Errorf("got status %d, want it stopped: %t", got, tc.stops)
			}
		})
	}
}

// From everywhere at once, only those wait who have failed themselves.
func TestNobodyLocksAClientOut(t *testing.T) {
	f := newFailures(testLimit)
	peer := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for i := range 2 * testLimit * clientFailures {
		f.count("c", peer(i), testNow)
	}
	if got := f.wait("c", peer(1), testNow); got == 0 {
		t.Error("a peer that failed needn't wait")
	}
	if got := f.wait("c", peer(1<<20), testNow); got != 0 {
		t.Errorf("a peer that never failed waits %v", got)
	}
	if got := f.wait("other", peer(1), testNow); got != 0 {
		t.Errorf("another client waits %v", got)
	}
}

func TestPeerOf(t *testing.T) {
	l := newLimited(t)
	for _, tc := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"IPv4", here, nil, "198.51.100.1/32"},
		{"IPv4 in IPv6", "[::ffff:198.51.100.1]:1", nil, "198.51.100.1/32"},
		{"IPv6", "[2001:db8:0:1:2::3]:1", nil, "2001:db8:0:1::/64"},
		{"zone", "[fe80::1%eth0]:1", nil, "fe80::/64"},
		{"none", "@", nil, "invalid Prefix"},
		{"forwarded by nobody we know", here, []string{"203.0.113.1"}, "198.51.100.1/32"},
		{"forwarded by an edge", "192.0.2.9:1", []string{"203.0.113.7, 203.0.113.1"}, "203.0.113.1/32"},
		{"forwarded twice", "192.0.2.9:1", []string{"203.0.113.7", "203.0.113.1"}, "203.0.113.1/32"},
		{"edge says nothing", "192.0.2.9:1", nil, "192.0.2.9/32"},
		{"edge says nonsense", "192.0.2.9:1", []string{"203.0.113.1, unknown"}, "192.0.2.9/32"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", testToken, nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = tc.remote, tc.forwarded
			if got := l.peerOf(r).String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// A million peers that fail are remembered in bounded memory.
func TestFailuresAreBounded(t *testing.T) {
	f := newFailures(testLimit)
	var a [16]byte
	for i := range uint64(1_000_000) {
		binary.BigEndian.PutUint64(a[:], i)
		f.count("", netip.PrefixFrom(netip.AddrFrom16(a), 64), testNow)
	}
	if got, most := len(f.young)+len(f.old), 2*maxFailing+2; got > most {
		t.Errorf("got %d buckets, want at most %d", got, most)
	}
	f.count("", netip.Prefix{}, testNow.Add(failureGeneration))
	f.count("", netip.Prefix{}, testNow.Add(2*failureGeneration))
	if got := len(f.young) + len(f.old); got > 2 {
		t.Errorf("got %d buckets after a while, want 2 at most", got)
	}
}

func TestNegativeLimitIsRefused(t *testing.T) {
	cfg := newFixture(t, nil).cfg
	cfg.FailureLimit = -1
	if _, err := New(cfg); fmt.Sprint(err) != "issuer: FailureLimit is negative" {
		t.Errorf("got error %v", err)
	}
}
