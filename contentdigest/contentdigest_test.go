package contentdigest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

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

func TestWantVectors(t *testing.T) {
	type wantCase struct {
		ID, Value, Expect string
		Preferences       [][2]any
	}
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

// TestReader reads every way in which a body can end, through readers that split it in every way.
func TestReader(t *testing.T) {
	const body = "the body that was digested"
	lost := errors.New("connection lost")
	splits := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
	}
	tests := []struct {
		name string
		sent io.Reader
		want string
	}{
		{"same", strings.NewReader(body), "match"},
		{"changed", strings.NewReader(strings.Replace(body, "body", "Body", 1)), "mismatch"},
		{"cut short", strings.NewReader(body[:10]), "mismatch"},
		{"longer", strings.NewReader(body + "!"), "mismatch"},
		{"empty", strings.NewReader(""), "mismatch"},
		{"connection lost", io.MultiReader(strings.NewReader(body), iotest.ErrReader(lost)), "lost"},
	}
	for _, tc := range tests {
		sent, _ := io.ReadAll(io.LimitReader(tc.sent, 100))
		for split, f := range splits {
			t.Run(tc.name+"/"+split, func(t *testing.T) {
				var in io.Reader = bytes.NewReader(sent)
				if tc.want == "lost" {
					in = io.MultiReader(in, iotest.ErrReader(lost))
				}
				r := NewReader(io.NopCloser(f(in)), parsed(t, body))
				_, err := io.Copy(io.Discard, r)
				if tc.want == "lost" {
					if !errors.Is(err, lost) {
						t.Errorf("got %v, want the connection's error", err)
					}
				} else if got := reasonOf(t, err); got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
				if n, again := r.Read(make([]byte, 8)); n != 0 || again == nil || (err != nil && !errors.Is(again, err)) {
					t.Errorf("read on: got %d bytes and %v, want the same end", n, again)
				}
			})
		}
	}
}

func TestZeroDigestsMatchNothing(t *testing.T) {
	if got := reasonOf(t, Digests{}.Verify(nil)); got != "absent" {
		t.Errorf("got %s, want absent", got)
	}
}

// countingReader counts what is taken from an endless body.
type countingReader struct{ n int64 }

func (c *countingReader) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestHazardBodyReadWithoutBound(t *testing.T) {
	var endless countingReader
	_, err := ReadAll(&endless, parsed(t, ""), 1000)
	if e := (*Error)(nil); !errors.As(err, &e) || e.Reason != TooLarge {
		t.Fatalf("got %v, want %s", err, TooLarge)
	}
	if endless.n > 1001 {
		t.Errorf("%d bytes were read, want no more than 1001", endless.n)
	}
}

func TestHazardBodySwappedUnderCoveredDigest(t *testing.T) {
	if _, err := ReadAll(strings.NewReader("another body"), parsed(t, "the body"), 1000); reasonOf(t, err) != "mismatch" {
		t.Errorf("got %v, want a mismatch", err)
	}
}

func TestReadAll(t *testing.T) {
	got, err := ReadAll(strings.NewReader("the body"), parsed(t, "the body"), 8)
	if err != nil || string(got) != "the body" {
		t.Errorf("got %q, %v", got, err)
	}
	lost := errors.New("connection lost")
	if got, err := ReadAll(iotest.ErrReader(lost), parsed(t, ""), 8); !errors.Is(err, lost) || got != nil {
		t.Errorf("got %q, %v, want the connection's error", got, err)
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
		if d.sha256 == nil && d.sha512 == nil {
			t.Error("accepted without a digest")
		}
		if d.Verify([]byte("body")) == nil && !strings.Contains(field, "sha-") {
			t.Error("matched without a digest")
		}
	})
}

func FuzzParseWant(f *testing.F) {
	f.Add("sha-512=3, sha-256=10, unixsum=0")
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

// FuzzReader changes a body in one place and reads it in pieces.
func FuzzReader(f *testing.F) {
	f.Add([]byte("the body"), uint(3), byte(1), uint(2))
	f.Fuzz(func(t *testing.T, body []byte, at uint, flip byte, piece uint) {
		sent := bytes.Clone(body)
		if len(sent) > 0 {
			sent[at%uint(len(sent))] ^= flip
		}
		r := NewReader(io.NopCloser(bytes.NewReader(sent)), parsed(t, string(body)))
		_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, piece%64+1))
		if (err == nil) != bytes.Equal(sent, body) {
			t.Errorf("changed %t, error %v", !bytes.Equal(sent, body), err)
		}
	})
}
