package httpsig

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestParseComponent(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{ // want is "" if refused
		{"derived", `"@method"`, `"@method"`},
		{"bare derived", `@method`, `"@method"`},
		{"field", `"content-type"`, `"content-type"`},
		{"bare field", `content-type`, `"content-type"`},
		{"unknown derived", `@foo`, ""},
		{"signature-params", `@signature-params`, ""},
		{"derived in upper case", `@Method`, ""},
		{"field in upper case", `Content-Type`, ""},
		{"empty", `""`, ""},
		{"nothing", ``, ""},
		{"not a field name", `"x y"`, ""},
		{"token", `"x`, ""},
		{"not a String", `"x", "y"`, ""},
		{"sf", `"x";sf`, `"x";sf`},
		{"sf with value", `"x";sf=1`, ""},
		{"sf false", `"x";sf=?0`, ""},
		{"sf true", `"x";sf=?1`, `"x";sf`},
		{"sf twice", `"x";sf;sf`, ""},
		{"key", `"x";key="a"`, `"x";key="a"`},
		{"key as Token", `"x";key=a`, ""},
		{"key without value", `"x";key`, ""},
		{"key twice", `"x";key="a";key="a"`, ""},
		{"key and sf", `"x";key="a";sf`, `"x";key="a";sf`},
		{"bs", `"x";bs`, `"x";bs`},
		{"bs and sf", `"x";bs;sf`, ""},
		{"bs and key", `"x";bs;key="a"`, ""},
		{"tr and req", `"x";tr;req`, `"x";tr;req`},
		{"name on a field", `"x";name="a"`, ""},
		{"unknown parameter", `"x";y`, ""},
		{"space before the parameter", `"x"; sf`, `"x";sf`},
		{"query-param", `"@query-param";name="a"`, `"@query-param";name="a"`},
		{"query-param with req", `"@query-param";req;name="a"`, `"@query-param";req;name="a"`},
		{"query-param without name", `"@query-param"`, ""},
		{"query-param with a Token", `"@query-param";name=a`, ""},
		{"name on another component", `"@query";name="a"`, ""},
		{"sf on a derived component", `"@query";sf`, ""},
		{"tr on a derived component", `"@query";tr`, ""},
		{"req on a derived component", `"@query";req`, `"@query";req`},
		{"status", `"@status"`, `"@status"`},
		{"req on the status", `"@status";req`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := ParseComponent(tc.text)
			if got := c.String(); got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
			if err != nil && reasonOf(err) != ComponentInvalid {
				t.Errorf("reason %q, want %q", reasonOf(err), ComponentInvalid)
			}
		})
	}
}

// TestSameComponent checks that the order of parameters makes no other component (RFC 9421, section 2).
func TestSameComponent(t *testing.T) {
	for _, tc := range []struct {
		name, a, b string
		want       bool
	}{
		{"equal", `"x"`, `"x"`, true},
		{"order of parameters", `"x";key="a";req`, `"x";req;key="a"`, true},
		{"req", `"x"`, `"x";req`, false},
		{"key", `"x";key="a"`, `"x";key="b"`, false},
		{"name of the query parameter", `"@query-param";name="a"`, `"@query-param";name="b"`, false},
		{"sf with key", `"x";key="a"`, `"x";key="a";sf`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list := Components(tc.a, tc.b)
			in := &Input{components: list[:1]}
			if got := in.Covers(list[1]); got != tc.want {
				t.Errorf("Covers = %v, want %v", got, tc.want)
			}
			if got := repeated(list) != nil; got != tc.want {
				t.Errorf("repeated = %v, want %v", got, tc.want)
			}
		})
	}
	if (&Input{components: []Component{{}}}).Covers(Component{}) {
		t.Error("the zero Component is covered")
	}
}

