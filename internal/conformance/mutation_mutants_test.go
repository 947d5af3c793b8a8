package conformance

import (
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// mutant is a case that differs from another in one thing.
type mutant struct {
	what string // the place and the kind of change
	c    *Case
}

// mutants makes every mutant of an accepted case: of each octet of the message, of each part of a text that has parts, of
// each line.
func mutants(c *Case) iter.Seq[mutant] {
	return func(yield func(mutant) bool) {
		for _, side := range sides {
			m := side.of(c)
			if m == nil {
				continue
			}
			for what, changed := range changedMessages(m) {
				if !yield(mutant{side.name + " " + what, side.with(c, changed)}) {
					return
				}
			}
		}
	}
}

// side is one of the messages of a case.
type side struct {
	name string
	of   func(*Case) *message
	put  func(*Case, *message)
}

var sides = [...]side{
	{"request", func(c *Case) *message { return c.Request }, func(c *Case, m *message) { c.Request = m }},
	{"response", func(c *Case) *message { return c.Response }, func(c *Case, m *message) { c.Response = m }},
}

// with returns a copy of c with another message. The expectations beyond the verdict are left out: only the verifier is
// to refuse a mutant.
func (s side) with(c *Case, m *message) *Case {
	out := *c
	out.Base, out.JKT = nil, ""
	s.put(&out, m)
	return &out
}

func changedMessages(m *message) iter.Seq2[string, *message] {
	return func(yield func(string, *message) bool) {
		for _, s := range spots(m) {
			for _, edits := range [...]iter.Seq2[string, string]{octetEdits(s.text), partEdits(s.text)} {
				for how, text := range edits {
					changed := *m
					s.put(&changed, text)
					if !yield(s.what+": "+how, &changed) {
						return
					}
				}
			}
		}
		for how, lines := range lineEdits(m.Headers) {
			changed := *m
			changed.Headers = lines
			if !yield("header: "+how, &changed) {
				return
			}
		}
		for how, lines := range lineEdits(m.Trailers) {
			changed := *m
			changed.Trailers = lines
			if !yield("trailer: "+how, &changed) {
				return
			}
		}
		for _, status := range [...]int{m.Status - 1, m.Status + 1, m.Status ^ 64, m.Status * 10, m.Status / 10} {
			changed := *m
			changed.Status = status
			if m.Status != 0 && !yield(fmt.Sprintf("status %d", status), &changed) {
				return
			}
		}
	}
}

// spot is a place of a message that holds text, one character an octet.
type spot struct {
	what string
	text string
	put  func(m *message, text string) // into a copy of the message
}

func spots(m *message) []spot {
	body, err := m.body()
	if err != nil {
		panic(err) // the case was run before
	}
	list := []spot{
		{"method", m.Method, func(m *message, text string) { m.Method = text }},
		{"url", m.URL, func(m *message, text string) { m.URL = text }},
		{"body", string(body), func(m *message, text string) { m.Body = base64.StdEncoding.EncodeToString([]byte(text)) }},
	}
	if m.RequestTarget != "" { // else it is that of the URL
		list = append(list, spot{"request target", m.RequestTarget, func(m *message, text string) { m.RequestTarget = text }})
	}
	for i, line := range m.Headers {
		list = append(list, lineSpots("header", i, line, func(m *message) *[][2]string { return &m.Headers })...)
	}
	for i, line := range m.Trailers {
		list = append(list, lineSpots("trailer", i, line, func(m *message) *[][2]string { return &m.Trailers })...)
	}
	return list
}

func lineSpots(section string, i int, line [2]string, in func(*message) *[][2]string) []spot {
	put := func(m *message, part int, text string) {
		lines := slices.Clone(*in(m))
		lines[i][part] = text
		*in(m) = lines
	}
	what := fmt.Sprintf("%s %d %s", section, i, line[0])
	return []spot{
		{what + " (name)", line[0], func(m *message, text string) { put(m, 0, text) }},
		{what, octets(line[1]), func(m *message, text string) { put(m, 1, characters(text)) }},
	}
}

// octets is the text of a field value as it is on the wire.
func octets(value string) string {
	s, err := latin1(value)
	if err != nil {
		panic(err) // the case was run before
	}
	return s
}

// characters is the opposite of octets.
func characters(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// flips are the bits that are turned in an octet: to its neighbour, to the other letter case, out of ASCII.
var flips = [...]byte{0x01, 0x20, 0x80}

// octetEdits flips, increases, drops, doubles, and swaps with the next, each octet, and puts one at the end.
func octetEdits(s string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if !yield("octet appended", s+"x") {
			return
		}
		for i := 0; i < len(s); i += octetStep {
			for _, bits := range flips {
				if !yield(fmt.Sprintf("octet %d xor %#02x", i, bits), s[:i]+string([]byte{s[i] ^ bits})+s[i+1:]) {
					return
				}
			}
			// The next letter: in base64 the one that sets bits that padding leaves over.
			if !yield(fmt.Sprintf("octet %d plus one", i), s[:i]+string([]byte{s[i] + 1})+s[i+1:]) ||
				!yield(fmt.Sprintf("octet %d dropped", i), s[:i]+s[i+1:]) ||
				!yield(fmt.Sprintf("octet %d doubled", i), s[:i+1]+s[i:]) {
				return
			}
			if i+1 < len(s) && !yield(fmt.Sprintf("octets %d and %d swapped", i, i+1), s[:i]+string([]byte{s[i+1], s[i]})+s[i+2:]) {
				return
			}
		}
	}
}

// partEdits drops, doubles and reorders the parts of a text: members, parameters, components, the parts of a compact
// JWS, path segments, query parameters, words.
func partEdits(s string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, sep := range []byte("./?&=") {
			if !reorder("", strings.Split(s, string(sep)), sep, "", yield) {
				return
			}
		}
		for _, sep := range []byte(",; ") {
			if !reorder("", pieces(s, sep), sep, "", yield) {
				return
			}
		}
		// And the parts within members and inner lists.
		for _, open := range [...]byte{',', '('} {
			for start, end := range within(s, open) {
				for _, sep := range []byte("; ") {
					if !reorder(s[:start], pieces(s[start:end], sep), sep, s[end:], yield) {
						return
					}
				}
			}
		}
	}
}

