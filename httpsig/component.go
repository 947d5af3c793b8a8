package httpsig

import (
	"strings"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// Component is one component identifier with its parameters (RFC 9421, section 2). The zero Component is none.
type Component struct {
	id    string // the strict serialisation, with the parameters in their order
	name  string
	arg   string // value of the parameter key or name
	kind  kind
	flags flags
}

// kind says where the value of a component comes from. The zero kind is unknown to this package.
type kind uint8

const (
	kindField kind = iota + 1
	kindMethod
	kindTargetURI
	kindAuthority
	kindScheme
	kindRequestTarget
	kindPath
	kindQuery
	kindQueryParam
	kindStatus
)

// flags are the component parameters that are there (RFC 9421, section 6.5.2).
type flags uint8

const (
	flagSF flags = 1 << iota
	flagKey
	flagBS
	flagTR
	flagReq
	flagName
)

// ParseComponent reads the serialised form: `"@method"`, `"@query-param";name="x"`, `"x";req`; a bare name such as
// @method or content-type is understood too.
func ParseComponent(s string) (Component, error) {
	if !strings.HasPrefix(s, `"`) {
		s = `"` + s + `"`
	}
	item, err := sfv.ParseItem(s)
	if err != nil {
		return Component{}, &Error{Reason: ComponentInvalid, Section: "2", Part: s, Err: err}
	}
	id, err := sfv.AppendItem(nil, item)
	if err != nil {
		return Component{}, &Error{Reason: ComponentInvalid, Section: "2", Part: s, Err: err}
	}
	var c Component
	if err := c.set(&item, string(id)); err != nil {
		return Component{}, err
	}
	return c, nil
}

// Components parses several, and panics on a bad one: for package variables and literals.
func Components(ids ...string) []Component {
	list := make([]Component, len(ids))
	for i, id := range ids {
		var err error
		if list[i], err = ParseComponent(id); err != nil {
			panic(err)
		}
	}
	return list
}

// String returns the strict serialisation.
func (c Component) String() string { return c.id }

// Name returns the field name or derived component name.
func (c Component) Name() string { return c.name }

// same reports whether c and d are one component: the order of parameters makes no other one (RFC 9421, section 2).
func (c *Component) same(d *Component) bool {
	if c.kind == 0 || d.kind == 0 {
		return false
	}
	return c.kind == d.kind && c.flags == d.flags && c.name == d.name && c.arg == d.arg
}

// set makes c the component of an item of the inner list, whose strict serialisation is id. With an error it leaves a
// Component of the zero kind, which has a name and text but no value.
func (c *Component) set(item *sfv.Item, id string) error {
	c.id, c.name = id, item.Value.Text()
	if item.Value.Kind() != sfv.KindString {
		return componentError("2", id, "a String")
	}
	k := kindOf(c.name)
	if k == 0 {
		return componentError("2.5", id, "a known derived component or a field name in lower case")
	}
	for i := range item.Params {
		if !c.addParam(&item.Params[i]) {
			return componentError("2.5", id, "known parameters of the right type, each once")
		}
	}
	if !compatible(k, c.flags) {
		return componentError("2.5", id, "parameters that fit the component and each other")
	}
	c.kind = k
	return nil
}

// addParam notes a component parameter (RFC 9421, section 6.5.2), and reports whether it is known and right.
func (c *Component) addParam(p *sfv.Param) bool {
	var f flags
	switch p.Key {
	case "sf":
		f = flagSF
	case "bs":
		f = flagBS
	case "tr":
		f = flagTR
	case "req":
		f = flagReq
	case "key":
		f = flagKey
	case "name":
		f = flagName
	default:
		return false
	}
	c.flags |= f
	if f&(flagKey|flagName) == 0 {
		return p.Value.IsTrue() && !p.Repeated
	}
	c.arg = p.Value.Text()
	return p.Value.Kind() == sfv.KindString && !p.Repeated
}

// compatible reports whether the parameters of a component go together.
func compatible(k kind, f flags) bool {
	switch k {
	case kindField:
		exclusive := f&flagBS != 0 && f&(flagSF|flagKey) != 0 // RFC 9421, section 2.1.3
		return !exclusive && f&flagName == 0
	case kindQueryParam:
		return f&^flagReq == flagName // RFC 9421, section 2.2.8
	case kindStatus:
		return f == 0 // RFC 9421, section 2.2.9
	}
	return f&^flagReq == 0
}

// kindOf returns the kind of a component name, or 0.
func kindOf(name string) kind {
	if !strings.HasPrefix(name, "@") {
		if fieldChars.hasAll(name) {
			return kindField
		}
		return 0
	}
	switch name {
	case "@method":
		return kindMethod
	case "@target-uri":
		return kindTargetURI
	case "@authority":
		return kindAuthority
	case "@scheme":
		return kindScheme
	case "@request-target":
		return kindRequestTarget
	case "@path":
		return kindPath
	case "@query":
		return kindQuery
	case "@query-param":
		return kindQueryParam
	case "@status":
		return kindStatus
	}
	return 0
}

// charset holds which bytes belong to a class.
type charset [256]bool

func newCharset(chars string) *charset {
	var set charset
	for i := range len(chars) {
		set[chars[i]] = true
	}
	return &set
}

const (
	lower = "abcdefghijklmnopqrstuvwxyz"
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit = "0123456789"
)

var (
	// tokenChars is tchar (RFC 9110, section 5.6.2), fieldChars what is left of it in names in lower case.
	tokenChars = newCharset(lower + upper + digit + "!#$%&'*+-.^_`|~")
	fieldChars = newCharset(lower + digit + "!#$%&'*+-.^_`|~")
	// targetChars is what a request line can hold: visible ASCII.
	targetChars = newCharset(lower + upper + digit + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
	// plainChars is what field values hold without line folding: visible ASCII, space and tab.
	plainChars = newCharset(lower + upper + digit + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t")
	// unescapedChars stand for themselves in the value of a query parameter.
	unescapedChars = newCharset(lower + upper + digit + "*-._")
)

// hasAll reports whether s has only bytes of set, and at least one. Eight at a time take a third of the time, of which a
// session's ticket has 500.
func (set *charset) hasAll(s string) bool {
	if s == "" {
		return false
	}
	for ; len(s) >= 8; s = s[8:] {
		if !(set[s[0]] && set[s[1]] && set[s[2]] && set[s[3]] && set[s[4]] && set[s[5]] && set[s[6]] && set[s[7]]) {
			return false
		}
	}
	for i := range len(s) {
		if !set[s[i]] {
			return false
		}
	}
	return true
}