// TestComponentValue covers what the published vectors leave out.
func TestComponentValue(t *testing.T) {
	get := func(uri string) *Message { return &Message{Method: "GET", TargetURI: uri, Header: http.Header{}} }
	field := func(lines ...string) *Message {
		return &Message{Method: "GET", TargetURI: "https://a/", Header: http.Header{"X-A": lines}}
	}
	response := &Message{Status: 200, Header: http.Header{"X-A": {"res"}}, Request: testRequest()}
	for _, tc := range []struct {
		name      string
		m         *Message
		component string
		want      string // "error" if there is none
	}{
		{"target with empty path", get("https://a"), "@target-uri", "https://a/"},
		{"target with empty path and query", get("https://a?b=1"), "@target-uri", "https://a/?b=1"},
		{"target of OPTIONS *", &Message{Method: "OPTIONS", TargetURI: "https://a", RequestTarget: "*"}, "@target-uri", "https://a"},
		{"target as sent", get("https://A.example:443/%7e/../b?"), "@target-uri", "https://A.example:443/%7e/../b?"},
		{"target with fragment", get("https://a/#f"), "@target-uri", "error"},
		{"target with user", get("https://u@a/"), "@target-uri", "error"},
		{"target with space", get("https://a/ b"), "@target-uri", "error"},
		{"target with line break", get("https://a/\nb"), "@target-uri", "error"},
		{"target outside ASCII", get("https://a/ü"), "@target-uri", "error"},
		{"target without host", get("https:///b"), "@target-uri", "error"},
		{"target without scheme", get("/b"), "@path", "error"},
		{"target of another scheme", get("ftp://a/"), "@authority", "error"},
		{"no target", get(""), "@target-uri", "error"},
		{"authority in lower case", get("https://A.Example:8443/"), "@authority", "a.example:8443"},
		{"default port of http", get("http://a:80/"), "@authority", "a"},
		{"default port of https", get("HTTPS://a:443/"), "@authority", "a"},
		{"the other's default port", get("https://a:80/"), "@authority", "a:80"},
		{"empty port", get("https://a:/"), "@authority", "a"},
		{"address", get("https://[2001:DB8::443]/"), "@authority", "[2001:db8::443]"},
		{"address with port", get("https://[::1]:443/"), "@authority", "[::1]"},
		{"scheme in lower case", get("HTTPS://a/"), "@scheme", "https"},
		{"path as sent", get("https://a/%41/../b%2Fc"), "@path", "/%41/../b%2Fc"},
		{"path with a question mark only", get("https://a/b?"), "@path", "/b"},
		{"empty path with query", get("https://a?q"), "@path", "/"},
		{"no query", get("https://a/b"), "@query", "?"},
		{"empty query", get("https://a/b?"), "@query", "?"},
		{"query with question marks", get("https://a/b?c?d"), "@query", "?c?d"},
		{"request target", get("https://a?b"), "@request-target", "/?b"},
		{"request target with line break", &Message{Method: "GET", TargetURI: "https://a", RequestTarget: "*\n"}, "@request-target", "error"},
		{"method", get("https://a/"), "@method", "GET"},
		{"method with line break", &Message{Method: "GET\n", TargetURI: "https://a/"}, "@method", "error"},
		{"no method", &Message{TargetURI: "https://a/"}, "@method", "error"},
		{"query parameter", get("https://a/?n=J%c3%bcrgen"), `"@query-param";name="n"`, "J%C3%BCrgen"},
		{"query parameter with plus", get("https://a/?n=a+b%2b"), `"@query-param";name="n"`, "a%20b%2B"},
		{"query parameter without value", get("https://a/?n"), `"@query-param";name="n"`, ""},
		{"query parameter with equals signs", get("https://a/?n=a=b"), `"@query-param";name="n"`, "a%3Db"},
		{"query parameter with a bad escape", get("https://a/?n=%4"), `"@query-param";name="n"`, "%254"},
		{"query parameter, nameless", get("https://a/?&=v&"), `"@query-param";name=""`, "v"},
		{"query parameter not in UTF-8", get("https://a/?n=%e4"), `"@query-param";name="n"`, "error"},
		{"query parameter twice", get("https://a/?n=1&%6e=2"), `"@query-param";name="n"`, "error"},
		{"name not in UTF-8", get("https://a/?%e4=1"), `"@query-param";name="%E4"`, "error"},
		{"name in lower hex", get("https://a/?%c3%bc=1"), `"@query-param";name="%c3%bc"`, "error"},
		{"name in upper hex", get("https://a/?%c3%bc=1"), `"@query-param";name="%C3%BC"`, "1"},
		{"status", response, "@status", "200"},
		{"status of two digits", &Message{Status: 99}, "@status", "error"},
		{"status of a request", get("https://a/"), "@status", "error"},
		{"method in a response", response, "@method", "error"},
		{"method of the request", response, `"@method";req`, "POST"},
		{"query parameter of the request", response, `"@query-param";name="x";req`, "1"},
		{"field of the response", response, "x-a", "res"},
		{"field of the request", response, `"authorization";req`, "HTTPSig t"},
		{"trailer of the request", response, `"x-trailer";tr;req`, "end"},
		{"host of the request", response, `"host";req`, "api.example"},
		{"host of the response", response, "host", "error"},
		{"req in a request", get("https://a/"), `"@method";req`, "error"},
		{"req without the request", &Message{Status: 200}, `"@method";req`, "error"},
		{"host", testRequest(), "host", "api.example"},
		{"trailer", testRequest(), `"x-trailer";tr`, "end"},
		{"trailer taken for a header", testRequest(), "x-trailer", "error"},
		{"field lines", testRequest(), "x-two", "one, two"},
		{"white space around lines", field(" a\t", "\tb "), "x-a", "a, b"},
		{"empty line", field(""), "x-a", ""},
		{"empty line between", field("a", "", "b"), "x-a", "a, , b"},
		{"folded line", field("a \r\n\t b"), "x-a", "a b"},
		{"two folds", field("a\n \n b"), "x-a", "a  b"},
		{"line break", field("a\nb"), "x-a", "error"},
		{"carriage return", field("a\rb"), "x-a", "error"},
		{"carriage return and space", field("a\r b"), "x-a", "error"},
		{"tab", field("a\tb"), "x-a", "a\tb"},
		{"NUL", field("a\x00b"), "x-a", "error"},
		{"DEL", field("a\x7fb"), "x-a", "error"},
		{"outside ASCII", testRequest(), "x-latin", "error"},
		{"outside ASCII as bytes", testRequest(), `"x-latin";bs`, ":Y2Fm6Q==:"},
		{"bytes of two lines", field("a", " b"), `"x-a";bs`, ":YQ==:, :Yg==:"},
		{"bytes with line break", field("a\nb"), `"x-a";bs`, "error"},
		{"registered structured field", testRequest(), `"priority";sf`, "u=1, i"},
		{"member of it", testRequest(), `"priority";key="u"`, "1"},
		{"member that is true", testRequest(), `"priority";key="i"`, "?1"},
		{"member that isn't there", testRequest(), `"priority";key="x"`, "error"},
		{"member of an unlisted field", field("a=(1  2);x"), `"x-a";key="a"`, "(1 2);x"},
		{"member of a repeated key", field("a=1, a=2"), `"x-a";key="a"`, "error"},
		{"member of a List", &Message{Method: "GET", Header: http.Header{"Cache-Status": {"a"}}}, `"cache-status";key="a"`, "error"},
		{"structured field of unknown type", field("1"), `"x-a";sf`, "error"},
		{"structured field that doesn't parse", &Message{Method: "GET", Header: http.Header{"Priority": {"="}}}, `"priority";sf`, "error"},
		{"repeated key", &Message{Method: "GET", Header: http.Header{"Priority": {"u=1, u=2"}}}, `"priority";sf`, "error"},
		{"repeated parameter in a Dictionary", &Message{Method: "GET", Header: http.Header{"Priority": {"u=1;a;a"}}}, `"priority";sf`, "error"},
		{"repeated parameter in another member", field("a=1, b=2;x;x"), `"x-a";key="a"`, "error"},
		{"repeated parameter in an inner list", field("a=(1;x;x)"), `"x-a";key="a"`, "error"},
		{"repeated parameter in a List", &Message{Method: "GET", Header: http.Header{"Accept-Ch": {"a;x;x"}}}, `"accept-ch";sf`, "error"},
		{"repeated parameter on an Item", &Message{Method: "GET", Header: http.Header{"Deprecation": {"@1;x;x"}}}, `"deprecation";sf`, "error"},
		{"Item", &Message{Method: "GET", Header: http.Header{"Deprecation": {" @1 "}}}, `"deprecation";sf`, "@1"},
		{"List", &Message{Method: "GET", Header: http.Header{"Accept-Ch": {"a,b"}}}, `"accept-ch";sf`, "a, b"},
		{"List over a folded line", &Message{Method: "GET", Header: http.Header{"Accept-Ch": {"a,\r\n b", "c"}}}, `"accept-ch";sf`, "a, b, c"},
		{"absent field", testRequest(), "x-none", "error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := &Input{components: Components(tc.component), params: "()"}
			base, err := Base(tc.m, in, nil)
			if tc.want == "error" {
				if reasonOf(err) != ComponentInvalid {
					t.Errorf("got %q, %v; want %s", base, err, ComponentInvalid)
				}
				return
			}
			got, ok := strings.CutSuffix(string(base), "\n\"@signature-params\": ()")
			if want := in.components[0].id + ": " + tc.want; err != nil || !ok || got != want {
				t.Errorf("got %q, %v; want %q", base, err, want)
			}
		})
	}
}

