package replay

import "sync"

// window holds which of the counters top-WindowSize+1 … top were marked, as a ring of bits: counter n has the place n
// modulo WindowSize. The zero value has marked nothing.
type window struct {
	top  uint64
	bits [WindowSize / 64]uint64
}

// mark marks n, which is from 1 to MaxCounter (RFC 4303, section 3.4.3).
func (w *window) mark(n uint64) error {
	word, bit := &w.bits[n/64%uint64(len(w.bits))], uint64(1)<<(n%64)
	switch {
	case n > w.top:
		w.advance(n)
	case w.top-n >= WindowSize:
		return ErrBehind
	case *word&bit != 0:
		return ErrReplayed
	}
	*word |= bit
	return nil
}

// advance makes n the top. The places of the counters that come in still hold those that go out.
func (w *window) advance(n uint64) {
	if n-w.top >= WindowSize {
		w.bits = [len(w.bits)]uint64{}
		w.top = n
		return
	}
	for first := w.top + 1; first <= n; {
		low := first % 64
		count := min(64-low, n-first+1)
		// A shift by 64 gives 0 in Go, so a whole word's mask comes out right.
		w.bits[first/64%uint64(len(w.bits))] &^= (uint64(1)<<count - 1) << low
		first += count
	}
	w.top = n
}

// windowShard is a part of the sessions: an open-addressing hash table with linear probing, and its lock. The zero value
// is empty.
type windowShard struct {
	sync.Mutex
	slots []windowSlot
	used  int // slots that aren't empty, those that are over included
}

// windowSlot is one session. One with end 0 is empty; one whose end is before the current period is over, and as free as
// an empty one.
type windowSlot struct {
	session [16]byte
	hash    uint32
	end     uint32
	window  *window
}

// find returns the slot of a session, or nil.
func (s *windowShard) find(session [16]byte, hash, current uint32) *windowSlot {
	if s.used == 0 {
		return nil
	}
	for i := scale(hash, len(s.slots)); s.slots[i].end != 0; i = s.after(i) {
		if e := &s.slots[i]; e.end >= current && e.hash == hash && e.session == session {
			return e
		}
	}
	return nil
}

// add returns an empty window for a session that isn't there.
func (s *windowShard) add(session [16]byte, hash, end, current uint32) *window {
	if s.used >= len(s.slots)*13/16 {
		s.rebuild(current)
	}
	i := scale(hash, len(s.slots))
	for s.slots[i].end >= current {
		i = s.after(i)
	}
	e := &s.slots[i]
	if e.end == 0 {
		s.used++
	}
	if e.window == nil {
		e.window = new(window)
	} else {
		*e.window = window{} // of a session that is over
	}
	e.session, e.hash, e.end = session, hash, end
	return e.window
}

// rebuild moves what isn't over to a table of the right size, like that of table.
func (s *windowShard) rebuild(current uint32) {
	live := 0
	for i := range s.slots {
		if s.slots[i].end >= current {
			live++
		}
	}
	old := s.slots
	s.slots, s.used = make([]windowSlot, 8+live*7/4), live
	for _, e := range old {
		if e.end < current {
			continue
		}
		i := scale(e.hash, len(s.slots))
		for s.slots[i].end != 0 {
			i = s.after(i)
		}
		s.slots[i] = e
	}
}

func (s *windowShard) after(i int) int {
	if i++; i < len(s.slots) {
		return i
	}
	return 0
}
