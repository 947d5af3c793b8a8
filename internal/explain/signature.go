package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/httpsig"
)

var signatureSteps = []step{
	{"Signature-Input and Signature are well formed", "RFC 9421, section 4", []string{string(httpsig.Malformed), string(httpsig.Missing)}},
	{"coverage", "RFC 9421, section 3.2.1", []string{string(httpsig.CoverageMissing)}},
	{"parameters", "RFC 9421, section 3.2.1", []string{string(httpsig.ParamRefused)}},
	{"created and expires", "RFC 9421, section 3.2.1", []string{string(httpsig.TooOld), string(httpsig.InFuture), string(httpsig.Expired)}},
	{"key is known", "RFC 9421, section 3.2, step 5", []string{string(httpsig.UnknownKey)}},
	{"algorithm is the key's", "RFC 9421, section 3.2, step 6", []string{string(httpsig.AlgRefused)}},
	{"components are in the message", "RFC 9421, section 2.5", []string{string(httpsig.ComponentInvalid)}},
	{"signature", "RFC 9421, section 3.2, step 8", []string{string(httpsig.BadSignature)}},
}

// maxAge is how old a signature may be: the Verifier's default.
const maxAge = 60 * time.Second

// signatures explains each message signature, and tells whether one that holds covers the body's digest.
func (e *explainer) signatures(ctx context.Context) (groups []Group, covered bool) {
	if len(e.req.header["Signature-Input"]) == 0 && len(e.req.header["Signature"]) == 0 && !e.cred.is("HTTPSig") {
		return nil, false
	}
	m := e.message()
	inputs, err := httpsig.ParseInputs(m.Header)
	if err == nil && len(inputs) == 0 {
		err = &httpsig.Error{Reason: httpsig.Missing, Section: "RFC 9421, section 4.1", Part: "Signature-Input"}
	}
	if err != nil {
		g := Group{Title: "signature"}
		c := describeSignature(err)
		c.Name, c.Outcome = signatureSteps[0].name, Fail
		g.add(c)
		return []Group{g}, false
	}
	for _, in := range inputs {
		s := &signature{explainer: e, message: m, input: in, policy: e.policy(in)}
		groups = append(groups, s.explain(ctx))
		covered = covered || s.holds && in.Covers(digest)
	}
	if e.cred.is("HTTPSig") && !slices.ContainsFunc(inputs, func(in *httpsig.Input) bool { return in.Tag() == holdfast.TagHTTPSig }) {
		groups = append(groups, Group{Title: "HTTPSig", Checks: []Check{{
			Name: "has the scheme's signature", Section: "draft-richer-oauth-httpsig-03", Outcome: Fail, Reason: string(httpsig.Missing),
			Part: "tag", Expected: holdfast.TagHTTPSig, Got: "no signature with this tag",
		}}})
	}
	return groups, covered
}

var digest = httpsig.Components("content-digest")[0]

// message is the request as signatures see it.
func (e *explainer) message() *httpsig.Message {
	m := &httpsig.Message{Method: e.req.method, TargetURI: e.req.url, Header: e.req.header}
	if !strings.HasPrefix(e.req.target, "/") {
		m.RequestTarget = e.req.target
	}
	return m
}

// policy is what the tag of a signature promises about it.
func (e *explainer) policy(in *httpsig.Input) httpsig.Config {
	cfg := httpsig.Config{Label: in.Label()}
	switch in.Tag() {
	case holdfast.TagHTTPSig:
		cfg.Required = httpsig.Components("@method", "@target-uri", "authorization")
		cfg.RequiredParams = []string{"created", "nonce", "tag"}
		cfg.RefusedParams = []string{"alg", "keyid", "pub"}
	case holdfast.TagProof:
		cfg.Required = httpsig.Components("@method", "@target-uri", "authorization", "dpop")
		cfg.RequiredParams = []string{"created", "nonce", "tag"}
	case holdfast.TagHTTPSigToken:
		cfg.Required = httpsig.Components("@method", "@target-uri", "content-digest")
		if len(e.req.header["Authorization"]) > 0 {
			cfg.Required = append(cfg.Required, httpsig.Components("authorization")...)
		}
		cfg.RequiredParams = []string{"created", "nonce", "tag"}
		if in.KeyID() != "" {
			cfg.RefusedParams = []string{"alg", "pub"}
		} else {
			cfg.RequiredParams = append(cfg.RequiredParams, "alg", "pub")
		}
	}
	if !in.Created().IsZero() || cfg.RequiredParams != nil {
		cfg.MaxAge = maxAge
	}
	return cfg
}

// signature is one member of Signature-Input.
type signature struct {
	*explainer
	message *httpsig.Message
	input   *httpsig.Input
	policy  httpsig.Config
	noKey   string // why there is no key, or ""
	holds   bool   // the cryptographic check, whatever else failed
}

func (s *signature) explain(ctx context.Context) Group {
	g := Group{Title: fmt.Sprintf("signature %s", s.input.Label())}
	if tag := s.input.Tag(); tag != "" {
		g.show("tag", tag)
	}
	checks := s.verify(ctx)
	base, err := httpsig.Base(s.message, s.input, nil)
	if err == nil {
		g.show("signature base", string(base))
	}
	g.add(checks...)
	if s.input.Created().IsZero() {
		for i := range g.Checks {
			if c := &g.Checks[i]; c.Name == "created and expires" && c.Outcome == Pass {
				c.Outcome, c.Why = Unknowable, "no created parameter: nothing says when it was signed"
			}
		}
	}
	if err == nil && s.in.Base != nil {
		g.add(compareBase(base, s.in.Base))
	}
	return g
}

