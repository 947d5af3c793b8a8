package explain

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
)

// MaxRequest bounds a captured request, body included, and maxHeader its request line and fields: net/http's servers
// refuse longer ones.
const (
	MaxRequest = 1 << 20
	maxHeader  = 64 << 10
)

// Error says why the input is no request that can be explained.
type Error struct {
	Line    int // of the input; 0 if it isn't about one line
	Problem string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return "explain: " + e.Problem
	}
	return fmt.Sprintf("explain: line %d: %s", e.Line, e.Problem)
}

// request is a captured request. net/http's own reader isn't used: it merges, moves and drops what a proof may cover.
type request struct {
	method string
	target string // the request target as on the wire
	url    string // the external URL
	header http.Header
	host   string
	body   []byte
	notes  []string
	short  bool // the captured body has fewer bytes than its framing says
}

func parseRequest(raw []byte, origin string) (*request, error) {
	if len(raw) > MaxRequest {
		return nil, &Error{Problem: fmt.Sprintf("longer than %d bytes", MaxRequest)}
	}
	s := &lines{rest: raw[:min(len(raw), maxHeader)]}
	r := &request{header: http.Header{}}
	if err := r.requestLine(s); err != nil {
		return nil, err
	}
	if err := r.fields(s); err != nil {
		return nil, err
	}
	head := min(len(raw), maxHeader) - len(s.rest)
	if head == maxHeader {
		return nil, &Error{Line: s.n, Problem: fmt.Sprintf("request line and fields are longer than %d bytes", maxHeader)}
	}
	if hosts := r.header["Host"]; len(hosts) == 1 {
		r.host = hosts[0]
	} else if len(hosts) > 1 {
		return nil, &Error{Problem: "more than one Host field (RFC 9112, section 3.2)"}
	}
	if err := r.setBody(raw[head:]); err != nil {
		return nil, err
	}
	return r, r.setURL(origin)
}

// lines cuts the head of a message into lines that end in LF or CRLF.
type lines struct {
	rest []byte
	n    int
}

// next returns false at the end of the input.
func (l *lines) next() (string, bool) {
	if len(l.rest) == 0 {
		return "", false
	}
	line, rest, _ := bytes.Cut(l.rest, []byte("\n"))
	l.rest = rest
	l.n++
	return string(bytes.TrimSuffix(line, []byte("\r"))), true
}

func (r *request) requestLine(s *lines) error {
	line, ok := s.next()
	for ok && line == "" { // RFC 9112, section 2.2: empty lines before the request line are passed over
		line, ok = s.next()
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !isToken(parts[0]) || parts[1] == "" || !strings.HasPrefix(parts[2], "HTTP/") {
		return &Error{Line: s.n, Problem: "want a request line: METHOD TARGET HTTP/1.1"}
	}
	if strings.ContainsFunc(parts[1], func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return &Error{Line: s.n, Problem: "the request target holds a character that can't be on the wire"}
	}
	r.method, r.target = parts[0], parts[1]
	return nil
}

func (r *request) fields(s *lines) error {
	last := ""
	for {
		line, ok := s.next()
		if !ok || line == "" {
			return nil
		}
		if line[0] == ' ' || line[0] == '\t' {
			if last == "" {
				return &Error{Line: s.n, Problem: "a continuation line without a field before it"}
			}
			// RFC 9112, section 5.2, and RFC 9421, section 2.1: a folded line counts as one space.
			values := r.header[last]
			values[len(values)-1] = textproto.TrimString(values[len(values)-1] + " " + textproto.TrimString(line))
			r.notes = append(r.notes, fmt.Sprintf("line %d is folded (obs-fold): most servers refuse it", s.n))
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return &Error{Line: s.n, Problem: "want a field line: Name: value"}
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return &Error{Line: s.n, Problem: "the field value holds a control character"}
		}
		last = textproto.CanonicalMIMEHeaderKey(name)
		r.header[last] = append(r.header[last], textproto.TrimString(value))
	}
}

// setBody takes what the framing says (RFC 9112, section 6), and notes what a capture added or lost.
func (r *request) setBody(rest []byte) error {
	r.body = rest
	if te := r.header.Get("Transfer-Encoding"); te != "" {
		body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(rest)))
		if err != nil {
			r.notes = append(r.notes, "Transfer-Encoding is "+strconv.Quote(te)+" but the captured body isn't chunked: taken as it is")
			return nil
		}
		r.body = body
		return nil
	}
	lengths := r.header["Content-Length"]
	if len(lengths) == 0 {
		if len(bytes.TrimRight(rest, "\r\n")) == 0 {
			r.body = nil // a line end that an editor added
		}
		return nil
	}
	n, err := strconv.ParseUint(lengths[0], 10, 31)
	if err != nil || len(lengths) > 1 {
		return &Error{Problem: "Content-Length isn't one number"}
	}
	switch have := uint64(len(rest)); {
	case have > n:
		r.body = rest[:n]
		r.notes = append(r.notes, fmt.Sprintf("%d bytes after the body were left out: Content-Length is %d", have-n, n))
	case have < n:
		r.short = true
	}
	return nil
}

// setURL makes the external URL, from the origin where one is given.
func (r *request) setURL(origin string) error {
	switch {
	case strings.HasPrefix(r.target, "/") || r.target == "*":
		if origin == "" {
			if r.host == "" {
				return &Error{Problem: "no Host field and no external origin"}
			}
			origin = "https://" + r.host
		}
		r.url = strings.TrimSuffix(origin, "/") + strings.TrimPrefix(r.target, "*")
	case strings.Contains(r.target, "://"): // absolute form
		r.url = r.target
		if origin != "" {
			r.notes = append(r.notes, "the request target is absolute, so the given origin wasn't used")
		}
	default:
		return &Error{Line: 1, Problem: "the request target has neither a path nor a scheme"}
	}
	return nil
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2). Names that start with @ aren't: they would meet
// derived components (RFC 9421, section 7.5.1).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
			return false
		}
		return !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}
