package issuer

// Reason says which rule a request broke. Each is stable text.
type Reason string

// Error is why a request was refused. It is for the log: the peer is told less.
type Error struct {
	Reason   Reason
	Section  string // the standard's
	Part     string // the parameter, claim or field
	Expected string // never secret, key or token bytes
	Got      string
	Err      error // from the package that refused
}

func (e *Error) Error() string { return string(e.Reason) }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
