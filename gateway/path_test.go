package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, tc := range []struct {
		name, uri string
		path      string // "" for a refusal
		query     string
	}{
		{"origin form", "/a/b?c=d", "/a/b", "c=d"},
		{"escapes stay", "/a%2Fb/%41?x=%zz", "/a%2Fb/%41", "x=%zz"},
		{"two question marks", "/a?b?c", "/a", "b?c"},
		{"empty query", "/a?", "/a", ""},
		{"absolute form", "http://api.example/a?b", "/a", "b"},
		{"absolute form over TLS", "https://api.example/a", "/a", ""},
		{"double slash inside", "/a//b", "/a//b", ""},
		{"absolute form without a path", "http://api.example", "", ""},
		{"absolute form with a query only", "http://api.example?a=/b", "", ""},
		{"asterisk form", "*", "", ""},
		{"authority form", "api.example:443", "", ""},
		{"no slash", "a", "", ""},
		{"two leading slashes", "//evil.example/a", "", ""},
		{"backslash", `/a\b`, "", ""},
		{"fragment", "/a#b", "", ""},
		{"fragment in the query", "/a?b#c", "", ""},
		{"space", "/a b", "", ""},
		{"bytes beyond ASCII", "/\xc3\xa4", "", ""},
		{"control character", "/a\x7f", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, refusal := parseTarget(&http.Request{RequestURI: tc.uri})
			if (refusal != nil) != (tc.path == "") {
				t.Fatalf("refusal %v", refusal)
			}
			if got.path != tc.path || got.query != tc.query {
				t.Errorf("got %q and %q, want %q and %q", got.path, got.query, tc.path, tc.query)
			}
		})
	}
}

