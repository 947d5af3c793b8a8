package httpsig

import (
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

const (
	inputField     = "Signature-Input"
	signatureField = "Signature"
)

// Input is a signature that was parsed and passed the policy, before its key is known.
type Input struct {
	label      string
	components []Component
	params     string // strict serialisation of components and parameters: the last line of the base
	keyID      string
	tag        string
	nonce      string
	alg        string
	pub        sfv.Value
	created    int64
	expires    int64
	has        paramSet
	problem    error        // the first rule of the RFC that the components or parameters break by themselves
	few        [6]Component // where components lie, unless they are more
}

// paramSet is a set of the signature parameters that this package knows.
type paramSet uint8

const (
	paramCreated paramSet = 1 << iota
	paramExpires
	paramNonce
	paramAlg
	paramKeyID
	paramTag
	paramPub
)

// paramOf returns the bit of a parameter, or 0 for one that this package doesn't know.
func paramOf(name string) paramSet {
	switch name {
	case "created":
		return paramCreated
	case "expires":
		return paramExpires
	case "nonce":
		return paramNonce
	case "alg":
		return paramAlg
	case "keyid":
		return paramKeyID
	case "tag":
		return paramTag
	case "pub":
		return paramPub
	}
	return 0
}

// empty reports whether a String parameter is there without any text, which is as good as absent.
func (in *Input) empty(p paramSet) bool {
	switch p {
	case paramNonce:
		return in.nonce == ""
	case paramAlg:
		return in.alg == ""
	case paramKeyID:
		return in.keyID == ""
	case paramTag:
		return in.tag == ""
	}
	return false
}

// Label returns the label, which isn't signed.
func (in *Input) Label() string { return in.label }

// KeyID returns `keyid`, or "".
func (in *Input) KeyID() string { return in.keyID }

// Tag returns `tag`, or "".
func (in *Input) Tag() string { return in.tag }

// Nonce returns `nonce`, or "".
func (in *Input) Nonce() string { return in.nonce }

// Alg returns `alg`, or "".
func (in *Input) Alg() string { return in.alg }

// PublicKey returns the bytes of `pub` (draft-richer-oauth-httpsig-03), or nil.
func (in *Input) PublicKey() []byte { return in.pub.Bytes() }

// Created returns `created`, or the zero time.
func (in *Input) Created() time.Time { return in.time(paramCreated, in.created) }

// Expires returns `expires`, or the zero time.
func (in *Input) Expires() time.Time { return in.time(paramExpires, in.expires) }

func (in *Input) time(p paramSet, unix int64) time.Time {
	if in.has&p == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}

// Param returns the strict serialisation of any signature parameter, such as `"text"` or `5`, and whether it is there.
func (in *Input) Param(name string) (string, bool) {
	list, err := sfv.ParseList(in.params) // not worth keeping: other parameters than those above are rare
	if err != nil || len(list) == 0 {
		return "", false
	}
	v, ok := list[0].Params.Get(name)
	if !ok {
		return "", false
	}
	text, err := sfv.AppendValue(nil, v)
	return string(text), err == nil
}

func (in *Input) hasParam(name string) bool {
	if p := paramOf(name); p != 0 {
		return in.has&p != 0
	}
	_, ok := in.Param(name)
	return ok
}

// Components returns the covered components in their order.
func (in *Input) Components() []Component { return append([]Component(nil), in.components...) }

// AppendComponents appends the text of each covered component to dst, in their order.
func (in *Input) AppendComponents(dst []string) []string {
	dst = slices.Grow(dst, len(in.components))
	for i := range in.components {
		dst = append(dst, in.components[i].id)
	}
	return dst
}

// Covers reports whether exactly c is covered, with the same parameters.
func (in *Input) Covers(c Component) bool { return in.covers(&c) }

func (in *Input) covers(c *Component) bool {
	for i := range in.components {
		if in.components[i].same(c) {
			return true
		}
	}
	return false
}

// ParseInputs parses Signature-Input and returns its members in order, without any judgement, for tools that explain.
// Components and parameters that break a rule are in them as they were sent; [Base] refuses unknown components.
func ParseInputs(h http.Header) ([]*Input, error) {
	dict, err := parseMembers(new(sfv.Parser), h, inputField)
	if err != nil {
		return nil, err
	}
	inputs := make([]*Input, len(dict))
	for i := range dict {
		inputs[i] = new(Input)
		if err := inputs[i].parse(&dict[i]); err != nil {
			return nil, err
		}
	}
	return inputs, nil
}

// parseMembers parses Signature-Input or Signature (RFC 9421, sections 4.1 and 4.2) within the limits. Labels are unique
// (section 4), where the parser would keep the last. The dictionary is valid as long as p keeps it.
func parseMembers(p *sfv.Parser, h http.Header, field string) (sfv.Dictionary, error) {
	lines := h[field]
	length := 0
	for _, line := range lines {
		length += len(line)
	}
	if length > maxFieldLength {
		return nil, &Error{Reason: Malformed, Section: "4", Part: field, Expected: "at most 16384 bytes"}
	}
	dict, err := p.ParseDictionary(lines...)
	if err != nil {
		return nil, &Error{Reason: Malformed, Section: "4", Part: field, Err: err}
	}
	if len(dict) > maxLabels {
		return nil, &Error{Reason: Malformed, Section: "4", Part: field, Expected: "at most 16 labels"}
	}
	if label, ok := dict.Repeated(); ok {
		return nil, &Error{Reason: Malformed, Section: "4", Part: field, Label: label, Expected: "each label once"}
	}
	return dict, nil
}

// parse fills in from a member of Signature-Input, which it doesn't keep. Its error is about the form of the member; what is wrong with the
// components and parameters is kept in in.problem.
func (in *Input) parse(m *sfv.Member) error {
	in.label = m.Key
	switch {
	case !m.IsInner():
		return in.refuse(Malformed, "4.1", "", "an Inner List")
	case len(m.Items) > maxComponents:
		return in.refuse(Malformed, "4.1", "", "at most 64 components")
	case len(m.Params) > maxParams:
		return in.refuse(Malformed, "4.1", "", "at most 32 parameters")
	}
	for i := range m.Items {
		if len(m.Items[i].Params) > maxOnComponent {
			return in.refuse(Malformed, "4.1", "", "at most 6 parameters on a component")
		}
	}
	if err := in.parseComponents(m); err != nil {
		return err
	}
	for i := range m.Params {
		if !in.addParam(&m.Params[i]) && in.problem == nil {
			in.problem = in.refuse(ParamRefused, "2.3", m.Params[i].Key, "the right type, and once")
		}
	}
	return nil
}

// parseComponents takes the components and the last line of the base from the canonical form of m.
func (in *Input) parseComponents(m *sfv.Member) error {
	canonical := m
	if m.Text == "" {
		text, err := sfv.AppendMember(nil, m)
		if err != nil {
			return in.refuse(Malformed, "4.1", "", "an Inner List")
		}
		list, err := sfv.ParseList(string(text))
		if err != nil {
			return in.refuse(Malformed, "4.1", "", "an Inner List")
		}
		canonical = &list[0]
	}
	in.params = canonical.Text
	if n := len(m.Items); n <= len(in.few) {
		in.components = in.few[:n:n]
	} else {
		in.components = make([]Component, n)
	}
	for i := range m.Items {
		// The parameters are those received, of which one may be repeated.
		if err := in.components[i].set(&m.Items[i], canonical.Items[i].Text); err != nil && in.problem == nil {
			in.problem = labelled(err, in.label)
		}
	}
	if c := repeated(in.components); c != nil && in.problem == nil {
		in.problem = in.refuse(ComponentInvalid, "2", c.id, "each component once")
	}
	return nil
}

// repeated returns a component that is in list twice, or nil. The list is at most maxComponents long.
func repeated(list []Component) *Component {
	for i := range list {
		for j := range i {
			if list[i].same(&list[j]) {
				return &list[i]
			}
		}
	}
	return nil
}

// addParam notes a signature parameter (RFC 9421, section 2.3), and reports whether its type is right.
func (in *Input) addParam(p *sfv.Param) bool {
	want := sfv.KindString
	bit := paramOf(p.Key)
	switch bit {
	case paramCreated:
		want, in.created = sfv.KindInteger, p.Value.Int64()
	case paramExpires:
		want, in.expires = sfv.KindInteger, p.Value.Int64()
	case paramNonce:
		in.nonce = p.Value.Text()
	case paramAlg:
		in.alg = p.Value.Text()
	case paramKeyID:
		in.keyID = p.Value.Text()
	case paramTag:
		in.tag = p.Value.Text()
	case paramPub:
		want, in.pub = sfv.KindBytes, p.Value
	default:
		return !p.Repeated
	}
	in.has |= bit
	return p.Value.Kind() == want && !p.Repeated
}

func (in *Input) refuse(reason Reason, section, part, expected string) *Error {
	return &Error{Reason: reason, Section: section, Label: in.label, Part: part, Expected: expected}
}

// labelled sets the label of an *Error that doesn't have one.
func labelled(err error, label string) error {
	if e, ok := err.(*Error); ok && e.Label == "" {
		e.Label = label
	}
	return err
}
