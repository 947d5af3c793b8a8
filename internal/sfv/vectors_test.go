package sfv

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// vector is one record of the test suite of the HTTP working group.
type vector struct {
	Name       string          `json:"name"`
	Raw        []string        `json:"raw"`
	HeaderType string          `json:"header_type"`
	Expected   json.RawMessage `json:"expected"`
	MustFail   bool            `json:"must_fail"`
	CanFail    bool            `json:"can_fail"`
	Canonical  []string        `json:"canonical"`
}

func readVectors(tb testing.TB, pattern string) map[string][]vector {
	tb.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		tb.Fatalf("no vectors match %s: %v", pattern, err)
	}
	all := make(map[string][]vector)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		var vs []vector
		if err := d.Decode(&vs); err != nil || len(vs) == 0 {
			tb.Fatalf("%s: %d vectors, %v", file, len(vs), err)
		}
		all[filepath.Base(file)] = vs
	}
	return all
}

// field holds a parsed field of any type, for tests that run over all types.
type field struct {
	Item Item
	List List
	Dict Dictionary
}

func parse(headerType string, lines ...string) (f field, err error) {
	switch headerType {
	case "item":
		f.Item, err = ParseItem(lines...)
	case "list":
		f.List, err = ParseList(lines...)
	case "dictionary":
		f.Dict, err = ParseDictionary(lines...)
	default:
		err = fmt.Errorf("unknown type %q", headerType)
	}
	return f, err
}

func serialise(headerType string, f field) ([]byte, error) {
	switch headerType {
	case "item":
		return AppendItem(nil, f.Item)
	case "list":
		return AppendList(nil, f.List)
	case "dictionary":
		return AppendDictionary(nil, f.Dict)
	}
	return nil, fmt.Errorf("unknown type %q", headerType)
}

func TestVectors(t *testing.T) {
	for file, vs := range readVectors(t, "testdata/rfc9651/*.json") {
		for _, v := range vs {
			t.Run(file+"/"+v.Name, func(t *testing.T) {
				got, err := parse(v.HeaderType, v.Raw...)
				if v.MustFail {
					if err == nil {
						t.Fatalf("parsed to %v, must fail", got)
					}
					return
				}
				if err != nil {
					t.Fatal(err) // what can fail parses here too
				}
				if diff := cmp.Diff(got, expected(t, v), cmp.AllowUnexported(Value{}), ignoreReading, equateEmpty); diff != "" {
					t.Errorf("value (-got +want):\n%s", diff)
				}
				text, err := serialise(v.HeaderType, got)
				want := v.Raw
				if v.Canonical != nil {
					want = v.Canonical
				}
				if err != nil || string(text) != strings.Join(want, ", ") {
					t.Errorf("serialised to %q, %v; want %q", text, err, want)
				}
			})
		}
	}
}

func TestSerialisationVectors(t *testing.T) {
	for file, vs := range readVectors(t, "testdata/rfc9651/serialisation-tests/*.json") {
		for _, v := range vs {
			t.Run(file+"/"+v.Name, func(t *testing.T) {
				got, err := serialise(v.HeaderType, expected(t, v))
				if v.MustFail {
					if err == nil {
						t.Fatalf("serialised to %q, must fail", got)
					}
					return
				}
				if err != nil || string(got) != strings.Join(v.Canonical, ", ") {
					t.Errorf("serialised to %q, %v; want %q", got, err, v.Canonical)
				}
			})
		}
	}
}

var equateEmpty = cmpopts.EquateEmpty()

// ignoreReading leaves out what isn't the value but says how it was read.
var ignoreReading = cmp.FilterPath(func(p cmp.Path) bool {
	return p.Last().String() == ".Repeated" || p.Last().String() == ".Text"
}, cmp.Ignore())

// expected builds the value that the JSON of a vector describes.
func expected(t *testing.T, v vector) field {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(v.Expected))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		t.Fatal(err)
	}
	switch v.HeaderType {
	case "item":
		m := jsonMember(t, x)
		return field{Item: Item{Value: m.Value, Params: m.Params}}
	case "list":
		var list List
		for _, m := range x.([]any) {
			list = append(list, jsonMember(t, m))
		}
		return field{List: list}
	}
	var dict Dictionary
	for _, pair := range x.([]any) {
		m := jsonMember(t, pair.([]any)[1])
		m.Key = pair.([]any)[0].(string)
		dict = append(dict, m)
	}
	return field{Dict: dict}
}

func jsonMember(t *testing.T, x any) Member {
	pair := x.([]any)
	var m Member
	for _, p := range pair[1].([]any) {
		p := p.([]any)
		m.Params = append(m.Params, Param{Key: p[0].(string), Value: jsonValue(t, p[1])})
	}
	items, ok := pair[0].([]any)
	if !ok {
		m.Value = jsonValue(t, pair[0])
		return m
	}
	for _, item := range items {
		im := jsonMember(t, item)
		m.Items = append(m.Items, Item{Value: im.Value, Params: im.Params})
	}
	return m
}

func jsonValue(t *testing.T, x any) Value {
	t.Helper()
	switch x := x.(type) {
	case bool:
		return Boolean(x)
	case string:
		return String(x)
	case json.Number:
		return jsonNumber(t, x.String())
	case map[string]any:
		switch x["__type"] {
		case "token":
			return Token(x["value"].(string))
		case "displaystring":
			return DisplayString(x["value"].(string))
		case "date":
			n, err := x["value"].(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			return Date(n)
		case "binary":
			b, err := base32.StdEncoding.DecodeString(x["value"].(string))
			if err != nil {
				t.Fatal(err)
			}
			return Bytes(b)
		}
	}
	t.Fatalf("unknown value %v", x)
	return Value{}
}

func jsonNumber(t *testing.T, s string) Value {
	t.Helper()
	whole, fraction, decimal := strings.Cut(s, ".")
	digits := whole
	if decimal {
		digits += (fraction + "000")[:3]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if decimal {
		return Decimal(n)
	}
	return Integer(n)
}
