package httpsig

import (
	"net/http"
	"strings"
)

// Message is a request or response as far as signatures see it. The zero Status means a request. Nothing is written to
// its maps. A Message must not change while it is signed or verified.
type Message struct {
	Method string
	// TargetURI is the external absolute URI, raw as sent, without fragment: "https://api.example/a%2Fb?x=1".
	TargetURI string
	// RequestTarget is set only if it wasn't in origin form (RFC 9421, section 2.2.5); otherwise path and query of TargetURI.
	RequestTarget string
	// Header and Trailer have canonical keys, as net/http makes them. Trailers are complete when the body was read.
	Header  http.Header
	Trailer http.Header
	Status  int      // of a response
	Request *Message // of a response: its request, for ;req

	host string // the Host field of a request, where net/http keeps it apart from Header
}

// RequestMessage views an incoming or outgoing request. targetURI is its external URI as the caller knows it, never
// taken from the request's own headers. The Host field is visible as "host".
func RequestMessage(r *http.Request, targetURI string) *Message {
	m := &Message{
		Method:    r.Method,
		TargetURI: targetURI,
		Header:    r.Header,
		Trailer:   r.Trailer,
		host:      r.Host,
	}
	if m.Method == "" {
		m.Method = http.MethodGet // what net/http sends for it
	}
	if m.host == "" && r.URL != nil {
		m.host = r.URL.Host
	}
	if r.RequestURI != "" && r.RequestURI[0] != '/' {
		m.RequestTarget = r.RequestURI
	}
	return m
}

// lines returns the lines of a field by its lower-case name, nil if there are none.
func (m *Message) lines(name string, trailer bool) []string {
	if name == "host" && m.host != "" && !trailer {
		return []string{m.host}
	}
	h := m.Header
	if trailer {
		h = m.Trailer
	}
	var scratch [64]byte
	return h[string(appendCanonical(scratch[:0], name))]
}

// appendCanonical appends the key of a field as net/http writes it. textproto would make a string for all names but the
// most common: a look-up takes 20 ns instead of 91 ns.
func appendCanonical(dst []byte, name string) []byte {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
		upper = c == '-'
	}
	return dst
}

// section returns where the signatures of m are: the header, or the trailer if the header has none (RFC 9421,
// section 4).
func (m *Message) section() http.Header {
	if m.Header[inputField] == nil && m.Header[signatureField] == nil && m.Trailer[inputField] != nil {
		return m.Trailer
	}
	return m.Header
}

// target is a target URI in its parts, which are all as they were sent.
type target struct {
	uri, scheme, authority, path, query string
	hasQuery                            bool
}

// parseTarget takes a target URI apart without decoding anything. It reports false for one that isn't an absolute http
// or https URI, or has a fragment, user information, or characters that a request line can't hold.
func parseTarget(uri string) (t target, ok bool) {
	if !targetChars.hasAll(uri) || strings.IndexByte(uri, '#') >= 0 {
		return target{}, false
	}
	t.uri = uri
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return target{}, false
	}
	t.scheme = scheme
	end := 0
	for end < len(rest) && rest[end] != '/' && rest[end] != '?' {
		end++
	}
	t.authority = rest[:end]
	if t.authority == "" || strings.IndexByte(t.authority, '@') >= 0 {
		return target{}, false
	}
	t.path, t.query, t.hasQuery = strings.Cut(rest[end:], "?")
	return t, true
}

// appendURI appends the value of @target-uri (RFC 9421, section 2.2.2). An empty path is sent as "/", so the recipient
// sees that one, unless the request has no path (RFC 9110, section 7.1).
func (t *target) appendURI(dst []byte, originForm bool) []byte {
	if t.path != "" || !originForm {
		return append(dst, t.uri...)
	}
	dst = append(dst, t.uri[:len(t.scheme)+len("://")+len(t.authority)]...)
	dst = append(dst, '/')
	return t.appendQuery(dst, false)
}

// appendAuthority appends the value of @authority (RFC 9421, section 2.2.3): in lower case, without the default port.
func (t *target) appendAuthority(dst []byte) []byte {
	host := t.authority
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		switch port := host[i+1:]; {
		case port == "", port == "443" && len(t.scheme) == len("https"), port == "80" && len(t.scheme) == len("http"):
			host = host[:i]
		}
	}
	return appendLower(dst, host)
}

// appendPath appends the value of @path (RFC 9421, section 2.2.6).
func (t *target) appendPath(dst []byte) []byte {
	if t.path == "" {
		return append(dst, '/')
	}
	return append(dst, t.path...)
}

// appendQuery appends the query with its question mark. If there is none it appends nothing, or the mark alone, which is
// the value of @query (RFC 9421, section 2.2.7).
func (t *target) appendQuery(dst []byte, always bool) []byte {
	if t.hasQuery || always {
		dst = append(dst, '?')
	}
	return append(dst, t.query...)
}

func appendLower(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
