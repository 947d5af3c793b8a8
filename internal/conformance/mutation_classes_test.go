package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// difference is one part in which two messages differ.
type difference struct {
	side string
	// part is method, scheme, authority, path, query, target, status, body; header or trailer, for the lines of a field; or
	// case or order, of all lines.
	part     string
	name     string   // of a field
	old, new []string // lines of the field, or one text; of the four parts of a URL the whole of it
}

// differences takes a case and its mutant apart.
func differences(c, mutated *Case) (list []difference) {
	for _, side := range sides {
		before, after := side.of(c), side.of(mutated)
		if before == nil {
			continue
		}
		for _, part := range [...]struct{ name, old, new string }{
			{"method", before.Method, after.Method}, {"body", before.Body, after.Body},
			{"target", before.RequestTarget, after.RequestTarget}, {"status", fmt.Sprint(before.Status), fmt.Sprint(after.Status)},
		} {
			if part.old != part.new {
				list = append(list, difference{side: side.name, part: part.name, old: []string{part.old}, new: []string{part.new}})
			}
		}
		for _, part := range changedPieces(splitURI(before.URL), splitURI(after.URL)) {
			list = append(list, difference{side: side.name, part: part, old: []string{before.URL}, new: []string{after.URL}})
		}
		list = append(list, lineDifferences(side.name, "header", before.Headers, after.Headers)...)
		list = append(list, lineDifferences(side.name, "trailer", before.Trailers, after.Trailers)...)
	}
	return list
}

func changedPieces(old, new uri) (list []string) {
	for _, p := range [...]struct {
		name string
		same bool
	}{
		{"scheme", old.scheme == new.scheme},
		{"authority", old.authority == new.authority},
		{"path", old.path == new.path},
		{"query", old.query == new.query && old.hasQuery == new.hasQuery},
	} {
		if !p.same {
			list = append(list, p.name)
		}
	}
	return list
}

func lineDifferences(side, section string, before, after [][2]string) (list []difference) {
	names := map[string]bool{}
	for _, line := range slices.Concat(before, after) {
		names[strings.ToLower(line[0])] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if old, new := fieldLines(before, name), fieldLines(after, name); !slices.Equal(old, new) {
			list = append(list, difference{side: side, part: section, name: name, old: old, new: new})
		}
	}
	if len(list) > 0 || slices.Equal(before, after) {
		return list
	}
	sameNames := slices.EqualFunc(before, after, func(a, b [2]string) bool { return strings.EqualFold(a[0], b[0]) })
	if sameNames {
		return []difference{{side: side, part: "case"}}
	}
	return []difference{{side: side, part: "order"}}
}

// class is a kind of change that a standard says doesn't matter. It is asked only about mutants in which everything that
// is covered reads as before.
type class struct {
	name, section string
	allows        func(f *facts, d *difference) bool
}

