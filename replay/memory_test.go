package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// largest returns the most slots that one claim may have to move: those of the largest table.
func largest(m *Memory) int {
	n := 0
	for i := range m.ids {
		n = max(n, len(m.ids[i].slots), len(m.owners[i].slots))
	}
	return n
}

// TestHazardSweepUnderOneLock: whatever the guard holds, a claim touches one small table of ids and one of owners.
func TestHazardSweepUnderOneLock(t *testing.T) {
	const capacity = 50_000
	f := newFixture(t, MemoryConfig{Capacity: capacity, Share: capacity, InsecureAcceptOlder: true})
	for i := range capacity {
		owner := keys.Thumbprint{}
		binary.BigEndian.PutUint32(owner[:], uint32(i+1))
		f.want(nil, f.claim(owner, "a"))
	}
	if got := largest(f.Memory); got > 4*perShard {
		t.Errorf("a table of %d slots with %d ids in all, want at most %d", got, capacity, 4*perShard)
	}
	// When their time is over they no longer count, without anybody having touched them.
	f.now = f.now.Add(2 * time.Minute)
	if got := f.Len(); got != 0 {
		t.Errorf("got %d live ids after their time, want 0", got)
	}
	// Later claims give their room back: a burst isn't paid for ever.
	for i := range 2 * capacity {
		f.want(nil, f.claim(alice, fmt.Sprint(i)))
		f.now = f.now.Add(time.Second)
	}
	slots := 0
	for i := range f.ids {
		slots += len(f.ids[i].slots)
	}
	if slots > capacity/2 {
		t.Errorf("%d slots for %d live ids: room for %d isn't given back", slots, f.Len(), capacity)
	}
}

// TestHazardFutureProofBeforeRestart: a client's clock may be ahead, so a proof dated after the start may be older.
func TestHazardFutureProofBeforeRestart(t *testing.T) {
	for _, tc := range []struct {
		name string
		skew time.Duration
		want error
	}{
		{"5 s by default", 0, ErrRestarted},
		{"1 s", time.Second, ErrRestarted},
		{"none", -1, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, MemoryConfig{Skew: tc.skew})
			f.now = epoch.Add(time.Second)
			f.want(tc.want, f.claim(alice, "a"))
			f.now = f.Begins().Add(time.Second)
			f.want(nil, f.claim(alice, "b"))
		})
	}
}

// TestHazardForgottenTooEarly: an id is refused until the last moment, wherever its times lie in the periods of the guard.
func TestHazardForgottenTooEarly(t *testing.T) {
	for _, horizon := range []time.Duration{30 * time.Second, 10 * time.Minute, 601 * time.Second, 24 * time.Hour} {
		t.Run(horizon.String(), func(t *testing.T) {
			for i := range 100 {
				f := newFixture(t, MemoryConfig{Horizon: horizon, InsecureAcceptOlder: true})
				f.now = f.now.Add(time.Duration(i) * 777 * time.Millisecond)
				c := Claim{Owner: alice, ID: "a", Until: f.now.Add(horizon - horizon*time.Duration(i)/100)}
				f.want(nil, f.Claim(t.Context(), c))
				for step := c.Until.Sub(f.now) / 20; f.now.Before(c.Until); f.now = f.now.Add(step) {
					f.want(ErrReplayed, f.Claim(t.Context(), c))
				}
				f.now = c.Until.Add(-1)
				f.want(ErrReplayed, f.Claim(t.Context(), c))
				f.now = c.Until.Add(f.period)
				if got := f.Len(); got != 0 {
					t.Errorf("%d live ids a period after the end, want 0", got)
				}
			}
		})
	}
}

// TestClockGoesBack: what was forgotten by then must not be taken for new.
func TestClockGoesBack(t *testing.T) {
	f := newFixture(t, accepting())
	c := Claim{Owner: alice, ID: "a", Until: f.now.Add(time.Minute)}
	f.want(nil, f.Claim(t.Context(), c))
	f.now = f.now.Add(5 * time.Minute)
	for i := range 10_000 { // enough that every table drops what is over
		f.want(nil, f.claim(bob, fmt.Sprint(i)))
	}
	f.now = f.now.Add(-5 * time.Minute)
	f.want(ErrExpired, f.Claim(t.Context(), c))
	f.now = epoch.Add(-time.Hour)
	f.want(ErrExpired, f.claim(alice, "b"))
}

