package explain

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-project/holdfast/contentdigest"
)

// body explains the body and its digests. covered tells whether a signature that holds covers Content-Digest.
func (e *explainer) body(covered bool) Group {
	g := Group{Title: "body"}
	g.show("length", fmt.Sprint(len(e.req.body)))
	if e.req.short {
		g.add(Check{Name: "is whole", Section: "RFC 9112, section 6.3", Outcome: Fail, Reason: "body-short", Part: "Content-Length",
			Expected: e.req.header.Get("Content-Length"), Got: fmt.Sprint(len(e.req.body))})
	}
	if lines := e.req.header["Repr-Digest"]; len(lines) > 0 {
		g.add(Check{Name: "Repr-Digest", Section: "RFC 9530, section 3", Outcome: Unknowable,
			Why: "it is about the whole representation, which a request need not carry"})
	}
	lines, ok := e.req.header["Content-Digest"]
	if !ok {
		if len(e.req.body) > 0 {
			g.show("note", "nothing signs the body: whoever is on the way can change it")
		}
		return g
	}
	if !covered {
		g.show("note", "no signature that holds covers Content-Digest: body and digest can be changed together")
	}
	g.add(digestCheck(lines, e.req.body))
	return g
}

func digestCheck(lines []string, body []byte) Check {
	c := Check{Name: "Content-Digest is the body's", Section: "RFC 9530, section 2", Outcome: Pass}
	digests, err := contentdigest.Parse(lines)
	if err == nil {
		err = digests.Verify(body)
	}
	if err == nil {
		return c
	}
	c.Outcome, c.Part = Fail, "content-digest"
	if de, ok := errors.AsType[*contentdigest.Error](err); ok {
		c.Reason, c.Why = string(de.Reason), de.Detail
		if de.Reason == contentdigest.Mismatch {
			c.Expected, c.Got, c.Why = strings.Join(lines, ", "), contentdigest.Sum(de.Algorithm, body), ""
			if trimmed := bytes.TrimRight(body, "\r\n"); len(trimmed) < len(body) && digests.Verify(trimmed) == nil {
				c.Why = "it would be right without the line end after the body, which the capture may have added"
			}
		}
	}
	return c
}
