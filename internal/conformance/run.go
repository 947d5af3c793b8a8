package conformance

import (
	"context"
	"errors"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/replay"
)

// The verdicts.
const (
	accept = "accept"
	reject = "reject"
)

// Result is what the verifier made of one case.
type Result struct {
	ID      string `json:"id"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	Section string `json:"section,omitempty"`
	Expect  string `json:"expect,omitempty"`
	Detail  string `json:"detail,omitempty"` // which part differed
}

// Agrees tells whether the verdict is the expected one, or none was expected.
func (r Result) Agrees() bool { return r.Expect == "" || r.Expect == r.Verdict }

// Run verifies one case. An error means that the case itself can't be run.
func Run(ctx context.Context, c *Case) (Result, error) {
	run := runHTTPSig
	if c.Endpoint != "" {
		run = runDPoP
	}
	refusal, err := run(ctx, c)
	if err != nil {
		return Result{}, err
	}
	out := Result{ID: c.ID, Verdict: accept, Expect: c.Expect}
	if refusal != nil {
		out.Verdict, out.Detail = reject, refusal.Error()
		out.Reason, out.Section = reasonOf(refusal)
	}
	return out, nil
}

// mismatch is the refusal of a message whose verifier accepted it for other reasons than the case gives.
type mismatch struct{ what, expected, got string }

func (m *mismatch) Error() string { return m.what + ": expected " + m.expected + ", got " + m.got }

func reasonOf(err error) (reason, section string) {
	var front *holdfast.Refusal
	var pe *dpop.Error
	var se *httpsig.Error
	var te *accesstoken.Error
	var de *contentdigest.Error
	var me *mismatch
	switch {
	case errors.As(err, &front):
		return front.Reason, front.Section
	case errors.As(err, &pe):
		return string(pe.Reason), pe.Section
	case errors.As(err, &se):
		return string(se.Reason), "RFC 9421, section " + se.Section
	case errors.As(err, &te):
		return string(te.Reason), te.Section
	case errors.As(err, &de):
		return string(de.Reason), "RFC 9530, section 2"
	case errors.As(err, &me):
		return me.what + "-differs", ""
	case errors.Is(err, replay.ErrReplayed):
		return holdfast.ReasonReplayed, "RFC 9421, section 7.2.2"
	}
	return "error", ""
}
