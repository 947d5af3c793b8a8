package sfv

import "hash/maphash"

// smallIndex is the number of keys up to which comparing each with each is cheaper than hashing.
const smallIndex = 16

// lastMembers keeps the last member of each key, at the place of the first (RFC 9651, section 4.2.2).
func lastMembers(dict Dictionary) Dictionary {
	return keepLast(dict, func(m *Member) string { return m.Key }, func(m *Member) { m.Repeated = true })
}

// lastParams keeps the last parameter of each key, at the place of the first (RFC 9651, section 4.2.3.2).
func lastParams(params Params) Params {
	return keepLast(params, func(p *Param) string { return p.Key }, func(p *Param) { p.Repeated = true })
}

// keepLast removes all elements of s but the last of each key, puts that where the first was, and marks it. It takes
// linear time; s has at most MaxMembers elements.
func keepLast[S ~[]E, E any](s S, key func(*E) string, mark func(*E)) S {
	var slots [2 * MaxMembers]uint16 // by hash: place of the key in s, plus one
	seed := maphash.MakeSeed()
	n := 0
	for i := range s {
		place := n
		for h := maphash.String(seed, key(&s[i])); ; h++ {
			slot := &slots[h%uint64(len(slots))]
			if *slot == 0 {
				n++
				*slot = uint16(n)
				break
			}
			if first := int(*slot) - 1; key(&s[first]) == key(&s[i]) {
				mark(&s[i])
				place = first
				break
			}
		}
		if place != i {
			s[place] = s[i]
		}
	}
	return s[:n]
}
