package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type member struct{ Name, Raw string }

func members(text string) ([]member, error) {
	var got []member
	err := Object(text, func(name string, v Value) error {
		got = append(got, member{name, v.Raw()})
		return nil
	})
	return got, err
}

func TestObject(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []member
	}{
		{"empty", `{}`, nil},
		{"space everywhere", " \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \n", []member{{"a", "1"}, {"b", "[ 1 , 2 ]"}}},
		{"every kind", `{"s":"x","n":-1.5e+3,"t":true,"f":false,"0":null,"a":[],"o":{}}`, []member{
			{"s", `"x"`}, {"n", `-1.5e+3`}, {"t", `true`}, {"f", `false`}, {"0", `null`}, {"a", `[]`}, {"o", `{}`},
		}},
		{"names differ in case", `{"typ":1,"Typ":2}`, []member{{"typ", "1"}, {"Typ", "2"}}},
		{"escaped name", `{"\u0061lg":1}`, []member{{"alg", "1"}}},
		{"empty name", `{"":1}`, []member{{"", "1"}}},
		{"UTF-8", `{"é":"\u00e9"}`, []member{{"é", `"\u00e9"`}}},
		{"same name at two levels", `{"a":{"a":{"a":1}}}`, []member{{"a", `{"a":{"a":1}}`}}},
		{"as deep as allowed", `{"a":` + nested(MaxDepth-1) + `}`, []member{{"a", nested(MaxDepth - 1)}}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := members(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("members (-got +want):\n%s", diff)
			}
		})
	}
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func many(n int, last string) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		b.WriteString(`"m` + strings.Repeat("x", i) + `":1,`)
	}
	b.WriteString(`"` + last + `":1}`)
	return b.String()
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name string
		text string
		want Reason
	}{
		{"nothing", ``, Syntax},
		{"spaces only", `  `, Syntax},
		{"array", `[]`, WrongKind},
		{"string", `"a"`, WrongKind},
		{"broken string instead of an object", `"a`, Syntax},
		{"unclosed", `{"a":1`, Syntax},
		{"no value", `{"a":}`, Syntax},
		{"no colon", `{"a" 1}`, Syntax},
		{"no comma", `{"a":1 "b":2}`, Syntax},
		{"comma at the end", `{"a":1,}`, Syntax},
		{"comma at the end of an array", `{"a":[1,]}`, Syntax},
		{"name without quotes", `{a:1}`, Syntax},
		{"single quotes", `{'a':1}`, Syntax},
		{"trailing bytes", `{"a":1}x`, Trailing},
		{"second object", `{"a":1}{}`, Trailing},
		{"trailing NUL", "{\"a\":1}\x00", Trailing},
		{"byte order mark", "\ufeff{\"a\":1}", Syntax},
		{"duplicate", `{"a":1,"a":1}`, Duplicate},
		{"duplicate through an escape", `{"a":1,"\u0061":1}`, Duplicate},
		{"duplicate in an object below", `{"o":{"a":1,"a":1}}`, Duplicate},
		{"duplicate in an object in an array", `{"o":[{"a":1,"a":1}]}`, Duplicate},
		{"duplicate of the first of many", many(40, "m"), Duplicate},
		{"duplicate of the last of many", many(40, "m"+strings.Repeat("x", 39)), Duplicate},
		{"too deep", `{"a":` + nested(MaxDepth) + `}`, TooDeep},
		{"not UTF-8", "{\"a\":\"\xff\"}", Syntax},
		{"not UTF-8 beside an escape", "{\"a\":\"\\n\xff\"}", Syntax},
		{"not UTF-8 in a name", "{\"\xff\":1}", Syntax},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", Syntax},
		{"line feed in a string", "{\"a\":\"\n\"}", Syntax},
		{"line feed after an escape", "{\"a\":\"\\t\n\"}", Syntax},
		{"unclosed after an escape", `{"a":"\t`, Syntax},
		{"unknown escape", `{"a":"\x"}`, Syntax},
		{"short escape", `{"a":"\u00e"}`, Syntax},
		{"high surrogate alone", `{"a":"\ud800"}`, Syntax},
		{"high surrogate twice", `{"a":"\ud800\ud800"}`, Syntax},
		{"low surrogate first", `{"a":"\udc00\ud800"}`, Syntax},
		{"leading zero", `{"a":01}`, Syntax},
		{"plus", `{"a":+1}`, Syntax},
		{"no digit after the point", `{"a":1.}`, Syntax},
		{"no digit before the point", `{"a":.5}`, Syntax},
		{"no digit in the exponent", `{"a":1e}`, Syntax},
		{"minus alone", `{"a":-}`, Syntax},
		{"NaN", `{"a":NaN}`, Syntax},
		{"literal in other letters", `{"a":True}`, Syntax},
		{"literal cut off", `{"a":tru`, Syntax},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := members(tc.text)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v, want a *Error", err)
			}
			if e.Reason != tc.want {
				t.Errorf("got reason %q, want %q", e.Reason, tc.want)
			}
		})
	}
}

func TestVisitErrorEndsReading(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := Object(`{"a":1,"b":2}`, func(string, Value) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("got %v after %d members, want %v after 1", err, n, stop)
	}
}

