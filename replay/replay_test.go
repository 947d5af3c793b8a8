package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

var epoch = time.Unix(1_700_000_000, 0)

var (
	alice = keys.Thumbprint{1}
	bob   = keys.Thumbprint{2}
)

// fixture is a guard with a clock of its own.
type fixture struct {
	*Memory
	t   *testing.T
	now time.Time
}

func newFixture(t *testing.T, cfg MemoryConfig) *fixture {
	t.Helper()
	f := &fixture{t: t, now: epoch}
	cfg.Now = func() time.Time { return f.now }
	m, err := NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Memory = m
	return f
}

// claim claims an id that is good for a minute.
func (f *fixture) claim(owner keys.Thumbprint, id string) error {
	return f.Claim(f.t.Context(), Claim{Owner: owner, ID: id, Made: f.now, Until: f.now.Add(time.Minute)})
}

func (f *fixture) want(want error, got error) {
	f.t.Helper()
	if !errors.Is(got, want) {
		f.t.Errorf("got %v, want %v", got, want)
	}
}

func accepting() MemoryConfig { return MemoryConfig{InsecureAcceptOlder: true} }

func TestClaimOnce(t *testing.T) {
	f := newFixture(t, accepting())
	f.want(nil, f.claim(alice, "a"))
	f.want(ErrReplayed, f.claim(alice, "a"))
	f.want(nil, f.claim(alice, "b"))
	f.want(nil, f.claim(alice, "A"))
	if got := f.Len(); got != 3 {
		t.Errorf("got %d live ids, want 3", got)
	}
}

func TestHazardReplayKeyedByIDAlone(t *testing.T) {
	f := newFixture(t, accepting())
	f.want(nil, f.claim(alice, "a"))
	f.want(nil, f.claim(bob, "a"))
}

// TestHazardOwnerAndIDRunTogether: where owner and id meet must not matter.
func TestHazardOwnerAndIDRunTogether(t *testing.T) {
	f := newFixture(t, accepting())
	other := alice
	other[31] = 'x'
	f.want(nil, f.claim(alice, "xa"))
	f.want(nil, f.claim(other, "a"))
}

func TestHazardEntryExpiresBeforeItsProof(t *testing.T) {
	f := newFixture(t, accepting())
	until := f.now.Add(70 * time.Second)
	c := Claim{Owner: alice, ID: "a", Made: f.now, Until: until}
	f.want(nil, f.Claim(t.Context(), c))
	for f.now = f.now.Add(time.Second); f.now.Before(until); f.now = f.now.Add(time.Second) {
		f.want(ErrReplayed, f.Claim(t.Context(), c))
	}
	f.want(ErrExpired, f.Claim(t.Context(), c))
}

func TestHazardLongIDStored(t *testing.T) {
	f := newFixture(t, accepting())
	long := strings.Repeat("x", 1<<20)
	f.want(nil, f.claim(alice, long))
	f.want(ErrReplayed, f.claim(alice, long))
	f.want(nil, f.claim(alice, long+"y"))
	size := testing.AllocsPerRun(1, func() { _ = f.claim(alice, long) })
	if size > 20 {
		t.Errorf("a long id costs %v allocations", size)
	}
}

func TestHazardUnboundedMemory(t *testing.T) {
	f := newFixture(t, MemoryConfig{Capacity: 100, Share: 100, InsecureAcceptOlder: true})
	for i := range 100 {
		f.want(nil, f.claim(alice, fmt.Sprint(i)))
	}
	f.want(ErrFull, f.claim(bob, "one more"))
	f.want(ErrReplayed, f.claim(alice, "0")) // nothing was evicted to make room
	f.now = f.now.Add(2 * time.Minute)
	if got := f.Len(); got != 0 {
		t.Errorf("got %d live ids after their time, want 0", got)
	}
	f.want(nil, f.claim(bob, "one more"))
}

func TestShare(t *testing.T) {
	f := newFixture(t, MemoryConfig{Capacity: 100, Share: 10, InsecureAcceptOlder: true})
	for i := range 10 {
		f.want(nil, f.claim(alice, fmt.Sprint(i)))
	}
	f.want(ErrFull, f.claim(alice, "one more"))
	f.want(nil, f.claim(bob, "0"))
	if got := f.Len(); got != 11 {
		t.Errorf("got %d live ids, want 11: a refused claim was counted", got)
	}
	f.now = f.now.Add(2 * time.Minute)
	f.want(nil, f.claim(alice, "one more"))
}

