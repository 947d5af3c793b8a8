package explain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
)

// credential is what the Authorization field carries. Its claims are as sent, whether or not they could be verified.
type credential struct {
	scheme  string // as sent; "" without the field
	token   string
	claims  tokenClaims
	binding *accesstoken.Confirmation // nil if the token doesn't tell
}

func (c credential) is(scheme string) bool { return strings.EqualFold(c.scheme, scheme) }

// tokenClaims are the claims that the explanation needs to see past a failed check.
type tokenClaims struct {
	Issuer   string          `json:"iss"`
	Audience audience        `json:"aud"`
	IssuedAt float64         `json:"iat"`
	Cnf      json.RawMessage `json:"cnf"`
}

// audience is one name or a list (RFC 7519, section 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func (a audience) first() string {
	if len(a) == 0 {
		return ""
	}
	return a[0]
}

var oneField = Check{Name: "one Authorization field", Section: "RFC 9449, section 7.2"}

// credential explains the Authorization field and the token in it.
func (e *explainer) credential(ctx context.Context) []Group {
	fields := e.req.header["Authorization"]
	if len(fields) == 0 {
		return nil
	}
	g := Group{Title: "credential"}
	c := oneField
	c.Outcome = Pass
	if len(fields) > 1 {
		c.Outcome, c.Reason, c.Expected, c.Got = Fail, "credential-count", "1", fmt.Sprint(len(fields))
	}
	g.add(c)
	e.cred.scheme, e.cred.token, _ = strings.Cut(fields[0], " ")
	e.cred.token = strings.TrimLeft(e.cred.token, " ")
	g.show("scheme", e.cred.scheme)
	if !e.cred.is("DPoP") && !e.cred.is("HTTPSig") && !e.cred.is("Bearer") {
		g.show("note", "not a scheme of access tokens: its content isn't looked at")
		return []Group{g}
	}
	sum := sha256.Sum256([]byte(e.cred.token))
	g.show("token", "sha256:"+hex.EncodeToString(sum[:]))
	e.token(ctx, &g)
	e.downgrade(&g)
	return []Group{g}
}

var tokenSteps = []step{
	{"is a well-formed JWT", "RFC 9068, section 2", []string{string(accesstoken.Malformed)}},
	{"typ is at+jwt", "RFC 9068, section 4", []string{string(accesstoken.TypeMismatch)}},
	{"alg is accepted", "RFC 9068, section 4", []string{string(accesstoken.AlgRefused)}},
	{"key is the issuer's", "RFC 9068, section 4", []string{string(accesstoken.UnknownKey), string(accesstoken.Unavailable)}},
	{"signature", "RFC 9068, section 4", []string{string(accesstoken.BadSignature)}},
	{"iss", "RFC 9068, section 4", []string{string(accesstoken.IssuerMismatch)}},
	{"aud", "RFC 9068, section 4", []string{string(accesstoken.AudienceMismatch)}},
	{"exp, nbf and iat", "RFC 9068, section 4", []string{string(accesstoken.Expired), string(accesstoken.NotYetValid)}},
	{"cnf is well formed", "RFC 7800, section 3", []string{string(accesstoken.BadConfirmation)}},
}

// token decodes the token and verifies it if there are keys to do it with.
func (e *explainer) token(ctx context.Context, g *Group) {
	header, claims, ok := decodeJWT(e.cred.token)
	if !ok {
		g.show("form", "opaque")
		g.add(Check{Name: "token", Section: "RFC 7662, section 2", Outcome: NotChecked, Why: "an opaque token: only its issuer's introspection tells what it says"})
		return
	}
	g.show("header", indent(header))
	g.show("claims", indent(claims))
	if err := json.Unmarshal(claims, &e.cred.claims); err != nil {
		g.show("note", "the claims aren't what a token's claims are: "+kind(err))
	}
	e.confirmation(g)
	if len(e.in.IssuerKeys) == 0 {
		for _, s := range tokenSteps {
			g.add(Check{Name: s.name, Section: s.section, Outcome: NotChecked, Why: "no key of the issuer given"})
		}
		return
	}
	g.add(e.verifyToken(ctx)...)
}

// confirmation reads cnf, so that the proofs can be compared with it even if the token can't be verified.
func (e *explainer) confirmation(g *Group) {
	if e.cred.claims.Cnf == nil {
		e.cred.binding = &accesstoken.Confirmation{}
		return
	}
	conf, err := accesstoken.ParseConfirmation(e.cred.claims.Cnf)
	if err != nil {
		g.show("note", "cnf can't be read, so no proof can match it")
		return
	}
	e.cred.binding = &conf
}

