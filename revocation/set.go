package revocation

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	defaultEntries = 100_000
	maxEntries     = 1 << 24
)

// SetConfig says how much a Set may hold.
type SetConfig struct {
	// Entries that are remembered at the same time. If zero, 100,000; at most 2^24. One takes about 300 bytes beside its texts.
	Entries int
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

// Set is a List in this process's memory. It is safe for concurrent use. Finding takes constant time, and as good as none
// while nothing is revoked.
type Set struct {
	most int
	now  func() time.Time

	mu      sync.RWMutex
	entries map[Name]*entry              // guarded by mu
	ends    ending                       // the same; first what ends first. Guarded by mu
	watches map[Name]map[*watch]struct{} // name → who watches it; guarded by mu
}

// entry is an Entry and its place in the heap.
type entry struct {
	Entry
	at int
}

// watch is one call of Watch.
type watch struct {
	names   []Name
	revoked func(Name)
}

// NewSet makes an empty Set.
func NewSet(cfg SetConfig) (*Set, error) {
	s := &Set{most: cfg.Entries, now: cfg.Now, entries: map[Name]*entry{}, watches: map[Name]map[*watch]struct{}{}}
	if s.most == 0 {
		s.most = defaultEntries
	}
	if s.most < 1 || s.most > maxEntries {
		return nil, fmt.Errorf("revocation: Entries is %d, want 1 to %d", cfg.Entries, maxEntries)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// Revoke remembers e until e.Until, and tells those who watch its name before it returns. What is revoked already stays so for
// the longer of the two times. It never blocks, so ctx isn't looked at. Errors are *Error: Incomplete, TooLong, Malformed, Over
// or Full; nothing is remembered with one.
func (s *Set) Revoke(_ context.Context, e Entry) error {
	if err := e.Name.check(); err != nil {
		return err
	}
	told, err := s.add(e)
	for _, w := range told {
		w.revoked(e.Name)
	}
	return err
}

// add remembers e and returns the watches that are over by it.
func (s *Set) add(e Entry) ([]*watch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !e.Until.After(now) {
		return nil, &Error{Reason: Over, Part: "until", Expected: "a time ahead"}
	}
	if old, ok := s.entries[e.Name]; ok {
		if e.Until.After(old.Until) {
			old.Until = e.Until
			heap.Fix(&s.ends, old.at)
		}
		return s.end(e.Name), nil
	}
	for len(s.ends) > 0 && !s.ends[0].Until.After(now) {
		delete(s.entries, heap.Pop(&s.ends).(*entry).Name)
	}
	if len(s.entries) >= s.most {
		return nil, &Error{Reason: Full}
	}
	added := &entry{Entry: e}
	s.entries[e.Name] = added
	heap.Push(&s.ends, added)
	return s.end(e.Name), nil
}

// end takes out the watches of a name and returns them. Its caller holds mu.
func (s *Set) end(n Name) []*watch {
	var over []*watch
	for w := range s.watches[n] {
		over = append(over, w)
	}
	for _, w := range over {
		s.remove(w)
	}
	return over
}

// remove takes out a watch. Its caller holds mu.
func (s *Set) remove(w *watch) {
	for _, n := range w.names {
		if delete(s.watches[n], w); len(s.watches[n]) == 0 {
			delete(s.watches, n)
		}
	}
}

// Find implements List. It never fails.
func (s *Set) Find(_ context.Context, names []Name) (Name, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, ok := s.find(names)
	return n, ok, nil
}

// find is Find for whoever holds mu.
func (s *Set) find(names []Name) (Name, bool) {
	if len(s.entries) == 0 {
		return Name{}, false
	}
	for _, n := range names {
		if e, ok := s.entries[n]; ok && e.Until.After(s.now()) {
			return n, true
		}
	}
	return Name{}, false
}

// Watch implements List.
func (s *Set) Watch(names []Name, revoked func(Name)) (stop func()) {
	w := &watch{names: names, revoked: revoked}
	if n, over := s.begin(w); over {
		revoked(n)
		return func() {}
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(w)
	}
}

// begin adds a watch, unless one of its names is revoked already.
func (s *Set) begin(w *watch) (Name, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.find(w.names); ok {
		return n, true
	}
	for _, n := range w.names {
		if s.watches[n] == nil {
			s.watches[n] = map[*watch]struct{}{}
		}
		s.watches[n][w] = struct{}{}
	}
	return Name{}, false
}

// Len returns how many entries are remembered, those that have ended and weren't swept yet included.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.entries)
}

// ending is a heap of entries, first what ends first.
type ending []*entry

func (h ending) Len() int           { return len(h) }
func (h ending) Less(i, j int) bool { return h[i].Until.Before(h[j].Until) }

func (h ending) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *ending) Push(x any) {
	e := x.(*entry)
	e.at = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *ending) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
