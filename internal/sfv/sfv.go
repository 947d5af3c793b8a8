// Package sfv parses and serialises Structured Fields (RFC 9651): Items, Lists and Dictionaries, with every bare type.
//
// [ParseDictionary], [ParseList] and [ParseItem] take the lines of a field as net/http gives them. [AppendDictionary],
// [AppendList], [AppendItem] and [AppendInnerList] write the one canonical form.
//
// The parser is strict: what section 4.2 calls a failure is an error for the whole field. It accepts what the RFC tells
// parsers to accept, which is Base64 without padding or with pad bits set (section 4.2.7). A repeated key takes its last
// value, as the RFC wants; where that would be dangerous, [Dictionary.Repeated] and [Params.Repeated] tell.
//
// Time and memory are linear in the input, which is bounded by [MaxLength] and the other limits below. Strings are slices
// of the input where nothing is escaped, so values keep the input alive.
package sfv

import (
	"encoding/base64"
	"strconv"
)

// The limits of what is parsed. A field beyond them is an error. MaxMembers and MaxInner are the least that the RFC lets
// a parser have (sections 3.1 and 3.2).
const (
	// MaxLength is the length in bytes of all lines together. It leaves room for a Byte Sequence of 16,384 bytes, the
	// largest that the RFC demands, and costs well below a millisecond whatever the bytes are.
	MaxLength = 64 << 10
	// MaxMembers is the number of members of a List or Dictionary.
	MaxMembers = 1024
	// MaxInner is the number of items in an Inner List, and of parameters on one item.
	MaxInner = 256
	// MaxTotal is the number of items in all Inner Lists, and of parameters on all items. The RFC sets no least number
	// here. Without one, 64 KiB of text became 2 MiB of values.
	MaxTotal = 4096
)

// Kind is the type of a bare item.
type Kind uint8

// The bare types (RFC 9651, section 3.3). The zero Kind belongs to no value.
const (
	KindInteger Kind = iota + 1
	KindDecimal
	KindString
	KindToken
	KindBytes
	KindBoolean
	KindDate
	KindDisplayString
)

// Value is a bare item. Two values are the same if they are ==. The zero Value isn't valid.
type Value struct {
	kind Kind
	num  int64  // Integer, Date; Decimal in thousandths; Boolean as 0 or 1
	text string // String, Token, Display String; Byte Sequence in canonical Base64
}

// Integer returns an Integer. Serialising fails beyond 15 digits.
func Integer(n int64) Value { return Value{kind: KindInteger, num: n} }

// Decimal returns a Decimal of so many thousandths. Serialising fails beyond 15 digits.
func Decimal(thousandths int64) Value { return Value{kind: KindDecimal, num: thousandths} }

// String returns a String. Serialising fails if s isn't printable ASCII.
func String(s string) Value { return Value{kind: KindString, text: s} }

// Token returns a Token. Serialising fails if s isn't one.
func Token(s string) Value { return Value{kind: KindToken, text: s} }

// Bytes returns a Byte Sequence.
func Bytes(b []byte) Value {
	return Value{kind: KindBytes, text: base64.StdEncoding.EncodeToString(b)}
}

// Boolean returns a Boolean.
func Boolean(b bool) Value {
	if b {
		return Value{kind: KindBoolean, num: 1}
	}
	return Value{kind: KindBoolean}
}

// Date returns a Date, in seconds since 1970. Serialising fails beyond 15 digits.
func Date(unix int64) Value { return Value{kind: KindDate, num: unix} }

// DisplayString returns a Display String. Serialising fails if s isn't UTF-8.
func DisplayString(s string) Value { return Value{kind: KindDisplayString, text: s} }

// Kind returns the type of v.
func (v Value) Kind() Kind { return v.kind }

// Int64 returns an Integer, the seconds of a Date, or the thousandths of a Decimal; 0 for other types.
func (v Value) Int64() int64 {
	if v.kind == KindBoolean {
		return 0
	}
	return v.num
}

