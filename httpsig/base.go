package httpsig

import (
	"strconv"
	"strings"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// baseBuilder makes the signature bases of one message (RFC 9421, section 2.5). It is used once, by one caller.
type baseBuilder struct {
	msg     *Message
	request *Message // that the derived components are about: msg, or its request if msg is a response; nil if there is none
	fields  map[string]FieldType
	budget  int // bytes of field text that may still be read
	target  target
	hits    map[string]*queryHit // of the signature at hand
	parser  *sfv.Parser          // of fields for ;sf and ;key: each into the memory of the one before
}

func newBaseBuilder(m *Message, fields map[string]FieldType, parser *sfv.Parser) baseBuilder {
	b := baseBuilder{msg: m, request: m, fields: fields, budget: maxFieldText, parser: parser}
	if m.Status != 0 {
		b.request = m.Request
	}
	return b
}

// Base returns the signature base of m for in (RFC 9421, section 2.5).
func Base(m *Message, in *Input, fields map[string]FieldType) ([]byte, error) {
	b := newBaseBuilder(m, fields, new(sfv.Parser))
	base, err := b.append(nil, in)
	if err != nil {
		return nil, labelled(err, in.label)
	}
	return base, nil
}

// append appends the signature base for in.
func (b *baseBuilder) append(dst []byte, in *Input) ([]byte, error) {
	b.hits = nil
	for i := range in.components {
		c := &in.components[i]
		dst = append(dst, c.id...)
		dst = append(dst, ": "...)
		var err error
		if dst, err = b.appendValue(dst, c, in.components); err != nil {
			return nil, err
		}
		dst = append(dst, '\n')
	}
	dst = append(dst, `"@signature-params": `...)
	return append(dst, in.params...), nil
}

// appendValue appends the value of c, one of the components in all.
func (b *baseBuilder) appendValue(dst []byte, c *Component, all []Component) ([]byte, error) {
	if c.kind == 0 {
		return nil, componentError("2.5", c.id, "a known component")
	}
	response := b.msg.Status != 0
	switch fromRequest := c.flags&flagReq != 0; {
	case fromRequest && !response:
		return nil, componentError("2.4", c.id, "no ;req in a request")
	case fromRequest && b.request == nil:
		return nil, componentError("2.4", c.id, "the request of the response")
	case c.kind == kindField:
		return b.appendField(dst, c)
	case c.kind == kindStatus:
		return b.appendStatus(dst, c)
	case response && !fromRequest:
		return nil, componentError("2.2", c.id, ";req in a response")
	}
	return b.appendDerived(dst, c, all)
}

func (b *baseBuilder) appendStatus(dst []byte, c *Component) ([]byte, error) {
	if b.msg.Status < 100 || b.msg.Status > 999 {
		return nil, componentError("2.2.9", c.id, "a status of three digits in a response")
	}
	return strconv.AppendInt(dst, int64(b.msg.Status), 10), nil
}

// appendDerived appends the value of a component that is derived from a request (RFC 9421, section 2.2).
func (b *baseBuilder) appendDerived(dst []byte, c *Component, all []Component) ([]byte, error) {
	if c.kind == kindMethod {
		if !tokenChars.hasAll(b.request.Method) {
			return nil, componentError("2.2.1", c.id, "a method")
		}
		return append(dst, b.request.Method...), nil
	}
	if c.kind == kindRequestTarget && b.request.RequestTarget != "" {
		if !targetChars.hasAll(b.request.RequestTarget) {
			return nil, componentError("2.2.5", c.id, "a request target")
		}
		return append(dst, b.request.RequestTarget...), nil
	}
	if b.target.uri == "" {
		var ok bool
		if b.target, ok = parseTarget(b.request.TargetURI); !ok {
			return nil, componentError("2.2.2", c.id, "an absolute target URI")
		}
	}
	t := &b.target
	switch c.kind {
	case kindTargetURI:
		return t.appendURI(dst, b.request.RequestTarget == ""), nil
	case kindAuthority:
		return t.appendAuthority(dst), nil
	case kindScheme:
		return appendLower(dst, t.scheme), nil
	case kindRequestTarget:
		return t.appendQuery(t.appendPath(dst), false), nil
	case kindPath:
		return t.appendPath(dst), nil
	case kindQuery:
		return t.appendQuery(dst, true), nil
	}
	return b.appendQueryParam(dst, c, all)
}

// appendQueryParam appends the value of a parameter that occurs exactly once (RFC 9421, section 2.2.8).
func (b *baseBuilder) appendQueryParam(dst []byte, c *Component, all []Component) ([]byte, error) {
	if b.hits == nil {
		// The query as the message has it. It is that of b.target, but keeping a part of b would keep every message that
		// is verified on the heap.
		_, query, _ := strings.Cut(b.request.TargetURI, "?")
		b.hits = queryHits(all, query)
	}
	hit := b.hits[c.arg]
	if hit.count != 1 {
		return nil, componentError("2.2.8", c.id, "a query parameter that occurs once")
	}
	if !isUTF8(c.arg) || !isUTF8(hit.value) {
		return nil, componentError("2.2.8", c.id, "a query parameter in UTF-8")
	}
	return appendPercent(dst, hit.value), nil
}
