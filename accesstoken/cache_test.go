package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// verifierFunc makes a Verifier of a function.
type verifierFunc func(ctx context.Context, token string) (*Token, error)

func (f verifierFunc) Verify(ctx context.Context, token string) (*Token, error) { return f(ctx, token) }

// counting answers every question with a token that is good for lifetime, and counts the questions.
type counting struct {
	mu       sync.Mutex
	asked    int
	lifetime time.Duration
	now      func() time.Time
}

func (c *counting) Verify(_ context.Context, token string) (*Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return &Token{Subject: token, Expires: c.now().Add(c.lifetime), Hash: hashToken(token)}, nil
}

// manual is a clock that a test moves.
type manual struct {
	mu  sync.Mutex
	now time.Time
}

func newManual() *manual { return &manual{now: time.Unix(1_800_000_000, 0)} }

func (m *manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *manual) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

func TestCacheTrustsAnswersFor(t *testing.T) {
	tests := []struct {
		name     string
		lifetime time.Duration
		later    time.Duration
		want     int // questions after the second Verify
	}{
		{"within both", 10 * time.Minute, 59 * time.Second, 1},
		{"at MaxAge", 10 * time.Minute, time.Minute, 2},
		{"just before expiry", 30 * time.Second, 30*time.Second - 1, 1},
		{"at expiry", 30 * time.Second, 30 * time.Second, 2},
		{"expired when it came", -time.Second, 0, 2},
		{"clock set back", 10 * time.Minute, -time.Hour, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			clock := newManual()
			next := &counting{lifetime: tc.lifetime, now: clock.Now}
			c := NewCache(next, CacheConfig{Now: clock.Now})
			for range 2 {
				tok, err := c.Verify(t.Context(), "a")
				if err != nil || tok.Subject != "a" {
					t.Fatalf("got %v, %v", tok, err)
				}
				clock.advance(tc.later)
			}
			if next.asked != tc.want {
				t.Errorf("got %d questions, want %d", next.asked, tc.want)
			}
		})
	}
}

// A token that the next Verifier accepts without an expiry isn't trusted beyond that one time.
func TestCacheKeepsNothingWithoutExpiry(t *testing.T) {
	asked := 0
	c := NewCache(verifierFunc(func(context.Context, string) (*Token, error) {
		asked++
		return &Token{}, nil
	}), CacheConfig{})
	for range 2 {
		if _, err := c.Verify(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("got %d questions, want 2", asked)
	}
}

func TestCacheForgetsRefusals(t *testing.T) {
	asked := 0
	c := NewCache(verifierFunc(func(context.Context, string) (*Token, error) {
		asked++
		return nil, &Error{Reason: Inactive}
	}), CacheConfig{})
	for range 2 {
		_, err := c.Verify(t.Context(), "a")
		checkReason(t, err, Inactive)
	}
	if asked != 2 {
		t.Errorf("got %d questions, want 2", asked)
	}
}

func TestCacheForget(t *testing.T) {
	clock := newManual()
	next := &counting{lifetime: time.Hour, now: clock.Now}
	c := NewCache(next, CacheConfig{Now: clock.Now})
	for _, token := range []string{"a", "b", "a", "b"} {
		if _, err := c.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		c.Forget(hashToken("a"))
	}
	if next.asked != 3 { // a, b, a
		t.Errorf("got %d questions, want 3", next.asked)
	}
}

// An answer that was asked for before a revocation must not be remembered after it.
func TestCacheForgetsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		answer := make(chan struct{})
		c := NewCache(verifierFunc(func(context.Context, string) (*Token, error) {
			asked++
			<-answer
			return &Token{Expires: time.Now().Add(time.Hour)}, nil
		}), CacheConfig{})
		go func() { _, _ = c.Verify(t.Context(), "a") }()
		synctest.Wait()
		c.Forget(hashToken("a"))
		close(answer)
		synctest.Wait()
		if _, err := c.Verify(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if asked != 2 {
			t.Errorf("got %d questions, want 2", asked)
		}
	})
}