// within yields where the members of s are, or what its parentheses hold and each item in them.
func within(s string, open byte) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		if open == ',' {
			at := 0
			for _, m := range pieces(s, ',') {
				if len(m) < len(s) && !yield(at, at+len(m)) {
					return
				}
				at += len(m) + 1
			}
			return
		}
		for start := strings.IndexByte(s, '('); start >= 0; {
			n := strings.IndexByte(s[start:], ')')
			if n < 0 {
				return
			}
			at := start + 1
			if !yield(at, start+n) {
				return
			}
			for _, item := range pieces(s[at:start+n], ' ') {
				if !yield(at, at+len(item)) {
					return
				}
				at += len(item) + 1
			}
			next := strings.IndexByte(s[start+n:], '(')
			if next < 0 {
				return
			}
			start += n + next
		}
	}
}

func reorder(before string, parts []string, sep byte, after string, yield func(string, string) bool) bool {
	if len(parts) < 2 {
		return true
	}
	for how, list := range listEdits(parts) {
		if !yield(fmt.Sprintf("part %s at %q after octet %d", how, sep, len(before)), before+strings.Join(list, string(sep))+after) {
			return false
		}
	}
	return true
}

// listEdits drops, doubles, and swaps with the next, each element.
func listEdits[E any](list []E) iter.Seq2[string, []E] {
	return func(yield func(string, []E) bool) {
		for i := range list {
			if !yield(fmt.Sprint(i, " dropped"), slices.Delete(slices.Clone(list), i, i+1)) ||
				!yield(fmt.Sprint(i, " doubled"), slices.Insert(slices.Clone(list), i, list[i])) {
				return
			}
			if i+1 < len(list) {
				swapped := slices.Clone(list)
				swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
				if !yield(fmt.Sprint(i, " and the next swapped"), swapped) {
					return
				}
			}
		}
	}
}

// lineEdits changes field lines: those of listEdits, and lines split at a comma or joined with the next of their name.
func lineEdits(lines [][2]string) iter.Seq2[string, [][2]string] {
	return func(yield func(string, [][2]string) bool) {
		for how, list := range listEdits(lines) {
			if !yield("line "+how, list) {
				return
			}
		}
		for i, line := range lines {
			parts := pieces(line[1], ',')
			for n := 1; n < len(parts); n++ {
				two := [][2]string{{line[0], strings.Join(parts[:n], ",")}, {line[0], strings.Join(parts[n:], ",")}}
				if !yield(fmt.Sprint("line ", i, " split at comma ", n), slices.Concat(lines[:i], two, lines[i+1:])) {
					return
				}
			}
			if i+1 < len(lines) && strings.EqualFold(line[0], lines[i+1][0]) {
				one := [][2]string{{line[0], line[1] + ", " + lines[i+1][1]}}
				if !yield(fmt.Sprint("line ", i, " joined with the next"), slices.Concat(lines[:i], one, lines[i+2:])) {
					return
				}
			}
		}
	}
}
