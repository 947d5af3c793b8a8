package accesstoken

import (
	"strconv"
	"strings"
)

// Reason says why a token was refused.
type Reason string

// The reasons.
const (
	Malformed        Reason = "token-malformed"         // not a JWT, or a claim is missing or of the wrong type
	TypeMismatch     Reason = "token-type"              // typ isn't at+jwt (RFC 9068, section 4)
	AlgRefused       Reason = "token-alg"               // not accepted, or not the key's
	UnknownKey       Reason = "token-unknown-key"       // no such kid
	BadSignature     Reason = "token-signature"         //
	IssuerMismatch   Reason = "token-issuer-mismatch"   //
	AudienceMismatch Reason = "token-audience-mismatch" //
	Expired          Reason = "token-expired"           //
	NotYetValid      Reason = "token-not-yet-valid"     // nbf or iat lies ahead
	Inactive         Reason = "token-inactive"          // introspection: active is false
	BadConfirmation  Reason = "token-confirmation"      // cnf malformed, unknown or ambiguous
	Unavailable      Reason = "issuer-unavailable"      // keys or introspection can't be reached: our failure, not the client's
)

// Error is why a token was refused.
type Error struct {
	Reason   Reason
	Section  string // such as "RFC 9068, section 4"; "" for a failure of ours
	Part     string // the claim, header parameter or document that was wrong
	Expected string // never token bytes
	Got      string
	Err      error // what failed, for Unavailable; else often nil
}

// Error describes the refusal for the log.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("accesstoken: ")
	b.WriteString(string(e.Reason))
	if e.Part != "" {
		b.WriteString(": " + e.Part)
	}
	if e.Expected != "" {
		b.WriteString(": expected " + e.Expected)
	}
	if e.Got != "" {
		b.WriteString(", got " + e.Got)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Section != "" {
		b.WriteString(" (" + e.Section + ")")
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func unavailable(part string, err error) *Error {
	return &Error{Reason: Unavailable, Part: part, Err: err}
}

// quote makes a peer's text fit for a log: one line, printable, of bounded length.
func quote(s string) string {
	const most = 128
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
