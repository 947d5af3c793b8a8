package jws

import (
	"errors"

	"github.com/holdfast-project/holdfast/internal/strictjson"
)

// Reason says why a JWS was refused.
type Reason string

// The reasons.
const (
	TooLong    Reason = "too-long"
	NotCompact Reason = "not-compact" // not three parts with something in each (RFC 7515, section 7.1)
	Encoding   Reason = "encoding"    // not canonical base64url (section 2)
	HeaderJSON Reason = "header-json" // not one JSON object with unique members (section 4)
	BadMember  Reason = "member"      // a header member that is missing, or of the wrong kind (section 4.1)
	Critical   Reason = "critical"    // an extension that must be understood and isn't (section 4.1.11)
	NoSigner   Reason = "no-signer"
)

// Error is why a JWS was refused. It holds nothing of the JWS.
type Error struct {
	Reason Reason
	Member string // the header member, for BadMember and Critical
}

func (e *Error) Error() string {
	if e.Member == "" {
		return "jws: " + string(e.Reason)
	}
	return "jws: " + string(e.Reason) + " " + e.Member
}

func typed(err error) error {
	if _, ok := errors.AsType[*strictjson.Error](err); ok {
		return &Error{Reason: HeaderJSON}
	}
	return err
}