// TestLateClaim: a claim that reads the time, and then waits while others move on and drop its id, is too late.
func TestLateClaim(t *testing.T) {
	f := newFixture(t, accepting())
	c := Claim{Owner: alice, ID: "a", Until: f.now.Add(time.Minute)}
	f.want(nil, f.Claim(t.Context(), c))
	f.current.Store(f.periodOf(c.Until) + 1) // others have moved on; f.now is what the late one has read
	f.want(ErrExpired, f.Claim(t.Context(), c))
	if !f.live.add(f.periodOf(c.Until) + spokes) {
		t.Error("a later period can't take the spoke")
	}
	if f.live.add(f.periodOf(c.Until)) {
		t.Error("an id was counted in a period whose spoke is taken")
	}
}

// TestWallClock: the default clock, and a Made that was cut to whole seconds.
func TestWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(300 * time.Millisecond) // of the bubble's time: the guard starts within a second
		m, err := NewMemory(MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		claim := func(id string) error {
			made := time.Now().Truncate(time.Second)
			return m.Claim(t.Context(), Claim{Owner: alice, ID: id, Made: made, Until: made.Add(65 * time.Second)})
		}
		for i := range 6 {
			if err := claim(fmt.Sprint(i)); !errors.Is(err, ErrRestarted) {
				t.Errorf("%d s after the start: got %v, want %v", i, err, ErrRestarted)
			}
			time.Sleep(time.Second)
		}
		if err := claim("a"); err != nil {
			t.Error(err)
		}
		if err := claim("a"); !errors.Is(err, ErrReplayed) {
			t.Errorf("got %v, want %v", err, ErrReplayed)
		}
		time.Sleep(2 * time.Minute)
		if got := m.Len(); got != 0 {
			t.Errorf("got %d live ids, want 0", got)
		}
	})
}

// TestShareOverPeriods: an owner's ids are counted over all the periods in which they end, and released one by one.
func TestShareOverPeriods(t *testing.T) {
	f := newFixture(t, MemoryConfig{Capacity: 1000, Share: 10, InsecureAcceptOlder: true})
	for i := range 10 {
		f.want(nil, f.Claim(t.Context(), Claim{Owner: alice, ID: fmt.Sprint(i), Until: f.now.Add(time.Duration(i+1) * time.Minute)}))
	}
	for i := range 10 {
		f.want(ErrFull, f.claim(alice, "one more"))
		f.now = epoch.Add(time.Duration(i+1)*time.Minute + f.period)
		f.want(nil, f.Claim(t.Context(), Claim{Owner: alice, ID: fmt.Sprint("again", i), Until: f.now.Add(10 * time.Minute)}))
	}
}

// TestAllocs names what must not allocate: a replay, and a claim apart from the room that its table takes now and then.
func TestAllocs(t *testing.T) {
	f := newFixture(t, accepting())
	c := Claim{Owner: alice, ID: strings.Repeat("x", 128), Until: f.now.Add(time.Minute)}
	f.want(nil, f.Claim(t.Context(), c))
	ctx := t.Context()
	if got := testing.AllocsPerRun(1000, func() { _ = f.Claim(ctx, c) }); got != 0 {
		t.Errorf("a replay costs %v allocations, want 0", got)
	}
	ids := make([]string, 1001)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	i := 0
	if got := testing.AllocsPerRun(1000, func() { c.ID = ids[i]; _ = f.Claim(ctx, c); i++ }); got >= 1 {
		t.Errorf("a claim costs %v allocations, want less than one", got)
	}
}

// FuzzTable runs additions over many periods beside a plain map, with keys that lie close together.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x00\x00\xff\x10\x20\x30\x41\x42\x43"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		type entry struct {
			key key
			end uint32
		}
		var got table
		want := map[entry]int{}
		current := uint32(1)
		for _, op := range ops {
			if op >= 0xe0 {
				current += uint32(op & 0x1f)
				continue
			}
			e := entry{key{4: op & 3, 7: op >> 6 * 0x55}, current + uint32(op>>2&7)}
			got.add(e.key, e.end, current)
			want[e]++
			sums := map[key]int{e.key: 0}
			for w, n := range want {
				if w.end >= current {
					sums[w.key] += n
				}
			}
			for k, sum := range sums {
				if n := got.count(k, current); n != sum {
					t.Fatalf("%x: got %d, want %d", k, n, sum)
				}
			}
		}
	})
}
