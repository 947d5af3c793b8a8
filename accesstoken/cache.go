package accesstoken

import (
	"context"
	"sync"
	"time"
)

const (
	defaultEntries = 10_000
	defaultMaxAge  = time.Minute

	// Large caches are split so that hits on different cores seldom wait for each other.
	cacheShards  = 16
	splitEntries = 1024
	// evictionSample is among how many entries a full cache chooses the one to drop.
	evictionSample = 8
)

// CacheConfig bounds a cache.
type CacheConfig struct {
	Entries int // tokens that are remembered. If zero, 10,000
	// MaxAge is how long an answer is trusted, at most until the token expires. If zero, 1 minute. A revocation, or the
	// removal of the issuer's key, takes effect that much later unless Forget is called.
	MaxAge time.Duration
	Now    func() time.Time // If nil, time.Now
}

// Cache is a Verifier that remembers the answers of another by token hash. Refusals aren't remembered. Concurrent
// questions about one token become one. A full cache drops entries; it never refuses a token for lack of room.
type Cache struct {
	next   Verifier
	maxAge time.Duration
	now    func() time.Time
	shards []shard
}

// NewCache wraps next.
func NewCache(next Verifier, cfg CacheConfig) *Cache {
	if cfg.Entries <= 0 {
		cfg.Entries = defaultEntries
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = defaultMaxAge
	}
	c := &Cache{next: next, maxAge: cfg.MaxAge, now: clock(cfg.Now), shards: make([]shard, 1)}
	if cfg.Entries >= splitEntries {
		c.shards = make([]shard, cacheShards)
	}
	for i := range c.shards {
		c.shards[i] = shard{
			room:    cfg.Entries / len(c.shards),
			answers: map[Hash]answer{},
			calls:   map[Hash]*call{},
		}
	}
	return c
}

// Verify implements Verifier.
func (c *Cache) Verify(ctx context.Context, token string) (*Token, error) {
	h := hashToken(token)
	s := c.shard(h)
	for {
		// Without the monotonic reading, which may stand still while a process is frozen: an answer must age then too.
		now := c.now().Round(0)
		known, theirs, ours := s.look(h, now)
		if known != nil {
			return known, nil
		}
		if ours != nil {
			return c.ask(ctx, token, ours, now)
		}
		select {
		case <-theirs.done:
			if !theirs.abandoned {
				return theirs.token, theirs.err
			}
			// Whoever asked went away before there was an answer, so ask again.
		case <-ctx.Done():
			return nil, unavailable("", context.Cause(ctx))
		}
	}
}

// Forget drops a token, for instance when it was revoked. An answer still under way is not remembered either.
func (c *Cache) Forget(h Hash) {
	s := c.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.answers, h)
	// A later question must not join one that was asked before the revocation.
	delete(s.calls, h)
}

func (c *Cache) shard(h Hash) *shard { return &c.shards[int(h[0])%len(c.shards)] }

// ask puts the question to the next Verifier and tells everybody who waits for it.
func (c *Cache) ask(ctx context.Context, token string, q *call, now time.Time) (*Token, error) {
	q.abandoned = true // stays so if next panics
	defer c.shard(q.hash).settle(q, now, now.Add(c.maxAge))
	q.token, q.err = c.next.Verify(ctx, token)
	// The others who wait haven't gone away, so an answer that is due to this caller's end is not theirs.
	q.abandoned = q.err != nil && ctx.Err() != nil
	return q.token, q.err
}

// shard is a part of a Cache, chosen by hash.
type shard struct {
	mu      sync.Mutex // guards the maps
	room    int        // how many answers it may hold
	answers map[Hash]answer
	calls   map[Hash]*call // token hash → the question under way
}

// answer is a token that was verified, to be trusted before until.
type answer struct {
	token *Token
	until time.Time
}

// call is one question to the next Verifier. Its results may be read once done is closed.
type call struct {
	hash      Hash
	done      chan struct{}
	token     *Token
	err       error
	abandoned bool // there is no answer for the others who wait
}

// look returns the token if it is known, or the call under way, or a new call that the caller must make.
func (s *shard) look(h Hash, now time.Time) (known *Token, theirs, ours *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.answers[h]; ok {
		if now.Before(a.until) {
			return a.token, nil, nil
		}
		delete(s.answers, h)
	}
	if q := s.calls[h]; q != nil {
		return nil, q, nil
	}
	q := &call{hash: h, done: make(chan struct{})}
	s.calls[h] = q
	return nil, nil, q
}

// settle ends a call and remembers its token, but not beyond the token's own expiry.
func (s *shard) settle(q *call, now, until time.Time) {
	defer close(q.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[q.hash] != q {
		return // forgotten meanwhile
	}
	delete(s.calls, q.hash)
	if q.err != nil || q.token == nil {
		return
	}
	if q.token.Expires.Before(until) {
		until = q.token.Expires
	}
	if !now.Before(until) {
		return
	}
	if len(s.answers) >= s.room {
		s.evict(now)
	}
	s.answers[q.hash] = answer{q.token, until}
}

// evict makes room for one entry. It looks at a few, in the map's random order: what has expired goes, else the one that
// ends first. A walk over all of them would make one insertion cost as much as the cache is large.
func (s *shard) evict(now time.Time) {
	var first Hash
	var ends time.Time
	seen := 0
	for h, a := range s.answers {
		if !now.Before(a.until) {
			delete(s.answers, h)
		} else if ends.IsZero() || a.until.Before(ends) {
			first, ends = h, a.until
		}
		if seen++; seen == evictionSample {
			break
		}
	}
	if len(s.answers) >= s.room {
		delete(s.answers, first)
	}
}

// clock returns now, or time.Now if it is nil.
func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}
