package gateway

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-project/holdfast"
)

// The reasons of the gateway's own refusals, beside those of the packages holdfast and contentdigest.
const (
	ReasonPath       = "path"            // not a path that every upstream reads the same way
	ReasonRoute      = "no-route"        // no route for this host and path
	ReasonMethod     = "method"          // the route doesn't have this method
	ReasonHost       = "host-mismatch"   // verified for a host whose route is another one
	ReasonConnection = "connection"      // Connection names a field that isn't one of a connection
	ReasonBody       = "body-unreadable" // the client's body ended early
)

// target is a request target as sent, split at the first question mark.
type target struct {
	path  string
	query string
	mark  bool // there was a question mark
}

// parseTarget reads the request target from RequestURI, the only place where net/http keeps the bytes of the wire.
// The absolute form counts as well (RFC 9112, section 3.2.2); net/http has then put its host into r.Host.
func parseTarget(r *http.Request) (target, *holdfast.Refusal) {
	raw := r.RequestURI
	if rest, ok := strings.CutPrefix(raw, "http://"); ok {
		raw = fromPath(rest)
	} else if rest, ok := strings.CutPrefix(raw, "https://"); ok {
		raw = fromPath(rest)
	}
	var t target
	t.path, t.query, t.mark = strings.Cut(raw, "?")
	switch {
	case !strings.HasPrefix(t.path, "/"):
		return target{}, refusePath("origin form", "another form")
	case strings.HasPrefix(t.path, "//"):
		// A target that begins so can be taken for a reference with an authority (RFC 3986, section 4.2).
		return target{}, refusePath("one leading slash", "two")
	case strings.IndexByte(t.query, '#') >= 0:
		return target{}, refusePath("no number sign", "one")
	}
	if refusal := checkOctets(t.path); refusal != nil {
		return target{}, refusal
	}
	return t, nil
}

// checkOctets refuses a path with octets that no path has, or that some upstream takes for others.
func checkOctets(path string) *holdfast.Refusal {
	for i := range len(path) {
		switch c := path[i]; {
		case c == '\\' || c == '#':
			return refusePath("no backslash or number sign", "one")
		case c <= ' ' || c > '~':
			return refusePath("visible ASCII", "other bytes")
		}
	}
	return nil
}

// fromPath cuts the authority off what follows "://".
func fromPath(rest string) string {
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[i:]
	}
	return ""
}

func refusePath(expected, got string) *holdfast.Refusal {
	return &holdfast.Refusal{Reason: ReasonPath, Section: "RFC 3986, section 3.3", Part: "path", Expected: expected, Got: got, Status: http.StatusBadRequest}
}

// lenient returns path as the most lenient upstream would read it. Whatever steps of that reading an upstream takes,
// it ends between the path as sent and this, so if both name one route, no upstream can read another's.
func lenient(path string) (string, *holdfast.Refusal) {
	if unambiguous(path) {
		return path, nil
	}
	return fold(path)
}

// fold takes the steps of lenient.
func fold(path string) (string, *holdfast.Refusal) {
	s := unescape(unescape(path))
	if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", refusePath("no control characters", "one, encoded")
	}
	if !utf8.ValidString(s) {
		return "", refusePath("UTF-8", "other bytes, encoded")
	}
	var b strings.Builder
	b.Grow(len(s))
	for seg := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == '/' || c == '\\' }) {
		if i := strings.IndexAny(seg, ";?#"); i >= 0 {
			seg = seg[:i]
		}
		switch seg {
		case ".", "..":
			return "", refusePath("no dot segments", "one")
		case "":
			continue
		}
		b.WriteByte('/')
		b.WriteString(strings.ToLower(seg))
	}
	if b.Len() == 0 {
		return "/", nil
	}
	return b.String(), nil
}

// unambiguous tells whether nobody can read path in any other way, which is so of most: segments that begin with a lower
// case letter or a digit and go on with those, hyphens, underscores, tildes and dots. It saves lenient's allocation.
func unambiguous(path string) bool {
	begins := false // a segment has to
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			begins = false
		case c == '/':
			if begins {
				return false
			}
			begins = true
		case c != '-' && c != '_' && c != '~' && c != '.' || begins:
			return false
		}
	}
	return !begins && strings.HasPrefix(path, "/")
}

// unescape decodes percent-encoding once and leaves alone what isn't any.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi < 16 && lo < 16 {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// unhex returns the value of a hexadecimal digit, or 16.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// below tells whether path is prefix or lies below it, in whole segments.
func below(path, prefix string) bool {
	if prefix == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
