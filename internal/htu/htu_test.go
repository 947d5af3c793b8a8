package htu

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type equivalence struct {
	ID, A, B     string
	Equal        bool
	ANormalised  string `json:"a_normalised"`
	BNormalised  string `json:"b_normalised"`
	Source, Rule string
}

type wpt struct {
	ID, Input, HTU                                             string
	Failure                                                    bool
	Href, Origin, Protocol, Username, Password                 string
	Host, Hostname, Port, Pathname, Search, Hash, SearchParams string
	RelativeTo, Comment                                        json.RawMessage
}

// vectors reads a file of testdata. An unknown member fails.
func vectors[Case any](t testing.TB, name string, count int) []Case {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Meta  json.RawMessage
		Cases []Case
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(file.Cases) != count {
		t.Fatalf("%s: got %d cases, want %d", name, len(file.Cases), count)
	}
	return file.Cases
}

func TestEquivalence(t *testing.T) {
	for _, tc := range vectors[equivalence](t, "htu-equivalence.json", 28) {
		t.Run(tc.ID, func(t *testing.T) {
			switch tc.ID {
			case "rfc3986-6.2.2":
				// The RFC's example has the scheme "example"; the rest of it works for https too.
				for _, s := range []*string{&tc.A, &tc.B, &tc.ANormalised, &tc.BNormalised} {
					*s = "https" + (*s)[len("example"):]
				}
			case "userinfo":
				// Not the same, as the vector wants, because such a URL is no htu at all.
				if _, err := Parse(tc.A); err == nil {
					t.Errorf("%s was accepted", tc.A)
				}
				return
			}
			a, err := Parse(tc.A)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Parse(tc.B)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{a.String(), b.String()}, []string{tc.ANormalised, tc.BNormalised}); diff != "" {
				t.Errorf("normal forms (-got +want):\n%s", diff)
			}
			part, _, _, err := Diff(tc.A, tc.B)
			if err != nil || (part == "") != tc.Equal {
				t.Errorf("got a difference in %q, %v, want equal %v: %s", part, err, tc.Equal, tc.Rule)
			}
		})
	}
}

