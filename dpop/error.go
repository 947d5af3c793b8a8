package dpop

import (
	"strconv"
	"strings"
)

// Reason says which check refused a proof. Each is stable text.
type Reason string

// The reasons, in the order of RFC 9449, section 4.3.
const (
	FieldCount     Reason = "dpop-field-count"     // step 1
	Malformed      Reason = "dpop-malformed"       // step 2: not one well-formed JWT, too long, duplicate members
	ClaimMissing   Reason = "dpop-claim"           // step 3: a required claim is absent, empty, too long or of the wrong type
	TypMismatch    Reason = "dpop-typ"             // step 4
	AlgRefused     Reason = "dpop-alg"             // step 5
	KeyRefused     Reason = "dpop-jwk"             // step 6 and 7: absent, malformed, weak or private key
	BadSignature   Reason = "dpop-signature"       // step 6
	MethodMismatch Reason = "dpop-method-mismatch" // step 8
	TargetMismatch Reason = "dpop-target-mismatch" // step 9
	NonceRequired  Reason = "dpop-nonce-required"  // step 10: absent
	NonceMismatch  Reason = "dpop-nonce-mismatch"  // step 10: unknown or stale
	TooOld         Reason = "dpop-too-old"         // step 11
	InFuture       Reason = "dpop-in-future"       // step 11
	TokenMismatch  Reason = "dpop-token-mismatch"  // step 12: ath
	KeyMismatch    Reason = "dpop-key-mismatch"    // step 12: cnf.jkt
)

// Error is why a proof was refused.
type Error struct {
	Reason   Reason
	Section  string // such as "RFC 9449, section 4.3, step 9"
	Part     string // what differed: a claim, or a part of the URL such as "htu host"
	Expected string // never key or token bytes
	Got      string
}

// Error describes the refusal for the log. What the sender chose is quoted.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("dpop: " + string(e.Reason))
	if e.Part != "" {
		b.WriteString(": " + e.Part)
	}
	if e.Expected != "" {
		b.WriteString(": expected " + strconv.Quote(e.Expected) + ", got " + strconv.Quote(e.Got))
	}
	if e.Section != "" {
		b.WriteString(" (" + e.Section + ")")
	}
	return b.String()
}

// refuse makes an Error of a step of section 4.3.
func refuse(r Reason, step int, part string) *Error {
	return &Error{Reason: r, Section: "RFC 9449, section 4.3, step " + strconv.Itoa(step), Part: part}
}

// maxGot bounds what an Error repeats of a proof.
const maxGot = 128

func (e *Error) differ(expected, got string) *Error {
	e.Expected, e.Got = clip(expected), clip(got)
	return e
}

// clip copies the beginning of s, so that an error that is kept doesn't keep the proof.
func clip(s string) string { return strings.Clone(s[:min(len(s), maxGot)]) }