func TestRefusedClaims(t *testing.T) {
	good := Claim{Owner: alice, ID: "a", Made: epoch.Add(10 * time.Second), Until: epoch.Add(time.Minute)}
	tests := []struct {
		name string
		edit func(*Claim)
		want error
	}{
		{"good", func(*Claim) {}, nil},
		{"no owner", func(c *Claim) { c.Owner = keys.Thumbprint{} }, errIncomplete},
		{"no id", func(c *Claim) { c.ID = "" }, errIncomplete},
		{"over", func(c *Claim) { c.Until = epoch.Add(10 * time.Second) }, ErrExpired},
		{"beyond the horizon", func(c *Claim) { c.Until = epoch.Add(time.Hour) }, ErrTooFar},
		{"made before the start", func(c *Claim) { c.Made = epoch.Add(-time.Second) }, ErrRestarted},
		{"made in the second of the start", func(c *Claim) { c.Made = epoch }, ErrRestarted},
		{"made within the skew after it", func(c *Claim) { c.Made = epoch.Add(5 * time.Second) }, ErrRestarted},
		{"made further ahead than granted", func(c *Claim) { c.Made = epoch.Add(16 * time.Second) }, ErrTooFar},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, MemoryConfig{})
			f.now = epoch.Add(10 * time.Second)
			c := good
			tc.edit(&c)
			f.want(tc.want, f.Claim(t.Context(), c))
			if got := f.Len(); tc.want != nil && got != 0 {
				t.Errorf("a refused claim left %d ids", got)
			}
		})
	}
}

func TestNewMemoryRefuses(t *testing.T) {
	for name, cfg := range map[string]MemoryConfig{
		"negative capacity":   {Capacity: -1},
		"share over capacity": {Capacity: 1, Share: 2},
		"negative horizon":    {Horizon: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewMemory(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestOneOfManyWins(t *testing.T) {
	f := newFixture(t, accepting())
	for round := range 20 {
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				switch err := f.Claim(context.Background(), Claim{Owner: alice, ID: fmt.Sprint(round), Made: epoch, Until: epoch.Add(time.Minute)}); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrReplayed):
					lost.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 999 {
			t.Fatalf("got %d winners and %d losers, want 1 and 999", won.Load(), lost.Load())
		}
	}
}

// TestCapacityHoldsUnderConcurrency: claims at the same time must not exceed it together.
func TestCapacityHoldsUnderConcurrency(t *testing.T) {
	f := newFixture(t, MemoryConfig{Capacity: 500, Share: 500, InsecureAcceptOlder: true})
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			if f.Claim(context.Background(), Claim{Owner: alice, ID: fmt.Sprint(i), Made: epoch, Until: epoch.Add(time.Minute)}) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() > 500 || f.Len() > 500 {
		t.Errorf("%d claims won, %d are live, want at most 500", won.Load(), f.Len())
	}
}

// TestAgainstModel runs claims over many periods beside a plain map.
func TestAgainstModel(t *testing.T) {
	f := newFixture(t, MemoryConfig{Capacity: 1 << 20, Share: 1 << 20, InsecureAcceptOlder: true})
	model := map[Claim]time.Time{} // owner and id → until when it must be refused
	seed := uint64(1)
	next := func(n uint64) uint64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return seed >> 33 % n
	}
	for range 200_000 {
		f.now = f.now.Add(time.Duration(next(20)) * time.Millisecond)
		who := Claim{Owner: keys.Thumbprint{byte(next(4)) + 1}, ID: fmt.Sprint(next(2000))}
		c := who
		c.Made, c.Until = f.now, f.now.Add(time.Duration(next(90)+1)*time.Second)
		err := f.Claim(t.Context(), c)
		mustRefuse := model[who].After(f.now)
		if mustRefuse && !errors.Is(err, ErrReplayed) {
			t.Fatalf("%v was claimed until %v, and now: %v", who, model[who].Sub(epoch), err)
		}
		if err == nil {
			model[who] = c.Until
		} else if !mustRefuse && f.now.Sub(model[who]) > f.period {
			t.Fatalf("%v was over for %v, and now: %v", who, f.now.Sub(model[who]), err)
		}
	}
}

func FuzzClaim(f *testing.F) {
	f.Add("a", "b", int64(0), int64(60))
	f.Fuzz(func(t *testing.T, id, other string, made, until int64) {
		g := newFixture(t, accepting())
		c := Claim{Owner: alice, ID: id, Made: epoch.Add(time.Duration(made)), Until: epoch.Add(time.Duration(until) * time.Second)}
		first := g.Claim(t.Context(), c)
		second := g.Claim(t.Context(), c)
		if first == nil && !errors.Is(second, ErrReplayed) {
			t.Errorf("claimed twice: %v", second)
		}
		if first != nil && (second == nil || g.Len() != 0) {
			t.Errorf("refused with %v, then %v, %d live", first, second, g.Len())
		}
		if c.ID = other; first == nil && other != id && other != "" {
			if err := g.Claim(t.Context(), c); err != nil {
				t.Errorf("another id was refused: %v", err)
			}
		}
	})
}
