// Package conformance runs files of test vectors through the production verifiers. The format is described in
// vectors/README.md: a file holds cases, each with a message, the time, a policy and, mostly, the expected verdict.
//
// What a case's policy asks for is honoured or the file is refused: a policy member that isn't known here is an error,
// never ignored.
package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxFile bounds a vector file.
const maxFile = 64 << 20

// Case is one test vector.
type Case struct {
	ID       string            `json:"id"`
	Endpoint string            `json:"endpoint"` // resource or token: a case of RFC 9449; absent: of RFC 9421
	Request  *message          `json:"request"`
	Response *message          `json:"response"`
	Keys     []json.RawMessage `json:"keys"`
	Key      json.RawMessage   `json:"key"`   // instead of keys, where there is one
	Alg      string            `json:"alg"`   // the registered algorithm that key is bound to
	Label    string            `json:"label"` // instead of policy.label
	Now      *int64            `json:"now"`   // Unix seconds; absent: the real time
	Policy   json.RawMessage   `json:"policy"`
	Expect   string            `json:"expect"` // accept or reject; absent: only reported
	JKT      string            `json:"jkt"`    // the thumbprint that an accepted proof must have
	Base     *string           `json:"signature_base"`
}

// message is a request or response of a case.
type message struct {
	Method        string      `json:"method"`
	URL           string      `json:"url"`            // the effective target URI
	RequestTarget string      `json:"request_target"` // where it isn't in origin form
	Status        int         `json:"status"`
	Headers       [][2]string `json:"headers"`
	Trailers      [][2]string `json:"trailers"`
	Body          string      `json:"body_b64"`
}

// Read reads a vector file: an object with `cases`, or an array of cases. A file without cases is an error.
func Read(r io.Reader) ([]Case, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("conformance: a vector file of more than %d bytes", maxFile)
	}
	var cases []Case
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); bytes.HasPrefix(trimmed, []byte("[")) {
		err = json.Unmarshal(data, &cases)
	} else {
		var file struct {
			Cases []Case `json:"cases"`
		}
		err = json.Unmarshal(data, &file)
		cases = file.Cases
	}
	if err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	if len(cases) == 0 {
		return nil, errors.New("conformance: no cases")
	}
	for i := range cases {
		if err := cases[i].check(); err != nil {
			return nil, fmt.Errorf("conformance: case %d (%q): %w", i, cases[i].ID, err)
		}
	}
	return cases, nil
}

func (c *Case) check() error {
	switch {
	case c.ID == "":
		return errors.New("no id")
	case c.Request == nil && c.Response == nil:
		return errors.New("no request")
	case c.Expect != "" && c.Expect != accept && c.Expect != reject:
		return fmt.Errorf("expect is %q, not accept or reject", c.Expect)
	case c.Endpoint != "" && c.Endpoint != "resource" && c.Endpoint != "token":
		return fmt.Errorf("endpoint is %q, not resource or token", c.Endpoint)
	case c.Endpoint != "" && c.Request == nil:
		return errors.New("no request")
	}
	for _, m := range [...]*message{c.Request, c.Response} {
		if m != nil {
			if _, err := m.body(); err != nil {
				return fmt.Errorf("body_b64: %w", err)
			}
		}
	}
	return nil
}

// now is the clock of a case.
func (c *Case) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return time.Unix(*c.Now, 0)
}

// policy reads the case's policy into to, and refuses members that to doesn't know.
func (c *Case) policy(to any) error {
	if len(c.Policy) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.Policy))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("conformance: case %q: policy: %w", c.ID, err)
	}
	return nil
}

// header turns field lines into a header. One character of a value is one octet (ISO 8859-1).
func header(lines [][2]string) (http.Header, error) {
	h := http.Header{}
	for _, line := range lines {
		value, err := latin1(line[1])
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", line[0], err)
		}
		name := http.CanonicalHeaderKey(line[0])
		h[name] = append(h[name], value)
	}
	return h, nil
}

func latin1(s string) (string, error) {
	var b strings.Builder
	for _, r := range s {
		if r > 0xff {
			return "", fmt.Errorf("%q isn't an octet", r)
		}
		b.WriteByte(byte(r))
	}
	return b.String(), nil
}

func (m *message) body() ([]byte, error) {
	return base64.StdEncoding.DecodeString(m.Body)
}
