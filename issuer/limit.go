package issuer

import (
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// clientFailures is how many times as many failures a client may have from all peers together. Beyond that, only peers
	// that have failed wait for it: nobody can lock a client out from elsewhere.
	clientFailures = 100
	// maxFailing bounds how many buckets each of two generations holds, some 200 bytes each.
	maxFailing = 1 << 15
	// failureGeneration is longer than an empty bucket takes to fill.
	failureGeneration = 2 * time.Minute
)

// failures counts failed authentication and failed proofs in token buckets, so that they cost little and nobody can guess
// for long. A nil one counts nothing. It is safe for concurrent use.
type failures struct {
	perMinute int

	mu           sync.Mutex                // guards what follows
	young, old   map[failing]*rate.Limiter // a bucket that isn't used grows old, and is then forgotten: it is full by then
	youngestFrom time.Time
}

// failing is who failed: a known client from a peer, a known client from anywhere, or a peer that named no known client.
type failing struct {
	client   string
	peer     netip.Prefix
	anywhere bool
}

// newFailures returns nil for no limit.
func newFailures(perMinute int) *failures {
	if perMinute == 0 {
		return nil
	}
	return &failures{perMinute: perMinute, young: make(map[failing]*rate.Limiter)}
}

// wait returns how long a client from a peer must wait because of what failed before; 0 if it needn't.
func (f *failures) wait(client string, peer netip.Prefix, now time.Time) time.Duration {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	own := f.find(failing{client: client, peer: peer}, now)
	if own == nil {
		return 0
	}
	wait := untilToken(own, now)
	if all := f.find(failing{client: client, anywhere: true}, now); all != nil && own.TokensAt(now) < float64(own.Burst()) {
		wait = max(wait, untilToken(all, now))
	}
	return wait
}

// count remembers a failure.
func (f *failures) count(client string, peer netip.Prefix, now time.Time) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(failing{client: client, peer: peer}, f.perMinute, now)
	if client != "" {
		f.take(failing{client: client, anywhere: true}, f.perMinute*clientFailures, now)
	}
}

// find returns the bucket, or nil if it is full.
func (f *failures) find(who failing, now time.Time) *rate.Limiter {
	f.age(now)
	if b := f.young[who]; b != nil {
		return b
	}
	return f.old[who]
}

func (f *failures) take(who failing, perMinute int, now time.Time) {
	b := f.find(who, now)
	if b == nil {
		b = rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)
	}
	b.AllowN(now, 1)
	f.young[who] = b
}

// age forgets the older half when the younger is full or has had its time. It costs the same however many there are.
func (f *failures) age(now time.Time) {
	if len(f.young) < maxFailing && now.Sub(f.youngestFrom) < failureGeneration {
		return
	}
	f.old, f.young, f.youngestFrom = f.young, make(map[failing]*rate.Limiter), now
}

// untilToken is the time until a bucket has one to give.
func untilToken(b *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - b.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(missing / float64(b.Limit()) * float64(time.Second)))
}

// mayTry refuses a request of a client, or of a peer that names none that is known, before anything about it is verified.
func (s *Server) mayTry(r *http.Request, c *client) error {
	wait := s.failures.wait(c.failureName(), s.peerOf(r), s.now())
	if wait == 0 {
		return nil
	}
	return &Error{Reason: TooManyFailures, Section: "RFC 6585, section 4", Wait: wait}
}

// countFailure counts err if it is one that somebody who guesses would get, or whose signature was in vain.
func (s *Server) countFailure(r *http.Request, c *client, err error) {
	if err == nil {
		return
	}
	switch asError(err).Reason {
	case AuthRefused, SecretMismatch, AssertionRefused, CertificateRefused, DPoPRefused, SignatureRefused, DigestRefused:
	case AuthMissing:
		if c != nil {
			return
		}
	default:
		return
	}
	s.failures.count(c.failureName(), s.peerOf(r), s.now())
}

// failureName is what failures are counted under; unknown clients have none, so that nobody can fill memory with names.
func (c *client) failureName() string {
	if c == nil {
		return ""
	}
	return c.ID
}

// peerOf returns the network that a request came from: an address, or the /64 that one IPv6 host can choose from. Behind an
// edge it is the last entry of X-Forwarded-For, which the edge wrote; others' are worth nothing.
func (s *Server) peerOf(r *http.Request) netip.Prefix {
	var addr netip.Addr
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr = ap.Addr()
	}
	if fields := r.Header.Values("X-Forwarded-For"); len(fields) > 0 && s.isEdge(r.RemoteAddr) {
		last := fields[len(fields)-1]
		last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		if told, err := netip.ParseAddr(last); err == nil {
			addr = told
		}
	}
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // zero for no address
	return prefix
}
