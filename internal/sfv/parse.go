package sfv

import "strings"

// ParseItem parses the lines of an Item field (RFC 9651, section 4.2.3).
func ParseItem(lines ...string) (Item, error) {
	p, err := newParser(lines)
	if err != nil {
		return Item{}, err
	}
	item, err := p.item()
	if err != nil {
		return Item{}, err
	}
	return item, p.end()
}

// ParseList parses the lines of a List field (RFC 9651, section 4.2.1). A field without members gives an empty list.
func ParseList(lines ...string) (List, error) {
	p, err := newParser(lines)
	if err != nil {
		return nil, err
	}
	return p.list()
}

// ParseDictionary parses the lines of a Dictionary field (RFC 9651, section 4.2.2). A field without members gives an
// empty dictionary.
func ParseDictionary(lines ...string) (Dictionary, error) {
	p, err := newParser(lines)
	if err != nil {
		return nil, err
	}
	return p.dictionary()
}

// parser reads s from i on. Items and parameters of all members lie in one slice each, of which members hold parts:
// Inner Lists don't nest, so the part being filled is always the last one.
type parser struct {
	s      string
	i      int
	items  []Item
	params []Param
	// Key to place, for a dictionary or parameters of at least smallIndex entries.
	memberAt, paramAt map[string]int
	// paramStart is where in params those in paramAt begin.
	paramStart int
}

// smallIndex is the number of keys up to which searching them one by one is cheaper than a map.
const smallIndex = 16

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

func (p *parser) skipSpaces() {
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
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

func (p *parser) list() (List, error) {
	var list List
	for !p.done() {
		if len(list) == MaxMembers {
			return nil, p.fail("too many members")
		}
		if list == nil {
			list = make(List, 0, p.guess(","))
		}
		m, err := p.member()
		if err != nil {
			return nil, err
		}
		list = append(list, m)
		if err := p.separator(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (p *parser) dictionary() (Dictionary, error) {
	var dict Dictionary
	for n := 0; !p.done(); n++ {
		if n == MaxMembers {
			return nil, p.fail("too many members")
		}
		if dict == nil {
			dict = make(Dictionary, 0, p.guess(","))
		}
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		var m Member
		if p.accept('=') {
			m, err = p.member()
		} else {
			m.Value = Boolean(true)
			m.Params, err = p.parameters()
		}
		if err != nil {
			return nil, err
		}
		m.Key = key
		dict = p.addMember(dict, m)
		if err := p.separator(); err != nil {
			return nil, err
		}
	}
	return dict, nil
}

// addMember appends m, or overwrites the member with its key.
func (p *parser) addMember(dict Dictionary, m Member) Dictionary {
	if i := p.findMember(dict, m.Key); i >= 0 {
		m.Repeated = true
		dict[i] = m
		return dict
	}
	return append(dict, m)
}

// findMember returns the place of key in dict, or -1. In a long dictionary it notes key for the next place.
func (p *parser) findMember(dict Dictionary, key string) int {
	if len(dict) < smallIndex {
		for i := range dict {
			if dict[i].Key == key {
				return i
			}
		}
		return -1
	}
	if p.memberAt == nil {
		p.memberAt = make(map[string]int, 4*smallIndex)
		for i := range dict {
			p.memberAt[dict[i].Key] = i
		}
	}
	if i, ok := p.memberAt[key]; ok {
		return i
	}
	p.memberAt[key] = len(dict)
	return -1
}

// guess returns a capacity for what sep separates: enough for honest fields, and no more than 16 for others.
func (p *parser) guess(sep string) int {
	return min(strings.Count(p.s[p.i:], sep)+1, 16)
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

// member reads an Item or Inner List (RFC 9651, section 4.2.1.1).
func (p *parser) member() (Member, error) {
	if p.peek() != '(' {
		v, err := p.bareItem()
		if err != nil {
			return Member{}, err
		}
		params, err := p.parameters()
		return Member{Value: v, Params: params}, err
	}
	items, err := p.innerItems()
	if err != nil {
		return Member{}, err
	}
	params, err := p.parameters()
	return Member{Items: items, Params: params}, err
}

// innerItems reads an Inner List up to its closing parenthesis (RFC 9651, section 4.2.1.2).
func (p *parser) innerItems() ([]Item, error) {
	p.i++ // the opening parenthesis
	start := len(p.items)
	for {
		p.skipSpaces()
		if p.accept(')') {
			return p.items[start:len(p.items):len(p.items)], nil
		}
		if len(p.items)-start == MaxInner {
			return nil, p.fail("too many items in an inner list")
		}
		item, err := p.item()
		if err != nil {
			return nil, err
		}
		if p.items == nil {
			p.items = make([]Item, 0, p.guess(" "))
		}
		p.items = append(p.items, item)
		if c := p.peek(); c != ' ' && c != ')' {
			return nil, p.fail("no space or parenthesis after an item")
		}
	}
}

func (p *parser) item() (Item, error) {
	v, err := p.bareItem()
	if err != nil {
		return Item{}, err
	}
	params, err := p.parameters()
	return Item{v, params}, err
}

// parameters reads parameters (RFC 9651, section 4.2.3.2).
func (p *parser) parameters() (Params, error) {
	start := len(p.params)
	for n := 0; p.accept(';'); n++ {
		if n == MaxInner {
			return nil, p.fail("too many parameters")
		}
		p.skipSpaces()
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		v := Boolean(true)
		if p.accept('=') {
			if v, err = p.bareItem(); err != nil {
				return nil, err
			}
		}
		p.addParam(start, key, v)
	}
	if len(p.params) == start {
		return nil, nil
	}
	return p.params[start:len(p.params):len(p.params)], nil
}

// addParam adds a parameter to those from start on, or overwrites the one with its key.
func (p *parser) addParam(start int, key string, v Value) {
	own := p.params[start:]
	if i := p.findParam(start, own, key); i >= 0 {
		own[i] = Param{key, v, true}
		return
	}
	if p.params == nil {
		p.params = make([]Param, 0, p.guess(";"))
	}
	p.params = append(p.params, Param{Key: key, Value: v})
}

// findParam returns the place of key in own, the parameters from start on, or -1. In a long list it notes key for the
// next place.
func (p *parser) findParam(start int, own []Param, key string) int {
	if len(own) < smallIndex {
		for i := range own {
			if own[i].Key == key {
				return i
			}
		}
		return -1
	}
	if p.paramAt == nil {
		p.paramAt = make(map[string]int, 4*smallIndex)
	}
	if p.paramStart != start || len(p.paramAt) == 0 {
		clear(p.paramAt)
		p.paramStart = start
		for i := range own {
			p.paramAt[own[i].Key] = i
		}
	}
	if i, ok := p.paramAt[key]; ok {
		return i
	}
	p.paramAt[key] = len(own)
	return -1
}
