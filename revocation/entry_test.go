package revocation

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEntryThereAndBack(t *testing.T) {
	for kind, n := range names {
		t.Run(string(kind), func(t *testing.T) {
			e := Entry{Name: n, Until: epoch.Add(-1)}
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseEntry(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got.Name != n || !got.Until.Equal(epoch) {
				t.Errorf("got %s until %v, want %s until %v", got.Name, got.Until, n, epoch)
			}
			parsed, err := ParseName(n.Kind(), n.Issuer(), n.ID())
			if err != nil || parsed != n {
				t.Errorf("got %s, %v, want %s", parsed, err, n)
			}
		})
	}
	if _, err := json.Marshal(Entry{}); err == nil {
		t.Error("an entry without a name was written")
	}
}

func TestParseEntry(t *testing.T) {
	hash := strings.Repeat("A", 42) + "E"
	for _, tc := range []struct {
		name, text string
		want       Reason // "" if it is good
	}{
		{"token", `{"kind":"token","issuer":"i","id":"t","until":1800000000}`, ""},
		{"other order and space", ` {"until":1800000000, "id":"t","issuer":"i","kind":"token"} `, ""},
		{"session", `{"kind":"session","id":"AAAAAAAAAAAAAAAAAAAAAQ","until":1800000000}`, ""},
		{"key", `{"kind":"key","id":"` + hash + `","until":1800000000}`, ""},
		{"hash", `{"kind":"token-sha256","id":"` + hash + `","until":1800000000}`, ""},

		{"no JSON", `token`, Malformed},
		{"empty", ``, Malformed},
		{"something behind", `{"kind":"token","issuer":"i","id":"t","until":1800000000}{}`, Malformed},
		{"member twice", `{"kind":"token","issuer":"i","id":"t","id":"t","until":1800000000}`, Malformed},
		{"unknown member", `{"kind":"token","issuer":"i","id":"t","until":1800000000,"Until":1}`, Malformed},
		{"no kind", `{"issuer":"i","id":"t","until":1800000000}`, Malformed},
		{"unknown kind", `{"kind":"Token","issuer":"i","id":"t","until":1800000000}`, Malformed},
		{"no issuer", `{"kind":"token","id":"t","until":1800000000}`, Incomplete},
		{"no id", `{"kind":"token","issuer":"i","until":1800000000}`, Incomplete},
		{"no until", `{"kind":"token","issuer":"i","id":"t"}`, Incomplete},
		{"until as text", `{"kind":"token","issuer":"i","id":"t","until":"1800000000"}`, Malformed},
		{"until with a fraction", `{"kind":"token","issuer":"i","id":"t","until":1800000000.5}`, Malformed},
		{"until before 1970", `{"kind":"token","issuer":"i","id":"t","until":-1}`, Malformed},
		{"until beyond 9999", `{"kind":"token","issuer":"i","id":"t","until":253402300800}`, Malformed},
		{"issuer of a session", `{"kind":"session","issuer":"i","id":"AAAAAAAAAAAAAAAAAAAAAQ","until":1800000000}`, Malformed},
		{"session's id of another length", `{"kind":"session","id":"` + hash + `","until":1800000000}`, Malformed},
		{"session's id padded", `{"kind":"session","id":"AAAAAAAAAAAAAAAAAAAAAQ==","until":1800000000}`, Malformed},
		{"session's id of zeros", `{"kind":"session","id":"AAAAAAAAAAAAAAAAAAAAAA","until":1800000000}`, Incomplete},
		{"key in hexadecimal digits", `{"kind":"key","id":"` + strings.Repeat("0a", 32) + `","until":1800000000}`, Malformed},
		{"id that isn't text", `{"kind":"token","issuer":"i","id":7,"until":1800000000}`, Malformed},
		{"long id", `{"kind":"token","issuer":"i","id":"` + strings.Repeat("x", maxText+1) + `","until":1800000000}`, TooLong},
		{"long text", `{"kind":"token"` + strings.Repeat(" ", maxEntry) + `}`, TooLong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := ParseEntry([]byte(tc.text))
			if tc.want != "" {
				reason(t, err, tc.want)
				return
			}
			if err != nil || e.Name == (Name{}) || !e.Until.Equal(epoch) {
				t.Errorf("got %s until %v, %v", e.Name, e.Until, err)
			}
		})
	}
}

func TestNameString(t *testing.T) {
	for n, want := range map[Name]string{
		Token(issuer, "a\nb"):    `token "a\nb" of "https://as.example"`,
		Session([16]byte{15: 1}): `session "AAAAAAAAAAAAAAAAAAAAAQ"`,
	} {
		if got := n.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzParseEntry: what is read is written as something that reads the same, and a refusal has a reason.
func FuzzParseEntry(f *testing.F) {
	seeds := 0
	for _, n := range names {
		text, err := json.Marshal(Entry{Name: n, Until: time.Unix(1_800_000_000, 0)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Add([]byte(`{"kind":"token","issuer":"\u0069","id":"t","until":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEntry(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("an error of another type: %v", err)
			}
			return
		}
		once, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%s until %v: %v", e.Name, e.Until, err)
		}
		again, err := ParseEntry(once)
		if err != nil || again.Name != e.Name || !again.Until.Equal(e.Until) {
			t.Fatalf("got %s until %v, %v, want %s until %v", again.Name, again.Until, err, e.Name, e.Until)
		}
		twice, err := json.Marshal(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("got %s, %v, want %s", twice, err, once)
		}
	})
}