func (e *explainer) verifyToken(ctx context.Context) []Check {
	claims, now := e.cred.claims, e.in.Now
	cfg := accesstoken.JWTConfig{
		Issuer: e.in.Issuer, Audience: e.in.Audience, Keys: accesstoken.StaticKeys(e.in.IssuerKeys),
		Now: func() time.Time { return now },
	}
	if cfg.Issuer == "" {
		cfg.Issuer = claims.Issuer
	}
	if cfg.Audience == "" {
		cfg.Audience = claims.Audience.first()
	}
	l := ladder{steps: tokenSteps, describe: describeToken, verify: func() error {
		v, err := accesstoken.NewJWTVerifier(cfg)
		if err != nil {
			return err
		}
		_, err = v.Verify(ctx, e.cred.token)
		return err
	}, relax: func(c Check) bool {
		switch accesstoken.Reason(c.Reason) {
		case accesstoken.TypeMismatch:
			cfg.InsecureAnyType = true
		case accesstoken.IssuerMismatch:
			cfg.Issuer = claims.Issuer
		case accesstoken.AudienceMismatch:
			cfg.Audience = claims.Audience.first()
		case accesstoken.Expired, accesstoken.NotYetValid:
			now = time.Unix(int64(claims.IssuedAt), 0)
		default:
			return false
		}
		return true
	}}
	checks := l.climb()
	if e.in.Issuer == "" {
		set(checks, "iss", NotChecked, "no issuer given to compare with")
	}
	if e.in.Audience == "" {
		set(checks, "aud", NotChecked, "no audience given to compare with")
	}
	return checks
}

func describeToken(err error) Check {
	if e, ok := errors.AsType[*accesstoken.Error](err); ok {
		return Check{Reason: string(e.Reason), Section: e.Section, Part: e.Part, Expected: e.Expected, Got: e.Got}
	}
	return Check{Name: "token", Outcome: Fail, Reason: string(accesstoken.Malformed), Why: err.Error()}
}

// downgrade is the rule that the token's binding chooses the scheme: no bound token under another, no unbound under one
// that promises a proof.
func (e *explainer) downgrade(g *Group) {
	c := Check{Name: "scheme is the one of the token's binding", Section: "RFC 9449, section 7.2"}
	if e.cred.binding == nil {
		c.Outcome, c.Why = NotChecked, "the token doesn't tell its binding here"
		g.add(c)
		return
	}
	want := map[accesstoken.Binding]string{
		accesstoken.BoundJKT: "DPoP", accesstoken.BoundJWK: "HTTPSig", accesstoken.BoundHTSK: "HTTPSig", accesstoken.BoundX5T: "Bearer",
	}[e.cred.binding.Binding]
	switch {
	case want == "" && e.cred.is("Bearer"):
		c.Outcome, c.Reason, c.Part = Fail, "token-unbound", "cnf"
		c.Expected, c.Got, c.Why = "a token that is bound to a key", "no cnf", "whoever has a copy of this token can use it"
	case !e.cred.is(want):
		c.Outcome, c.Reason, c.Part, c.Expected, c.Got = Fail, "scheme-mismatch", "scheme", want, e.cred.scheme
		if want == "" {
			c.Reason, c.Part, c.Expected, c.Got = "token-unbound", "cnf", "a token that is bound to a key", "no cnf"
		}
	default:
		c.Outcome = Pass
	}
	g.add(c)
	if e.cred.binding.Binding == accesstoken.BoundX5T {
		g.add(Check{Name: "certificate is the one in cnf", Section: "RFC 8705, section 3.1", Outcome: NotChecked,
			Why: "the client's certificate is part of the connection, not of the request"})
	}
}

// decodeJWT returns header and claims of a compact JWS, without any judgement.
func decodeJWT(s string) (header, claims []byte, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return nil, nil, false
	}
	header, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	claims, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	return header, claims, err1 == nil && err2 == nil && json.Valid(header) && json.Valid(claims)
}

func indent(b []byte) string {
	var buf bytes.Buffer
	if json.Indent(&buf, b, "", "  ") != nil {
		return string(b)
	}
	return buf.String()
}

// kind says what was wrong with JSON without repeating any of it.
func kind(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return e.Field + " has another type"
	}
	return "malformed"
}
