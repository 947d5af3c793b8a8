package httpsig

import (
	"strings"
	"unicode/utf8"
)

// queryHit is what the query holds under one name.
type queryHit struct {
	count int
	value string // raw, of the last
}

// queryHits maps the names of the @query-param components in list to what query holds under them, in one pass over the
// query however many components there are (RFC 9421, section 2.2.8).
func queryHits(list []Component, query string) map[string]*queryHit {
	hits := make(map[string]*queryHit)
	for i := range list {
		if list[i].kind == kindQueryParam {
			hits[list[i].arg] = new(queryHit)
		}
	}
	var name []byte
	for rest := query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "" {
			continue
		}
		rawName, value, _ := strings.Cut(pair, "=")
		name = appendPercent(name[:0], rawName)
		if hit := hits[string(name)]; hit != nil {
			hit.count++
			hit.value = value
		}
	}
	return hits
}

// appendPercent appends s, a name or value as in application/x-www-form-urlencoded, in the form that signatures cover:
// decoded and encoded again as the URL Standard's form serialiser does, which RFC 9421, section 2.2.8 refers to, except
// that a space becomes %20, as in the RFC's examples.
func appendPercent(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			c = byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		}
		if unescapedChars[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// isUTF8 reports whether s is UTF-8 once it is decoded. Other bytes would all become one replacement character, so that
// several queries had one signature base.
func isUTF8(s string) bool {
	if strings.IndexByte(s, '%') < 0 {
		return true // the target URI is ASCII
	}
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			c = byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		}
		decoded = append(decoded, c)
	}
	return utf8.Valid(decoded)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