func TestLenient(t *testing.T) {
	for _, tc := range []struct{ name, path, want string }{ // want "" for a refusal
		{"plain", "/a/b", "/a/b"},
		{"root", "/", "/"},
		{"case", "/A/b", "/a/b"},
		{"escaped letter", "/%61dmin", "/admin"},
		{"escaped twice", "/%2561dmin", "/admin"},
		{"escaped three times", "/%252561", "/%61"},
		{"escaped slash", "/a%2Fb", "/a/b"},
		{"escaped backslash", "/a%5Cb", "/a/b"},
		{"empty segments", "/a//b/", "/a/b"},
		{"path parameter", "/a;v=1/b", "/a/b"},
		{"escaped path parameter", "/a%3Bv=1/b", "/a/b"},
		{"segment of a parameter alone", "/a/;x/b", "/a/b"},
		{"escaped question mark", "/a%3Fb/c", "/a/c"},
		{"percent sign that escapes nothing", "/100%25", "/100%"},
		{"cut escape", "/a%2", "/a%2"},
		{"beyond ASCII", "/%C3%A4", "/ä"},
		{"dots in a name", "/a..b/...", "/a..b/..."},
		{"dot segment", "/a/../b", ""},
		{"dot segment at the end", "/a/..", ""},
		{"single dot", "/a/./b", ""},
		{"escaped dots", "/a/%2e%2E/b", ""},
		{"half escaped dots", "/a/.%2e/b", ""},
		{"dots escaped twice", "/a/%252e%252e/b", ""},
		{"dots after an escaped slash", "/a/x%2f../b", ""},
		{"dots after an escaped backslash", "/a/x%5c..%5cb", ""},
		{"dots before a path parameter", "/a/..;/b", ""},
		{"escaped zero byte", "/a%00", ""},
		{"escaped line end", "/a%0d%0ab", ""},
		{"escaped delete", "/a%7f", ""},
		{"overlong dot", "/a/%c0%ae%c0%ae/b", ""},
		{"not UTF-8", "/%ff", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, refusal := lenient(tc.path)
			if (refusal != nil) != (tc.want == "") {
				t.Fatalf("refusal %v", refusal)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// testTable has routes that are each other's prefixes, with an upstream of their own as their name.
func testTable(t testing.TB) *table {
	t.Helper()
	routes := []Route{
		{Path: "/"}, {Path: "/public"}, {Path: "/public/inner"}, {Path: "/Admin", Methods: []string{"GET"}},
		{Path: "/admin2", Methods: []string{"POST"}}, {Path: "/admin2"},
		{Host: "api.example", Path: "/public"}, {Host: "api.example:8443", Path: "/public"},
	}
	for i := range routes {
		routes[i].Upstream = &url.URL{Scheme: "http", Host: "upstream.example"}
	}
	tab, err := newTable(routes, func(*route) (http.Handler, error) { return http.NotFoundHandler(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return &tab
}

func TestFind(t *testing.T) {
	tab := testTable(t)
	for _, tc := range []struct{ name, host, path, method, want string }{ // want: pattern, or reason
		{"exact", "x", "/public", "GET", "/public"},
		{"below", "x", "/public/a", "GET", "/public"},
		{"with a slash", "x", "/public/", "GET", "/public"},
		{"longest", "x", "/public/inner/a", "GET", "/public/inner"},
		{"whole segments only", "x", "/publicity", "GET", "/"},
		{"escape of its own route", "x", "/public/a%2Fb", "GET", "/public"},
		{"double slash of its own route", "x", "/public//a", "GET", "/public"},
		{"case of its own route", "x", "/public/ABC", "GET", "/public"},
		{"escaped slash into another route", "x", "/public%2Finner", "GET", ReasonPath},
		{"escaped letter into another route", "x", "/%70ublic", "GET", ReasonPath},
		{"twice escaped letter into another route", "x", "/%2570ublic", "GET", ReasonPath},
		{"double slash into another route", "x", "/public//inner", "GET", ReasonPath},
		{"path parameter into another route", "x", "/public;a/inner", "GET", ReasonPath},
		{"case into another route", "x", "/PUBLIC/a", "GET", ReasonPath},
		{"route with capitals", "x", "/Admin/a", "GET", "/Admin"},
		{"other case than the route's", "x", "/admin/a", "GET", ReasonPath},
		{"dot segments", "x", "/public/../Admin", "GET", ReasonPath},
		{"HEAD as GET", "x", "/Admin", "HEAD", "/Admin"},
		{"another method, no fall back to a shorter path", "x", "/Admin", "POST", ReasonMethod},
		{"methods apart", "x", "/admin2", "POST", "/admin2"},
		{"TRACE", "x", "/public", "TRACE", ReasonMethod},
		{"CONNECT", "x", "/public", "CONNECT", ReasonMethod},
		{"host", "api.example", "/public", "GET", "api.example/public"},
		{"host in capitals", "API.example", "/public", "GET", "api.example/public"},
		{"host with the root's dot", "api.example.", "/public", "GET", "api.example/public"},
		{"host with another port", "api.example:80", "/public", "GET", "api.example/public"},
		{"host with its port", "api.example:8443", "/public", "GET", "api.example:8443/public"},
		{"host without a route for the path", "api.example", "/other", "GET", "/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt, refusal := tab.find(tc.host, tc.path, tc.method)
			got := ""
			if refusal != nil {
				got = refusal.Reason
			} else {
				got = rt.pattern
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestFindNothing(t *testing.T) {
	routes := []Route{{Path: "/a", Upstream: &url.URL{Scheme: "http", Host: "upstream.example"}}}
	tab, err := newTable(routes, func(*route) (http.Handler, error) { return http.NotFoundHandler(), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, refusal := tab.find("x", "/b", "GET"); refusal == nil || refusal.Reason != ReasonRoute || refusal.Status != http.StatusNotFound {
		t.Errorf("got %v, want %s", refusal, ReasonRoute)
	}
}

func TestMethodNotAllowed(t *testing.T) {
	_, refusal := testTable(t).find("x", "/Admin", "POST")
	if refusal == nil {
		t.Fatal("no refusal")
	}
	w := httptest.NewRecorder()
	refusal.ServeHTTP(w, httptest.NewRequest("POST", "/Admin", nil))
	if got, want := w.Header().Get("Allow"), "GET, HEAD"; w.Code != http.StatusMethodNotAllowed || got != want {
		t.Errorf("got %d, Allow %q, want 405 and %q", w.Code, got, want)
	}
}

func TestUpstreamPath(t *testing.T) {
	for _, tc := range []struct{ name, base, strip, path, want string }{ // want "" for a refusal
		{"as sent", "", "", "/a%2Fb", "/a%2Fb"},
		{"base", "/base", "", "/a", "/base/a"},
		{"strip", "", "/api", "/api/a", "/a"},
		{"strip all", "", "/api", "/api", "/"},
		{"strip and base", "/base", "/api", "/api", "/base"},
		{"strip before a double slash", "", "/api", "/api//evil.example", ""},
		{"strip and base before a double slash", "/base", "/api", "/api//a", "/base//a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := &route{Route: Route{StripPrefix: tc.strip}, base: tc.base}
			got, refusal := rt.upstreamPath(tc.path)
			if got != tc.want || (refusal != nil) != (tc.want == "") {
				t.Errorf("got %q, %v, want %q", got, refusal, tc.want)
			}
		})
	}
}

// Each reading is one that upstreams are known for. None of them may turn a path into one of another route.
var readings = []struct {
	name string
	read func(string) string
}{
	{"decoded", unescape},
	{"decoded twice", func(p string) string { return unescape(unescape(p)) }},
	{"slashes merged", mergeSlashes},
	{"decoded, slashes merged", func(p string) string { return mergeSlashes(unescape(p)) }},
	{"backslashes", func(p string) string { return strings.ReplaceAll(unescape(p), `\`, "/") }},
	{"parameters cut", cutParameters},
	{"decoded, parameters cut", func(p string) string { return cutParameters(unescape(p)) }},
	{"parameters cut, decoded", func(p string) string { return unescape(cutParameters(p)) }},
	{"lower case", strings.ToLower},
}

func mergeSlashes(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

func cutParameters(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

func FuzzReadings(f *testing.F) {
	seeds := []string{
		"/public/../Admin", "/public%2finner", "/public//inner", "/public/..;/Admin", "/%2570ublic/inner", `/public\inner`,
		"/public/%5cinner;x/y", "/admin2/%3f/a", "/PUBLIC/%c3%a4", "/public/;/inner", "/public/a..b/7~x", "/public/-a", "/public/", "/public/A",
	}
	for _, s := range seeds {
		f.Add(s)
	}
	tab := testTable(f)
	f.Fuzz(func(t *testing.T, path string) {
		tg, refusal := parseTarget(&http.Request{RequestURI: path})
		if refusal != nil {
			return
		}
		if unambiguous(tg.path) {
			if read, refusal := fold(tg.path); refusal != nil || read != tg.path {
				t.Errorf("%q is unambiguous, and is read as %q, refusal %v", tg.path, read, refusal)
			}
		}
		rt, refusal := tab.find("x", tg.path, "GET")
		if refusal != nil {
			return
		}
		for _, r := range readings {
			read := r.read(tg.path)
			for seg := range strings.SplitSeq(read, "/") {
				if seg == ".." || seg == "." {
					t.Errorf("%q, %s, has dot segments: %q", tg.path, r.name, read)
				}
			}
			// An upstream that folds case knows its routes in lower case as well.
			if p := tab.place("x", strings.ToLower(read), true); p == nil || p.path != rt.Path {
				t.Errorf("%q of route %s, %s, is %q of route %v", tg.path, rt.Path, r.name, read, p)
			}
		}
	})
}

func TestRouteRefused(t *testing.T) {
	good := func() Route {
		return Route{Path: "/a", Upstream: &url.URL{Scheme: "http", Host: "upstream.example"}}
	}
	for _, tc := range []struct {
		name string
		edit func(*Route)
	}{
		{"no path", func(r *Route) { r.Path = "" }},
		{"relative path", func(r *Route) { r.Path = "a" }},
		{"slash at the end", func(r *Route) { r.Path = "/a/" }},
		{"dot segment", func(r *Route) { r.Path = "/a/../b" }},
		{"escape", func(r *Route) { r.Path = "/%61" }},
		{"path parameter", func(r *Route) { r.Path = "/a;b" }},
		{"host with a scheme", func(r *Route) { r.Host = "http://a" }},
		{"no upstream", func(r *Route) { r.Upstream = nil }},
		{"upstream of another scheme", func(r *Route) { r.Upstream.Scheme = "ftp" }},
		{"upstream without a host", func(r *Route) { r.Upstream.Host = "" }},
		{"upstream with a query", func(r *Route) { r.Upstream.RawQuery = "a" }},
		{"upstream with a password", func(r *Route) { r.Upstream.User = url.UserPassword("a", "b") }},
		{"upstream whose path begins with two slashes", func(r *Route) { r.Upstream.Path = "//evil" }},
		{"strip what isn't a prefix", func(r *Route) { r.StripPrefix = "/b" }},
		{"strip half a segment", func(r *Route) { r.Path, r.StripPrefix = "/ab", "/a" }},
		{"empty method", func(r *Route) { r.Methods = []string{""} }},
		{"TRACE", func(r *Route) { r.Methods = []string{"TRACE"} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := good()
			if _, err := newRoute(r); err != nil {
				t.Fatalf("the good route: %v", err)
			}
			tc.edit(&r)
			if _, err := newRoute(r); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestRoutesThatCollide(t *testing.T) {
	up := &url.URL{Scheme: "http", Host: "upstream.example"}
	for _, tc := range []struct {
		name   string
		routes []Route
	}{
		{"none", nil},
		{"twice", []Route{{Path: "/a", Upstream: up}, {Path: "/a", Upstream: up}}},
		{"one method twice", []Route{{Path: "/a", Methods: []string{"GET"}, Upstream: up}, {Path: "/a", Methods: []string{"PUT", "GET"}, Upstream: up}}},
		{"case", []Route{{Path: "/a", Upstream: up}, {Path: "/A", Methods: []string{"GET"}, Upstream: up}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := newTable(tc.routes, func(*route) (http.Handler, error) { return http.NotFoundHandler(), nil }); err == nil {
				t.Error("accepted")
			}
		})
	}
}
