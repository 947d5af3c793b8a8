// Package bench measures what a proof costs, as ratios: each piece of work is paired with the bare primitive that it
// can't do without, both are run in turns in one process, and the figure is the median over rounds of the quotient.
// That leaves out the machine, and most of what else it is doing.
package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Case is a piece of work beside its primitive.
type Case struct {
	Name string
	Bare string // what the primitive is; empty with a nil Base
	Work func() error
	Base func() error // nil for a primitive, which is compared with nothing
	// Stock, if set, makes what the next n calls of Work use up, such as proofs that work once. It isn't timed.
	Stock func(n int) error
	// BaseStock does the same for Base.
	BaseStock func(n int) error
	// Bytes is how much a call works through, where that is what counts.
	Bytes int64
}

// Group is cases that are built when they are measured and freed before the next group is, so that no group's heap is
// another's garbage collection.
type Group struct {
	Name  string
	About string
	Build func() ([]Case, error)
}

// Result is what Measure found.
type Result struct {
	Name   string        `json:"name"`
	Bare   string        `json:"bare,omitempty"`
	Ratio  float64       `json:"ratio,omitempty"` // median over rounds of work by base
	Work   time.Duration `json:"work_ns"`         // median over rounds
	Base   time.Duration `json:"base_ns,omitempty"`
	Allocs float64       `json:"allocs"`          // of the work
	Bytes  int64         `json:"bytes,omitempty"` // that the work goes through
}

// maxTurns is how often work and base take turns in a round, at most; work that takes long has fewer.
const maxTurns = 20

// Measure runs rounds rounds of about length each, until ctx ends.
func Measure(ctx context.Context, c Case, rounds int, length time.Duration) (Result, error) {
	work := side{call: c.Work, stock: c.Stock}
	base := side{call: c.Base, stock: c.BaseStock}
	first, err := work.run(1)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	turns := int(min(max(length/max(first, 1), 2), maxTurns))
	turn := length / time.Duration(2*turns)
	if err := work.calibrate(turn); err != nil {
		return Result{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	if c.Base != nil {
		if err := base.calibrate(turn); err != nil {
			return Result{}, fmt.Errorf("%s: %s: %w", c.Name, c.Bare, err)
		}
	}
	var ratios []float64
	var works, bases []time.Duration
	for range rounds {
		if ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		w, b, err := round(&work, &base, turns)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", c.Name, err)
		}
		works, bases, ratios = append(works, time.Duration(w)), append(bases, time.Duration(b)), append(ratios, w/b)
	}
	r := Result{Name: c.Name, Bare: c.Bare, Work: median(works), Bytes: c.Bytes}
	if c.Base != nil {
		r.Ratio, r.Base = median(ratios), median(bases)
	}
	r.Allocs, err = work.allocs()
	return r, err
}

// round lets both sides take turns, and returns the nanoseconds of one call of each.
func round(work, base *side, turns int) (w, b float64, err error) {
	var took [2]time.Duration
	for turn := range turns {
		// Who goes first changes, so that neither always follows the other's caches.
		order := [2]int{turn % 2, 1 - turn%2}
		for _, i := range order {
			s := [2]*side{work, base}[i]
			if s.call == nil {
				continue
			}
			d, err := s.run(s.calls)
			if err != nil {
				return 0, 0, err
			}
			took[i] += d
		}
	}
	return float64(took[0]) / float64(turns*work.calls), float64(took[1]) / float64(max(turns*base.calls, 1)), nil
}

// side is one of the two that are compared.
type side struct {
	call  func() error
	stock func(n int) error
	calls int // in a turn
}

// calibrate finds how many calls take about this long, with what has to be made for them: a signature may take thirty
// times what its verification does.
func (s *side) calibrate(long time.Duration) error {
	for s.calls = 1; ; s.calls *= 2 {
		start := time.Now()
		if _, err := s.run(s.calls); err != nil {
			return err
		}
		if time.Since(start) >= long || s.calls >= 1<<20 {
			return nil
		}
	}
}

// run times n calls, by the clock of processorTime.
func (s *side) run(n int) (time.Duration, error) {
	if s.stock != nil {
		if err := s.stock(n); err != nil {
			return 0, err
		}
	}
	start := processorTime()
	for range n {
		if err := s.call(); err != nil {
			return 0, err
		}
	}
	return processorTime() - start, nil
}

// allocs returns the allocations of a call.
func (s *side) allocs() (float64, error) {
	if s.stock != nil {
		if err := s.stock(s.calls); err != nil {
			return 0, err
		}
	}
	unstocked := side{call: s.call}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := unstocked.run(s.calls)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(s.calls), err
}

// median returns the middle of values, and the mean of the two in the middle.
func median[T float64 | time.Duration](values []T) T {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