// classes is the list of docs/mutations.md. The first that allows a difference is counted.
var classes = []class{
	{"unproven", "RFC 6750, section 1.2; RFC 9449, section 5", func(f *facts, d *difference) bool {
		return !f.dpop && !f.signed
	}},
	{"field order", "RFC 9110, section 5.3", func(f *facts, d *difference) bool { return d.part == "order" }},
	{"field name case", "RFC 9110, section 5.1", func(f *facts, d *difference) bool { return d.part == "case" }},
	{"white space around a value", "RFC 9110, section 5.5; RFC 9421, section 2.1", func(f *facts, d *difference) bool {
		return f.reads(d) && slices.Equal(trimmed(d.old), trimmed(d.new))
	}},
	{"lines joined", "RFC 9110, section 5.3; RFC 9421, section 2.1", func(f *facts, d *difference) bool {
		return f.reads(d) && len(d.old) != len(d.new) && strings.Join(trimmed(d.old), ", ") == strings.Join(trimmed(d.new), ", ")
	}},
	{"credential form", "RFC 9110, sections 11.1 and 11.4", func(f *facts, d *difference) bool {
		return f.reads(d) && d.name == "authorization"
	}},
	{"form of a signature's members", "RFC 9421, sections 2.3 and 4; RFC 9651, section 4.2", func(f *facts, d *difference) bool {
		return f.reads(d) && d.isSignature() && d.sameStructure() && d.sameBase64()
	}},
	{"base64 form", "RFC 9651, section 4.2.7", func(f *facts, d *difference) bool {
		return f.reads(d) && d.isSignature() && d.sameStructure()
	}},
	{"members of other labels", "RFC 9421, section 3.2, step 1", func(f *facts, d *difference) bool {
		return f.reads(d) && d.isSignature()
	}},
	{"form of a structured field", "RFC 9421, sections 2.1.1 and 2.1.2", func(f *facts, d *difference) bool {
		return f.reads(d) && d.isField() && d.sameStructure()
	}},
	{"other members of a dictionary", "RFC 9421, section 2.1.2", func(f *facts, d *difference) bool {
		return f.reads(d) && d.isField() && f.readsOnly(d, ";key=")
	}},
	{"scheme and authority form", "RFC 9421, sections 2.2.3 and 2.2.4", func(f *facts, d *difference) bool {
		return f.signed && !f.dpop && f.reads(d) && (d.part == "scheme" || d.part == "authority")
	}},
	{"empty query", "RFC 9421, section 2.2.7", func(f *facts, d *difference) bool {
		return f.readsOnly(d, `"@query"`)
	}},
	{"form of a query parameter", "RFC 9421, section 2.2.8", func(f *facts, d *difference) bool {
		return f.readsOnly(d, "@query-param") && d.sameParameters()
	}},
	{"other query parameters", "RFC 9421, section 2.2.8", func(f *facts, d *difference) bool {
		return f.readsOnly(d, "@query-param")
	}},
	{"equivalent htu", "RFC 9449, section 4.3, step 9; RFC 3986, sections 6.2.2 and 6.2.3", func(f *facts, d *difference) bool {
		return f.readsOnly(d, "htu")
	}},
	{"query beside a DPoP proof", "RFC 9449, section 4.3, step 9", func(f *facts, d *difference) bool {
		return f.dpop && !f.reads(d) && d.part == "query"
	}},
	{"field beside a DPoP proof", "RFC 9449, section 11.7", func(f *facts, d *difference) bool {
		return f.dpop && !f.signed && !f.reads(d) && d.isField()
	}},
	{"body beside a DPoP proof", "RFC 9449, section 11.7", func(f *facts, d *difference) bool {
		return f.dpop && !f.signed && !f.reads(d) && d.part == "body"
	}},
	{"uncovered field", "RFC 9421, sections 1.4 and 7.2.1", func(f *facts, d *difference) bool {
		return f.signed && !f.reads(d) && d.isField()
	}},
	{"uncovered body", "RFC 9421, section 7.2.8", func(f *facts, d *difference) bool {
		return f.signed && !f.reads(d) && d.part == "body"
	}},
	{"uncovered derived component", "RFC 9421, sections 1.4 and 7.2.1", func(f *facts, d *difference) bool {
		return f.signed && !f.dpop && !f.reads(d) && slices.Contains(derivedFrom, d.part)
	}},
}

// derivedFrom are the parts of a message that derived components read.
var derivedFrom = []string{"method", "scheme", "authority", "path", "query", "target", "status"}

// reads tells whether anything covered looks at the part that differs.
func (f *facts) reads(d *difference) bool { return len(f.readers(d)) > 0 }

// readsOnly tells whether something does, and only components with this in their identifier.
func (f *facts) readsOnly(d *difference, with string) bool {
	return f.reads(d) && !slices.ContainsFunc(f.readers(d), func(c covered) bool { return !strings.Contains(c.id, with) })
}

func (d *difference) isField() bool { return d.part == "header" || d.part == "trailer" }

func (d *difference) isSignature() bool {
	return d.isField() && (d.name == "signature" || d.name == "signature-input")
}

func (d *difference) sameStructure() bool {
	return canonical(strings.Join(trimmed(d.old), ", ")) == canonical(strings.Join(trimmed(d.new), ", "))
}

// sameBase64 tells whether not even the padding of byte sequences differs.
func (d *difference) sameBase64() bool {
	text := func(lines []string) string {
		return strings.NewReplacer(" ", "", "\t", "").Replace(strings.Join(lines, ","))
	}
	return text(d.old) == text(d.new)
}

func (d *difference) sameParameters() bool {
	return slices.Equal(parameters(splitURI(d.old[0]).query), parameters(splitURI(d.new[0]).query))
}

// The classes of mutants that are the same message in the same words.
const (
	identical    = "identical"
	otherVersion = "HTTP version"
	otherEnding  = "line ending"
	otherRest    = "octets after the end"
)

// rest are the classes that need no asking.
var rest = []class{
	{name: identical, section: "none: equal octets, parts or lines changed places"},
	{name: otherVersion, section: "RFC 9110, section 2.5"},
	{name: otherEnding, section: "RFC 9112, section 2.2"},
	{name: otherRest, section: "RFC 9112, section 6.3"},
}

// explain returns the classes that make a mutant a message with the same meaning. If there is nothing that does, problem
// says why.
func (f *facts) explain(c, mutated *Case) (names []string, problem string) {
	if v := f.changed(c, mutated); v != nil {
		return nil, "covered and changed: " + v.side + " " + v.id
	}
	for _, d := range differences(c, mutated) {
		i := slices.IndexFunc(classes, func(k class) bool { return k.allows(f, &d) })
		if i < 0 {
			return nil, "no class for " + d.side + " " + d.part + " " + d.name
		}
		names = append(names, classes[i].name)
	}
	if len(names) == 0 {
		names = []string{identical}
	}
	return names, ""
}
