package signedurl

import (
	"strconv"
	"strings"
)

// Reason says which rule a URL broke. Each is stable text.
type Reason string

// The reasons.
const (
	Malformed    Reason = "signed-url-malformed" // not all three parameters, or twice, elsewhere, or in another spelling
	TooLong      Reason = "signed-url-too-long"
	BadTarget    Reason = "signed-url-target"    // not an absolute URL in the form in which it is sent
	BadMethod    Reason = "signed-url-method"    // neither GET nor HEAD
	BadLifetime  Reason = "signed-url-lifetime"  // expires isn't 1 to 60 s after created
	InFuture     Reason = "signed-url-in-future" // created lies ahead
	Expired      Reason = "signed-url-expired"   // expires has passed
	BadSignature Reason = "signed-url-signature" // another URL, method or key than was signed
)

// Error is why a URL wasn't signed, or was refused. It holds nothing of the URL.
type Error struct {
	Reason   Reason
	Part     string // which parameter, or which part of the URL
	Expected string
	Err      error // of the signature's verifier, or nil
}

// Error gives all parts in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("signedurl: ")
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

func malformed(part, expected string) *Error {
	return &Error{Reason: Malformed, Part: part, Expected: expected}
}

func badTarget(part, expected string) *Error {
	return &Error{Reason: BadTarget, Part: part, Expected: expected}
}

func tooLong() *Error {
	return &Error{Reason: TooLong, Expected: "at most " + strconv.Itoa(maxLength) + " bytes"}
}
