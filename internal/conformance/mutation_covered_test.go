package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// covered is one thing that the proof of a case is over, read here independently of the verifier. In an accepted mutant
// each of them must read as it did.
type covered struct {
	id    string
	side  string
	parts []string // of the message, that it is read from: see difference
	name  string   // of a field
	read  func(m *message) string
}

// facts are what the text of a case says about its proof.
type facts struct {
	covered []covered
	signed  bool // with a message signature
	dpop    bool // with a DPoP proof
}

// readFacts reads the message's own fields and the case's policy.
func readFacts(c *Case) (*facts, error) {
	var policy struct {
		Label, Tag string
		Tokens     map[string]struct{ Cnf json.RawMessage }
	}
	if len(c.Policy) > 0 {
		if err := json.Unmarshal(c.Policy, &policy); err != nil {
			return nil, err
		}
	}
	f := &facts{}
	if c.Endpoint != "" {
		f.addToken(c)
		return f, nil
	}
	label := policy.Label
	if label == "" {
		label = c.Label
	}
	if label == "" {
		return nil, fmt.Errorf("%s names no label", c.ID)
	}
	f.addSignature(c, label)
	return f, nil
}

// addToken adds what protects a request with a token, or a token request.
func (f *facts) addToken(c *Case) {
	authorization := fieldLines(c.Request.Headers, "authorization")
	tag := "holdfast-proof"
	if len(authorization) > 0 && c.Endpoint == "resource" {
		f.covered = append(f.covered, covered{id: "the credential", side: "request", parts: []string{"header"}, name: "authorization", read: credential})
		if strings.HasPrefix(credential(c.Request), "httpsig ") {
			tag = "httpsig-oauth"
		}
	}
	if len(fieldLines(c.Request.Headers, "dpop")) > 0 {
		f.dpop = true
		f.covered = append(f.covered,
			covered{id: "dpop", side: "request", parts: []string{"header"}, name: "dpop", read: plainField("dpop")},
			covered{id: "htm", side: "request", parts: []string{"method"}, read: func(m *message) string { return m.Method }},
			covered{id: "htu", side: "request", parts: []string{"scheme", "authority", "path"}, read: func(m *message) string { return normal(m.URL) }})
	}
	for _, text := range pieces(canonical(joined(c.Request.Headers, "signature-input")), ',') {
		if strings.Contains(text, `;tag="`+tag+`"`) {
			label, _, _ := strings.Cut(text, "=")
			f.addSignature(c, label)
		}
	}
}

// addSignature adds the members of one label and everything that they cover.
func (f *facts) addSignature(c *Case, label string) {
	f.signed = true
	own, m := "request", c.Request
	if c.Response != nil {
		own, m = "response", c.Response
	}
	for _, name := range []string{"signature-input", "signature"} {
		f.covered = append(f.covered, covered{id: name + " of " + label, side: own, parts: []string{"header"}, name: name, read: memberField(name, label)})
	}
	input := member(fieldLines(m.Headers, "signature-input"), label)
	inner := input[strings.IndexByte(input, '(')+1 : strings.IndexByte(input, ')')]
	for _, id := range pieces(inner, ' ') {
		if id != "" {
			f.addComponent(own, id, c)
		}
	}
}

// addComponent adds one covered component by its identifier.
func (f *facts) addComponent(own, id string, of *Case) {
	parts := pieces(id, ';')
	name := strings.Trim(parts[0], `"`)
	params := map[string]string{}
	for _, p := range parts[1:] {
		key, value, _ := strings.Cut(p, "=")
		params[key] = strings.Trim(value, `"`)
	}
	c := covered{id: id, side: own}
	if _, ok := params["req"]; ok {
		c.side = "request"
	}
	if strings.HasPrefix(name, "@") {
		c.setDerived(name, params["name"], of.Request)
		f.covered = append(f.covered, c)
		return
	}
	c.name = name
	c.parts = []string{"header"}
	c.read = plainField(name)
	if _, ok := params["sf"]; ok {
		c.read = structuredField(name)
	}
	if key, ok := params["key"]; ok {
		c.read = memberField(name, key)
	}
	if _, ok := params["bs"]; ok {
		c.read = bytesField(name)
	}
	if _, ok := params["tr"]; ok {
		of := c.read
		c.parts = []string{"trailer"}
		c.read = func(m *message) string { return of(&message{Headers: m.Trailers}) }
	}
	f.covered = append(f.covered, c)
	if name == "content-digest" {
		f.covered = append(f.covered, covered{id: "the digest's content", side: c.side, parts: []string{"body"}, read: func(m *message) string { return m.Body }})
	}
}

