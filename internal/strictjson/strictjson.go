// Package strictjson reads the JSON objects of JOSE and OAuth as their RFCs want them read: member names compared exactly,
// duplicate members refused at every level, valid UTF-8, nothing after the object (RFC 7515, section 4; RFC 7519,
// section 4; RFC 8259).
//
// [Object] is what most callers want. encoding/json isn't used for such objects, because it matches names regardless of
// case and lets the last duplicate win, so that two readers of one token can see two tokens.
//
// Reading costs time linear in the text (times the nesting that the caller visits), and nesting is bounded by [MaxDepth].
// Not bounded here: the length of the text. The caller does that where the text comes in.
package strictjson

import (
	"unicode/utf8"
)

// MaxDepth is how deeply objects and arrays may nest. JOSE needs about four levels, nested actors a few more.
const MaxDepth = 16

// Kind is the type of a JSON value.
type Kind string

// The kinds.
const (
	KindString Kind = "string"
	KindNumber Kind = "number"
	KindBool   Kind = "boolean"
	KindNull   Kind = "null"
	KindArray  Kind = "array"
	KindObject Kind = "object"
)

// Reason says why a text was refused.
type Reason string

// The reasons.
const (
	Syntax     Reason = "syntax"     // not JSON, or not UTF-8, or a surrogate without its other half
	Duplicate  Reason = "duplicate"  // an object with two members of one name
	TooDeep    Reason = "too-deep"   // nested deeper than MaxDepth
	Trailing   Reason = "trailing"   // something after the value
	WrongKind  Reason = "wrong-kind" // another kind of value than was asked for
	OutOfRange Reason = "range"      // a number that is not what was asked for
)

// Error is why a text was refused. It holds nothing of the text.
type Error struct {
	Reason Reason
	Offset int  // in bytes, for what is wrong with the text itself
	Want   Kind // for WrongKind
}

// Object reads one JSON object and calls visit for its members, in their order. A name with escapes comes unescaped.
//
// Members come before the rest of the text is read: use what visit gathered only if Object returns nil. An error of
// visit ends the reading and is returned as it is. name and value may hold on to the text.
func Object[Text ~string | ~[]byte](text Text, visit func(name string, value Value) error) error {
	s := scanner{text: string(text)}
	s.space()
	if s.peek() != '{' {
		return s.wrongKind(KindObject)
	}
	if err := s.object(visit); err != nil {
		return err
	}
	return s.end()
}

// Parse checks a whole text and returns its value, of any kind.
func Parse[Text ~string | ~[]byte](text Text) (Value, error) {
	s := scanner{text: string(text)}
	s.space()
	v, err := s.value()
	if err != nil {
		return Value{}, err
	}
	return v, s.end()
}

// scanner reads text from at on.
type scanner struct {
	text  string
	at    int
	depth int
}

func (s *scanner) fail(r Reason) error { return &Error{Reason: r, Offset: s.at} }

func (s *scanner) wrongKind(want Kind) error {
	// A text that isn't JSON at all is a matter of syntax, not of kind.
	if _, err := s.value(); err != nil {
		return err
	}
	return &Error{Reason: WrongKind, Want: want}
}

// peek returns the next byte, or 0 (which JSON has nowhere) at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) end() error {
	s.space()
	if s.at != len(s.text) {
		return s.fail(Trailing)
	}
	return nil
}

// value reads one value and checks it to the bottom.
func (s *scanner) value() (Value, error) {
	start := s.at
	var err error
	switch c := s.peek(); c {
	case '{':
		err = s.object(nil)
	case '[':
		err = s.array(nil)
	case '"':
		_, err = s.quoted()
	case 't':
		err = s.literal("true")
	case 'f':
		err = s.literal("false")
	case 'n':
		err = s.literal("null")
	default:
		err = s.number()
	}
	if err != nil {
		return Value{}, err
	}
	return Value{raw: s.text[start:s.at]}, nil
}

func (s *scanner) literal(word string) error {
	if len(s.text)-s.at < len(word) || s.text[s.at:s.at+len(word)] != word {
		return s.fail(Syntax)
	}
	s.at += len(word)
	return nil
}

// object reads an object; peek is '{'. visit may be nil.
func (s *scanner) object(visit func(string, Value) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	var seen names
	for first := true; ; first = false {
		s.space()
		if s.peek() == '}' && first {
			break
		}
		name, value, err := s.member(&seen)
		if err != nil {
			return err
		}
		if visit != nil {
			if err := visit(name, value); err != nil {
				return err
			}
		}
		s.space()
		if s.peek() == '}' {
			break
		}
		if s.peek() != ',' {
			return s.fail(Syntax)
		}
		s.at++
	}
	s.leave()
	return nil
}

// member reads `"name": value`.
func (s *scanner) member(seen *names) (string, Value, error) {
	name, err := s.quoted()
	if err != nil {
		return "", Value{}, err
	}
	if !seen.add(name) {
		return "", Value{}, s.fail(Duplicate)
	}
	s.space()
	if s.peek() != ':' {
		return "", Value{}, s.fail(Syntax)
	}
	s.at++
	s.space()
	value, err := s.value()
	return name, value, err
}

// array reads an array; peek is '['. visit may be nil.
func (s *scanner) array(visit func(Value) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		s.space()
		if s.peek() == ']' && first {
			break
		}
		value, err := s.value()
		if err != nil {
			return err
		}
		if visit != nil {
			if err := visit(value); err != nil {
				return err
			}
		}
		s.space()
		if s.peek() == ']' {
			break
		}
		if s.peek() != ',' {
			return s.fail(Syntax)
		}
		s.at++
	}
	s.leave()
	return nil
}

func (s *scanner) enter() error {
	if s.depth == MaxDepth {
		return s.fail(TooDeep)
	}
	s.depth++
	s.at++
	return nil
}

func (s *scanner) leave() {
	s.depth--
	s.at++
}

// number reads a number by the grammar of RFC 8259, section 6.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return s.fail(Syntax)
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return s.fail(Syntax)
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return s.fail(Syntax)
		}
	}
	return nil
}

// digits reads a run of digits and tells whether there was one.
func (s *scanner) digits() bool {
	start := s.at
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > start
}

// quoted reads a string. Without escapes it is a part of the text, not a copy.
func (s *scanner) quoted() (string, error) {
	if s.peek() != '"' {
		return "", s.fail(Syntax)
	}
	s.at++
	start := s.at
	ascii := true
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			if !ascii && !utf8.ValidString(s.text[start:i]) {
				return "", s.fail(Syntax)
			}
			return s.text[start:i], nil
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			s.at = i
			return "", s.fail(Syntax)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.at = len(s.text)
	return "", s.fail(Syntax)
}

// names is a set of member names. Most objects have a few, which a short walk finds faster than a map does; beyond
// those a map keeps the whole linear.
type names struct {
	few  [12]string
	n    int
	many map[string]struct{} // member name → nothing
}

// add tells whether name is new.
func (s *names) add(name string) bool {
	for _, known := range s.few[:s.n] {
		if known == name {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, ok := s.many[name]; ok {
		return false
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	s.many[name] = struct{}{}
	return true
}
