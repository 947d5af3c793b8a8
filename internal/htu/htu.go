// Package htu compares request URLs as DPoP does (RFC 9449, section 4.3, step 9): http and https URLs without query and
// fragment, after the syntax-based and scheme-based normalisation of RFC 3986, sections 6.2.2 and 6.2.3.
//
// [Diff] is what a verifier wants: it says whether two URLs are equivalent, and otherwise which part differs. [Parse]
// gives the normal form. Both cost time linear in their input.
//
// Equivalent are: letter case of scheme, host and percent-encoded octets; percent-encoded and plain unreserved
// characters; dot segments; the default port, an empty port and none; the empty path and "/". Nothing more: empty segments,
// a trailing slash, reserved characters and their encodings count.
//
// Refused is what RFC 3986 has no place for and browsers repair (white space, backslashes, missing slashes), since two
// readers repair differently; user information, which isn't part of a request (RFC 9110, section 4.2.4); and hosts that
// read as an IPv4 address in any but the usual form.
package htu

import (
	"net/netip"
	"strconv"
	"strings"
)

// URL is the normal form of an http or https URL. Two are equivalent if they are equal.
type URL struct {
	Scheme string // "http" or "https"
	Host   string // in lower case; an IPv6 address in brackets
	Port   string // in digits, the default port included
	Path   string // begins with "/"
}

// Error says why a text was refused.
type Error struct{ Part string } // the part that is wrong: scheme, userinfo, host, port or path

func (e *Error) Error() string { return "htu: not an absolute http URL: " + e.Part }

// Parse returns the normal form of an absolute http or https URL. Its query and fragment are left out.
func Parse(s string) (URL, error) {
	var u URL
	rest, ok := u.setScheme(s)
	if !ok {
		return URL{}, &Error{"scheme"}
	}
	rest = Bare(rest)
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.IndexByte(authority, '@') >= 0 {
		return URL{}, &Error{"userinfo"}
	}
	host, port := splitPort(authority)
	if u.Host, ok = normalHost(host); !ok {
		return URL{}, &Error{"host"}
	}
	if u.Port, ok = normalPort(port, u.Scheme); !ok {
		return URL{}, &Error{"port"}
	}
	if u.Path, ok = normalPath(path); !ok {
		return URL{}, &Error{"path"}
	}
	return u, nil
}

// Bare returns s up to its query or fragment.
func Bare(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return s[:i]
	}
	return s
}

// String returns the URL, without a default port.
func (u URL) String() string {
	if u.Port == defaultPort(u.Scheme) {
		return u.Scheme + "://" + u.Host + u.Path
	}
	return u.Scheme + "://" + u.Host + ":" + u.Port + u.Path
}

// Diff returns the first part in which two URLs differ ("scheme", "host", "port" or "path") and what each has there, in
// normal form; or "" if they are equivalent. An error is about the one that is no URL.
func Diff(expected, got string) (part, want, have string, err error) {
	e, err := Parse(expected)
	if err != nil {
		return "", "", "", err
	}
	if Bare(expected) == Bare(got) {
		return "", "", "", nil
	}
	g, err := Parse(got)
	if err != nil {
		return "", "", "", err
	}
	switch {
	case e.Scheme != g.Scheme:
		return "scheme", e.Scheme, g.Scheme, nil
	case e.Host != g.Host:
		return "host", e.Host, g.Host, nil
	case e.Port != g.Port:
		return "port", e.Port, g.Port, nil
	case e.Path != g.Path:
		return "path", e.Path, g.Path, nil
	}
	return "", "", "", nil
}

func (u *URL) setScheme(s string) (rest string, ok bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case !ok:
		return "", false
	case strings.EqualFold(scheme, "https"):
		u.Scheme = "https"
	case strings.EqualFold(scheme, "http"):
		u.Scheme = "http"
	default:
		return "", false
	}
	return rest, true
}

func splitPort(authority string) (host, port string) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.IndexByte(authority[i:], ']') >= 0 {
		return authority, ""
	}
	return authority[:i], authority[i+1:]
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// normalPort returns the port without leading zeros.
func normalPort(port, scheme string) (string, bool) {
	if port == "" {
		return defaultPort(scheme), true
	}
	for _, c := range []byte(port) {
		if c < '0' || '9' < c {
			return "", false
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", false
	}
	if port[0] != '0' {
		return port, true
	}
	return strconv.FormatUint(n, 10), true
}

// maxHost bounds a host name (RFC 1035, section 2.3.4), with room for brackets and a final dot.
const maxHost = 256

func normalHost(host string) (string, bool) {
	if host == "" || len(host) > 3*maxHost {
		return "", false
	}
	if host[0] == '[' {
		return normalIPv6(host)
	}
	host, ok := normalEscapes(host, &hostByte)
	// What is still encoded then is no octet of a host name.
	if !ok || len(host) > maxHost || strings.IndexByte(host, '%') >= 0 {
		return "", false
	}
	host = strings.ToLower(host)
	return host, !likeIPv4(host) || isIPv4(host)
}

// normalIPv6 reads an address in brackets. Several texts stand for one address; RFC 5952 names the one to write.
func normalIPv6(host string) (string, bool) {
	if host[len(host)-1] != ']' {
		return "", false
	}
	addr, err := netip.ParseAddr(host[1 : len(host)-1])
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", false
	}
	text := addr.String()
	if host[1:len(host)-1] == text {
		return host, true
	}
	return "[" + text + "]", true
}

// likeIPv4 tells whether the last label is a number: "127.1", "0x7f.1" and "2130706433" are then 127.0.0.1 to some
// readers and a name to others.
func likeIPv4(host string) bool {
	host = strings.TrimSuffix(host, ".")
	label := host[strings.LastIndexByte(host, '.')+1:]
	if strings.HasPrefix(label, "0x") {
		return strings.Trim(label[2:], "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

func isIPv4(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is4()
}
