package sfv

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return isLower(c) || 'A' <= c && c <= 'Z' }

func isKeyStart(c byte) bool { return isLower(c) || c == '*' }

func isKeyChar(c byte) bool {
	return isLower(c) || isDigit(c) || c == '_' || c == '-' || c == '.' || c == '*'
}

func isTokenStart(c byte) bool { return isAlpha(c) || c == '*' }

// isTokenChar accepts tchar (RFC 9110, section 5.6.2), ":" and "/".
func isTokenChar(c byte) bool {
	return isAlpha(c) || isDigit(c) || c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0
}

// key reads a key (RFC 9651, section 4.2.3.3).
func (p *parser) key() (string, error) {
	start := p.i
	if !isKeyStart(p.peek()) {
		return "", p.fail("no key where one is needed")
	}
	for p.i < len(p.s) && isKeyChar(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i], nil
}

// bareItem reads a bare item (RFC 9651, section 4.2.3.1).
func (p *parser) bareItem() (Value, error) {
	switch c := p.peek(); {
	case c == '"':
		return p.str()
	case c == '-' || isDigit(c):
		return p.number()
	case c == ':':
		return p.byteSequence()
	case c == '?':
		return p.boolean()
	case c == '@':
		return p.date()
	case c == '%':
		return p.displayString()
	case isTokenStart(c):
		start := p.i
		for p.i < len(p.s) && isTokenChar(p.s[p.i]) {
			p.i++
		}
		return Token(p.s[start:p.i]), nil
	}
	return Value{}, p.fail("no value where one is needed")
}

// number reads an Integer or Decimal (RFC 9651, section 4.2.4).
func (p *parser) number() (Value, error) {
	negative := p.accept('-')
	n, digits := p.digits(15)
	if digits == 0 {
		return Value{}, p.fail("a number without digits")
	}
	v := Value{kind: KindInteger, num: n}
	if p.peek() == '.' {
		if digits > 12 {
			return Value{}, p.fail("too many digits")
		}
		p.i++
		fraction, places := p.digits(3)
		if places == 0 {
			return Value{}, p.fail("a decimal point without digits")
		}
		for ; places < 3; places++ {
			fraction *= 10
		}
		v = Value{kind: KindDecimal, num: n*1000 + fraction}
	}
	if isDigit(p.peek()) {
		return Value{}, p.fail("too many digits")
	}
	if negative {
		v.num = -v.num
	}
	return v, nil
}

// digits reads up to limit digits.
func (p *parser) digits(limit int) (n int64, count int) {
	for ; count < limit && isDigit(p.peek()); count++ {
		n = n*10 + int64(p.s[p.i]-'0')
		p.i++
	}
	return n, count
}

// str reads a String (RFC 9651, section 4.2.5).
func (p *parser) str() (Value, error) {
	p.i++ // the opening quote
	start := p.i
	var unescaped []byte
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			text := p.s[start:p.i]
			p.i++
			if unescaped != nil {
				text = string(append(unescaped, text...))
			}
			return String(text), nil
		case c == '\\':
			unescaped = append(unescaped, p.s[start:p.i]...)
			p.i++
			if c := p.peek(); c != '"' && c != '\\' {
				return Value{}, p.fail("an escape of another character than quote and backslash")
			}
			start = p.i // the escaped character begins the next run
		case c < ' ' || c > '~':
			return Value{}, p.fail("a character outside printable ASCII in a string")
		}
		p.i++
	}
	return Value{}, p.fail("a string without end")
}

// byteSequence reads a Byte Sequence (RFC 9651, section 4.2.7). Padding must be right or absent, pad bits may be set.
func (p *parser) byteSequence() (Value, error) {
	p.i++ // the opening colon
	start := p.i
	for isBase64(p.peek()) {
		p.i++
	}
	size := p.i - start
	for p.accept('=') {
	}
	text := p.s[start:p.i]
	if padding := len(text) - size; padding > 2 || padding > 0 && len(text)%4 != 0 || size%4 == 1 {
		return Value{}, p.fail("a byte sequence that isn't base64")
	}
	if !p.accept(':') {
		return Value{}, p.fail("a byte sequence that isn't base64, or without end")
	}
	if len(text)%4 != 0 || !zeroPadBits(text, size) {
		return p.canonicalBytes(text[:size])
	}
	return Value{kind: KindBytes, text: text}, nil
}

// zeroPadBits reports whether the bits after the last byte are zero, in base64 of size characters before the padding.
func zeroPadBits(text string, size int) bool {
	switch size % 4 {
	case 2: // 12 bits for 8
		return strings.IndexByte("AQgw", text[size-1]) >= 0
	case 3: // 18 bits for 16
		return strings.IndexByte("AEIMQUYcgkosw048", text[size-1]) >= 0
	}
	return true
}

func (p *parser) canonicalBytes(unpadded string) (Value, error) {
	b, err := base64.RawStdEncoding.DecodeString(unpadded)
	if err != nil {
		return Value{}, p.fail("a byte sequence that isn't base64")
	}
	return Bytes(b), nil
}

func isBase64(c byte) bool { return isAlpha(c) || isDigit(c) || c == '+' || c == '/' }

// boolean reads a Boolean (RFC 9651, section 4.2.8).
func (p *parser) boolean() (Value, error) {
	p.i++ // the question mark
	switch {
	case p.accept('1'):
		return Boolean(true), nil
	case p.accept('0'):
		return Boolean(false), nil
	}
	return Value{}, p.fail("a boolean that is neither ?0 nor ?1")
}

// date reads a Date (RFC 9651, section 4.2.9).
func (p *parser) date() (Value, error) {
	p.i++ // the at sign
	v, err := p.number()
	if err != nil {
		return Value{}, err
	}
	if v.kind != KindInteger {
		return Value{}, p.fail("a date with a fraction")
	}
	v.kind = KindDate
	return v, nil
}

// displayString reads a Display String (RFC 9651, section 4.2.10).
func (p *parser) displayString() (Value, error) {
	p.i++ // the percent sign
	if !p.accept('"') {
		return Value{}, p.fail("a display string without quote")
	}
	var text []byte
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			if !utf8.Valid(text) {
				return Value{}, p.fail("a display string that isn't UTF-8")
			}
			return DisplayString(string(text)), nil
		case c < ' ' || c > '~':
			return Value{}, p.fail("a character outside printable ASCII in a display string")
		case c == '%':
			if len(p.s)-p.i < 2 || lowerHex(p.s[p.i]) < 0 || lowerHex(p.s[p.i+1]) < 0 {
				return Value{}, p.fail("a bad percent escape in a display string")
			}
			c = byte(lowerHex(p.s[p.i])<<4 | lowerHex(p.s[p.i+1]))
			p.i += 2
		}
		text = append(text, c)
	}
	return Value{}, p.fail("a display string without end")
}

// lowerHex returns the value of a lower-case hexadecimal digit, or -1.
func lowerHex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
