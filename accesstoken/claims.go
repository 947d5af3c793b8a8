package accesstoken

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/strictjson"
)

const defaultSkew = 5 * time.Second

// claims is what a JWT or an introspection answer says, with the right types and nothing compared yet. Absent is "" or
// the zero time.
type claims struct {
	issuer    string
	subject   string
	clientID  string
	id        string
	audience  []string
	scope     []string
	expires   time.Time
	notBefore time.Time
	issuedAt  time.Time
	cnf       string // its JSON text
	active    string // its JSON text; in a JWT it is some claim of the issuer's own
}

// parseClaims reads the claims that this package knows. One that is present with another type is refused.
func parseClaims[Text ~string | ~[]byte](text Text) (*claims, *Error) {
	var c claims
	err := strictjson.Object(text, func(name string, v strictjson.Value) error {
		if err := c.read(name, v); err != nil {
			return &Error{Reason: Malformed, Section: "RFC 7519, section 4.1", Part: name, Err: err}
		}
		return nil
	})
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	if err != nil {
		return nil, &Error{Reason: Malformed, Section: "RFC 7519, section 7.2", Part: "claims", Err: err}
	}
	return &c, nil
}

func (c *claims) read(name string, v strictjson.Value) (err error) {
	switch name {
	case "iss":
		c.issuer, err = v.String()
	case "sub":
		c.subject, err = v.String()
	case "client_id":
		c.clientID, err = v.String()
	case "jti":
		c.id, err = v.String()
	case "aud":
		c.audience, err = oneOrMore(v)
	case "scope":
		c.scope, err = splitScope(v)
	case "exp":
		c.expires, err = v.NumericDate()
	case "nbf":
		c.notBefore, err = v.NumericDate()
	case "iat":
		c.issuedAt, err = v.NumericDate()
	case "cnf":
		c.cnf = v.Raw()
	case "active":
		c.active = v.Raw()
	}
	return err
}

// oneOrMore reads an aud: a string or an array of strings (RFC 7519, section 4.1.3).
func oneOrMore(v strictjson.Value) ([]string, error) {
	if v.Kind() != strictjson.KindString {
		return v.Strings()
	}
	one, err := v.String()
	return []string{one}, err
}

// splitScope reads the list of RFC 6749, section 3.3.
func splitScope(v strictjson.Value) ([]string, error) {
	text, err := v.String()
	if err != nil {
		return nil, err
	}
	scope := make([]string, 0, strings.Count(text, " ")+1)
	for s := range strings.SplitSeq(text, " ") {
		if s != "" {
			scope = append(scope, s)
		}
	}
	return scope, nil
}

// token fills a Token with claims that were checked.
func (c *claims) token(h Hash, text []byte) (*Token, *Error) {
	t := &Token{
		Issuer: c.issuer, Subject: c.subject, ClientID: c.clientID, ID: c.id,
		Audience: c.audience, Scope: c.scope,
		IssuedAt: c.issuedAt, Expires: c.expires,
		Hash: h, Claims: text,
	}
	if c.cnf != "" {
		confirmation, err := parseConfirmation(c.cnf)
		if err != nil {
			return nil, err
		}
		t.Confirmation = *confirmation
	}
	return t, nil
}

// rules are what claims are held against.
type rules struct {
	section  string // of the standard that demands them
	issuer   string
	audience string
	skew     time.Duration
	now      func() time.Time
	complete bool // whether all claims that RFC 9068 requires must be there
}

// newRules fills in the defaults.
func newRules(section, issuer, audience string, skew time.Duration, now func() time.Time) rules {
	setDefault(&skew, defaultSkew)
	return rules{section: section, issuer: issuer, audience: audience, skew: max(skew, 0), now: clock(now)}
}

// check compares issuer, audience and times, in that order.
func (r *rules) check(c *claims) *Error {
	if name := c.missing(); r.complete && name != "" {
		return &Error{Reason: Malformed, Section: "RFC 9068, section 2.2", Part: name, Expected: "present", Got: "absent"}
	}
	if c.issuer != r.issuer {
		return r.refuse(IssuerMismatch, "iss", quote(r.issuer), quote(c.issuer))
	}
	if !slices.Contains(c.audience, r.audience) {
		return r.refuse(AudienceMismatch, "aud", quote(r.audience), quote(strings.Join(c.audience, " ")))
	}
	return r.checkTimes(c)
}

func (r *rules) checkTimes(c *claims) *Error {
	now := r.now()
	latest := now.Add(r.skew)
	switch {
	case c.expires.IsZero():
		return r.refuse(Malformed, "exp", "present", "absent")
	case !c.expires.Add(r.skew).After(now):
		return r.refuse(Expired, "exp", "after "+stamp(now), stamp(c.expires))
	case c.notBefore.After(latest):
		return r.refuse(NotYetValid, "nbf", "not after "+stamp(now), stamp(c.notBefore))
	case c.issuedAt.After(latest):
		return r.refuse(NotYetValid, "iat", "not after "+stamp(now), stamp(c.issuedAt))
	}
	return nil
}

// missing names a claim that RFC 9068, section 2.2, requires and that isn't there, or "". iss, aud and exp aren't among
// them, as they are compared in any case.
func (c *claims) missing() string {
	switch {
	case c.subject == "":
		return "sub"
	case c.clientID == "":
		return "client_id"
	case c.id == "":
		return "jti"
	case c.issuedAt.IsZero():
		return "iat"
	}
	return ""
}

func (r *rules) refuse(reason Reason, part, expected, got string) *Error {
	return &Error{Reason: reason, Section: r.section, Part: part, Expected: expected, Got: got}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
