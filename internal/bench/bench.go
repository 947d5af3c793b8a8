// Package bench measures what a proof costs, as ratios: each piece of work is paired with the bare primitive that it
// can't do without, both are run in turns in one process, and the figure is the median over rounds of the quotient.
// That leaves out the machine, and most of what else it is doing.
package bench

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Case is a piece of work beside its primitive.
type Case struct {
	Name string
	Bare string // what the primitive is
	Work func() error
	Base func() error
}

// Result is what Measure found.
type Result struct {
	Name   string        `json:"name"`
	Bare   string        `json:"bare"`
	Ratio  float64       `json:"ratio"`  // median over rounds of work by base
	Work   time.Duration `json:"work"`   // ns, median over rounds
	Base   time.Duration `json:"base"`   // ns, median over rounds
	Allocs float64       `json:"allocs"` // of the work
}

// maxTurns is how often work and base take turns in a round, at most; work that takes long has fewer.
const maxTurns = 20

// Measure runs rounds rounds of about length each.
func Measure(c Case, rounds int, length time.Duration) (Result, error) {
	start := time.Now()
	if err := c.Work(); err != nil {
		return Result{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	turns := int(min(max(length/max(time.Since(start), 1), 2), maxTurns))
	turn := length / time.Duration(2*turns)
	workN, err := calibrate(c.Work, turn)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	baseN, err := calibrate(c.Base, turn)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %s: %w", c.Name, c.Bare, err)
	}
	var ratios []float64
	var works, bases []time.Duration
	for range rounds {
		var work, base time.Duration
		for turn := range turns {
			// Who goes first changes, so that neither always follows the other's caches.
			if turn%2 == 0 {
				work, base = work+run(c.Work, workN), base+run(c.Base, baseN)
			} else {
				base, work = base+run(c.Base, baseN), work+run(c.Work, workN)
			}
		}
		w, b := work/time.Duration(turns*workN), base/time.Duration(turns*baseN)
		works, bases = append(works, w), append(bases, b)
		ratios = append(ratios, (float64(work)/float64(workN))/(float64(base)/float64(baseN)))
	}
	return Result{Name: c.Name, Bare: c.Bare, Ratio: median(ratios), Work: median(works), Base: median(bases), Allocs: allocs(c.Work, workN)}, nil
}

// calibrate returns how many calls of f take about this long. An error of f ends the measurement before it starts.
func calibrate(f func() error, long time.Duration) (int, error) {
	for n := 1; ; n *= 2 {
		start := time.Now()
		for range n {
			if err := f(); err != nil {
				return 0, err
			}
		}
		if took := time.Since(start); took >= long || n >= 1<<20 {
			return n, nil
		}
	}
}

// run times n calls. Errors were looked for by calibrate; here they could only be the machine's.
func run(f func() error, n int) time.Duration {
	start := time.Now()
	for range n {
		if err := f(); err != nil {
			panic(err)
		}
	}
	return time.Since(start)
}

func allocs(f func() error, n int) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(f, n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// median returns the middle of values, and the mean of the two in the middle.
func median[T float64 | time.Duration](values []T) T {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
