package replay

import "sync/atomic"

const (
	// periodsAhead is how many periods a Horizon is cut into: ids are held a little too long, at most one period.
	periodsAhead = 60
	// spokes is how many periods a wheel tells apart: those from now to the horizon, and one more as neither lies at the
	// start of its period. A power of two.
	spokes = 64
)

// wheel counts by period. Each spoke holds a period in its upper half and that period's count in the lower one, so that
// both change at once. A period that is over needs no clearing: it is left out of the sum, and its spoke is taken
// when its turn comes. The zero value is empty; it is safe for concurrent use.
type wheel [spokes]atomic.Uint64

// add counts one more in period. It returns false if the period was over so long ago that its spoke is taken.
func (w *wheel) add(period uint32) bool {
	spoke := &w[period%spokes]
	for {
		old := spoke.Load()
		next := old + 1
		switch holds := uint32(old >> 32); {
		case holds > period:
			return false
		case holds < period:
			next = uint64(period)<<32 | 1
		}
		if spoke.CompareAndSwap(old, next) {
			return true
		}
	}
}

// remove takes back an add.
func (w *wheel) remove(period uint32) {
	spoke := &w[period%spokes]
	for {
		old := spoke.Load()
		if uint32(old>>32) != period || spoke.CompareAndSwap(old, old-1) {
			return
		}
	}
}

// sum returns the count of all periods from current on.
func (w *wheel) sum(current uint32) int {
	n := 0
	for i := range w {
		if v := w[i].Load(); uint32(v>>32) >= current {
			n += int(uint32(v))
		}
	}
	return n
}