// Text returns a String, Token or Display String; "" for other types.
func (v Value) Text() string {
	if v.kind == KindBytes {
		return ""
	}
	return v.text
}

// IsTrue reports whether v is the Boolean true, the value of a parameter or member that stands without one.
func (v Value) IsTrue() bool { return v.kind == KindBoolean && v.num == 1 }

// Bytes returns a Byte Sequence, decoded; nil for other types.
func (v Value) Bytes() []byte {
	if v.kind != KindBytes {
		return nil
	}
	return v.AppendBytes(make([]byte, 0, len(v.text)/4*3))
}

// AppendBytes appends a decoded Byte Sequence to dst; nothing for other types.
func (v Value) AppendBytes(dst []byte) []byte {
	if v.kind != KindBytes {
		return dst
	}
	dst, err := base64.StdEncoding.AppendDecode(dst, []byte(v.text))
	if err != nil {
		panic("sfv: a Byte Sequence that wasn't checked") // the parser and Bytes only make canonical ones
	}
	return dst
}

// Param is one parameter.
type Param struct {
	Key   string
	Value Value
	// Repeated says that the key was there more than once; Value is the last one (RFC 9651, section 4.2.3.2).
	Repeated bool
}

// Params are the parameters of an item or inner list, in order.
type Params []Param

// Get returns the value of the parameter named key, and whether there is one.
func (p Params) Get(key string) (Value, bool) {
	for i := range p {
		if p[i].Key == key {
			return p[i].Value, true
		}
	}
	return Value{}, false
}

func (p Params) has(key string) bool {
	for i := range p {
		if p[i].Key == key {
			return true
		}
	}
	return false
}

// Repeated returns a key that was there more than once, and false if there is none.
func (p Params) Repeated() (key string, ok bool) {
	for i := range p {
		if p[i].Repeated {
			return p[i].Key, true
		}
	}
	return "", false
}

// Item is a bare item with its parameters.
type Item struct {
	Value  Value
	Params Params
	// Text is what the parser read, if that was the canonical form; else "". It saves serialising again.
	Text string
}

// Member is a member of a List or Dictionary: an Item, or an Inner List.
type Member struct {
	Key    string // in a Dictionary
	Value  Value  // of an Item; the zero Value in an Inner List
	Items  []Item // of an Inner List
	Params Params
	// Text is what the parser read after the key, if that was the canonical form; else "".
	Text string
	// Repeated says that the key was there more than once; this is the last value, at the place of the first
	// (RFC 9651, section 4.2.2).
	Repeated bool
}

// IsInner reports whether m is an Inner List.
func (m *Member) IsInner() bool { return m.Value.kind == 0 }

// RepeatedParam reports whether m or an item in it has a parameter more than once.
func (m *Member) RepeatedParam() bool {
	if _, ok := m.Params.Repeated(); ok {
		return true
	}
	for i := range m.Items {
		if _, ok := m.Items[i].Params.Repeated(); ok {
			return true
		}
	}
	return false
}

// List is a parsed List.
type List []Member

// Dictionary is a parsed Dictionary, in the order of its first occurrences.
type Dictionary []Member

// Get returns the member named key, or nil.
func (d Dictionary) Get(key string) *Member {
	for i := range d {
		if d[i].Key == key {
			return &d[i]
		}
	}
	return nil
}

// Repeated returns a key that was there more than once, and false if there is none.
func (d Dictionary) Repeated() (key string, ok bool) {
	for i := range d {
		if d[i].Repeated {
			return d[i].Key, true
		}
	}
	return "", false
}

// Error is the error of this package. It never quotes the field, which may hold a secret.
type Error struct {
	// Offset in the joined lines at which parsing stopped; 0 when serialising.
	Offset int
	// Problem is constant text.
	Problem string
}

func (e *Error) Error() string {
	return "structured field: " + e.Problem + " (at byte " + strconv.Itoa(e.Offset) + ")"
}