func (s *signature) verify(ctx context.Context) []Check {
	now := s.in.Now
	cfg := s.policy
	cfg.Now = func() time.Time { return now }
	l := ladder{steps: signatureSteps, describe: describeSignature, verify: func() error {
		v, err := httpsig.NewVerifier(cfg)
		if err != nil {
			return err
		}
		_, err = v.Verify(ctx, s.message, s.key)
		s.holds = err == nil
		return err
	}, relax: func(c Check) bool {
		switch httpsig.Reason(c.Reason) {
		case httpsig.ParamRefused:
			before := len(cfg.RequiredParams) + len(cfg.RefusedParams)
			cfg.RequiredParams = without(cfg.RequiredParams, c.Part)
			cfg.RefusedParams = without(cfg.RefusedParams, c.Part)
			if c.Part == "created" {
				cfg.MaxAge = 0
			}
			return len(cfg.RequiredParams)+len(cfg.RefusedParams) < before
		case httpsig.CoverageMissing:
			cfg.InsecureEmptyCoverage = true
			cfg.Required = slices.DeleteFunc(slices.Clone(cfg.Required), func(r httpsig.Component) bool {
				return r.String() == c.Part || r.Name() == c.Part || len(s.input.Components()) == 0
			})
		case httpsig.TooOld, httpsig.InFuture, httpsig.Expired:
			now = s.input.Created()
		default:
			return false
		}
		return true
	}}
	checks := l.climb()
	if s.noKey != "" {
		for i := range checks {
			if c := &checks[i]; c.Reason == string(httpsig.UnknownKey) {
				*c = Check{Name: c.Name, Section: c.Section, Outcome: NotChecked, Why: s.noKey}
			} else if c.Outcome == NotChecked {
				c.Why = "no key to check with"
			}
		}
	} else if i := slices.IndexFunc(checks, func(c Check) bool { return c.Reason == string(httpsig.BadSignature) }); i >= 0 {
		checks[i].Why = s.guess(ctx, cfg)
	}
	return checks
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(o string) bool { return o == s })
}

// guess tries the mistakes that are made most often, and returns what would have made the signature right.
func (s *signature) guess(ctx context.Context, cfg httpsig.Config) string {
	for _, g := range s.otherMessages() {
		v, err := httpsig.NewVerifier(cfg)
		if err != nil {
			return ""
		}
		if _, err := v.Verify(ctx, g.message, s.key); err == nil {
			return "it would hold if " + g.what
		}
	}
	return "the message differs from what was signed, or the key is another one; the client's signature base tells which"
}

type variant struct {
	message *httpsig.Message
	what    string
}

// otherMessages are the message with one thing seen as the signer may have seen it.
func (s *signature) otherMessages() []variant {
	var out []variant
	uri := s.message.TargetURI
	for _, other := range s.otherURLs(uri) {
		if other != uri {
			m := *s.message
			m.TargetURI = other
			out = append(out, variant{&m, "the external URL were " + other})
		}
	}
	for _, method := range []string{strings.ToUpper(s.message.Method), strings.ToLower(s.message.Method)} {
		if method != s.message.Method {
			m := *s.message
			m.Method = method
			out = append(out, variant{&m, "the method were " + method})
		}
	}
	return out
}

// otherURLs are what the client may have called the same resource: before an edge that ends TLS or changes the host, or
// with another idea of slashes and queries.
func (s *signature) otherURLs(uri string) []string {
	scheme, rest, _ := strings.Cut(uri, "://")
	urls := []string{map[string]string{"https": "http", "http": "https"}[scheme] + "://" + rest}
	if host := s.req.host; host != "" {
		urls = append(urls, "https://"+host+s.req.target, "http://"+host+s.req.target)
	}
	path, query, ok := strings.Cut(uri, "?")
	if ok {
		urls = append(urls, path)
		query = "?" + query
	}
	return append(urls, strings.TrimSuffix(path, "/")+query, path+"/"+query)
}

func describeSignature(err error) Check {
	if e, ok := errors.AsType[*httpsig.Error](err); ok {
		c := Check{Reason: string(e.Reason), Section: "RFC 9421, section " + e.Section, Part: e.Part, Expected: e.Expected, Got: e.Got}
		if e.Err != nil {
			c.Why = e.Err.Error()
		}
		return c
	}
	return Check{Name: "signature", Outcome: Fail, Reason: string(httpsig.Malformed), Why: err.Error()}
}

// compareBase finds the first line in which the client's signature base differs from the one made from the request.
func compareBase(ours, theirs []byte) Check {
	c := Check{Name: "signature base is the client's", Section: "RFC 9421, section 2.5", Outcome: Pass}
	got := strings.Split(strings.TrimSuffix(string(theirs), "\n"), "\n")
	want := strings.Split(string(ours), "\n")
	at := func(lines []string, i int) string {
		if i < len(lines) {
			return printable(lines[i])
		}
		return "nothing: there are fewer lines"
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			c.Outcome, c.Reason, c.Part = Fail, "base-differs", fmt.Sprintf("line %d", i+1)
			c.Expected, c.Got = at(want, i), at(got, i)
			return c
		}
	}
	return c
}

// printable shows what an eye would miss: a carriage return, a space at the end, letters that only look like ASCII.
func printable(line string) string {
	odd := strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(line) != line
	if !odd {
		return line
	}
	b, err := json.Marshal(line)
	if err != nil {
		return line
	}
	return string(b)
}
