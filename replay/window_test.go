package replay

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

var _ Window = (*MemoryWindows)(nil)

// windowFixture is a memory with a clock of its own.
type windowFixture struct {
	*MemoryWindows
	now time.Time
}

func newWindows(tb testing.TB, cfg MemoryWindowsConfig) *windowFixture {
	tb.Helper()
	f := &windowFixture{now: epoch}
	cfg.Now = func() time.Time { return f.now }
	w, err := NewMemoryWindows(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	f.MemoryWindows = w
	return f
}

func acceptingWindows() MemoryWindowsConfig { return MemoryWindowsConfig{InsecureAcceptOlder: true} }

func session(n uint64) (id [16]byte) {
	for i := range 8 {
		id[i] = byte(n >> (8 * i))
	}
	return id
}

// mark makes the mark of a counter in a session of alice's that ends 5 minutes after the epoch.
func mark(sessionNumber, counter uint64) Mark {
	return Mark{Owner: alice, Session: session(sessionNumber), Counter: counter, Made: epoch, Until: epoch.Add(5 * time.Minute)}
}

func TestMark(t *testing.T) {
	tests := []struct {
		name     string
		counters []uint64
		want     error // of the last; the others are accepted
	}{
		{"first", []uint64{1}, nil},
		{"again", []uint64{1, 1}, ErrReplayed},
		{"next", []uint64{1, 2}, nil},
		{"late", []uint64{1, 3, 2}, nil},
		{"late again", []uint64{1, 3, 2, 2}, ErrReplayed},
		{"begins high", []uint64{5000}, nil},
		{"begins high, then late", []uint64{5000, 4999}, nil},
		{"lowest of the window", []uint64{5000, 5000 - WindowSize + 1}, nil},
		{"lowest of the window again", []uint64{5000, 5000 - WindowSize + 1, 5000 - WindowSize + 1}, ErrReplayed},
		{"below the window", []uint64{5000, 5000 - WindowSize}, ErrBehind},
		{"far below the window", []uint64{5000, 1}, ErrBehind},
		{"jump by the window", []uint64{1, 1 + WindowSize, 1}, ErrBehind},
		{"jump by the window less one", []uint64{1, WindowSize, 1}, ErrReplayed},
		{"place of one that left", []uint64{1, 1 + WindowSize}, nil},
		{"place of one that left, late", []uint64{2, 3 + WindowSize, 2 + WindowSize}, nil},
		{"jump over words", []uint64{1, 500, 499}, nil},
		{"jump over all", []uint64{1, 100 * WindowSize, 100*WindowSize - 1}, nil},
		{"last", []uint64{MaxCounter, MaxCounter - 1}, nil},
		{"last again", []uint64{MaxCounter, MaxCounter}, ErrReplayed},
		{"back to 1 after the last", []uint64{MaxCounter, 1}, ErrBehind},
		{"zero", []uint64{0}, errBadMark},
		{"beyond the last", []uint64{MaxCounter + 1}, errBadMark},
		{"greatest", []uint64{1<<64 - 1}, errBadMark},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := newWindows(t, acceptingWindows())
			last := len(tc.counters) - 1
			for i, n := range tc.counters {
				err := f.Mark(t.Context(), mark(1, n))
				if i < last && err != nil {
					t.Fatalf("%d: %v", n, err)
				}
				if i == last && !errors.Is(err, tc.want) {
					t.Errorf("%d: got %v, want %v", n, err, tc.want)
				}
			}
		})
	}
}

func TestBehindIsReplayed(t *testing.T) {
	if !errors.Is(ErrBehind, ErrReplayed) || errors.Is(ErrReplayed, ErrBehind) {
		t.Error("ErrBehind must be an ErrReplayed that can be told apart")
	}
}

func TestSessionsAreApart(t *testing.T) {
	f := newWindows(t, acceptingWindows())
	for n := range uint64(100) {
		for counter := uint64(1); counter <= 3; counter++ {
			if err := f.Mark(t.Context(), mark(n, counter)); err != nil {
				t.Fatalf("session %d, counter %d: %v", n, counter, err)
			}
		}
	}
	if got := f.Len(); got != 100 {
		t.Errorf("got %d sessions, want 100", got)
	}
}

// TestMarkRefusals: each differs in one thing from what is accepted.
func TestMarkRefusals(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Mark)
		want   error
	}{
		{"good", func(*Mark) {}, nil},
		{"no owner", func(m *Mark) { m.Owner = keys.Thumbprint{} }, errBadMark},
		{"session over", func(m *Mark) { m.Until = epoch.Add(20 * time.Second) }, ErrExpired},
		{"no end", func(m *Mark) { m.Until = time.Time{} }, ErrExpired},
		{"session beyond the horizon", func(m *Mark) { m.Until = epoch.Add(16 * time.Minute) }, ErrTooFar},
		{"made when the memory began", func(m *Mark) { m.Made = epoch }, ErrRestarted},
		{"made within the skew after it", func(m *Mark) { m.Made = epoch.Add(5 * time.Second) }, ErrRestarted},
		{"no time", func(m *Mark) { m.Made = time.Time{} }, ErrRestarted},
		{"made ahead", func(m *Mark) { m.Made = epoch.Add(26 * time.Second) }, ErrTooFar},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := newWindows(t, MemoryWindowsConfig{})
			f.now = epoch.Add(20 * time.Second)
			m := mark(1, 1)
			m.Made = f.now
			tc.change(&m)
			if err := f.Mark(t.Context(), m); !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if want := map[bool]int{true: 1}[tc.want == nil]; f.Len() != want {
				t.Errorf("%d sessions are held, want %d", f.Len(), want)
			}
		})
	}
}

