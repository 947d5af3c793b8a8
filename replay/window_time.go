package replay

import (
	"math"
	"sync/atomic"
	"time"
)

const defaultWindowHorizon = 15 * time.Minute

// lifetime cuts the time since a memory began into periods.
type lifetime struct {
	now           func() time.Time
	start         time.Time // when the memory begins; period 1 starts here
	period        time.Duration
	horizon, skew time.Duration
	current       atomic.Uint32 // the latest period that was reached; it never goes back
}

// begin sets what is zero to its default, and starts period 1.
func (l *lifetime) begin(horizon, skew time.Duration, now func() time.Time) {
	if l.horizon = horizon; l.horizon == 0 {
		l.horizon = defaultWindowHorizon
	}
	if l.skew = skew; l.skew == 0 {
		l.skew = defaultSkew
	}
	l.skew = max(l.skew, 0)
	if l.now = now; l.now == nil {
		l.now = time.Now
	}
	l.start = l.wallClock()
	l.period = max(time.Second, (l.horizon+periodsAhead-1)/periodsAhead)
	l.current.Store(1)
}

// wallClock returns the time without its monotonic part: verifiers compare with the wall clock.
func (l *lifetime) wallClock() time.Time { return l.now().Round(0) }

// begins returns the moment after which everything that was made is known: a request dated ahead by a fast clock may
// have been used before the memory was.
func (l *lifetime) begins() time.Time { return l.start.Add(l.skew) }

// periodOf returns the number of the period in which t lies. The first is 1; 0 marks what is empty.
func (l *lifetime) periodOf(t time.Time) uint32 {
	n := t.Sub(l.start) / l.period
	return uint32(min(max(n, 0), math.MaxUint32-periodsAhead-1)) + 1
}

// reach moves the current period on to that of now, and never back.
func (l *lifetime) reach(now time.Time) {
	p := l.periodOf(now)
	for old := l.current.Load(); old < p; old = l.current.Load() {
		if l.current.CompareAndSwap(old, p) {
			return
		}
	}
}
