package revocation

import (
	"errors"
	"strings"
)

// Reason says why a revocation was refused. Each is stable text.
type Reason string

// The reasons.
const (
	Malformed    Reason = "revocation-malformed"    // not an entry's JSON, or a part of another form
	Incomplete   Reason = "revocation-incomplete"   // a part is absent or empty
	TooLong      Reason = "revocation-too-long"     //
	Over         Reason = "revocation-over"         // until isn't ahead: there is nothing to remember
	Full         Reason = "revocations-full"        // no room left
	Unavailable  Reason = "revocations-unavailable" // the store failed: ours, not the operator's
	Unauthorized Reason = "revocation-unauthorized" // Handler: not the operators' secret
)

// Error is why a revocation was refused. It holds nothing of what the peer sent.
type Error struct {
	Reason   Reason
	Part     string // which member, or "" for all
	Expected string
	Err      error // what failed, or nil
}

// Error gives all parts in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("revocation: ")
	b.WriteString(string(e.Reason))
	if e.Part != "" {
		b.WriteString(" at ")
		b.WriteString(e.Part)
	}
	if e.Expected != "" {
		b.WriteString(": want ")
		b.WriteString(e.Expected)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// malformed makes an *Error of what a reader of JSON said.
func malformed(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Reason: Malformed, Err: err}
}