// TestRefusedMarkChangesNothing: neither below the window nor beyond the counters may a mark move it.
func TestRefusedMarkChangesNothing(t *testing.T) {
	f := newWindows(t, MemoryWindowsConfig{})
	f.now = epoch.Add(time.Minute)
	good := func(n uint64) Mark {
		m := mark(1, n)
		m.Made = f.now
		return m
	}
	if err := f.Mark(t.Context(), good(5000)); err != nil {
		t.Fatal(err)
	}
	old := good(9000)
	old.Made = epoch
	far := good(9000)
	far.Until = epoch.Add(time.Hour)
	for _, m := range []Mark{good(1), good(MaxCounter + 1), old, far} {
		if err := f.Mark(t.Context(), m); err == nil {
			t.Fatalf("%d was accepted", m.Counter)
		}
	}
	if err := f.Mark(t.Context(), good(5000-WindowSize+1)); err != nil {
		t.Errorf("the window moved: %v", err)
	}
}

func TestBeginsOfWindows(t *testing.T) {
	f := newWindows(t, MemoryWindowsConfig{Skew: 3 * time.Second})
	if got, want := f.Begins(), epoch.Add(3*time.Second); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	f = newWindows(t, MemoryWindowsConfig{Skew: -1})
	if got := f.Begins(); !got.Equal(epoch) {
		t.Errorf("got %v, want %v", got, epoch)
	}
}

// TestSessionEndStays: with a later end a window could be forgotten while its session goes on.
func TestSessionEndStays(t *testing.T) {
	f := newWindows(t, acceptingWindows())
	if err := f.Mark(t.Context(), mark(1, 1)); err != nil {
		t.Fatal(err)
	}
	m := mark(1, 2)
	m.Until = m.Until.Add(time.Minute)
	if err := f.Mark(t.Context(), m); !errors.Is(err, errMovedEnd) {
		t.Errorf("got %v, want %v", err, errMovedEnd)
	}
	m.Until = epoch.Add(time.Minute)
	if err := f.Mark(t.Context(), m); err != nil {
		t.Errorf("an earlier end: %v", err)
	}
}