// Hazard 25: a full cache stays within its bound, and every token is still answered.
func TestCacheIsBounded(t *testing.T) {
	for _, entries := range []int{1, 10, splitEntries} {
		t.Run(fmt.Sprint(entries), func(t *testing.T) {
			clock := newManual()
			next := &counting{lifetime: time.Hour, now: clock.Now}
			c := NewCache(next, CacheConfig{Entries: entries, Now: clock.Now})
			for i := range 3 * entries {
				if _, err := c.Verify(t.Context(), fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			if got := c.len(); got > entries || got < entries/2 {
				t.Errorf("got %d entries, want at most %d and at least half of it", got, entries)
			}
		})
	}
}

func (c *Cache) len() int {
	n := 0
	for i := range c.shards {
		c.shards[i].mu.Lock()
		n += len(c.shards[i].answers) + len(c.shards[i].calls)
		c.shards[i].mu.Unlock()
	}
	return n
}

// What has expired goes before what is still good.
func TestCacheDropsExpiredFirst(t *testing.T) {
	clock := newManual()
	next := &counting{lifetime: time.Hour, now: clock.Now}
	c := NewCache(next, CacheConfig{Entries: evictionSample, MaxAge: time.Hour, Now: clock.Now})
	verify := func(token string) {
		t.Helper()
		if _, err := c.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	for i := range evictionSample - 1 {
		verify(fmt.Sprint("old", i))
	}
	clock.advance(30 * time.Minute)
	verify("good")
	clock.advance(30 * time.Minute)
	verify("new")
	before := next.asked
	verify("good")
	if next.asked != before {
		t.Error("a good entry was dropped while there were expired ones")
	}
	if got := c.len(); got != 2 {
		t.Errorf("got %d entries, want 2", got)
	}
}

func TestCacheAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := NewCache(verifierFunc(func(_ context.Context, token string) (*Token, error) {
			asked++ // no race: there is one at a time
			<-time.After(time.Second)
			return &Token{Subject: token, Expires: time.Now().Add(time.Hour)}, nil
		}), CacheConfig{})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if tok, err := c.Verify(t.Context(), "a"); err != nil || tok.Subject != "a" {
					t.Errorf("got %v, %v", tok, err)
				}
			})
		}
		wg.Wait()
		if asked != 1 {
			t.Errorf("got %d questions, want 1", asked)
		}
	})
}

// One caller's end is no answer for the others: they ask again.
func TestCacheAbandonedQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := NewCache(verifierFunc(func(ctx context.Context, _ string) (*Token, error) {
			asked++
			select {
			case <-ctx.Done():
				return nil, unavailable("", ctx.Err())
			case <-time.After(time.Second):
				return &Token{Expires: time.Now().Add(time.Hour)}, nil
			}
		}), CacheConfig{})
		first, giveUp := context.WithCancel(t.Context())
		go func() {
			_, err := c.Verify(first, "a")
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the first caller: got %v, want context.Canceled", err)
			}
		}()
		synctest.Wait()
		go func() {
			if _, err := c.Verify(t.Context(), "a"); err != nil {
				t.Errorf("the second caller: %v", err)
			}
		}()
		synctest.Wait()
		giveUp()
		<-time.After(time.Minute)
		synctest.Wait()
		if asked != 2 {
			t.Errorf("got %d questions, want 2", asked)
		}
	})
}

// A caller who waits for another's question may leave at any time.
func TestCacheWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(verifierFunc(func(context.Context, string) (*Token, error) {
			<-time.After(time.Hour)
			return &Token{}, nil
		}), CacheConfig{})
		go func() { _, _ = c.Verify(t.Context(), "a") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Verify(ctx, "a")
		checkReason(t, err, Unavailable)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
		<-time.After(time.Hour)
	})
}

// A panic below is the caller's alone, and leaves nothing behind that others would wait for.
func TestCacheSurvivesPanic(t *testing.T) {
	asked := 0
	c := NewCache(verifierFunc(func(context.Context, string) (*Token, error) {
		if asked++; asked == 1 {
			panic("below")
		}
		return &Token{Expires: time.Now().Add(time.Hour)}, nil
	}), CacheConfig{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = c.Verify(t.Context(), "a")
	}()
	if _, err := c.Verify(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
}

// Many callers, tokens, evictions and revocations at once, for the race detector.
func TestCacheConcurrent(t *testing.T) {
	next := &counting{lifetime: time.Hour, now: time.Now}
	c := NewCache(next, CacheConfig{Entries: 20})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				token := fmt.Sprint((g + i) % 40)
				if tok, err := c.Verify(t.Context(), token); err != nil || tok.Subject != token {
					t.Errorf("token %s: got %v, %v", token, tok, err)
				}
				if i%10 == 0 {
					c.Forget(hashToken(token))
				}
			}
		})
	}
	wg.Wait()
	if got := c.len(); got > 20 {
		t.Errorf("got %d entries, want at most 20", got)
	}
}

func checkReason(t *testing.T, err error, want Reason) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *Error with reason %s", err, want)
	}
	if e.Reason != want {
		t.Errorf("got reason %s (%v), want %s", e.Reason, err, want)
	}
}

func TestCacheHitAllocs(t *testing.T) {
	c := NewCache(&counting{lifetime: time.Hour, now: time.Now}, CacheConfig{MaxAge: time.Hour})
	token := strings.Repeat("t", 700)
	got := testing.AllocsPerRun(100, func() {
		if _, err := c.Verify(context.Background(), token); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}
