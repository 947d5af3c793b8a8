package httpsig

import (
	"strconv"
	"strings"
)

// Reason says which rule a signature broke. Each is stable text.
type Reason string

// The reasons.
const (
	Malformed        Reason = "signature-malformed"   // section 4: not the right structured field, repeated label, too long
	Missing          Reason = "signature-missing"     // section 3.2, step 1: none that the policy selects
	TooMany          Reason = "signature-ambiguous"   // Config.One
	ParamRefused     Reason = "signature-parameter"   // section 2.3: absent, of the wrong type, or refused
	CoverageMissing  Reason = "signature-coverage"    // section 3.2.1: empty, or a required component isn't covered
	ComponentInvalid Reason = "signature-component"   // section 2.5: unknown, repeated, bad parameters, absent from the message
	TooOld           Reason = "signature-too-old"     // section 3.2.1: created is too long ago
	InFuture         Reason = "signature-in-future"   // section 3.2.1: created lies ahead
	Expired          Reason = "signature-expired"     // section 2.3: expires has passed
	UnknownKey       Reason = "signature-unknown-key" // section 3.2, step 5
	AlgRefused       Reason = "signature-alg"         // section 3.2, step 6
	BadSignature     Reason = "signature-invalid"     // section 3.2, step 8
)

// Error is why a message's signature was refused, or couldn't be made. It names components, parameters and labels, and
// never holds the value of a field.
type Error struct {
	Reason   Reason
	Section  string // of RFC 9421
	Label    string // of the signature; "" if the fields as a whole are wrong
	Part     string // the component, parameter or field
	Expected string
	Got      string
	// Err is the error of the KeySource for UnknownKey, or of the Structured Fields parser; nil otherwise.
	Err error
}

// Error gives all parts in one line. What the peer sent is quoted and cut.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("httpsig: ")
	b.WriteString(string(e.Reason))
	for _, part := range []struct{ before, text string }{
		{" label ", e.Label}, {" at ", e.Part}, {": got ", e.Got},
	} {
		if part.text != "" {
			b.WriteString(part.before)
			b.WriteString(quote(part.text))
		}
	}
	if e.Expected != "" {
		b.WriteString(", want ")
		b.WriteString(e.Expected)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Section != "" {
		b.WriteString(" (RFC 9421, section ")
		b.WriteString(e.Section)
		b.WriteString(")")
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// maxQuoted bounds what one part adds to a log line.
const maxQuoted = 100

func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// componentError is about a component that isn't right in itself or not in the message.
func componentError(section, part, expected string) *Error {
	return &Error{Reason: ComponentInvalid, Section: section, Part: part, Expected: expected}
}