func value(t *testing.T, text string) Value {
	t.Helper()
	v, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestString(t *testing.T) {
	for text, want := range map[string]string{
		`""`:                         "",
		`"plain"`:                    "plain",
		`"\"\\\/\b\f\n\r\t"`:         "\"\\/\b\f\n\r\t",
		`"a\u00E9b"`:                 "aéb",
		`"\ud83d\ude00!"`:            "😀!",
		`"\u0000"`:                   "\x00",
		`"😀"`:                        "😀",
		`"\ufffd\ufffe"`:             "\ufffd\ufffe",
		`"é\n"`:                      "é\n",
		`"https:\/\/e.example\/a"`:   "https://e.example/a",
		`"\u003c\u003E\u0026\u2028"`: "<>&\u2028",
	} {
		got, err := value(t, text).String()
		if err != nil || got != want {
			t.Errorf("String(%s): got %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestAccessorsRefuseOtherKinds(t *testing.T) {
	accessors := map[Kind]func(Value) error{
		KindString: func(v Value) error { _, err := v.String(); return err },
		KindNumber: func(v Value) error { _, err := v.NumericDate(); return err },
		KindBool:   func(v Value) error { _, err := v.Bool(); return err },
		KindArray:  func(v Value) error { _, err := v.Strings(); return err },
		KindObject: func(v Value) error { return v.Object(func(string, Value) error { return nil }) },
	}
	values := []Value{{}, value(t, `null`)}
	for _, text := range []string{`"1"`, `1`, `true`, `["a"]`, `{"a":1}`} {
		values = append(values, value(t, text))
	}
	for want, access := range accessors {
		for _, v := range values {
			err := access(v)
			if v.Kind() == want {
				if err != nil {
					t.Errorf("%s as %s: %v", v.Raw(), want, err)
				}
				continue
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != WrongKind || e.Want != want {
				t.Errorf("%q as %s: got %v, want a wrong kind", v.Raw(), want, err)
			}
		}
	}
	if !value(t, `null`).IsNull() || value(t, `0`).IsNull() {
		t.Error("IsNull is wrong")
	}
}

func TestNumericDate(t *testing.T) {
	for text, want := range map[string]time.Time{
		`1700000000`:           time.Unix(1700000000, 0),
		`1700000000.5`:         time.Unix(1700000000, 5e8),
		`1.7e9`:                time.Unix(1700000000, 0),
		`0`:                    time.Unix(0, 0),
		`-1`:                   time.Unix(-1, 0),
		`-0.5`:                 time.Unix(0, -5e8),
		`1e400`:                time.Unix(maxSeconds, 0),
		`-1e400`:               time.Unix(-maxSeconds, 0),
		`9223372036854775807`:  time.Unix(maxSeconds, 0),
		`92233720368547758070`: time.Unix(maxSeconds, 0),
		`1e-400`:               time.Unix(0, 0),
	} {
		got, err := value(t, text).NumericDate()
		if err != nil || !got.Equal(want) {
			t.Errorf("NumericDate(%s): got %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := value(t, "1"+strings.Repeat("0", maxNumericDate)).NumericDate(); err == nil {
		t.Error("a number of 41 digits was taken for a time")
	}
}

func TestInt64(t *testing.T) {
	if n, err := value(t, `-9223372036854775808`).Int64(); n != math.MinInt64 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	for _, text := range []string{`9223372036854775808`, `1.0`, `1e3`, `"1"`} {
		if n, err := value(t, text).Int64(); err == nil {
			t.Errorf("Int64(%s): got %d, want an error", text, n)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, want := range []string{"", "plain", "\"\\/\x00\x1f\n\x7f", "é😀\u2028", "<>&"} {
		text := AppendString(nil, want)
		got, err := value(t, string(text)).String()
		if err != nil || got != want {
			t.Errorf("%q: written as %s, read as %q, %v", want, text, got, err)
		}
		var std string
		if err := json.Unmarshal(text, &std); err != nil || std != want {
			t.Errorf("%q: encoding/json reads %q, %v", want, std, err)
		}
	}
	if got := string(AppendString(nil, "a\xffb")); got != "\"a\ufffdb\"" {
		t.Errorf("invalid UTF-8: got %q", got)
	}
}

// Hazard 21: the cost of a hostile text is linear. Objects of many members would show a quadratic search at once: the
// test would take minutes.
func TestHazardManyMembers(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 200_000 {
		fmt.Fprintf(&b, `"%d":1,`, i)
	}
	b.WriteString(`"end":1}`)
	got, err := members(b.String())
	if err != nil || len(got) != 200_001 {
		t.Errorf("got %d members, %v", len(got), err)
	}
}

func TestAllocs(t *testing.T) {
	const text = `{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"a","y":"b"}}`
	got := testing.AllocsPerRun(100, func() {
		var typ string
		if err := Object(text, func(name string, v Value) (err error) {
			if name == "typ" {
				typ, err = v.String()
			}
			return err
		}); err != nil || typ != "dpop+jwt" {
			t.Fatal(typ, err)
		}
	})
	if got > 0 {
		t.Errorf("Object: got %v allocations, want 0", got)
	}
}

// What is accepted here is accepted by encoding/json too, and read as the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"a","y":"b"}}`,
		`{"jti":"-BwC3ESc6acc2lTc","htm":"POST","htu":"https://server.example.com/token","iat":1562262616.5}`,
		`{"a":[1,-0,1e5,true,false,null,"\ud83d\ude00"],"A":{}}`, `{"a":1,"\u0061":2}`, `"\ud800"`, `[[[[]]]]`, ` 01 `,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("accepted %q, which isn't JSON", text)
		}
		if got, err := v.String(); err == nil {
			var want string
			if err := json.Unmarshal([]byte(text), &want); err != nil || got != want {
				t.Fatalf("%q: got %q, encoding/json %q, %v", text, got, want, err)
			}
		}
		again, err := Parse(v.Raw())
		if err != nil || again != v {
			t.Fatalf("%q: read again: %v, %v", text, again, err)
		}
	})
}
