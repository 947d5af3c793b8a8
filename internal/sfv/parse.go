package sfv

import (
	"slices"
	"strings"
)

// ParseItem parses the lines of an Item field (RFC 9651, section 4.2.3).
func ParseItem(lines ...string) (Item, error) {
	p, err := newParser(lines)
	if err != nil {
		return Item{}, err
	}
	var item Item
	if err := p.item(&item); err != nil {
		return Item{}, err
	}
	if err := p.end(); err != nil {
		return Item{}, err
	}
	return item, nil
}

// ParseList parses the lines of a List field (RFC 9651, section 4.2.1). A field without members gives an empty list.
func ParseList(lines ...string) (List, error) {
	p, err := newParser(lines)
	if err != nil {
		return nil, err
	}
	return p.list(nil)
}

// ParseDictionary parses the lines of a Dictionary field (RFC 9651, section 4.2.2). A field without members gives an
// empty dictionary.
func ParseDictionary(lines ...string) (Dictionary, error) {
	p, err := newParser(lines)
	if err != nil {
		return nil, err
	}
	return p.dictionary(nil)
}

// Parser parses Dictionaries and Lists into memory that it uses again. The zero Parser is ready. It isn't safe for
// concurrent use.
type Parser struct {
	dict   []Member // or of a List
	items  []Item
	params []Param
}

// maxKept is how many entries a Parser keeps room for, so that a hostile field doesn't stay.
const maxKept = 64

// ParseDictionary is like the function of that name, but what it returns is only valid until the next call of a method.
func (r *Parser) ParseDictionary(lines ...string) (Dictionary, error) {
	p, err := newParser(lines)
	if err != nil {
		return nil, err
	}
	p.items, p.params = r.items[:0], r.params[:0]
	dict, err := p.dictionary(r.dict[:0])
	if err != nil {
		return nil, err
	}
	r.dict, r.items, r.params = dict, p.items, p.params
	return dict, nil
}

// ParseList is like the function of that name, but what it returns is only valid until the next call of a method.
func (r *Parser) ParseList(lines ...string) (List, error) {
	p, err := newParser(lines)
	if err != nil {
		return nil, err
	}
	p.items, p.params = r.items[:0], r.params[:0]
	list, err := p.list(r.dict[:0])
	if err != nil {
		return nil, err
	}
	r.dict, r.items, r.params = list, p.items, p.params
	return list, nil
}

// Reset forgets what was parsed.
func (r *Parser) Reset() {
	r.dict, r.items, r.params = emptied(r.dict), emptied(r.items), emptied(r.params)
}

func emptied[S ~[]E, E any](s S) S {
	if cap(s) > maxKept {
		return nil
	}
	clear(s[:cap(s)]) // beyond the length lies what a failed parse left
	return s[:0]
}

// parser reads s from i on. Items and parameters of all members lie in one slice each, of which members hold parts:
// Inner Lists don't nest, so the part being filled is always the last one.
type parser struct {
	s      string
	i      int
	items  []Item
	params []Param
	odd    int // counts what was read in another than the canonical form
}

func newParser(lines []string) (parser, error) {
	n := max(len(lines)-1, 0) * len(", ")
	for _, line := range lines {
		n += len(line)
	}
	if n > MaxLength {
		return parser{}, &Error{0, "longer than the limit"}
	}
	var p parser
	if len(lines) == 1 {
		p.s = lines[0]
	} else {
		p.s = strings.Join(lines, ", ") // RFC 9651, section 4.2
	}
	p.skipSpaces()
	return p, nil
}

func (p *parser) fail(problem string) error { return &Error{p.i, problem} }

func (p *parser) done() bool { return p.i >= len(p.s) }

// peek returns the next byte, or 0 at the end. No rule accepts a 0 byte, so the two need no distinction.
func (p *parser) peek() byte {
	if p.done() {
		return 0
	}
	return p.s[p.i]
}

// accept consumes c if it is next.
func (p *parser) accept(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// skipSpaces skips spaces and returns how many.
func (p *parser) skipSpaces() int {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
	return p.i - start
}

// textFrom returns what was read since start, if all was canonical since odd was counted; else "".
func (p *parser) textFrom(start, odd int) string {
	if p.odd != odd {
		return ""
	}
	return p.s[start:p.i]
}

func (p *parser) skipOWS() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
		p.i++
	}
}

// end checks that nothing but spaces follows (RFC 9651, section 4.2, step 6).
func (p *parser) end() error {
	p.skipSpaces()
	if !p.done() {
		return p.fail("text after the value")
	}
	return nil
}