// What browsers refuse is refused. What they accept is either refused, where it takes repairing, or gives the htu that
// the browser would send.
func TestWebPlatform(t *testing.T) {
	// Hosts whose xn-- labels decode to nothing. No name server has them, and RFC 3986 knows nothing of them.
	punycode := []string{"fail-018", "fail-019", "fail-021", "fail-022", "fail-153"}
	counts := map[string]int{}
	for _, tc := range vectors[wpt](t, "wpt-urls.json", 171) {
		got, err := Parse(tc.Input)
		switch {
		case tc.Failure && slices.Contains(punycode, tc.ID):
			counts["bad punycode"]++
		case tc.Failure:
			if err == nil {
				t.Errorf("%s: %q: got %v, want an error", tc.ID, tc.Input, got)
			}
			counts["refused by both"]++
		case err != nil:
			counts["repaired by browsers"]++
		case got.String() == tc.HTU:
			counts["the same"]++
		default:
			// The browser leaves encoded unreserved characters as they are, and hexadecimal digits in lower case.
			want, err := Parse(tc.HTU)
			if err != nil || got != want {
				t.Errorf("%s: %q: got %v, want %v, %v", tc.ID, tc.Input, got, want, err)
			}
			counts["equivalent"]++
		}
	}
	want := map[string]int{
		"the same": 36, "equivalent": 4, "repaired by browsers": 28, "refused by both": 98, "bad punycode": 5,
	}
	if diff := cmp.Diff(counts, want); diff != "" {
		t.Errorf("verdicts (-got +want):\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	const base = "https://e.example/a/b?page=2#top"
	tests := []struct {
		name string
		got  string
		want [3]string // part, expected, got
	}{
		{"the same", "https://e.example/a/b", [3]string{}},
		{"other query", "https://e.example/a/b?page=3", [3]string{}},
		{"scheme", "http://e.example/a/b", [3]string{"scheme", "https", "http"}},
		{"host", "https://E.example.evil/a/b", [3]string{"host", "e.example", "e.example.evil"}},
		{"port", "https://e.example:8443/a/b", [3]string{"port", "443", "8443"}},
		{"path", "https://e.example/a/%62/", [3]string{"path", "/a/b", "/a/b/"}},
		{"all", "http://f.example:1/", [3]string{"scheme", "https", "http"}},
		{"default port", "https://e.example:443/a/b", [3]string{}},
		{"empty port", "https://e.example:/a/b", [3]string{}},
		{"port with leading zeros", "https://e.example:00443/a/b", [3]string{}},
		{"dots", "https://e.example/../a/./c/%2E./b", [3]string{}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			part, want, got, err := Diff(base, tc.got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([3]string{part, want, got}, tc.want); diff != "" {
				t.Errorf("difference (-got +want):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, good := range []string{
		"https://e.example/a", "http://127.0.0.1:8080/", "https://[2001:db8::1]:8443/", "https://e.example/a|b[c]", "http://localhost",
	} {
		if _, err := Parse(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	tests := []struct {
		name, text, part string
	}{
		{"nothing", "", "scheme"},
		{"path alone", "/a", "scheme"},
		{"no scheme", "e.example/a", "scheme"},
		{"no slashes", "https:e.example/a", "scheme"},
		{"one slash", "https:/e.example/a", "scheme"},
		{"other scheme", "ftp://e.example/a", "scheme"},
		{"websocket", "wss://e.example/a", "scheme"},
		{"space in front", " https://e.example/a", "scheme"},
		{"no host", "https:///a", "host"},
		{"no host but a port", "https://:443/a", "host"},
		{"user", "https://u@e.example/a", "userinfo"},
		{"empty user", "https://@e.example/a", "userinfo"},
		{"host behind a user", "https://e.example@evil.example/a", "userinfo"},
		{"backslash in the host", `https://e.example\a`, "host"},
		{"space in the host", "https://e example/a", "host"},
		{"encoded space in the host", "https://e%20example/a", "host"},
		{"encoded slash in the host", "https://e.example%2Fa", "host"},
		{"broken encoding in the host", "https://e%2/a", "host"},
		{"UTF-8 host", "https://é.example/a", "host"},
		{"long host", "https://" + strings.Repeat("a", 257) + "/", "host"},
		{"short IPv4 address", "https://127.1/a", "host"},
		{"IPv4 address in one number", "https://2130706433/a", "host"},
		{"IPv4 address in octal", "https://0177.0.0.1/a", "host"},
		{"IPv4 address in hexadecimal", "https://0x7f.0.0.0x1/a", "host"},
		{"IPv4 address with a dot behind", "https://127.0.0.1./a", "host"},
		{"octet over 255", "https://127.0.0.256/a", "host"},
		{"IPv6 address unclosed", "https://[::1/a", "host"},
		{"IPv6 address with a zone", "https://[fe80::1%25eth0]/a", "host"},
		{"IPv4 address in brackets", "https://[127.0.0.1]/a", "host"},
		{"name in brackets", "https://[e.example]/a", "host"},
		{"port no number", "https://e.example:https/a", "port"},
		{"port signed", "https://e.example:+443/a", "port"},
		{"port over 65535", "https://e.example:65536/a", "port"},
		{"two ports", "https://e.example:443:443/a", "host"},
		{"space in the path", "https://e.example/a b", "path"},
		{"tab in the path", "https://e.example/a\tb", "path"},
		{"NUL in the path", "https://e.example/a\x00", "path"},
		{"backslash in the path", `https://e.example/a\b`, "path"},
		{"quote in the path", `https://e.example/"a"`, "path"},
		{"UTF-8 in the path", "https://e.example/é", "path"},
		{"broken encoding", "https://e.example/%zz", "path"},
		{"encoding cut off", "https://e.example/%2", "path"},
		{"encoding cut off by the query", "https://e.example/%2?5", "path"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse(tc.text)
			if e, ok := errors.AsType[*Error](err); !ok || e.Part != tc.part {
				t.Errorf("got %v, %v, want an error about the %s", got, err, tc.part)
			}
			// The same text on both sides is no reason to skip the check.
			if part, _, _, err := Diff(tc.text, tc.text); err == nil {
				t.Errorf("Diff with itself: got %q, want an error", part)
			}
			if part, _, _, err := Diff("https://e.example/a", tc.text); err == nil {
				t.Errorf("Diff with another: got %q, want an error", part)
			}
		})
	}
}

// Hazard 21: 8 MiB of dot segments or encodings take no longer than reading them.
func TestHazardLongPaths(t *testing.T) {
	const n = 1 << 20
	for name, path := range map[string]string{
		"up":        strings.Repeat("/..", n),
		"down, up":  strings.Repeat("/a", n) + strings.Repeat("/..", n),
		"here":      strings.Repeat("/.", n),
		"encoded":   strings.Repeat("/%2e%2E", n),
		"slashes":   strings.Repeat("/", n) + ".",
		"at, colon": strings.Repeat("/:@", n),
	} {
		if _, err := Parse("https://e.example" + path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllocs(t *testing.T) {
	got := testing.AllocsPerRun(100, func() {
		if part, _, _, err := Diff("https://rs.example/api/items?page=2", "https://rs.example:443/api/items"); part != "" || err != nil {
			t.Fatal(part, err)
		}
	})
	if got > 0 {
		t.Errorf("Diff: got %v allocations, want 0", got)
	}
}

// The normal form is its own normal form, and a URL for net/url too.
func FuzzParse(f *testing.F) {
	seeds := 0
	for _, c := range vectors[wpt](f, "wpt-urls.json", 171) {
		f.Add(c.Input)
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seed found")
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := Parse(u.String())
		if err != nil || again != u {
			t.Fatalf("%q became %v, and that became %v, %v", text, u, again, err)
		}
		if part, _, _, err := Diff(text, u.String()); part != "" || err != nil {
			t.Fatalf("%q differs from its normal form %v in %q, %v", text, u, part, err)
		}
		std, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("net/url refuses %v: %v", u, err)
		}
		if std.Host != strings.TrimSuffix(u.Host+":"+u.Port, ":"+defaultPort(u.Scheme)) || std.User != nil {
			t.Fatalf("net/url reads host %q of %v", std.Host, u)
		}
	})
}
