package strictjson

import (
	"math"
	"strconv"
	"time"
)

// Value is a JSON value that was checked when it was read. The zero Value is no value: every accessor refuses it.
type Value struct{ raw string }

// Raw returns the value's own text.
func (v Value) Raw() string { return v.raw }

// Kind returns the kind of value, or "" for the zero Value.
func (v Value) Kind() Kind {
	if v.raw == "" {
		return ""
	}
	switch v.raw[0] {
	case '"':
		return KindString
	case '{':
		return KindObject
	case '[':
		return KindArray
	case 't', 'f':
		return KindBool
	case 'n':
		return KindNull
	default:
		return KindNumber
	}
}

// String returns a string, unescaped. Without escapes it is a part of the text: clone it to keep it longer than that.
func (v Value) String() (string, error) {
	if v.Kind() != KindString {
		return "", &Error{Reason: WrongKind, Want: KindString}
	}
	s := scanner{text: v.raw}
	return s.quoted()
}

// Number returns a number's own text.
func (v Value) Number() (string, error) {
	if v.Kind() != KindNumber {
		return "", &Error{Reason: WrongKind, Want: KindNumber}
	}
	return v.raw, nil
}

// Int64 returns a number that is written as an integer in range.
func (v Value) Int64() (int64, error) {
	text, err := v.Number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &Error{Reason: OutOfRange, Want: KindNumber}
	}
	return n, nil
}

// maxNumericDate bounds the text of a time: 10 digits, a fraction and an exponent fit well, and parsing stays cheap.
const maxNumericDate = 40

// maxSeconds is how far from 1970 a time may lie (the year 9999): beyond it time arithmetic could overflow.
const maxSeconds = 253402300799

// NumericDate returns a time in seconds since 1970, with or without a fraction (RFC 7519, section 2). A time beyond the
// year 9999, or as far before 1970, comes as that limit, so that comparing it with a clock is safe.
func (v Value) NumericDate() (time.Time, error) {
	text, err := v.Number()
	if err != nil {
		return time.Time{}, err
	}
	if len(text) > maxNumericDate {
		return time.Time{}, &Error{Reason: OutOfRange, Want: KindNumber}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(min(max(n, -maxSeconds), maxSeconds), 0), nil
	}
	// The error is ErrRange only, as the grammar holds already; the value is then ±Inf, which the bounds below take.
	f, _ := strconv.ParseFloat(text, 64)
	whole, fraction := math.Modf(min(max(f, -maxSeconds), maxSeconds))
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// Bool returns a boolean.
func (v Value) Bool() (bool, error) {
	if v.Kind() != KindBool {
		return false, &Error{Reason: WrongKind, Want: KindBool}
	}
	return v.raw == "true", nil
}

// IsNull tells whether the value is null.
func (v Value) IsNull() bool { return v.Kind() == KindNull }

// Array calls visit for each element. An error of visit ends the reading and is returned as it is.
func (v Value) Array(visit func(Value) error) error {
	if v.Kind() != KindArray {
		return &Error{Reason: WrongKind, Want: KindArray}
	}
	s := scanner{text: v.raw}
	return s.array(visit)
}

// Object calls visit for each member, as the function Object does.
func (v Value) Object(visit func(name string, value Value) error) error {
	if v.Kind() != KindObject {
		return &Error{Reason: WrongKind, Want: KindObject}
	}
	s := scanner{text: v.raw}
	return s.object(visit)
}

// Strings returns an array whose elements are all strings.
func (v Value) Strings() ([]string, error) {
	var list []string
	err := v.Array(func(e Value) error {
		text, err := e.String()
		list = append(list, text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Error describes the refusal without repeating the text.
func (e *Error) Error() string {
	switch e.Reason {
	case WrongKind:
		return "strictjson: not a JSON " + string(e.Want)
	case OutOfRange:
		return "strictjson: a number outside the range"
	default:
		return "strictjson: " + string(e.Reason) + " at byte " + strconv.Itoa(e.Offset)
	}
}
