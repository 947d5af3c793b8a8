package accesstoken

import (
	"context"

	"github.com/holdfast-project/holdfast/keys"
)

// KeySource finds an issuer's key by key id.
type KeySource interface {
	// Key returns the key with this kid. An empty kid matches only a set of one key. Errors are *Error: UnknownKey, or
	// Unavailable when there is no set at all.
	Key(ctx context.Context, kid string) (*keys.Public, error)
}

// StaticKeys is a fixed KeySource.
type StaticKeys []*keys.Public

// Key implements KeySource.
func (s StaticKeys) Key(_ context.Context, kid string) (*keys.Public, error) { return findKey(s, kid) }

// findKey refuses an id that several keys have: which of them counts would be anybody's choice.
func findKey(set []*keys.Public, kid string) (*keys.Public, error) {
	if kid == "" {
		if len(set) == 1 {
			return set[0], nil
		}
		return nil, unknownKey("a kid, as the issuer has several keys or none", "none")
	}
	var found *keys.Public
	for _, k := range set {
		if k == nil || k.KeyID() != kid {
			continue
		}
		if found != nil {
			return nil, unknownKey("one key with this kid", "several for "+quote(kid))
		}
		found = k
	}
	if found == nil {
		return nil, unknownKey("a kid of the issuer's set", quote(kid))
	}
	return found, nil
}

func unknownKey(expected, got string) *Error {
	return &Error{Reason: UnknownKey, Section: "RFC 7515, section 4.1.4", Part: "kid", Expected: expected, Got: got}
}
