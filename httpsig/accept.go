package httpsig

import (
	"github.com/holdfast-project/holdfast/internal/sfv"
)

// Request is what an Accept-Signature member asks for (RFC 9421, section 5.1).
type Request struct {
	Label      string
	Components []Component
	Params     []RequestParam
}

// RequestParam is a wanted signature parameter: a bare Name (created, expires, nonce) or one with the value to use.
type RequestParam struct {
	Name  string
	Value string // "" for a bare name
}

const acceptField = "Accept-Signature"

// AcceptSignature serialises requests as a field value. A response whose use depends on the answer needs
// `Vary: Accept-Signature` (RFC 9421, section 5.1).
func AcceptSignature(reqs []Request) (string, error) {
	var dict sfv.Dictionary
	for _, r := range reqs {
		m := sfv.Member{Key: r.Label}
		if dict.Get(r.Label) != nil {
			return "", acceptError(r.Label, "", "each label once")
		}
		if repeated(r.Components) != nil {
			return "", acceptError(r.Label, "", "each component once")
		}
		for _, c := range r.Components {
			item, err := sfv.ParseItem(c.id)
			if err != nil || c.kind == 0 {
				return "", acceptError(r.Label, c.id, "a component")
			}
			m.Items = append(m.Items, item)
		}
		for _, p := range r.Params {
			v := sfv.Boolean(true)
			if p.Value != "" {
				v = sfv.String(p.Value)
			}
			if _, twice := m.Params.Get(p.Name); twice || !validRequest(p.Name, v) {
				return "", acceptError(r.Label, p.Name, "a parameter with the right value, once")
			}
			m.Params = append(m.Params, sfv.Param{Key: p.Name, Value: v})
		}
		dict = append(dict, m)
	}
	text, err := sfv.AppendDictionary(nil, dict)
	if err != nil {
		return "", &Error{Reason: Malformed, Section: "5.1", Part: acceptField, Err: err}
	}
	return string(text), nil
}

// ParseAcceptSignature reads the field lines. It refuses the whole field for a component or a known parameter that is
// wrong, and for a parameter that isn't a String or a bare name.
func ParseAcceptSignature(lines []string) ([]Request, error) {
	dict, err := parseMembers(new(sfv.Parser), map[string][]string{acceptField: lines}, acceptField)
	if err != nil {
		return nil, err
	}
	reqs := make([]Request, len(dict))
	for i := range dict {
		var in Input // for the rules that it shares with Signature-Input
		if err := in.parse(&dict[i]); err != nil {
			return nil, err
		}
		if e, ok := in.problem.(*Error); ok && e.Reason == ComponentInvalid {
			return nil, e
		}
		reqs[i] = Request{Label: in.label, Components: in.components}
		for _, p := range dict[i].Params {
			if p.Repeated || !validRequest(p.Key, p.Value) {
				return nil, acceptError(in.label, p.Key, "a parameter with the right value, once")
			}
			reqs[i].Params = append(reqs[i].Params, RequestParam{p.Key, p.Value.Text()})
		}
	}
	return reqs, nil
}

// validRequest reports whether a parameter may be asked for with v (RFC 9421, section 5.1): created and expires are
// bare, keyid, alg and tag have a value, others may have one.
func validRequest(name string, v sfv.Value) bool {
	text := v.Kind() == sfv.KindString && v.Text() != ""
	switch name {
	case "created", "expires":
		return v.IsTrue()
	case "keyid", "alg", "tag":
		return text
	}
	return text || v.IsTrue()
}

func acceptError(label, part, expected string) *Error {
	return &Error{Reason: Malformed, Section: "5.1", Label: label, Part: part, Expected: expected}
}
