package strictjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// escaped reads on after the first backslash of the string that begins at start, and copies it unescaped.
func (s *scanner) escaped(start int) (string, error) {
	var out []byte
	run := start // what lies between run and i is copied as it is
	for i := start; i < len(s.text); {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			out = append(out, s.text[run:i]...)
			if !utf8.Valid(out) {
				return "", s.fail(Syntax)
			}
			return string(out), nil
		case c < 0x20:
			s.at = i
			return "", s.fail(Syntax)
		case c == '\\':
			r, n := escape(s.text[i:])
			if n == 0 {
				s.at = i
				return "", s.fail(Syntax)
			}
			out = append(out, s.text[run:i]...)
			out = utf8.AppendRune(out, r)
			i += n
			run = i
		default:
			i++
		}
	}
	s.at = len(s.text)
	return "", s.fail(Syntax)
}

// escape reads one escape sequence, or a pair of surrogates, and returns its length: 0 if it is none.
func escape(text string) (rune, int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch c := text[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, ok := codeUnit(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	// Half a pair is no character, and readers differ in what they put in its place (RFC 8259, section 8.2).
	low, ok := codeUnit(text[6:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// codeUnit reads \uXXXX.
func codeUnit(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(text[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// AppendString appends s to dst as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}
