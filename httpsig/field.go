package httpsig

import (
	"encoding/base64"
	"strings"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// FieldType is the type of a structured field, which `;sf` needs to know (RFC 9421, section 2.1.1).
type FieldType int

// The field types.
const (
	Item FieldType = iota + 1
	List
	Dictionary
)

// registeredType returns the type of a field that is registered as a structured one, or 0.
func registeredType(name string) FieldType {
	switch name {
	case "available-dictionary", "capsule-protocol", "client-cert", "cross-origin-embedder-policy",
		"cross-origin-embedder-policy-report-only", "cross-origin-opener-policy",
		"cross-origin-opener-policy-report-only", "deprecation", "dictionary-id", "incremental",
		"origin-agent-cluster", "sec-ch-ua-mobile", "sec-ch-ua-model", "sec-ch-ua-platform",
		"sec-ch-ua-platform-version", "upload-complete", "upload-offset":
		return Item
	case "accept-ch", "cache-groups", "cache-group-invalidation", "cache-status", "client-cert-chain", "proxy-status",
		"sec-ch-ua", "sec-ch-ua-full-version-list":
		return List
	case "accept-signature", "cdn-cache-control", "content-digest", "permissions-policy", "priority",
		"reporting-endpoints", "repr-digest", "signature", "signature-input", "unencoded-digest", "upload-limit",
		"use-as-dictionary", "want-content-digest", "want-repr-digest", "want-unencoded-digest":
		return Dictionary
	}
	return 0
}

// appendField appends the value of a field component (RFC 9421, section 2.1).
func (b *baseBuilder) appendField(dst []byte, c *Component) ([]byte, error) {
	m := b.msg
	if c.flags&flagReq != 0 {
		m = b.request
	}
	lines := m.lines(c.name, c.flags&flagTR != 0)
	if len(lines) == 0 {
		return nil, componentError("2.5", c.id, "a field of the message")
	}
	if !b.spend(c, lines) {
		return nil, componentError("2.5", c.id, "less text to sign")
	}
	switch {
	case c.flags&flagBS != 0:
		return appendBytesField(dst, c, lines)
	case c.flags&flagKey != 0:
		return b.appendMemberField(dst, c, lines)
	case c.flags&flagSF != 0:
		return b.appendStructuredField(dst, c, lines)
	}
	return appendPlainField(dst, c, lines)
}

// spend takes what reading lines costs from the budget, and reports whether it was there.
func (b *baseBuilder) spend(c *Component, lines []string) bool {
	n := 0
	for _, line := range lines {
		n += len(line) + len(", ")
	}
	if c.flags&(flagSF|flagKey) != 0 {
		n *= 4
	}
	b.budget -= n
	return b.budget >= 0
}

// cleanLine returns a field line without the white space around it and with one space for each line folding (RFC 9421,
// section 2.1, steps 3 and 4). It reports false if a line break is left.
func cleanLine(line string) (string, bool) {
	line = trimOWS(line)
	if strings.IndexByte(line, '\n') < 0 && strings.IndexByte(line, '\r') < 0 {
		return line, true
	}
	var b strings.Builder
	for {
		end := strings.IndexAny(line, "\r\n")
		if end < 0 {
			b.WriteString(line)
			return b.String(), true
		}
		b.WriteString(trimOWS(line[:end]))
		line = strings.TrimPrefix(line[end:], "\r")
		if !strings.HasPrefix(line, "\n ") && !strings.HasPrefix(line, "\n\t") {
			return "", false
		}
		b.WriteByte(' ')
		line = trimOWS(line[1:])
	}
}

func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// appendPlainField appends the lines joined with a comma and a space. The signature base is ASCII (section 2.5).
func appendPlainField(dst []byte, c *Component, lines []string) ([]byte, error) {
	for i, line := range lines {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if line = trimOWS(line); line != "" && !plainChars.hasAll(line) {
			var ok bool
			if line, ok = cleanLine(line); !ok || !plainChars.hasAll(line) {
				return nil, componentError("2.1", c.id, "a value of printable ASCII, or ;bs")
			}
		}
		dst = append(dst, line...)
	}
	return dst, nil
}

// appendBytesField appends each line as a Byte Sequence (RFC 9421, section 2.1.3).
func appendBytesField(dst []byte, c *Component, lines []string) ([]byte, error) {
	for i, line := range lines {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		line, ok := cleanLine(line)
		if !ok {
			return nil, componentError("2.1.3", c.id, "a value without line breaks")
		}
		dst = append(dst, ':')
		dst = base64.StdEncoding.AppendEncode(dst, []byte(line))
		dst = append(dst, ':')
	}
	return dst, nil
}

// appendMemberField appends one member of a Dictionary field (RFC 9421, section 2.1.2). A field whose type nobody told
// is taken for a Dictionary, as the component says so.
func (b *baseBuilder) appendMemberField(dst []byte, c *Component, lines []string) ([]byte, error) {
	if t := b.fieldType(c.name); t != 0 && t != Dictionary {
		return nil, componentError("2.1.2", c.id, "a Dictionary field")
	}
	dict, err := b.parseDictionaryField(c, lines)
	if err != nil {
		return nil, err
	}
	member := dict.Get(c.arg)
	if member == nil {
		return nil, componentError("2.1.2", c.id, "a member of the field")
	}
	return sfv.AppendMember(dst, member)
}

// appendStructuredField appends the strict serialisation of the field (RFC 9421, section 2.1.1).
func (b *baseBuilder) appendStructuredField(dst []byte, c *Component, lines []string) ([]byte, error) {
	switch b.fieldType(c.name) {
	case Dictionary:
		dict, err := b.parseDictionaryField(c, lines)
		if err != nil {
			return nil, err
		}
		return sfv.AppendDictionary(dst, dict)
	case List:
		lines, err := cleanLines(c, lines)
		if err != nil {
			return nil, err
		}
		list, err := b.parser.ParseList(lines...)
		if err != nil {
			return nil, fieldError(c, err)
		}
		if repeatedParam(list) {
			return nil, componentError("2.1.1", c.id, "a List with each parameter once")
		}
		return sfv.AppendList(dst, list)
	case Item:
		lines, err := cleanLines(c, lines)
		if err != nil {
			return nil, err
		}
		item, err := sfv.ParseItem(lines...)
		if err != nil {
			return nil, fieldError(c, err)
		}
		if _, ok := item.Params.Repeated(); ok {
			return nil, componentError("2.1.1", c.id, "an Item with each parameter once")
		}
		return sfv.AppendItem(dst, item)
	}
	return nil, componentError("2.1.1", c.id, "a structured field of known type")
}

func (b *baseBuilder) fieldType(name string) FieldType {
	if t := b.fields[name]; t != 0 {
		return t
	}
	return registeredType(name)
}

// parseDictionaryField refuses a repeated key or parameter, of which this package would cover the last and the application
// may read the first.
func (b *baseBuilder) parseDictionaryField(c *Component, lines []string) (sfv.Dictionary, error) {
	lines, err := cleanLines(c, lines)
	if err != nil {
		return nil, err
	}
	dict, err := b.parser.ParseDictionary(lines...)
	if err != nil {
		return nil, fieldError(c, err)
	}
	if _, ok := dict.Repeated(); ok || repeatedParam(dict) {
		return nil, componentError("2.1.1", c.id, "a Dictionary with each key and parameter once")
	}
	return dict, nil
}

func repeatedParam(members []sfv.Member) bool {
	for i := range members {
		if members[i].RepeatedParam() {
			return true
		}
	}
	return false
}

func fieldError(c *Component, err error) *Error {
	return &Error{Reason: ComponentInvalid, Section: "2.1.1", Part: c.id, Err: err}
}

// cleanLines applies cleanLine to each line, in a copy where that changes one.
func cleanLines(c *Component, lines []string) ([]string, error) {
	var copied []string
	for i, line := range lines {
		clean, ok := cleanLine(line)
		if !ok {
			return nil, componentError("2.1", c.id, "a value without line breaks")
		}
		if clean == line {
			continue
		}
		if copied == nil {
			copied = append(make([]string, 0, len(lines)), lines...)
		}
		copied[i] = clean
	}
	if copied != nil {
		return copied, nil
	}
	return lines, nil
}
