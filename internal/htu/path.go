package htu

import (
	"bytes"
	"strings"
)

// A set of octets that may stand in a part of the URL as they are.
type set [256]bool

func octets(chars string) (s set) {
	for _, c := range []byte(chars) {
		s[c] = true
	}
	return s
}

const (
	unreservedChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	subDelims       = "!$&'()*+,;="
)

var (
	unreserved = octets(unreservedChars)
	hostByte   = octets(unreservedChars + subDelims)
	// The last three are no path characters of RFC 3986, but browsers send them as they are, and so honest clients have
	// them in htu and on the wire alike.
	pathByte = octets(unreservedChars + subDelims + ":@/" + "[]|")
)

// normalPath normalises percent-encodings first, because they may hide dots, and then dot segments.
func normalPath(path string) (string, bool) {
	if path == "" {
		return "/", true
	}
	path, ok := normalEscapes(path, &pathByte)
	if !ok {
		return "", false
	}
	return removeDotSegments(path), true
}

// normalEscapes decodes encoded unreserved characters and writes the others with upper-case digits (RFC 3986, sections
// 6.2.2.1 and 6.2.2.2). It refuses octets outside allowed.
func normalEscapes(s string, allowed *set) (string, bool) {
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			plain = false
		} else if !allowed[s[i]] {
			return "", false
		}
	}
	if plain {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if len(s)-i < 3 {
			return "", false
		}
		high, low := digit(s[i+1]), digit(s[i+2])
		if high > 15 || low > 15 {
			return "", false
		}
		if c := high<<4 | low; unreserved[c] {
			out = append(out, c)
		} else {
			const hex = "0123456789ABCDEF"
			out = append(out, '%', hex[high], hex[low])
		}
		i += 2
	}
	return string(out), true
}

// digit returns the value of a hexadecimal digit, or 255.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// removeDotSegments is RFC 3986, section 5.2.4 for a path that begins with "/". Each octet is written once and taken
// back once at most.
func removeDotSegments(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	out := make([]byte, 0, len(path))
	for rest := path; rest != ""; {
		end := strings.IndexByte(rest[1:], '/') + 1
		last := end == 0
		if last {
			end = len(rest)
		}
		switch segment := rest[1:end]; segment {
		case ".":
		case "..":
			if i := bytes.LastIndexByte(out, '/'); i >= 0 {
				out = out[:i]
			}
		default:
			out = append(out, rest[:end]...)
			last = false
		}
		if last { // a dot segment at the end leaves its slash
			out = append(out, '/')
		}
		rest = rest[end:]
	}
	return string(out)
}
