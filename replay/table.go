package replay

import "encoding/binary"

// key is the digest of an id or an owner. Its bits are uniform, so they serve as hash, too.
type key [16]byte

// slot is an entry of a table: so many of key end in the period end. A slot with end 0 is empty; one whose end is
// before the current period is over, and as free as an empty one.
type slot struct {
	key   key
	end   uint32
	count uint32
}

// table counts entries by key and by the period in which they end. It is an open-addressing hash table with linear
// probing, where all entries of a key follow one another. It holds no pointers, so the collector doesn't look into it.
// The zero value is empty.
type table struct {
	slots []slot
	used  int // slots that aren't empty, those that are over included
}

// count returns how many of k end in the current period or later.
func (t *table) count(k key, current uint32) int {
	if t.used == 0 {
		return 0
	}
	n := 0
	for i := t.home(k); t.slots[i].end != 0; i = t.after(i) {
		if s := &t.slots[i]; s.end >= current && s.key == k {
			n += int(s.count)
		}
	}
	return n
}

// add counts one more of k that ends in the period end.
func (t *table) add(k key, end, current uint32) {
	if t.used >= len(t.slots)*13/16 {
		t.rebuild(current)
	}
	i := t.home(k)
	for ; t.slots[i].end >= current; i = t.after(i) {
		if s := &t.slots[i]; s.end == end && s.key == k {
			s.count++
			return
		}
	}
	// A slot that is over may be taken although k has another one for this period further on: count sums them.
	if t.slots[i].end == 0 {
		t.used++
	}
	t.slots[i] = slot{key: k, end: end, count: 1}
}

// rebuild moves what isn't over to a table of the right size: it makes room, gives back what is no longer needed and
// forgets what is over, in one. It happens once in many calls of add, as at least a quarter of the new table is free
// before the next.
func (t *table) rebuild(current uint32) {
	live := 0
	for i := range t.slots {
		if t.slots[i].end >= current {
			live++
		}
	}
	old := t.slots
	t.slots, t.used = make([]slot, 8+live*7/4), live
	for _, s := range old {
		if s.end < current {
			continue
		}
		i := t.home(s.key)
		for t.slots[i].end != 0 {
			i = t.after(i)
		}
		t.slots[i] = s
	}
}

// home returns where the search for k begins.
func (t *table) home(k key) int {
	return scale(binary.LittleEndian.Uint32(k[4:8]), len(t.slots))
}

func (t *table) after(i int) int {
	if i++; i < len(t.slots) {
		return i
	}
	return 0
}

// scale maps a uniform hash to 0 … n-1 without a division.
func scale(hash uint32, n int) int {
	return int(uint64(hash) * uint64(n) >> 32)
}