func TestWindowsFull(t *testing.T) {
	f := newWindows(t, MemoryWindowsConfig{Sessions: 100, Share: 100, InsecureAcceptOlder: true})
	for n := range uint64(100) {
		if err := f.Mark(t.Context(), mark(n, 1)); err != nil {
			t.Fatalf("session %d: %v", n, err)
		}
	}
	if err := f.Mark(t.Context(), mark(100, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want %v", err, ErrFull)
	}
	// Sessions that are there go on.
	if err := f.Mark(t.Context(), mark(7, 2)); err != nil {
		t.Error(err)
	}
	// When they are over, there is room.
	f.now = epoch.Add(6 * time.Minute)
	if got := f.Len(); got != 0 {
		t.Errorf("%d sessions are held, want none", got)
	}
	m := mark(100, 1)
	m.Until = f.now.Add(time.Minute)
	if err := f.Mark(t.Context(), m); err != nil {
		t.Error(err)
	}
}

func TestShareOfSessions(t *testing.T) {
	f := newWindows(t, MemoryWindowsConfig{Sessions: 100, Share: 3, InsecureAcceptOlder: true})
	for n := range uint64(3) {
		if err := f.Mark(t.Context(), mark(n, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Mark(t.Context(), mark(3, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want %v", err, ErrFull)
	}
	if err := f.Mark(t.Context(), mark(2, 2)); err != nil {
		t.Errorf("a session that is there: %v", err)
	}
	m := mark(3, 1)
	m.Owner = keys.Thumbprint{9}
	if err := f.Mark(t.Context(), m); err != nil {
		t.Errorf("another owner: %v", err)
	}
}

func TestWindowsConfig(t *testing.T) {
	for name, cfg := range map[string]MemoryWindowsConfig{
		"negative sessions":   {Sessions: -1},
		"too many sessions":   {Sessions: maxCapacity + 1},
		"negative share":      {Share: -1},
		"share over sessions": {Sessions: 1, Share: 2},
		"negative horizon":    {Horizon: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewMemoryWindows(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
	if _, err := NewMemoryWindows(MemoryWindowsConfig{}); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

// TestOneOfManyMarks: of many marks of one counter at once exactly one wins, also where it is the first of its session.
func TestOneOfManyMarks(t *testing.T) {
	f := newWindows(t, acceptingWindows())
	for round := range uint64(20) {
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				switch err := f.Mark(context.Background(), mark(round/2, 1+round%2)); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrReplayed):
					lost.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 499 {
			t.Fatalf("got %d winners and %d losers, want 1 and 499", won.Load(), lost.Load())
		}
	}
}

// TestManyCountersAtOnce: goroutines race through one window; each counter is accepted once.
func TestManyCountersAtOnce(t *testing.T) {
	const counters, tries = WindowSize, 4
	f := newWindows(t, acceptingWindows())
	var won [counters + 1]atomic.Int64
	var wg sync.WaitGroup
	for try := range tries {
		order := rand.New(rand.NewPCG(1, uint64(try))).Perm(counters)
		wg.Go(func() {
			for _, n := range order {
				if f.Mark(context.Background(), mark(1, uint64(n)+1)) == nil {
					won[n+1].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for n := 1; n <= counters; n++ {
		if got := won[n].Load(); got != 1 {
			t.Fatalf("counter %d was accepted %d times, want once", n, got)
		}
	}
}

// TestSessionsBoundHoldsUnderConcurrency: first marks at the same time must not exceed the bound together.
func TestSessionsBoundHoldsUnderConcurrency(t *testing.T) {
	f := newWindows(t, MemoryWindowsConfig{Sessions: 300, Share: 300, InsecureAcceptOlder: true})
	var won atomic.Int64
	var wg sync.WaitGroup
	for n := range uint64(1000) {
		wg.Go(func() {
			if f.Mark(context.Background(), mark(n, 1)) == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() > 300 || f.Len() > 300 {
		t.Errorf("%d sessions began, %d are live, want at most 300", won.Load(), f.Len())
	}
}

// windowModel is a session as a plain set.
type windowModel struct {
	marked map[uint64]bool
	top    uint64
	until  time.Time
}

func (m *windowModel) want(n uint64) error {
	switch {
	case m.top >= WindowSize && n <= m.top-WindowSize:
		return ErrBehind
	case m.marked[n]:
		return ErrReplayed
	}
	return nil
}

// TestWindowsAgainstModel runs sessions that begin, jump, come late and end beside plain sets.
func TestWindowsAgainstModel(t *testing.T) {
	f := newWindows(t, MemoryWindowsConfig{Sessions: 1 << 16, Share: 1 << 16, Horizon: time.Minute, InsecureAcceptOlder: true})
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[uint64]*windowModel{}
	counts := map[error]int{}
	for range 300_000 {
		f.now = f.now.Add(time.Duration(rng.IntN(5)) * time.Millisecond)
		id := rng.Uint64N(200)
		s := model[id]
		if s == nil || !s.until.After(f.now.Add(-2*f.life.period)) {
			s = &windowModel{marked: map[uint64]bool{}, until: f.now.Add(time.Duration(1+rng.IntN(30)) * time.Second)}
			model[id] = s
		}
		n := s.top + 1
		switch rng.IntN(8) {
		case 0:
			n = s.top + rng.Uint64N(3*WindowSize)
		case 1, 2, 3:
			n = s.top - min(s.top, rng.Uint64N(WindowSize+50))
		}
		n = max(n, 1)
		want := s.want(n)
		if !s.until.After(f.now) {
			want = ErrExpired
		}
		m := mark(id, n)
		m.Until = s.until
		got := f.Mark(t.Context(), m)
		if !errors.Is(got, want) || want == ErrReplayed && errors.Is(got, ErrBehind) {
			t.Fatalf("session %d, top %d, counter %d: got %v, want %v", id, s.top, n, got, want)
		}
		counts[want]++
		if got == nil {
			s.marked[n], s.top = true, max(s.top, n)
		}
	}
	for _, err := range []error{nil, ErrReplayed, ErrBehind, ErrExpired} {
		if counts[err] < 500 {
			t.Errorf("%v occurred %d times: too few to test", err, counts[err])
		}
	}
}

// FuzzWindow drives one window by steps beside a plain set.
func FuzzWindow(f *testing.F) {
	f.Add([]byte{1, 1, 0, 255, 3, 128})
	f.Add([]byte{200, 200, 0, 64, 64, 0, 127, 255})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var w window
		model := windowModel{marked: map[uint64]bool{}}
		for _, step := range steps {
			// Small steps forward, large ones, and backwards to beyond the window's edge.
			n := model.top + uint64(step)
			switch {
			case step >= 192:
				n = model.top + uint64(step-192)*61
			case step >= 64:
				n = model.top - min(model.top, uint64(step-64)*9)
			}
			n = max(n, 1)
			want := model.want(n)
			if got := w.mark(n); got != want {
				t.Fatalf("top %d, counter %d: got %v, want %v", model.top, n, got, want)
			}
			model.marked[n], model.top = true, max(model.top, n)
		}
	})
}

func TestWindowAllocs(t *testing.T) {
	f := newWindows(t, acceptingWindows())
	n := uint64(0)
	if got := testing.AllocsPerRun(1000, func() {
		n++
		if err := f.Mark(t.Context(), mark(1, n)); err != nil {
			t.Fatal(err)
		}
		if err := f.Mark(t.Context(), mark(1, n)); err != ErrReplayed {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}
