package holdfast

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/httpsig"
)

func TestClientTarget(t *testing.T) {
	get := func(raw string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	with := func(r *http.Request, change func(r *http.Request)) *http.Request {
		change(r)
		return r
	}
	opaque := func(o string) func(*http.Request) { return func(r *http.Request) { r.URL.Opaque = o } }
	for _, tc := range []struct {
		name    string
		r       *http.Request
		uri     string // "" means refused
		special string
	}{
		{"plain", get("https://api.example/a?x=1"), "https://api.example/a?x=1", ""},
		{"escaped path stays", get("https://api.example/a%2Fb%20c"), "https://api.example/a%2Fb%20c", ""},
		{"query stays raw", get("https://api.example/?b=%41&a=+"), "https://api.example/?b=%41&a=+", ""},
		{"empty query", get("https://api.example/a?"), "https://api.example/a?", ""},
		{"empty path", get("https://api.example"), "https://api.example/", ""},
		{"empty path with query", get("https://api.example?x"), "https://api.example/?x", ""},
		{"dot segments stay", get("https://api.example/a/../b"), "https://api.example/a/../b", ""},
		{"double slash", get("https://api.example//a"), "https://api.example//a", ""},
		{"fragment dropped", get("https://api.example/a#f"), "https://api.example/a", ""},
		{"user dropped", get("https://u:p@api.example/a"), "https://api.example/a", ""},
		{"upper case host", get("https://API.Example/A"), "https://api.example/A", ""},
		{"default port", get("https://api.example:443/"), "https://api.example/", ""},
		{"default port of http", get("http://api.example:80/"), "http://api.example/", ""},
		{"other scheme's port", get("http://api.example:443/"), "http://api.example:443/", ""},
		{"empty port", get("https://api.example:/"), "https://api.example/", ""},
		{"address", get("http://[::1]:8080/"), "http://[::1]:8080/", ""},
		{"address that ends like a port", get("https://[::443]/"), "https://[::443]/", ""},
		{"zone dropped", get("http://[fe80::1%25eth0]:8080/"), "http://[fe80::1]:8080/", ""},
		{"host override", with(get("https://10.0.0.1/a"), func(r *http.Request) { r.Host = "API.example:443" }), "https://api.example/a", ""},
		{"opaque path", with(get("https://api.example/"), opaque("/a%2Fb")), "https://api.example/a%2Fb", ""},
		{"opaque with query", with(get("https://api.example/?x=1"), opaque("/a")), "https://api.example/a?x=1", ""},
		{"absolute form", with(get("https://api.example/"), opaque("//api.example/a")), "https://api.example/a", "https://api.example/a"},
		{"absolute form without path", with(get("https://api.example/?x"), opaque("//api.example")), "https://api.example?x", "https://api.example?x"},
		{"asterisk", with(get("https://api.example/"), func(r *http.Request) { r.Method, r.URL.Path = "OPTIONS", "*" }), "https://api.example", "*"},

		{"absolute form of another host", with(get("https://api.example/"), opaque("//other.example/a")), "", ""},
		{"opaque without slash", with(get("https://api.example/"), opaque("a")), "", ""},
		{"asterisk with GET", with(get("https://api.example/"), func(r *http.Request) { r.URL.Path = "*" }), "", ""},
		{"relative path", with(get("https://api.example/"), func(r *http.Request) { r.URL.Path = "a" }), "", ""},
		{"not ASCII", get("https://bücher.example/"), "", ""},
		{"not ASCII override", with(get("https://api.example/"), func(r *http.Request) { r.Host = "bücher.example" }), "", ""},
		{"host with path", with(get("https://api.example/"), func(r *http.Request) { r.Host = "api.example/x" }), "", ""},
		{"host with other bytes", with(get("https://api.example/"), func(r *http.Request) { r.Host = "api>example" }), "", ""},
		{"default port alone", get("https://:443/"), "", ""},
		{"port alone", get("https://:8443/"), "", ""},
		{"no host", with(get("https://api.example/"), func(r *http.Request) { r.Host, r.URL.Host = "", "" }), "", ""},
		{"other scheme", get("ftp://api.example/"), "", ""},
		{"CONNECT", with(get("https://api.example/"), func(r *http.Request) { r.Method = "CONNECT" }), "", ""},
		{"no URL", with(get("https://api.example/"), func(r *http.Request) { r.URL = nil }), "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := clientTargetOf(tc.r)
			if tc.uri == "" {
				if e, ok := errors.AsType[*TransportError](err); !ok || e.Reason != TransportTargetUnusable {
					t.Fatalf("got %q and error %v, want %s", got.uri, err, TransportTargetUnusable)
				}
				return
			}
			if err != nil || got.uri != tc.uri || got.special != tc.special {
				t.Errorf("got %q, %q, %v, want %q, %q", got.uri, got.special, err, tc.uri, tc.special)
			}
		})
	}
}

