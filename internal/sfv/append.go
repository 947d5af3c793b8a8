package sfv

import (
	"strconv"
	"unicode/utf8"
)

// AppendItem appends the canonical form of item (RFC 9651, section 4.1.3).
func AppendItem(dst []byte, item Item) ([]byte, error) {
	dst, err := AppendValue(dst, item.Value)
	if err != nil {
		return nil, err
	}
	return AppendParams(dst, item.Params)
}

// AppendInnerList appends the canonical form of an Inner List with its parameters (RFC 9651, section 4.1.1.1).
func AppendInnerList(dst []byte, items []Item, params Params) ([]byte, error) {
	dst = append(dst, '(')
	for i := range items {
		if i > 0 {
			dst = append(dst, ' ')
		}
		var err error
		if dst, err = AppendItem(dst, items[i]); err != nil {
			return nil, err
		}
	}
	return AppendParams(append(dst, ')'), params)
}

// AppendMember appends the canonical form of m without its key.
func AppendMember(dst []byte, m *Member) ([]byte, error) {
	if m.IsInner() {
		return AppendInnerList(dst, m.Items, m.Params)
	}
	return AppendItem(dst, Item{Value: m.Value, Params: m.Params})
}

// AppendList appends the canonical form of list (RFC 9651, section 4.1.1): nothing for an empty one, whose field is then
// left out.
func AppendList(dst []byte, list List) ([]byte, error) {
	for i := range list {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		var err error
		if dst, err = AppendMember(dst, &list[i]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// AppendDictionary appends the canonical form of dict (RFC 9651, section 4.1.2): nothing for an empty one, whose field
// is then left out.
func AppendDictionary(dst []byte, dict Dictionary) ([]byte, error) {
	for i := range dict {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		m := &dict[i]
		var err error
		if dst, err = AppendKey(dst, m.Key); err != nil {
			return nil, err
		}
		if m.Value.IsTrue() {
			dst, err = AppendParams(dst, m.Params)
		} else {
			dst, err = AppendMember(append(dst, '='), m)
		}
		if err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// AppendParams appends the canonical form of params (RFC 9651, section 4.1.1.2).
func AppendParams(dst []byte, params Params) ([]byte, error) {
	for i := range params {
		var err error
		if dst, err = AppendKey(append(dst, ';'), params[i].Key); err != nil {
			return nil, err
		}
		if params[i].Value.IsTrue() {
			continue
		}
		if dst, err = AppendValue(append(dst, '='), params[i].Value); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// AppendKey appends key, checked (RFC 9651, section 4.1.1.3).
func AppendKey(dst []byte, key string) ([]byte, error) {
	if key == "" || !keyStart[key[0]] || keyChar.span(key, 0) != len(key) {
		return nil, &Error{0, "not a key"}
	}
	return append(dst, key...), nil
}

// AppendValue appends the canonical form of a bare item (RFC 9651, section 4.1.3.1).
func AppendValue(dst []byte, v Value) ([]byte, error) {
	switch v.kind {
	case KindInteger:
		return appendInteger(dst, v.num)
	case KindDecimal:
		return appendDecimal(dst, v.num)
	case KindString:
		return appendString(dst, v.text)
	case KindToken:
		return appendToken(dst, v.text)
	case KindBytes:
		dst = append(dst, ':')
		dst = append(dst, v.text...)
		return append(dst, ':'), nil
	case KindBoolean:
		return append(dst, '?', '0'+byte(v.num)), nil
	case KindDate:
		return appendInteger(append(dst, '@'), v.num)
	case KindDisplayString:
		return appendDisplayString(dst, v.text)
	}
	return nil, &Error{0, "the zero value"}
}

const maxNumber = 999_999_999_999_999

func appendInteger(dst []byte, n int64) ([]byte, error) {
	if n < -maxNumber || n > maxNumber {
		return nil, &Error{0, "a number of more than 15 digits"}
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// appendDecimal serialises thousandths with one to three decimal places (RFC 9651, section 4.1.5).
func appendDecimal(dst []byte, n int64) ([]byte, error) {
	if n < -maxNumber || n > maxNumber {
		return nil, &Error{0, "a number of more than 15 digits"}
	}
	if n < 0 {
		dst = append(dst, '-')
		n = -n
	}
	dst = strconv.AppendInt(dst, n/1000, 10)
	f := n % 1000
	dst = append(dst, '.', '0'+byte(f/100))
	if f%100 != 0 {
		dst = append(dst, '0'+byte(f/10%10))
	}
	if f%10 != 0 {
		dst = append(dst, '0'+byte(f%10))
	}
	return dst, nil
}

func appendString(dst []byte, s string) ([]byte, error) {
	dst = append(dst, '"')
	for {
		end := plainChar.span(s, 0)
		dst = append(dst, s[:end]...)
		if end == len(s) {
			return append(dst, '"'), nil
		}
		if s[end] != '"' && s[end] != '\\' {
			return nil, &Error{0, "a string outside printable ASCII"}
		}
		dst = append(dst, '\\', s[end])
		s = s[end+1:]
	}
}

func appendToken(dst []byte, s string) ([]byte, error) {
	if s == "" || !tokenStart[s[0]] || tokenChar.span(s, 0) != len(s) {
		return nil, &Error{0, "not a token"}
	}
	return append(dst, s...), nil
}

func appendDisplayString(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, &Error{0, "a display string that isn't UTF-8"}
	}
	const hex = "0123456789abcdef"
	dst = append(dst, '%', '"')
	for i := range len(s) {
		c := s[i]
		if escaped(c) {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '"'), nil
}