// setDerived says what a derived component reads (RFC 9421, section 2.2).
func (c *covered) setDerived(name, parameter string, m *message) {
	switch name {
	case "@method":
		c.parts, c.read = []string{"method"}, func(m *message) string { return m.Method }
	case "@status":
		c.parts, c.read = []string{"status"}, func(m *message) string { return fmt.Sprint(m.Status) }
	case "@target-uri":
		c.parts = []string{"scheme", "authority", "path", "query"}
		c.read = func(m *message) string {
			u := splitURI(m.URL)
			return u.scheme + "://" + u.authority + u.slashed() + u.questioned()
		}
	case "@authority":
		c.parts, c.read = []string{"authority"}, func(m *message) string { return splitURI(m.URL).host() }
	case "@scheme":
		c.parts, c.read = []string{"scheme"}, func(m *message) string { return strings.ToLower(splitURI(m.URL).scheme) }
	case "@path":
		c.parts, c.read = []string{"path"}, func(m *message) string { return splitURI(m.URL).slashed() }
	case "@query":
		c.parts, c.read = []string{"query"}, func(m *message) string { return "?" + splitURI(m.URL).query }
	case "@request-target":
		c.parts, c.read = []string{"path", "query"}, requestTarget
		if m.RequestTarget != "" {
			c.parts = []string{"target"}
		}
	case "@query-param":
		c.parts, c.read = []string{"query"}, func(m *message) string { return queryParameter(m, formText(parameter)) }
	}
}

func requestTarget(m *message) string {
	if m.RequestTarget != "" {
		return m.RequestTarget
	}
	u := splitURI(m.URL)
	return u.slashed() + u.questioned()
}

func queryParameter(m *message, name string) string {
	var values []string
	for _, p := range parameters(splitURI(m.URL).query) {
		if p[0] == name {
			values = append(values, p[1])
		}
	}
	return fmt.Sprintf("%q", values)
}

func fieldLines(lines [][2]string, name string) (values []string) {
	for _, line := range lines {
		if strings.EqualFold(line[0], name) {
			values = append(values, octets(line[1]))
		}
	}
	return values
}

func joined(lines [][2]string, name string) string {
	return strings.Join(trimmed(fieldLines(lines, name)), ", ")
}

func plainField(name string) func(*message) string {
	return func(m *message) string {
		lines := fieldLines(m.Headers, name)
		return fmt.Sprint(len(lines) > 0) + strings.Join(trimmed(lines), ", ")
	}
}

func bytesField(name string) func(*message) string {
	return func(m *message) string { return fmt.Sprintf("%q", trimmed(fieldLines(m.Headers, name))) }
}

func structuredField(name string) func(*message) string {
	return func(m *message) string { return canonical(joined(m.Headers, name)) }
}

func memberField(name, key string) func(*message) string {
	return func(m *message) string { return member(trimmed(fieldLines(m.Headers, name)), key) }
}

// credential is the scheme in lower case and the token (RFC 9110, section 11.4).
func credential(m *message) string {
	lines := fieldLines(m.Headers, "authorization")
	if len(lines) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(strings.Trim(lines[0], " \t"), " ")
	return strings.ToLower(scheme) + " " + strings.TrimLeft(token, " ")
}

// differs tells whether v reads otherwise in mutated.
func (v *covered) differs(c, mutated *Case) bool {
	for _, side := range sides {
		if side.name == v.side {
			return v.read(side.of(c)) != v.read(side.of(mutated))
		}
	}
	return false
}

// changed returns the first covered thing that differs in mutated, or nil.
func (f *facts) changed(c, mutated *Case) *covered {
	for i := range f.covered {
		if f.covered[i].differs(c, mutated) {
			return &f.covered[i]
		}
	}
	return nil
}

// readers returns what is covered of a part of the message.
func (f *facts) readers(d *difference) (list []covered) {
	for _, c := range f.covered {
		if c.side == d.side && c.name == d.name && slices.Contains(c.parts, d.part) {
			list = append(list, c)
		}
	}
	return list
}
