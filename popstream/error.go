package popstream

import "strconv"

// Reason says which rule a field or a framed body broke. Each is stable text.
type Reason string

// The reasons.
const (
	BadField   Reason = "stream-field"       // not a dictionary of v=1 and a chunk size
	TooLarge   Reason = "stream-chunk-large" // a chunk that is larger than announced; it isn't read
	EmptyChunk Reason = "stream-chunk-empty" // an empty chunk that isn't the last: no more than work
	BadTag     Reason = "stream-tag"         // changed, out of order, or of another message
	Truncated  Reason = "stream-truncated"   // the body ended before its last chunk
	Trailing   Reason = "stream-trailing"    // the body went on after its last chunk
)

// Error is why a field or a framed body was refused.
type Error struct {
	Reason Reason
	Chunk  uint64 // which one, counted from 0; 0 for BadField
	Detail string // for the log: never octets of a body
}

// Error describes e for the log.
func (e *Error) Error() string {
	s := "popstream: " + string(e.Reason)
	if e.Reason != BadField {
		s += " at chunk " + strconv.FormatUint(e.Chunk, 10)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

func badField(detail string) *Error { return &Error{Reason: BadField, Detail: detail} }
