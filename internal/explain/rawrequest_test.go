package explain

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRequest(t *testing.T) {
	for _, tc := range []struct {
		name, raw, origin string
		url, body         string
		notes             int
		short             bool
	}{
		{name: "line feeds", raw: "GET /a HTTP/1.1\nHost: h\n\n", url: "https://h/a"},
		{name: "carriage returns", raw: "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", url: "https://h/a"},
		{name: "empty line first", raw: "\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", url: "https://h/a"},
		{name: "no empty line", raw: "GET /a HTTP/1.1\nHost: h", url: "https://h/a"},
		{name: "origin", raw: "GET /a HTTP/1.1\nHost: h\n\n", origin: "http://edge/api/", url: "http://edge/api/a"},
		{name: "absolute target", raw: "GET http://h/a HTTP/1.1\nHost: h\n\n", url: "http://h/a"},
		{name: "asterisk", raw: "OPTIONS * HTTP/1.1\nHost: h\n\n", url: "https://h"},
		{name: "target as sent", raw: "GET /%2e%2E/a//b?x=%20 HTTP/1.1\nHost: h\n\n", url: "https://h/%2e%2E/a//b?x=%20"},
		{name: "body", raw: "POST / HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc", url: "https://h/", body: "abc"},
		{name: "body and a line end", raw: "POST / HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc\n", url: "https://h/", body: "abc", notes: 1},
		{name: "short body", raw: "POST / HTTP/1.1\nHost: h\nContent-Length: 4\n\nabc", url: "https://h/", body: "abc", short: true},
		{name: "body without length", raw: "POST / HTTP/1.1\nHost: h\n\nabc\n", url: "https://h/", body: "abc\n"},
		{name: "chunked", raw: "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\n", url: "https://h/", body: "abc"},
		{name: "decoded already", raw: "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\nhello", url: "https://h/", body: "hello", notes: 1},
		{name: "body beyond the header's bound", raw: "POST / HTTP/1.1\nHost: h\n\n" + strings.Repeat("x", maxHeader), url: "https://h/", body: strings.Repeat("x", maxHeader)},
		{name: "folded line", raw: "GET / HTTP/1.1\nHost: h\nX: a\n  b\n\n", url: "https://h/", notes: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := parseRequest([]byte(tc.raw), tc.origin)
			if err != nil {
				t.Fatal(err)
			}
			if r.url != tc.url || string(r.body) != tc.body || len(r.notes) != tc.notes || r.short != tc.short {
				t.Errorf("got %q, %q, %q, %t; want %q, %q, %d notes, %t", r.url, r.body, r.notes, r.short, tc.url, tc.body, tc.notes, tc.short)
			}
		})
	}
}

func TestParseRequestKeepsLines(t *testing.T) {
	r, err := parseRequest([]byte("GET / HTTP/1.1\nHost: h\nx-a:  1 \nX-B: \nX-A: 2, 3\nX-F: a\n\tb\n\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{"X-A": {"1", "2, 3"}, "X-B": {""}, "X-F": {"a b"}} {
		if diff := cmp.Diff(r.header[name], want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}
}

// Each differs from an accepted request in one thing.
func TestParseRequestRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, raw string
		want      Error
	}{
		{"empty", "", Error{0, "want a request line: METHOD TARGET HTTP/1.1"}},
		{"no version", "GET /a\nHost: h\n\n", Error{1, "want a request line: METHOD TARGET HTTP/1.1"}},
		{"space in the target", "GET /a b HTTP/1.1\nHost: h\n\n", Error{1, "want a request line: METHOD TARGET HTTP/1.1"}},
		{"character of no target", "GET /\u00e4 HTTP/1.1\nHost: h\n\n", Error{1, "the request target holds a character that can't be on the wire"}},
		{"no path", "GET h HTTP/1.1\nHost: h\n\n", Error{1, "the request target has neither a path nor a scheme"}},
		{"no colon", "GET / HTTP/1.1\nHost h\n\n", Error{2, "want a field line: Name: value"}},
		{"space before the colon", "GET / HTTP/1.1\nHost : h\n\n", Error{2, "want a field line: Name: value"}},
		{"field named like a component", "GET / HTTP/1.1\nHost: h\n@method: GET\n\n", Error{3, "want a field line: Name: value"}},
		{"control character", "GET / HTTP/1.1\nHost: h\nX: a\x00\n\n", Error{3, "the field value holds a control character"}},
		{"fold without a field", "GET / HTTP/1.1\n Host: h\n\n", Error{2, "a continuation line without a field before it"}},
		{"no host", "GET / HTTP/1.1\n\n", Error{0, "no Host field and no external origin"}},
		{"two hosts", "GET / HTTP/1.1\nHost: h\nHost: h\n\n", Error{0, "more than one Host field (RFC 9112, section 3.2)"}},
		{"length that is none", "GET / HTTP/1.1\nHost: h\nContent-Length: +1\n\na", Error{0, "Content-Length isn't one number"}},
		{"two lengths", "GET / HTTP/1.1\nHost: h\nContent-Length: 1\nContent-Length: 1\n\na", Error{0, "Content-Length isn't one number"}},
		{"long header", "GET / HTTP/1.1\nHost: h\nX: " + strings.Repeat("x", maxHeader) + "\n\n", Error{3, "request line and fields are longer than 65536 bytes"}},
		{"too long", "GET / HTTP/1.1\nHost: h\n\n" + strings.Repeat("x", MaxRequest), Error{0, "longer than 1048576 bytes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseRequest([]byte(tc.raw), "")
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v, want *Error", err)
			}
			if *e != tc.want {
				t.Errorf("got %+v, want %+v", *e, tc.want)
			}
		})
	}
}