// list reads a List into list, which is empty.
func (p *parser) list(list List) (List, error) {
	for !p.done() {
		if len(list) == MaxMembers {
			return nil, p.fail("too many members")
		}
		list = append(room(list, p, ","), Member{})
		if err := p.member(&list[len(list)-1]); err != nil {
			return nil, err
		}
		if err := p.separator(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// dictionary reads a Dictionary into dict, which is empty.
func (p *parser) dictionary(dict Dictionary) (Dictionary, error) {
	repeated := false
	for !p.done() {
		if len(dict) == MaxMembers {
			return nil, p.fail("too many members")
		}
		dict = append(room(dict, p, ","), Member{})
		m := &dict[len(dict)-1]
		if err := p.dictionaryMember(m); err != nil {
			return nil, err
		}
		if n := len(dict) - 1; n < smallIndex && dict[:n].Get(m.Key) != nil {
			repeated = true
		}
		if err := p.separator(); err != nil {
			return nil, err
		}
	}
	if repeated || len(dict) > smallIndex {
		dict = lastMembers(dict)
	}
	return dict, nil
}

// dictionaryMember reads a key with its value into m, which is zero.
func (p *parser) dictionaryMember(m *Member) (err error) {
	if m.Key, err = p.key(); err != nil {
		return err
	}
	if p.accept('=') {
		return p.member(m)
	}
	m.Value = Boolean(true)
	m.Params, err = p.parameters() // and no Text, which has no value to begin with
	return err
}

// room returns s with room for another element. It doubles, as append soon doesn't, and begins with enough for what sep
// separates in honest fields.
func room[S ~[]E, E any](s S, p *parser, sep string) S {
	if len(s) < cap(s) {
		return s
	}
	return slices.Grow(s, max(len(s), min(strings.Count(p.s[p.i:], sep)+1, 16)))
}

// separator reads the comma between members (RFC 9651, section 4.2.1, steps 2.2 to 2.6), or the end.
func (p *parser) separator() error {
	p.skipOWS()
	if p.done() {
		return nil
	}
	if !p.accept(',') {
		return p.fail("no comma after a member")
	}
	p.skipOWS()
	if p.done() {
		return p.fail("comma at the end")
	}
	return nil
}

// member reads an Item or Inner List into m, which has no value yet (RFC 9651, section 4.2.1.1).
func (p *parser) member(m *Member) (err error) {
	start, odd := p.i, p.odd
	if p.peek() == '(' {
		m.Items, err = p.innerItems()
	} else {
		m.Value, err = p.bareItem()
	}
	if err != nil {
		return err
	}
	m.Params, err = p.parameters()
	m.Text = p.textFrom(start, odd)
	return err
}

// innerItems reads an Inner List up to its closing parenthesis (RFC 9651, section 4.2.1.2).
func (p *parser) innerItems() ([]Item, error) {
	p.i++ // the opening parenthesis
	start := len(p.items)
	for {
		spaces := p.skipSpaces()
		if p.accept(')') {
			if spaces != 0 {
				p.odd++
			}
			return p.items[start:len(p.items):len(p.items)], nil
		}
		if spaces != min(len(p.items)-start, 1) {
			p.odd++
		}
		if len(p.items)-start == MaxInner || len(p.items) == MaxTotal {
			return nil, p.fail("too many items in inner lists")
		}
		p.items = append(room(p.items, p, " "), Item{})
		if err := p.item(&p.items[len(p.items)-1]); err != nil {
			return nil, err
		}
		if c := p.peek(); c != ' ' && c != ')' {
			return nil, p.fail("no space or parenthesis after an item")
		}
	}
}

// item reads an Item into it (RFC 9651, section 4.2.3).
func (p *parser) item(it *Item) (err error) {
	start, odd := p.i, p.odd
	if it.Value, err = p.bareItem(); err != nil {
		return err
	}
	it.Params, err = p.parameters()
	it.Text = p.textFrom(start, odd)
	return err
}

// parameters reads parameters (RFC 9651, section 4.2.3.2).
func (p *parser) parameters() (Params, error) {
	start, repeated := len(p.params), false
	for n := 0; p.accept(';'); n++ {
		if n == MaxInner || len(p.params) == MaxTotal {
			return nil, p.fail("too many parameters")
		}
		if p.skipSpaces() != 0 {
			p.odd++
		}
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		v := Boolean(true)
		if p.accept('=') {
			if v, err = p.bareItem(); err != nil {
				return nil, err
			}
			if v.IsTrue() {
				p.odd++
			}
		}
		if n < smallIndex && Params(p.params[start:]).has(key) {
			repeated = true
		}
		p.params = append(room(p.params, p, ";"), Param{Key: key, Value: v})
	}
	own := Params(p.params[start:])
	if len(own) == 0 {
		return nil, nil
	}
	if repeated || len(own) > smallIndex {
		n := len(own)
		if own = lastParams(own); len(own) < n {
			p.odd++
		}
		p.params = p.params[:start+len(own)]
	}
	return own[:len(own):len(own)], nil
}
