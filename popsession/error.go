package popsession

import "strings"

// Reason says why something was refused. Each is stable text.
type Reason string

// The reasons.
const (
	UnknownTicket Reason = "session-ticket-unknown" // malformed, of no secret of ours, changed, or for another audience
	Expired       Reason = "session-expired"        // the ticket's time is over, or would be at once
	BadOffer      Reason = "session-offer"          // not a dictionary with one good share of a known curve
	BadAnswer     Reason = "session-answer"         // not a dictionary with ticket, share, id and expires
	UsedOffer     Reason = "session-offer-used"     // the offer made a session already
	BadCounter    Reason = "session-counter"        // not a decimal number from 1 to MaxCounter
	Exhausted     Reason = "session-exhausted"      // no counter is left: offer a new session
	BadAudience   Reason = "session-audience"       // not an http or https URL
	Incomplete    Reason = "session-incomplete"     // a binding or grant that lacks something, or isn't text
	TooLarge      Reason = "session-too-large"      // the token says more than a ticket holds: go on without a session
)

// Error is why an offer, an answer or a ticket was refused. It holds nothing that a peer sent.
type Error struct {
	Reason Reason
	Part   string // which member or step; for the log, as it tells a forger how far a ticket came
	Err    error  // of the parser of the field or URL, or nil
}

// Error gives all parts in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("popsession: ")
	b.WriteString(string(e.Reason))
	if e.Part != "" {
		b.WriteString(" at ")
		b.WriteString(e.Part)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func refuse(r Reason, part string) *Error { return &Error{Reason: r, Part: part} }