func TestRequestMessage(t *testing.T) {
	server := func(method, target string) *http.Request {
		r := httptest.NewRequest(method, target, nil)
		r.Host = "front.example"
		return r
	}
	client, err := http.NewRequest("", "https://a.example/b?c", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name                       string
		r                          *http.Request
		wantTarget, wantHost, want string
	}{
		{"server", server("GET", "/b?c"), "/b?c", "front.example", "GET"},
		{"server, absolute form", server("GET", "http://a.example/b?c"), "http://a.example/b?c", "front.example", "GET"},
		{"server, asterisk form", server("OPTIONS", "*"), "*", "front.example", "OPTIONS"},
		{"client", client, "/b?c", "a.example", "GET"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := RequestMessage(tc.r, "https://a.example/b?c")
			in := &Input{components: Components("@request-target", "host", "@method")}
			got, err := Base(m, in, nil)
			want := "\"@request-target\": " + tc.wantTarget + "\n\"host\": " + tc.wantHost + "\n\"@method\": " + tc.want + "\n\"@signature-params\": "
			if err != nil || string(got) != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}

// TestHasAll puts the byte that doesn't belong at each place of a text that is read in parts.
func TestHasAll(t *testing.T) {
	const text = "abcdefghijklmnopqrst"
	for n := range len(text) + 1 {
		if got := fieldChars.hasAll(text[:n]); got != (n > 0) {
			t.Errorf("%q: got %v, want %v", text[:n], got, n > 0)
		}
		for i := range n {
			if bad := text[:i] + "A" + text[i+1:n]; fieldChars.hasAll(bad) {
				t.Errorf("%q: accepted", bad)
			}
		}
	}
}