// What is sent in place of the caller's request must count as the same origin, or no redirect could be followed.
func TestClientTargetOfSentRequest(t *testing.T) {
	for _, raw := range []string{"https://API.Example:443/", "http://[fe80::1%25eth0]:80/", "https://api.example:8443/"} {
		t.Run(raw, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodGet, raw, nil)
			if err != nil {
				t.Fatal(err)
			}
			first, err := clientTargetOf(r)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = first.origin.authority
			again, err := clientTargetOf(r)
			if err != nil || again != first {
				t.Errorf("got %v, %v, want %v", again, err, first)
			}
		})
	}
}

// FuzzClientTarget checks that what is signed is what net/http writes, for URLs that a redirect may bring.
func FuzzClientTarget(f *testing.F) {
	for _, seed := range []string{
		"https://api.example/a%2Fb?x=%41#f", "http://[fe80::1%25eth0]:80", "https://API.example:443?", "http://h//a/../b", "http://u:p@h:/;x", "http://>", "http://:80",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := http.NewRequest(http.MethodGet, raw, nil)
		if err != nil {
			t.Skip("not a URL")
		}
		target, err := clientTargetOf(r)
		if err != nil {
			if _, ok := errors.AsType[*TransportError](err); !ok {
				t.Fatalf("got %T, want a TransportError", err)
			}
			return
		}
		r.Host = target.origin.authority
		if again, err := clientTargetOf(r); err != nil || again != target {
			t.Errorf("as sent: got %v, %v, want %v", again, err, target)
		}
		var wire strings.Builder
		if r.Write(&wire) != nil {
			t.Skip("net/http doesn't send it")
		}
		head, rest, _ := strings.Cut(wire.String(), "\r\nHost: ")
		host, _, _ := strings.Cut(rest, "\r\n")
		path := strings.TrimSuffix(strings.TrimPrefix(head, "GET "), " HTTP/1.1")
		if got, want := target.uri, target.origin.scheme+"://"+host+path; got != want {
			t.Errorf("signed %q, sent %q", got, want)
		}
	})
}

