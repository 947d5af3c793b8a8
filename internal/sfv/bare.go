package sfv

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	alpha  = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// charset holds which bytes belong to a class. Looking one up is the cheapest test in the loops over a field.
type charset [256]bool

func newCharset(chars string) *charset {
	var set charset
	for i := range len(chars) {
		set[chars[i]] = true
	}
	return &set
}

var (
	keyStart   = newCharset(lower + "*")
	keyChar    = newCharset(lower + digits + "_-.*")
	tokenStart = newCharset(alpha + "*")
	// tokenChar is tchar (RFC 9110, section 5.6.2), ":" and "/".
	tokenChar  = newCharset(alpha + digits + "!#$%&'*+-.^_`|~:/")
	base64Char = newCharset(alpha + digits + "+/")
	// plainChar is what stands for itself in a String: printable ASCII but quote and backslash.
	plainChar = newCharset(alpha + digits + " !#$%&'()*+,-./:;<=>?@[]^_`{|}~")
)

// span returns the end of the bytes from i on that belong to set.
func (set *charset) span(s string, i int) int {
	for i < len(s) && set[s[i]] {
		i++
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// key reads a key (RFC 9651, section 4.2.3.3).
func (p *parser) key() (string, error) {
	start := p.i
	if !keyStart[p.peek()] {
		return "", p.fail("no key where one is needed")
	}
	p.i = keyChar.span(p.s, start)
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
	case tokenStart[c]:
		start := p.i
		p.i = tokenChar.span(p.s, start)
		return Token(p.s[start:p.i]), nil
	}
	return Value{}, p.fail("no value where one is needed")
}

// number reads an Integer or Decimal (RFC 9651, section 4.2.4).
func (p *parser) number() (Value, error) {
	negative := p.accept('-')
	start := p.i
	n, digits := p.digits(15)
	if digits == 0 {
		return Value{}, p.fail("a number without digits")
	}
	if p.s[start] == '0' && digits > 1 {
		p.odd++
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
		if places > 1 && p.s[p.i-1] == '0' {
			p.odd++
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
		if v.num == 0 {
			p.odd++
		}
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
	start := p.i + 1 // after the opening quote
	p.i = plainChar.span(p.s, start)
	if p.peek() == '"' {
		p.i++
		return String(p.s[start : p.i-1]), nil
	}
	unescaped := append([]byte(nil), p.s[start:p.i]...)
	for p.accept('\\') {
		c := p.peek()
		if c != '"' && c != '\\' {
			return Value{}, p.fail("an escape of another character than quote and backslash")
		}
		unescaped = append(unescaped, c)
		start = p.i + 1
		p.i = plainChar.span(p.s, start)
		unescaped = append(unescaped, p.s[start:p.i]...)
	}
	if !p.accept('"') {
		return Value{}, p.fail("a string without end, or with a character outside printable ASCII")
	}
	return String(string(unescaped)), nil
}

// byteSequence reads a Byte Sequence (RFC 9651, section 4.2.7). Padding must be right or absent, pad bits may be set.
func (p *parser) byteSequence() (Value, error) {
	start := p.i + 1 // after the opening colon
	p.i = base64Char.span(p.s, start)
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
		p.odd++
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
			if !escaped(c) {
				p.odd++
			}
		}
		text = append(text, c)
	}
	return Value{}, p.fail("a display string without end")
}

// escaped reports whether c is escaped in the canonical form of a Display String.
func escaped(c byte) bool { return c == '%' || c == '"' || c < ' ' || c > '~' }

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
