package sfv

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manyKeys returns n distinct entries joined by sep, with prefix before each key.
func manyKeys(n int, prefix, sep string) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = prefix + "k" + strconv.Itoa(i)
	}
	return strings.Join(entries, sep)
}

func TestRepeatedMember(t *testing.T) {
	for _, tc := range []struct {
		name, field, repeated, canonical string
	}{
		{"none", "a=1, b=2", "", "a=1, b=2"},
		{"first", "a=1, b=2, a=3", "a", "a=3, b=2"},
		{"without value", "a, b, a;x", "a", "a;x, b"},
		{"of another type", "a=(1 2), a=3", "a", "a=3"},
		{"beyond the index", manyKeys(40, "", ",") + ",k35=1", "k35", ""},
		{"before the index", manyKeys(40, "", ",") + ",k2=1", "k2", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dict, err := ParseDictionary(tc.field)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := dict.Repeated(); got != tc.repeated || ok != (tc.repeated != "") {
				t.Errorf("Repeated() = %q, %v; want %q", got, ok, tc.repeated)
			}
			text, err := AppendDictionary(nil, dict)
			if err != nil || tc.canonical != "" && string(text) != tc.canonical {
				t.Errorf("serialised to %q, %v; want %q", text, err, tc.canonical)
			}
		})
	}
}

func TestRepeatedParam(t *testing.T) {
	for _, tc := range []struct {
		name, field, repeated string
		value                 Value
	}{
		{"none", "1;a;b", "", Value{}},
		{"last counts", "1;a=1;b;a=2", "a", Integer(2)},
		{"beyond the index", "1" + manyKeys(40, ";", "") + ";k35=7", "k35", Integer(7)},
		{"before the index", "1" + manyKeys(40, ";", "") + ";k2=7", "k2", Integer(7)},
		{"in an item after a long one", "1;k1;k1=7", "k1", Integer(7)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			long := "0" + manyKeys(30, ";", "") // its index must not leak into the next item
			list, err := ParseList(long + ", " + tc.field)
			if err != nil {
				t.Fatal(err)
			}
			if key, ok := list[0].Params.Repeated(); ok {
				t.Errorf("%q repeated in the first item", key)
			}
			key, ok := list[1].Params.Repeated()
			if key != tc.repeated || ok != (tc.repeated != "") {
				t.Fatalf("Repeated() = %q, %v; want %q", key, ok, tc.repeated)
			}
			if v, _ := list[1].Params.Get(key); v != tc.value {
				t.Errorf("Get(%q) = %v, want %v", key, v, tc.value)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	accepted := map[string]struct{ kind, field string }{
		"members of a list":       {"list", strings.Repeat("1,", MaxMembers-1) + "1"},
		"members of a dictionary": {"dictionary", manyKeys(MaxMembers, "", ",")},
		"repeated members":        {"dictionary", strings.Repeat("a,", MaxMembers-1) + "a"},
		"items of an inner list":  {"list", "(" + strings.Repeat("1 ", MaxInner) + ")"},
		"parameters":              {"item", "1" + manyKeys(MaxInner, ";", "")},
		"repeated parameters":     {"item", "1" + strings.Repeat(";a", MaxInner)},
		"items of all lists":      {"list", strings.Repeat("("+strings.Repeat("1 ", MaxInner)+"),", MaxTotal/MaxInner) + "1"},
		"parameters of all items": {"list", strings.Repeat("1"+manyKeys(MaxInner, ";", "")+",", MaxTotal/MaxInner) + "1"},
		"length":                  {"item", "1" + strings.Repeat(" ", MaxLength-1)},
	}
	beyond := map[string]string{
		"members of a list":       accepted["members of a list"].field + ",1",
		"members of a dictionary": accepted["members of a dictionary"].field + ",z",
		"repeated members":        accepted["repeated members"].field + ",a",
		"items of an inner list":  "(" + strings.Repeat("1 ", MaxInner+1) + ")",
		"parameters":              accepted["parameters"].field + ";z",
		"repeated parameters":     accepted["repeated parameters"].field + ";a",
		"items of all lists":      accepted["items of all lists"].field + ",(1)",
		"parameters of all items": accepted["parameters of all items"].field + ";a",
		"length":                  accepted["length"].field + " ",
	}
	for name, ok := range accepted {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(ok.kind, ok.field); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			_, err := parse(ok.kind, beyond[name])
			if _, typed := errors.AsType[*Error](err); !typed {
				t.Errorf("beyond the limit: got %v, want an *Error", err)
			}
		})
	}
	t.Run("length over lines", func(t *testing.T) {
		half := strings.Repeat(" ", MaxLength/2-1)
		if _, err := ParseList("1"+half[1:], half); err == nil {
			t.Error("a comma at the end was accepted")
		}
		if _, err := ParseList(half, "1"+half); err == nil {
			t.Error("lines beyond the limit were accepted")
		}
	})
}

func TestByteSequenceSpellings(t *testing.T) {
	for _, tc := range []struct{ name, field, canonical string }{
		{"padded", ":YQ==:", ":YQ==:"},
		{"without padding", ":YQ:", ":YQ==:"},
		{"pad bits in one of two", ":YR==:", ":YQ==:"},
		{"pad bits in two of three", ":YWF=:", ":YWE=:"},
		{"empty", "::", "::"},
		{"half the padding", ":YQ=:", ""},
		{"too much padding", ":YWE==:", ""},
		{"padding of nothing", ":====:", ""},
		{"one character left", ":YWFhY:", ""},
		{"url alphabet", ":-_8=:", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			item, err := ParseItem(tc.field)
			if tc.canonical == "" {
				if err == nil {
					t.Fatalf("accepted as %q", item.Value.Bytes())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := AppendItem(nil, item)
			if err != nil || string(got) != tc.canonical {
				t.Errorf("serialised to %q, %v; want %q", got, err, tc.canonical)
			}
			if item.Value != Bytes(item.Value.Bytes()) {
				t.Error("the value differs from one made of the same bytes")
			}
		})
	}
}

func TestSerialiseRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		ok   Value
		bad  Value
	}{
		{"integer", Integer(999_999_999_999_999), Integer(1_000_000_000_000_000)},
		{"negative integer", Integer(-999_999_999_999_999), Integer(-1_000_000_000_000_000)},
		{"decimal", Decimal(999_999_999_999_999), Decimal(1_000_000_000_000_000)},
		{"date", Date(999_999_999_999_999), Date(1_000_000_000_000_000)},
		{"string", String("a"), String("\u00e4")},
		{"token", Token("a"), Token("1a")},
		{"empty token", Token("*"), Token("")},
		{"token character", Token("a/b:c"), Token("a b")},
		{"display string", DisplayString("\u00e4"), DisplayString("\xe4")},
		{"zero", Boolean(false), Value{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := AppendValue(nil, tc.ok)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := ParseItem(string(text)); err != nil || back.Value != tc.ok {
				t.Errorf("parsed back to %v, %v; want %v", back.Value, err, tc.ok)
			}
			if text, err := AppendValue(nil, tc.bad); err == nil {
				t.Errorf("serialised to %q, want an error", text)
			}
		})
	}
}

