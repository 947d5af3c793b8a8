package resourcemeta

import "strings"

// Reason says why metadata can't be used.
type Reason string

// The reasons.
const (
	BadIdentifier    Reason = "resource-identifier" // not a resource identifier (section 1.2)
	Unavailable      Reason = "resource-unavailable"
	Malformed        Reason = "resource-metadata-malformed" // metadata or key set
	ResourceMismatch Reason = "resource-mismatch"           // metadata of another resource (section 3.3)
	NoKeys           Reason = "resource-keys-missing"       // no key that could have signed anything
)

// Error is why metadata can't be used.
type Error struct {
	Reason   Reason
	Part     string // the member or document that was wrong
	Expected string
	Got      string
	Err      error // what failed, or nil
}

// Error describes the failure for the log.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("resourcemeta: " + string(e.Reason) + ": " + e.Part)
	if e.Expected != "" {
		b.WriteString(": expected " + e.Expected)
	}
	if e.Got != "" {
		b.WriteString(", got " + e.Got)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func refuse(reason Reason, part, expected, got string, err error) error {
	return &Error{Reason: reason, Part: part, Expected: expected, Got: got, Err: err}
}
