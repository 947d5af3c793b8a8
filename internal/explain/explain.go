// Package explain tells why one captured request would be accepted or refused: it runs the verifiers of this module over
// the request and reports every check in its order, also those after the first that fails.
//
// [Explain] takes the raw HTTP/1.1 text and what the caller knows (keys, origin, time) and returns a [Report]. The
// verdicts are those of packages dpop (RFC 9449), httpsig (RFC 9421), contentdigest (RFC 9530) and accesstoken
// (RFC 9068). To see past a failed check, the verifier is run again with that one expectation set to what the request
// claims, so no check is written twice.
//
// What is not checked: what no single request can tell (whether it is a replay, whether a nonce is one the server
// issued), which is listed as [Unknowable]; and what the caller gave no input for, listed as [NotChecked].
//
// Limits: a request of 1 MiB. A report may hold the token, where a signature covers it.
package explain

import (
	"context"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/keys"
)

// Input is what the caller knows about the request. All of it is optional.
type Input struct {
	// Origin is the external origin, with the path prefix that a gateway stripped, if any. If empty, https and Host.
	Origin string
	// Now is the time to judge by. If zero, time.Now.
	Now time.Time
	// Keys that a signature's keyid may name; a single one is used for signatures without keyid too.
	Keys []*keys.Public
	// Secret of hmac-sha256 signatures.
	Secret []byte
	// IssuerKeys verify the access token; Issuer and Audience are what it must name.
	IssuerKeys []*keys.Public
	Issuer     string
	Audience   string
	// Base is the signature base that the client says it signed.
	Base []byte
}

// Outcome is the result of one check.
type Outcome string

// The outcomes.
const (
	Pass       Outcome = "pass"
	Fail       Outcome = "fail"
	NotChecked Outcome = "not-checked" // an input is missing or an earlier check failed: Why says which
	Unknowable Outcome = "unknowable"  // no single request can tell
)

// Check is one check and its outcome.
type Check struct {
	Name    string  `json:"name"`
	Section string  `json:"section,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Of a failed check: the stable reason, what differs, and how.
	Reason   string `json:"reason,omitempty"`
	Part     string `json:"part,omitempty"`
	Expected string `json:"expected,omitempty"`
	Got      string `json:"got,omitempty"`
	// Why a check wasn't made, or a hint for one that failed.
	Why string `json:"why,omitempty"`
}

// Shown is something decoded for the reader: claims, a signature base.
type Shown struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Group is what belongs together: the token, one proof, the body.
type Group struct {
	Title  string  `json:"title"`
	Shown  []Shown `json:"shown,omitempty"`
	Checks []Check `json:"checks,omitempty"`
}

func (g *Group) show(name, text string) { g.Shown = append(g.Shown, Shown{name, text}) }

func (g *Group) add(c ...Check) { g.Checks = append(g.Checks, c...) }

// Report is everything that could be told about a request.
type Report struct {
	Method string  `json:"method"`
	URL    string  `json:"url"` // the external URL that proofs were checked against
	Groups []Group `json:"groups"`
	Result Result  `json:"result"`
}

// Result sums a report up.
type Result string

// The results.
const (
	Holds       Result = "holds" // as far as one request can tell
	DoesNotHold Result = "does-not-hold"
	Undecided   Result = "undecided" // nothing failed, but something wasn't checked
)

// Count returns how many checks have the outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, g := range r.Groups {
		for _, c := range g.Checks {
			if c.Outcome == o {
				n++
			}
		}
	}
	return n
}

// explainer is one run.
type explainer struct {
	in    Input
	req   *request
	cred  credential
	proof provenKey
}

// Explain explains the request in raw. An error means that raw is no HTTP/1.1 request; it is an *Error.
func Explain(ctx context.Context, raw []byte, in Input) (*Report, error) {
	req, err := parseRequest(raw, in.Origin)
	if err != nil {
		return nil, err
	}
	if in.Now.IsZero() {
		in.Now = time.Now()
	}
	e := &explainer{in: in, req: req}
	report := &Report{Method: req.method, URL: req.url}
	add := func(groups ...Group) { report.Groups = append(report.Groups, groups...) }
	add(e.request())
	add(e.credential(ctx)...)
	add(e.dpop()...)
	signatures, covered := e.signatures(ctx)
	add(signatures...)
	add(e.body(covered), e.whole(len(signatures)))
	switch {
	case report.Count(Fail) > 0:
		report.Result = DoesNotHold
	case report.Count(NotChecked) > 0:
		report.Result = Undecided
	default:
		report.Result = Holds
	}
	return report, nil
}

// request says what was read.
func (e *explainer) request() Group {
	g := Group{Title: "request"}
	g.show("line", e.req.method+" "+e.req.target)
	g.show("external URL", e.req.url)
	for _, n := range e.req.notes {
		g.show("note", n)
	}
	return g
}

// whole is about the request as a whole: that it proves something at all, and what nobody can tell from it.
func (e *explainer) whole(signatures int) Group {
	g := Group{Title: "as a whole"}
	proofs := Check{Name: "carries a proof of possession", Section: "RFC 9449, section 7.1", Outcome: Pass}
	byCertificate := e.cred.binding != nil && e.cred.binding.Binding == accesstoken.BoundX5T && e.cred.is("Bearer")
	switch {
	case len(e.req.header["Dpop"]) > 0 || signatures > 0:
	case byCertificate:
		proofs.Outcome, proofs.Why = NotChecked, "the proof is the connection with the client's certificate"
	default:
		proofs.Outcome, proofs.Reason = Fail, "proof-missing"
		proofs.Expected, proofs.Got = "a DPoP proof or a message signature", "neither"
	}
	g.add(proofs, Check{Name: "used for the first time", Section: "RFC 9449, section 11.1", Outcome: Unknowable,
		Why: "only a server that remembers proofs can tell"})
	return g
}
