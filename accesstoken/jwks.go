package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	defaultRefresh      = 5 * time.Minute
	defaultStale        = 24 * time.Hour
	defaultUnknownEvery = 10 * time.Second

	// A failed fetch is repeated after 1 s, 2 s, 4 s, … but never less often than once a Refresh.
	firstBackoff    = time.Second
	backoffDoubling = 6
)

// JWKSConfig configures JWKS.
type JWKSConfig struct {
	// Issuer, whose RFC 8414 metadata names the jwks_uri; or URL, the jwks_uri itself. Exactly one. Either must be https,
	// or http on a loopback address: who can change the set on its way can make tokens.
	Issuer string
	URL    string
	// Client makes the requests. If nil, one with a 5 s timeout that follows no redirect. In another one these two are
	// set where it leaves them open.
	Client *http.Client
	// Refresh is how old a set may be before it is fetched again in the background. If zero, 5 minutes. A key that the
	// issuer removed is refused after at most twice as long, while the issuer can be reached.
	Refresh time.Duration
	// Stale is how long a set is still used when refreshing fails. If zero, 24 hours.
	Stale time.Duration
	// UnknownEvery limits fetches caused by unknown key ids. If zero, one per 10 s.
	UnknownEvery time.Duration
	Now          func() time.Time // If nil, time.Now
}

// JWKS is an issuer's key set, kept fresh in the background. Safe for concurrent use.
//
// It is fetched when it is used, never on a timer: a process that was idle, or frozen by its host, finds its set too old
// and waits for the next one instead of trusting keys that may be gone.
type JWKS struct {
	cfg  JWKSConfig
	ctx  context.Context // of the fetches
	stop context.CancelFunc
	set  atomic.Pointer[keySet]

	mu        sync.Mutex // guards what follows
	flight    *flight    // the fetch under way, or nil
	failures  int        // in a row
	failed    error      // the last of them
	retryAt   time.Time  // no fetch before
	unknownAt time.Time  // when an unknown key id last caused a fetch
}

// keySet is one fetched set. It is never changed.
type keySet struct {
	keys  []*keys.Public
	asked time.Time // when it was asked for, so that its age is never underestimated
}

// flight is a fetch under way.
type flight struct {
	done chan struct{}
}

// OpenJWKS returns at once; the first set is fetched on first need. ctx ends its background work, as does Close: the set
// is then used until it is Stale, and nothing is fetched any more.
func OpenJWKS(ctx context.Context, cfg JWKSConfig) (*JWKS, error) {
	if (cfg.Issuer == "") == (cfg.URL == "") {
		return nil, errors.New("accesstoken: JWKSConfig needs exactly one of Issuer and URL")
	}
	if cfg.Issuer != "" {
		if _, err := metadataURLs(cfg.Issuer); err != nil {
			return nil, fmt.Errorf("accesstoken: JWKSConfig.Issuer: %w", err)
		}
	} else if _, err := fetch.Endpoint(cfg.URL); err != nil {
		return nil, fmt.Errorf("accesstoken: JWKSConfig.URL: %w", err)
	}
	if cfg.Refresh < 0 || cfg.Stale < 0 || cfg.UnknownEvery < 0 {
		return nil, errors.New("accesstoken: JWKSConfig has a negative duration")
	}
	setDefault(&cfg.Refresh, defaultRefresh)
	setDefault(&cfg.Stale, max(defaultStale, cfg.Refresh))
	setDefault(&cfg.UnknownEvery, defaultUnknownEvery)
	if cfg.Stale < cfg.Refresh {
		return nil, errors.New("accesstoken: JWKSConfig.Stale is shorter than Refresh")
	}
	cfg.Client = fetch.Client(cfg.Client)
	cfg.Now = clock(cfg.Now)
	j := &JWKS{cfg: cfg}
	j.ctx, j.stop = context.WithCancel(ctx)
	return j, nil
}

