package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMutants changes every accepted vector, and honest requests of every scheme as they are on the wire, in one thing at
// a time. None may be accepted, unless what is covered stayed the same and the change is of a class that a standard says
// doesn't matter.
func TestMutants(t *testing.T) {
	got := tally{classes: map[string]int{}}
	// The subtests of a group are over when the group is.
	t.Run("vectors", func(t *testing.T) {
		for _, file := range vectorFiles(t) {
			for _, c := range readCases(t, file) {
				if c.Expect == accept {
					t.Run(c.ID, func(t *testing.T) {
						t.Parallel()
						mutateCase(t, &got, &c)
					})
				}
			}
		}
	})
	t.Run("wire", func(t *testing.T) {
		for _, l := range wireLanes() {
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				mutateWire(t, &got, l)
			})
		}
	})
	got.report(t)
}

// mutateCase runs every mutant of c.
func mutateCase(t *testing.T, total *tally, c *Case) {
	f, err := readFacts(c)
	if err != nil {
		t.Fatal(err)
	}
	got := tally{classes: map[string]int{}}
	defer total.add(&got)
	if taken, err := accepts(t, sides[0].with(c, c.Request)); err != nil || !taken {
		t.Fatalf("refused without a change (%v)", err)
	}
	unchanged := slices.Clone(f.covered)
	for m := range mutants(c) {
		got.mutants++
		unchanged = slices.DeleteFunc(unchanged, func(v covered) bool { return v.differs(c, m.c) })
		taken, err := accepts(t, m.c)
		switch {
		case err != nil:
			got.unfit++
		case !taken:
			got.refused++
		default:
			names, problem := f.explain(c, m.c)
			if problem != "" {
				t.Errorf("accepted: %s: %s", m.what, problem)
			}
			got.count(names)
		}
	}
	for _, v := range unchanged {
		t.Errorf("no mutant changed %s %s: this test is blind to it", v.side, v.id)
	}
}

// accepts runs a case, whose expected verdict plays no part. The error is about messages that no server could be given.
func accepts(t *testing.T, c *Case) (bool, error) {
	r, err := Run(t.Context(), c)
	return err == nil && r.Verdict == accept, err
}

// tally counts mutants.
type tally struct {
	mu               sync.Mutex // guards the rest in the one that is added to
	mutants, refused int
	unfit            int            // refused before there was a request to verify
	accepted         int            //
	classes          map[string]int // class → accepted mutants that needed it
}

func (a *tally) count(classes []string) {
	a.accepted++
	for _, name := range slices.Compact(slices.Sorted(slices.Values(classes))) {
		a.classes[name]++
	}
}

func (a *tally) add(b *tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mutants += b.mutants
	a.refused += b.refused
	a.unfit += b.unfit
	a.accepted += b.accepted
	for name, n := range b.classes {
		a.classes[name] += n
	}
}

// report prints the table of docs/mutations.md and fails for what the promise doesn't hold for.
func (a *tally) report(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d mutants: %d refused, %d no request at all, %d accepted:\n", a.mutants, a.refused, a.unfit, a.accepted)
	known := map[string]bool{}
	for _, c := range slices.Concat(rest, classes) {
		known[c.name] = true
		fmt.Fprintf(&b, "%8d %s (%s)\n", a.classes[c.name], c.name, c.section)
		if a.classes[c.name] == 0 && octetStep == 1 {
			t.Errorf("no mutant was accepted for its class %q: the list is to name only what happens", c.name)
		}
	}
	t.Log(b.String())
	if a.mutants < minMutants {
		t.Errorf("got %d mutants, want at least %d", a.mutants, minMutants)
	}
	for name := range maps.Keys(a.classes) {
		if !known[name] {
			t.Errorf("class %q isn't in the list", name)
		}
	}
}