func TestValueAccessors(t *testing.T) {
	type view struct {
		Int64 int64
		Text  string
		Bytes []byte
		True  bool
	}
	for _, tc := range []struct {
		name string
		v    Value
		want view
	}{
		{"integer", Integer(5), view{Int64: 5}},
		{"decimal", Decimal(1500), view{Int64: 1500}},
		{"date", Date(7), view{Int64: 7}},
		{"string", String("x"), view{Text: "x"}},
		{"token", Token("x"), view{Text: "x"}},
		{"display string", DisplayString("x"), view{Text: "x"}},
		{"bytes", Bytes([]byte("x")), view{Bytes: []byte("x")}},
		{"true", Boolean(true), view{True: true}},
		{"false", Boolean(false), view{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := view{tc.v.Int64(), tc.v.Text(), tc.v.Bytes(), tc.v.IsTrue()}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name, field string
		want        bool // whether it is canonical
	}{
		{"inner list", `("a";b;c=1 "d");k="v";f=?0`, true},
		{"empty inner list", `()`, true},
		{"two spaces", `("a"  "b")`, false},
		{"space before the first", `( "a")`, false},
		{"space after the last", `("a" )`, false},
		{"space before a parameter", `("a"; b)`, false},
		{"explicit true", `("a";b=?1)`, false},
		{"repeated parameter", `("a";b;b)`, false},
		{"repeated outer parameter", `("a");b;b`, false},
		{"leading zero", `01`, false},
		{"zero", `0`, true},
		{"minus zero", `-0`, false},
		{"minus zero decimal", `-0.0`, false},
		{"decimal", `-1.05`, true},
		{"decimal with a zero", `1.0`, true},
		{"decimal with zeros", `1.50`, false},
		{"base64", `:YQ==:`, true},
		{"base64 without padding", `:YQ:`, false},
		{"display string", `%"f%c3%bc"`, true},
		{"display string that escapes too much", `%"%61"`, false},
		{"string with escapes", `"a\\\"b"`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, err := ParseList(" "+tc.field+" ", "1")
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if tc.want {
				want = tc.field
			}
			if got := list[0].Text; got != want {
				t.Errorf("Text = %q, want %q", got, want)
			}
		})
	}
}

func TestHazard_TextAfterEscapedBackslash(t *testing.T) {
	item, err := ParseItem(`"a\\b\"c"`)
	if err != nil || item.Value.Text() != `a\b"c` {
		t.Fatalf("got %q, %v", item.Value.Text(), err)
	}
	if text, err := AppendItem(nil, item); err != nil || string(text) != `"a\\b\"c"` {
		t.Errorf("serialised to %q, %v", text, err)
	}
}

const signatureInput = `sig1=("@method" "@target-uri" "authorization" "content-type" "x-request-id");created=1776650875;` +
	`keyid="client-1";nonce="k9Jyxempel2305Nmx7Rk";tag="httpsig-oauth"`

func TestParser(t *testing.T) {
	var p Parser
	for _, text := range []string{signatureInput, "a=(1 2);x, b", manyKeys(100, "", ","), "", "a=1, a=2", "a=(", "a"} {
		want, wantErr := ParseDictionary(text)
		got, err := p.ParseDictionary(text)
		if diff := cmp.Diff(got, want, cmp.AllowUnexported(Value{}), equateEmpty); diff != "" || (err == nil) != (wantErr == nil) {
			t.Errorf("%s: %v, want %v (-got +want):\n%s", text, err, wantErr, diff)
		}
		p.Reset()
		if len(p.dict)+len(p.items)+len(p.params) != 0 || cap(p.dict) > maxKept {
			t.Errorf("%s: kept after Reset", text)
		}
	}
}

// A List and a Dictionary may share a Parser, one after the other.
func TestParserReusesLists(t *testing.T) {
	var p Parser
	if _, err := p.ParseDictionary("a=(1 2);x, b"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"1, (2 3);y, b;z=1", "", "1,", "(1"} {
		want, wantErr := ParseList(text)
		got, err := p.ParseList(text)
		if diff := cmp.Diff(got, want, cmp.AllowUnexported(Value{}), equateEmpty); diff != "" || (err == nil) != (wantErr == nil) {
			t.Errorf("%s: %v, want %v (-got +want):\n%s", text, err, wantErr, diff)
		}
	}
}

// FuzzParse checks that every error is typed, and that serialising is a fixed point: what was parsed, written and parsed
// again is the same value with the same text.
func FuzzParse(f *testing.F) {
	seeds := 0
	for _, vs := range readVectors(f, "testdata/rfc9651/*.json") {
		for _, v := range vs {
			f.Add(v.HeaderType, strings.Join(v.Raw, ", "))
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Add("dictionary", signatureInput)
	f.Fuzz(func(t *testing.T, headerType, text string) {
		switch headerType {
		case "item", "list", "dictionary":
		default:
			return
		}
		first, err := parse(headerType, text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		once, err := serialise(headerType, first)
		if err != nil {
			t.Fatalf("parsed, but not serialised: %v", err)
		}
		second, err := parse(headerType, string(once))
		if err != nil {
			t.Fatalf("serialised to %q, which doesn't parse: %v", once, err)
		}
		checkTexts(t, first, false)
		checkTexts(t, second, true)
		if diff := cmp.Diff(first, second, cmp.AllowUnexported(Value{}), ignoreReading, equateEmpty); diff != "" {
			t.Errorf("another value (-first +second):\n%s", diff)
		}
		if twice, err := serialise(headerType, second); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("serialised to %q, then to %q, %v", once, twice, err)
		}
	})
}

// checkTexts checks that each Text is the canonical form, and is there if all of it was canonical.
func checkTexts(t *testing.T, f field, canonical bool) {
	t.Helper()
	members := append(append(List{}, f.List...), f.Dict...)
	items := []Item{f.Item}
	for i := range members {
		m := &members[i]
		checkText(t, m.Text, canonical && !m.Value.IsTrue(), func() ([]byte, error) { return AppendMember(nil, m) })
		items = append(items, m.Items...)
	}
	for _, item := range items {
		if item.Value != (Value{}) {
			checkText(t, item.Text, canonical, func() ([]byte, error) { return AppendItem(nil, item) })
		}
	}
}

func checkText(t *testing.T, text string, needed bool, serialise func() ([]byte, error)) {
	t.Helper()
	want, err := serialise()
	if err != nil || text != "" && text != string(want) || text == "" && needed {
		t.Errorf("Text is %q, want %q, %v", text, want, err)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bm := range []struct{ name, kind, field string }{
		{"SignatureInput", "dictionary", signatureInput},
		{"hostile/params", "list", hostileParams()},
		{"hostile/members", "dictionary", manyKeys(MaxMembers, "", ",")},
		{"hostile/repeated", "dictionary", strings.Repeat("a,", MaxMembers-1) + "a"},
		{"hostile/escapes", "item", `"` + strings.Repeat(`\\`, MaxLength/2-1) + `"`},
		{"hostile/inner", "list", strings.Repeat("(),", MaxMembers-1) + "()"},
		{"hostile/base64", "item", ":" + strings.Repeat("A", MaxLength-6) + "AB:"},
		{"hostile/token", "item", "a" + strings.Repeat("~", MaxLength-1)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parse(bm.kind, bm.field)
			}
		})
	}
}

// hostileParams is a list of items with as many short parameters as the limits allow.
func hostileParams() string {
	item := "1" + manyKeys(MaxInner, ";", "") + ","
	return strings.Repeat(item, MaxTotal/MaxInner) + "1"
}