// Key implements KeySource.
func (j *JWKS) Key(ctx context.Context, kid string) (*keys.Public, error) {
	set, err := j.current(ctx)
	if err != nil {
		return nil, err
	}
	key, err := findKey(set.keys, kid)
	if err == nil {
		return key, nil
	}
	// The issuer may have a new key. A fetch that fails leaves the id unknown, as far as we know.
	if f := j.fetchForUnknown(); f != nil {
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
	}
	// Another caller's fetch may have ended since, so look again even if there was none.
	return findKey(j.set.Load().keys, kid)
}

// Ready fetches the set if there is none yet.
func (j *JWKS) Ready(ctx context.Context) error {
	_, err := j.current(ctx)
	return err
}

// Close ends the background work and waits for its end.
func (j *JWKS) Close() error {
	j.stop()
	j.mu.Lock()
	f := j.flight
	j.mu.Unlock()
	if f != nil {
		<-f.done
	}
	return nil
}

// current returns a set to use now. It waits for a fetch if there is no set, or none young enough to be used meanwhile.
func (j *JWKS) current(ctx context.Context) (*keySet, error) {
	set := j.set.Load()
	age := j.age(set)
	if set != nil && age >= 0 && age < j.cfg.Refresh {
		return set, nil
	}
	f, failing := j.fetch()
	// While the issuer is away, requests don't wait for each attempt to reach it.
	if f != nil && (set == nil || age >= j.cfg.Stale || age >= 2*j.cfg.Refresh && !failing) {
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
		set = j.set.Load()
		age = j.age(set)
	}
	if set == nil || age >= j.cfg.Stale {
		return nil, j.unavailable()
	}
	return set, nil
}

// age is by the wall clock, since the monotonic one may stand still while the process is frozen. It is negative if the
// clock was set back.
func (j *JWKS) age(set *keySet) time.Duration {
	if set == nil {
		return 0
	}
	return j.cfg.Now().Sub(set.asked)
}

func (j *JWKS) unavailable() *Error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.failed
	if err == nil {
		err = context.Cause(j.ctx)
	}
	return unavailable("jwks", err)
}

// fetch returns the fetch under way, or starts one. It returns nil if there may be none now: after a failure, or after
// the end. failing tells whether the last one failed.
func (j *JWKS) fetch() (f *flight, failing bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fetchLocked(j.cfg.Now()), j.failures > 0
}

// fetchForUnknown is fetch at the rate that unknown key ids may cause, whoever sends them.
func (j *JWKS) fetchForUnknown() *flight {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.flight != nil {
		return j.flight
	}
	now := j.cfg.Now()
	if !j.unknownAt.IsZero() && now.Sub(j.unknownAt) < j.cfg.UnknownEvery {
		return nil
	}
	f := j.fetchLocked(now)
	if f != nil {
		j.unknownAt = now
	}
	return f
}

func (j *JWKS) fetchLocked(now time.Time) *flight {
	if j.flight != nil {
		return j.flight
	}
	if j.ctx.Err() != nil || now.Before(j.retryAt) {
		return nil
	}
	j.flight = &flight{done: make(chan struct{})}
	go j.run(j.flight, now)
	return j.flight
}

// run makes one fetch. It is no caller's, so that none can end it for the others.
func (j *JWKS) run(f *flight, now time.Time) {
	defer close(f.done)
	set, err := fetchKeys(j.ctx, &j.cfg)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flight = nil
	j.failed = err
	if err != nil {
		backoff := min(firstBackoff<<min(j.failures, backoffDoubling), j.cfg.Refresh)
		j.retryAt = j.cfg.Now().Add(backoff)
		j.failures++
		return
	}
	j.failures = 0
	j.set.Store(&keySet{keys: set, asked: now.Round(0)})
}

// wait waits for the end of the fetch, and returns an error if ctx ended before.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return unavailable("jwks", context.Cause(ctx))
	}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}
