package contentdigest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// digestCase is a case of testdata/digests.json.
type digestCase struct {
	ID, Section, Field, Value string
	Bytes                     string `json:"bytes_b64"`
	Expect                    string
	Deprecated                bool
}

func readVectors[T any](t testing.TB, name string) []T {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []T }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatalf("%s: no cases", name)
	}
	return file.Cases
}

// reasonOf is "match" or the reason of an *Error.
func reasonOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return "match"
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T (%v), want *Error", err, err)
	}
	return strings.TrimPrefix(string(e.Reason), "digest-")
}

func TestVectors(t *testing.T) {
	// Decisions that go further than the vectors' rule.
	decided := map[string]string{
		"d-md5":                        "unsupported", // arithmetic only: md5 can't be relied on
		"neg-duplicate-key-last-wrong": "malformed",   // refused before anybody chooses between the two
	}
	for _, tc := range readVectors[digestCase](t, "digests.json") {
		t.Run(tc.ID, func(t *testing.T) {
			body, err := base64.StdEncoding.DecodeString(tc.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			want := tc.Expect
			if d, ok := decided[tc.ID]; ok {
				want = d
			}
			d, err := Parse([]string{tc.Value})
			if err == nil {
				err = d.Verify(body)
			}
			if got := reasonOf(t, err); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// wantCase is a case of testdata/want-digest.json.
type wantCase struct {
	ID, Value, Expect string
	Preferences       [][2]any
}

func TestWantVectors(t *testing.T) {
	for _, tc := range readVectors[wantCase](t, "want-digest.json") {
		t.Run(tc.ID, func(t *testing.T) {
			got, err := ParseWant([]string{tc.Value})
			if tc.Expect == "malformed" {
				if r := reasonOf(t, err); r != "malformed" {
					t.Errorf("got %s, want malformed", r)
				}
				return
			}
			var want []Preference
			for _, p := range tc.Preferences {
				want = append(want, Preference{Algorithm: p[0].(string), Weight: int(p[1].(float64))})
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		name  string
		field string
		want  Algorithm
		ok    bool
	}{
		{"highest", "sha-512=3, sha-256=10", SHA256, true},
		{"first of equals", "sha-512=3, sha-256=3", SHA512, true},
		{"others don't count", "unixsum=10, sha-256=1", SHA256, true},
		{"not wanted", "sha-256=0", "", false},
		{"none that can be relied on", "md5=10", "", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			prefs, err := ParseWant([]string{tc.field})
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := Choose(prefs); got != tc.want || ok != tc.ok {
				t.Errorf("got %s, %t, want %s, %t", got, ok, tc.want, tc.ok)
			}
		})
	}
}

// TestParse has a row for each rule, which differs from the first one in one thing.
func TestParse(t *testing.T) {
	const body = "the body"
	good256, good512 := Sum(SHA256, []byte(body)), Sum(SHA512, []byte(body))
	bad256, bad512 := Sum(SHA256, nil), Sum(SHA512, nil)
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"one", []string{good256}, "match"},
		{"two", []string{good256 + ", " + good512}, "match"},
		{"two on two lines", []string{good256, good512}, "match"},
		{"sha-256 differs", []string{bad256, good512}, "mismatch"},
		{"sha-512 differs", []string{good256, bad512}, "mismatch"},
		{"too short", []string{"sha-256=:AAAA:"}, "mismatch"},
		{"too long", []string{"sha-256=" + strings.TrimPrefix(good512, "sha-512=")}, "mismatch"},
		{"much too long", []string{"sha-256=:" + strings.Repeat("AAAA", 4096) + ":"}, "mismatch"},
		{"empty value", []string{"sha-256=::"}, "mismatch"},
		{"deprecated beside", []string{"md5=:AAAA:, " + good256}, "match"},
		{"deprecated alone", []string{"md5=:AAAA:"}, "unsupported"},
		{"parameters mean nothing", []string{good256 + ";p=1"}, "match"},
		{"no field", nil, "absent"},
		{"empty line", []string{""}, "absent"},
		{"same twice", []string{good256, good256}, "malformed"},
		{"unknown twice", []string{"x=:AAAA:, x=:AAAA:", good256}, "malformed"},
		{"unknown of another type", []string{"x=1, " + good256}, "malformed"},
		{"no value", []string{"sha-256"}, "malformed"},
		{"inner list beside", []string{"x=(), " + good256}, "malformed"},
		{"garbage behind", []string{good256 + ", !"}, "malformed"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			d, err := Parse(tc.lines)
			if err == nil {
				err = d.Verify([]byte(body))
			}
			if got := reasonOf(t, err); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestMismatchSaysWhatDiffered(t *testing.T) {
	d, err := Parse([]string{Sum(SHA512, []byte("the body")), Sum(SHA256, nil)})
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if !errors.As(d.Verify(nil), &e) {
		t.Fatal("another body matches")
	}
	want := &Error{Reason: Mismatch, Algorithm: SHA512, Detail: Sum(SHA512, []byte("the body")) + " for a body of 0 bytes"}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSumParses(t *testing.T) {
	for _, alg := range []Algorithm{SHA256, SHA512} {
		for _, body := range []string{"", "hello", strings.Repeat("x", 1<<20)} {
			d, err := Parse([]string{Sum(alg, []byte(body))})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Verify([]byte(body)); err != nil {
				t.Errorf("%s of %d bytes: %v", alg, len(body), err)
			}
		}
	}
}

func parsed(t testing.TB, body string) Digests {
	t.Helper()
	d, err := Parse([]string{Sum(SHA256, []byte(body)), Sum(SHA512, []byte(body))})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestZeroDigestsMatchNothing(t *testing.T) {
	if got := reasonOf(t, Digests{}.Verify(nil)); got != "absent" {
		t.Errorf("got %s, want absent", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range readVectors[digestCase](f, "digests.json") {
		f.Add(c.Value)
	}
	f.Fuzz(func(t *testing.T, field string) {
		d, err := Parse([]string{field})
		if err != nil {
			reasonOf(t, err)
			return
		}
		// What was accepted names an algorithm that can be relied on, and no other body than its own matches.
		if !strings.Contains(field, "sha-256") && !strings.Contains(field, "sha-512") {
			t.Error("accepted without a digest")
		}
		if one, other := d.Verify([]byte("one")), d.Verify([]byte("other")); one == nil && other == nil {
			t.Error("two bodies match")
		}
	})
}

func FuzzParseWant(f *testing.F) {
	for _, c := range readVectors[wantCase](f, "want-digest.json") {
		f.Add(c.Value)
	}
	f.Fuzz(func(t *testing.T, field string) {
		prefs, err := ParseWant([]string{field})
		if err != nil {
			reasonOf(t, err)
		}
		if slices.ContainsFunc(prefs, func(p Preference) bool { return p.Weight < 0 || p.Weight > 10 }) {
			t.Errorf("accepted %v", prefs)
		}
	})
}
