package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// field is one field of the test suite of the HTTP working group.
type field struct {
	Name  string   `json:"-"` // file and name
	Type  string   `json:"type"`
	Lines []string `json:"lines"`
}

// fieldVerdict is what a parser makes of a field.
type fieldVerdict struct {
	Parsed  bool   `json:"parsed"`
	Written string `json:"written"`
}

func readFields(t *testing.T) []field {
	t.Helper()
	files, err := filepath.Glob("../../internal/sfv/testdata/rfc9651/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var fields []field
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []struct {
			Name string   `json:"name"`
			Type string   `json:"header_type"`
			Raw  []string `json:"raw"`
		}
		if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) == 0 {
			t.Fatalf("%s: %d vectors, %v", file, len(vectors), err)
		}
		for _, v := range vectors {
			fields = append(fields, field{Name: filepath.Base(file) + ": " + v.Name, Type: v.Type, Lines: v.Raw})
		}
	}
	return fields
}

func parseField(f field) (fieldVerdict, error) {
	var written []byte
	var err error
	switch f.Type {
	case "item":
		var item sfv.Item
		if item, err = sfv.ParseItem(f.Lines...); err == nil {
			written, err = sfv.AppendItem(nil, item)
		}
	case "list":
		var list sfv.List
		if list, err = sfv.ParseList(f.Lines...); err == nil {
			written, err = sfv.AppendList(nil, list)
		}
	case "dictionary":
		var dict sfv.Dictionary
		if dict, err = sfv.ParseDictionary(f.Lines...); err == nil {
			written, err = sfv.AppendDictionary(nil, dict)
		}
	default:
		return fieldVerdict{}, fmt.Errorf("no field type %q", f.Type)
	}
	if err != nil {
		return fieldVerdict{}, nil
	}
	return fieldVerdict{Parsed: true, Written: string(written)}, nil
}

// fieldDifference is a way in which structured-headers differs from us, and which text of RFC 9651 it goes against.
type fieldDifference struct {
	name, section string
	is            func(line string, ours, theirs fieldVerdict) bool
}

var (
	dateThenMore   = regexp.MustCompile(`@-?[0-9]{1,15}[^0-9]`)
	zeroFraction   = regexp.MustCompile(`([0-9])\.0\b`)
	escapedControl = regexp.MustCompile(`%0([0-9a-f])`)
)

var fieldDifferences = []fieldDifference{
	{"a Date ends where its digits end", "4.2.9", func(line string, ours, theirs fieldVerdict) bool {
		return ours.Parsed && !theirs.Parsed && dateThenMore.MatchString(line)
	}},
	{"a Date is written as its seconds", "4.1.10", func(_ string, ours, theirs fieldVerdict) bool {
		return ours.Parsed && theirs.Parsed && strings.Contains(theirs.Written, "@NaN")
	}},
	{"a Decimal keeps a fraction of zero", "4.1.5", func(_ string, ours, theirs fieldVerdict) bool {
		return theirs.Parsed && zeroFraction.ReplaceAllString(ours.Written, "$1") == theirs.Written
	}},
	{"an escape in a Display String has two digits", "4.1.11", func(_ string, ours, theirs fieldVerdict) bool {
		return theirs.Parsed && escapedControl.ReplaceAllString(ours.Written, "%$1") == theirs.Written
	}},
}

// mutated returns fields with one character of f taken out, replaced, or put in.
func mutated(f field) []field {
	const longest = 60
	if len(f.Lines) != 1 || len(f.Lines[0]) > longest || strings.Contains(f.Name, "-generated.json") {
		return nil
	}
	var fields []field
	line := f.Lines[0]
	for i := range len(line) + 1 {
		for _, c := range strings.Split("|\t| |,|;|=|\"|\\|(|)|:|?|@|%|0|-|.|a|A|*|é|\x7f|\x00", "|") {
			fields = append(fields, field{Name: f.Name, Type: f.Type, Lines: []string{line[:i] + c + line[i:]}})
			if i < len(line) {
				fields = append(fields, field{Name: f.Name, Type: f.Type, Lines: []string{line[:i] + c + line[i+1:]}})
			}
		}
	}
	return fields
}

// structured-headers parses the same fields as we do and writes the same text, over the official suite and over fields
// that are one character away from it, but for known differences. Each of them must still be there.
func TestStructuredFields(t *testing.T) {
	fields := readFields(t)
	for _, f := range fields {
		fields = append(fields, mutated(f)...)
	}
	theirs := runNode[[]fieldVerdict](t, "structured-headers.mjs", fields)
	if len(theirs) != len(fields) {
		t.Fatalf("got %d verdicts, want %d", len(theirs), len(fields))
	}
	seen := make(map[string]int)
	for i, f := range fields {
		ours, err := parseField(f)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if ours == theirs[i] {
			continue
		}
		n := slices.IndexFunc(fieldDifferences, func(d fieldDifference) bool {
			return d.is(strings.Join(f.Lines, ", "), ours, theirs[i])
		})
		if n < 0 {
			t.Errorf("%s: %q: ours %+v, theirs %+v", f.Name, f.Lines, ours, theirs[i])
			continue
		}
		seen[fieldDifferences[n].name]++
	}
	for _, d := range fieldDifferences {
		t.Logf("%s (section %s): %d of %d fields", d.name, d.section, seen[d.name], len(fields))
		if seen[d.name] == 0 {
			t.Errorf("%s: they agree now", d.name)
		}
	}
}