func TestOriginAuthentic(t *testing.T) {
	for _, tc := range []struct {
		url  string
		want bool
	}{
		{"https://api.example/", true},
		{"http://127.0.0.1:8080/", true},
		{"http://[::1]/", true},
		{"http://localhost/", true},
		{"http://LOCALHOST:80/", true},
		{"http://api.example/", false},
		{"http://localhost.example/", false},
		{"http://10.0.0.1:8080/", false},
		{"http://127.0.0.1.example/", false},
	} {
		t.Run(tc.url, func(t *testing.T) {
			u, err := url.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			target, err := clientTargetOf(&http.Request{URL: u})
			if err != nil {
				t.Fatal(err)
			}
			if got := target.origin.authentic(); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

func TestParseChallenges(t *testing.T) {
	type params = map[string]string
	for _, tc := range []struct {
		name  string
		lines []string
		want  []authChallenge
	}{
		{"none", nil, nil},
		{"scheme alone", []string{"DPoP"}, []authChallenge{{"DPoP", params{}}}},
		{"parameters", []string{`DPoP error="use_dpop_nonce", algs="ES256 EdDSA"`},
			[]authChallenge{{"DPoP", params{"error": "use_dpop_nonce", "algs": "ES256 EdDSA"}}}},
		{"token value, spaces, case", []string{"DPoP  ERROR = x ,reason=y"}, []authChallenge{{"DPoP", params{"error": "x", "reason": "y"}}}},
		{"two in one line", []string{`Bearer realm="a, DPoP error=\"x\"", DPoP error="y"`},
			[]authChallenge{{"Bearer", params{"realm": `a, DPoP error="x"`}}, {"DPoP", params{"error": "y"}}}},
		{"two lines", []string{"Bearer", `DPoP error="y"`}, []authChallenge{{"Bearer", params{}}, {"DPoP", params{"error": "y"}}}},
		{"scheme, then another", []string{`Bearer, DPoP error="y"`}, []authChallenge{{"Bearer", params{}}, {"DPoP", params{"error": "y"}}}},
		{"token68", []string{`Negotiate YWJj==, DPoP error="y"`}, []authChallenge{{"Negotiate", params{}}, {"DPoP", params{"error": "y"}}}},
		{"token68 without padding", []string{`Negotiate a/b, DPoP error="y"`}, []authChallenge{{"Negotiate", params{}}, {"DPoP", params{"error": "y"}}}},
		{"empty elements", []string{`, ,DPoP ,, error="y",`}, []authChallenge{{"DPoP", params{"error": "y"}}}},
		{"first of a name counts", []string{`DPoP error="x", error="y"`}, []authChallenge{{"DPoP", params{"error": "x"}}}},
		{"parameter without scheme", []string{`error="x"`}, nil},
		{"open quote", []string{`DPoP error="x`}, []authChallenge{{"DPoP", params{}}}},
		{"open escape", []string{`DPoP error="x\`}, []authChallenge{{"DPoP", params{}}}},
		{"no comma", []string{`DPoP error="x" reason="y"`}, []authChallenge{{"DPoP", params{"error": "x"}}}},
		{"no value", []string{`DPoP error=,reason="y"`}, []authChallenge{{"DPoP", params{}}}},
		{"too long", []string{"Bearer", `DPoP error="` + strings.Repeat("x", maxChallengeBytes) + `"`}, []authChallenge{{"Bearer", params{}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := parseChallenges(tc.lines)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(authChallenge{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	t.Run("bounded", func(t *testing.T) {
		got := parseChallenges([]string{strings.Repeat("a,", 1000), "DPoP " + strings.Repeat("a=b,", 100)})
		if len(got) != maxChallenges {
			t.Errorf("got %d challenges, want %d", len(got), maxChallenges)
		}
		var many strings.Builder
		many.WriteString("DPoP ")
		for i := range 100 {
			fmt.Fprintf(&many, "a%d=b,", i)
		}
		if got := parseChallenges([]string{many.String()}); len(got) != 1 || len(got[0].params) != maxChallengeParams {
			t.Errorf("got %d challenges, want one of %d parameters", len(got), maxChallengeParams)
		}
	})
}

// FuzzChallenges checks that what was read is bounded, and that writing it out and reading it again gives the same.
func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{
		`DPoP error="use_dpop_nonce", algs="ES256 EdDSA"`, `Bearer realm="a\"b", DPoP error=x`, "Negotiate YWJj==, DPoP",
		`DPoP error="x`, "a=b=c", ",,,", "DPoP a = b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := parseChallenges([]string{line})
		if len(got) > maxChallenges {
			t.Fatalf("got %d challenges", len(got))
		}
		var lines []string
		for _, c := range got {
			if c.scheme == "" || len(c.params) > maxChallengeParams {
				t.Fatalf("got scheme %q with %d parameters", c.scheme, len(c.params))
			}
			s := c.scheme
			for name, value := range c.params {
				s += " " + param(name, value) + ","
			}
			lines = append(lines, strings.TrimSuffix(s, ","))
		}
		if len(strings.Join(lines, "")) > maxChallengeBytes {
			t.Skip("quoting made it longer than is read")
		}
		if diff := cmp.Diff(got, parseChallenges(lines), cmp.AllowUnexported(authChallenge{})); diff != "" {
			t.Errorf("%q (-first +again)\n%s", line, diff)
		}
	})
}

func TestCoverable(t *testing.T) {
	for _, tc := range []struct {
		id                 string
		coverable, askable bool
	}{
		{`"@method"`, true, true},
		{`"@target-uri"`, true, true},
		{`"@query"`, true, true},
		{`"@query-param";name="a"`, true, true},
		{`"@query-param";name="a;req"`, true, true},
		{`"content-type"`, true, true},
		{`"x-a";bs`, true, true},
		{`"x-a";sf`, true, false},
		{`"x-a";key="a;req"`, true, false},
		{`"user-agent"`, true, true},

		{`"@status"`, false, false},
		{`"@method";req`, false, false},
		{`"x-a";req`, false, false},
		{`"x-a";key="a\"b";req`, false, false},
		{`"x-a";tr`, false, false},
		{`"x-a";bs;tr`, false, false},
		{`"@query-param";name="a";req`, false, false},
		{`"content-length"`, false, false},
		{`"transfer-encoding"`, false, false},
		{`"connection"`, false, false},
		{`"proxy-authorization"`, false, false},
		{`"signature"`, false, false},
		{`"signature";key="sig1"`, false, false},
		{`"signature-input"`, false, false},
	} {
		t.Run(tc.id, func(t *testing.T) {
			c, err := httpsig.ParseComponent(tc.id)
			if err != nil {
				t.Fatal(err)
			}
			if got := coverable(c); got != tc.coverable {
				t.Errorf("coverable: got %t, want %t", got, tc.coverable)
			}
			if got := askable(c); got != tc.askable {
				t.Errorf("askable: got %t, want %t", got, tc.askable)
			}
		})
	}
}

func TestOriginsBounded(t *testing.T) {
	var m transportMemory
	kept := originKey{"https", "kept.example", "kept.example"}
	first := m.at(kept)
	for i := range 3 * maxOrigins {
		host := fmt.Sprintf("%d.example", i)
		m.at(originKey{"https", host, host})
		if got := m.at(kept); got != first {
			t.Fatalf("after %d others an origin in use was forgotten", i)
		}
	}
	if got := len(m.origins); got != maxOrigins {
		t.Errorf("got %d origins, want %d", got, maxOrigins)
	}
}

func TestLearnNonce(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"one", []string{"a-1_~!"}, "a-1_~!"},
		{"none", nil, ""},
		{"two", []string{"a", "b"}, ""},
		{"empty", []string{""}, ""},
		{"space", []string{"a b"}, ""},
		{"quote", []string{`a"b`}, ""},
		{"backslash", []string{`a\b`}, ""},
		{"not ASCII", []string{"é"}, ""},
		{"longest", []string{strings.Repeat("a", maxNonceBytes)}, strings.Repeat("a", maxNonceBytes)},
		{"too long", []string{strings.Repeat("a", maxNonceBytes+1)}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s originState
			learned := s.learnNonce(http.Header{"Dpop-Nonce": tc.lines})
			if got := s.lastNonce(); got != tc.want || learned != (tc.want != "") {
				t.Errorf("got %q, %t, want %q", got, learned, tc.want)
			}
		})
	}
}

func TestLearnClock(t *testing.T) {
	ours := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) []string { return []string{ours.Add(d).Format(http.TimeFormat)} }
	for _, tc := range []struct {
		name  string
		lines []string
		want  time.Duration
	}{
		{"ahead", at(time.Hour), time.Hour},
		{"behind", at(-time.Hour), -time.Hour},
		{"a day", at(maxClockOffset), maxClockOffset},
		{"more than a day", at(maxClockOffset + time.Second), 0},
		{"more than a day behind", at(-maxClockOffset - time.Second), 0},
		{"rounding", at(time.Second), 0},
		{"none", nil, 0},
		{"two", append(at(time.Hour), at(time.Hour)...), 0},
		{"not a date", []string{"yesterday"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s originState
			learned := s.learnClock(http.Header{"Date": tc.lines}, ours)
			if got := time.Duration(s.offset.Load()); got != tc.want || learned != (tc.want != 0) {
				t.Errorf("got %v, %t, want %v", got, learned, tc.want)
			}
		})
	}
}

func TestLearnCoverage(t *testing.T) {
	tooMany := `sig1=(`
	for i := range maxAsked + 1 {
		tooMany += fmt.Sprintf(`"x-%d" `, i)
	}
	tooMany += ")"
	for _, tc := range []struct {
		name  string
		tag   string
		lines []string
		want  []string // nil means that nothing is learned
	}{
		{"more", TagHTTPSig, []string{`sig1=("@method" "content-type");created;nonce;tag="httpsig-oauth"`}, []string{`"content-type"`}},
		{"no parameters", TagHTTPSig, []string{`sig1=("content-type")`}, []string{`"content-type"`}},
		{"two members", TagHTTPSig, []string{`a=("content-type"), b=("@query")`}, []string{`"content-type"`, `"@query"`}},
		{"two lines", TagHTTPSig, []string{`a=("content-type")`, `b=("@query")`}, []string{`"content-type"`, `"@query"`}},
		{"for another party", TagHTTPSig, []string{`a=("x-a");keyid="k", b=("@query")`}, []string{`"@query"`}},
		{"beside a proof", TagProof, []string{`sig1=("@method" "@target-uri" "authorization" "dpop");created;tag="holdfast-proof"`}, []string{}},

		{"nothing new", TagHTTPSig, []string{`sig1=("@method")`}, nil},
		{"none", TagHTTPSig, nil, nil},
		{"malformed", TagHTTPSig, []string{`sig1=(`}, nil},
		{"other tag", TagHTTPSig, []string{`sig1=("content-type");tag="httpsig-oauth-token-request"`}, nil},
		{"nonce of the server's", TagHTTPSig, []string{`sig1=("content-type");nonce="a"`}, nil},
		{"unknown parameter", TagHTTPSig, []string{`sig1=("content-type");x`}, nil},
		{"response component", TagHTTPSig, []string{`sig1=("content-type" "@status")`}, nil},
		{"of a request", TagHTTPSig, []string{`sig1=("content-type";req)`}, nil},
		{"trailer", TagHTTPSig, []string{`sig1=("content-type";tr)`}, nil},
		{"framing", TagHTTPSig, []string{`sig1=("content-length")`}, nil},
		{"too many", TagHTTPSig, []string{tooMany}, nil},
		{"too long", TagHTTPSig, []string{`sig1=("content-type")`, strings.Repeat(" ", maxAcceptBytes)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s originState
			learned := s.learnCoverage(&Transport{}, tc.lines, tc.tag)
			var got []string
			if learned {
				got = []string{}
			}
			for _, c := range s.asked {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if again := s.learnCoverage(&Transport{}, tc.lines, tc.tag); again {
				t.Error("learned the same twice")
			}
		})
	}
}
