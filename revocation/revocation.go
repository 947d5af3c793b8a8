// Package revocation remembers what must be refused before its time: tokens, sessions, keys, clients and subjects.
//
// [NewSet] makes a [Set] in this process's memory. A verifier asks it at each request ([List.Find]); what outlives its
// request, such as a WebSocket, watches it ([List.Watch]). [NewHandler] lets operators revoke over HTTP.
//
// What is revoked is named by a [Name]. A JWT is best named by issuer and id ([Token]): whoever holds one that is signed with
// ECDSA can write its signature in a second way, which has another hash ([TokenHash]). A revoked session ends, but its client
// may prove its key again and begin another; to shut out a client, revoke the token, the key, the client or the subject.
//
// What is not done here: telling the issuer, which would give the client a new token; and telling other nodes. A Set forgets
// everything when its process ends.
//
// Limits: 512 bytes of issuer, and as many of an id; 100,000 entries in a Set unless it is made larger. Each entry says until
// when it must be remembered. Before that it is never forgotten: a full Set refuses new ones.
package revocation

import (
	"context"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// Kind is what a Name is a name of.
type Kind string

// The kinds.
const (
	KindToken     Kind = "token"        // an access token, by issuer and jti
	KindTokenHash Kind = "token-sha256" // an access token, by the SHA-256 of its text
	KindSession   Kind = "session"      // a session, by its id
	KindKey       Kind = "key"          // all that a key proves, by its thumbprint (RFC 7638) or its certificate's SHA-256
	KindClient    Kind = "client"       // all tokens of a client, by issuer and client_id
	KindSubject   Kind = "subject"      // all tokens for a subject, by issuer and sub
)

// Name names what is revoked. It is comparable; the zero Name names nothing.
type Name struct {
	kind   Kind
	issuer string   // of a token, client or subject
	id     string   // jti, client_id or sub
	octets [32]byte // a hash, a thumbprint, or a session's id and zeros
}

// Token names an access token by its issuer and its jti.
func Token(issuer, id string) Name { return Name{kind: KindToken, issuer: issuer, id: id} }

// TokenHash names an access token by the SHA-256 of its text.
func TokenHash(hash [32]byte) Name { return Name{kind: KindTokenHash, octets: hash} }

// Session names a session (popsession.ID).
func Session(id [16]byte) Name {
	n := Name{kind: KindSession}
	copy(n.octets[:], id[:])
	return n
}

// Key names a key by its thumbprint. For tokens that are bound to a certificate it is the certificate's SHA-256.
func Key(t keys.Thumbprint) Name { return Name{kind: KindKey, octets: t} }

// Client names a client of an issuer's.
func Client(issuer, clientID string) Name {
	return Name{kind: KindClient, issuer: issuer, id: clientID}
}

// Subject names a subject of an issuer's.
func Subject(issuer, subject string) Name {
	return Name{kind: KindSubject, issuer: issuer, id: subject}
}

// ParseName returns the name of a kind from its texts. issuer must be "" for kinds that have none. The ids of hashes, sessions
// and keys are base64url without padding. Errors are *Error: Malformed, Incomplete or TooLong.
func ParseName(kind Kind, issuer, id string) (Name, error) {
	size := 32
	switch kind {
	case KindToken, KindClient, KindSubject:
		n := Name{kind: kind, issuer: issuer, id: id}
		return n, n.check()
	case KindSession:
		size = 16
	case KindTokenHash, KindKey:
	default:
		return Name{}, &Error{Reason: Malformed, Part: "kind", Expected: "token, token-sha256, session, key, client or subject"}
	}
	if issuer != "" {
		return Name{}, &Error{Reason: Malformed, Part: "issuer", Expected: "none for this kind"}
	}
	n := Name{kind: kind}
	octets, err := base64url.Decode(id)
	if err != nil || len(octets) != size {
		return Name{}, &Error{Reason: Malformed, Part: "id", Expected: strconv.Itoa(size) + " octets in base64url"}
	}
	copy(n.octets[:], octets)
	return n, n.check()
}

// maxText bounds issuer and id. Real ones are URLs and identifiers of tens of bytes.
const maxText = 512

// check refuses what names nothing or takes too much room.
func (n Name) check() error {
	switch n.kind {
	case KindToken, KindClient, KindSubject:
		for _, t := range [...]struct{ part, text string }{{"issuer", n.issuer}, {"id", n.id}} {
			switch {
			case t.text == "":
				return &Error{Reason: Incomplete, Part: t.part}
			case len(t.text) > maxText:
				return &Error{Reason: TooLong, Part: t.part, Expected: "at most " + strconv.Itoa(maxText) + " bytes"}
			case !utf8.ValidString(t.text):
				return &Error{Reason: Malformed, Part: t.part, Expected: "UTF-8"}
			}
		}
	default:
		if n.octets == [32]byte{} {
			return &Error{Reason: Incomplete, Part: "id"}
		}
	}
	return nil
}

// Kind returns what n is a name of.
func (n Name) Kind() Kind { return n.kind }

// Issuer returns the issuer of a token, client or subject, or "".
func (n Name) Issuer() string { return n.issuer }

// ID returns the id as ParseName takes it.
func (n Name) ID() string {
	switch n.kind {
	case KindTokenHash, KindKey:
		return base64url.Encode(n.octets[:])
	case KindSession:
		return base64url.Encode(n.octets[:16])
	}
	return n.id
}

// String describes n for a log.
func (n Name) String() string {
	s := string(n.kind) + " " + strconv.Quote(n.ID())
	if n.issuer != "" {
		s += " of " + strconv.Quote(n.issuer)
	}
	return s
}

// Entry is one revocation.
type Entry struct {
	Name Name
	// Until is when it needn't be remembered any more, because what it names has ended by itself: a token's exp, ten minutes
	// for a session, and for the others the longest that a token of theirs may live.
	Until time.Time
}

// List says what is revoked. It is safe for concurrent use. *Set is one.
type List interface {
	// Find returns the first of names that is revoked, and whether there is one. Names that name nothing aren't. An error means
	// that it can't be told: the request must be refused.
	Find(ctx context.Context, names []Name) (Name, bool, error)
	// Watch, to which names must not be written afterwards, calls revoked, once, when one of names is revoked, within a second wherever that was done; or before Watch returns
	// if one is revoked already. A List that can't be told any more, because it lost its store, calls it with the zero Name.
	// revoked must not block. stop ends the watch; it doesn't wait for a call under way.
	Watch(names []Name, revoked func(Name)) (stop func())
}

// maxEntry bounds the JSON text of an entry: two texts of maxText, escaped, and the rest.
const maxEntry = 8 << 10

// ParseEntry reads a JSON object with the members kind, issuer (for kinds that have one), id and until (in seconds since
// 1970), and no others. Errors are *Error: Malformed, Incomplete or TooLong.
func ParseEntry(text []byte) (Entry, error) {
	if len(text) > maxEntry {
		return Entry{}, &Error{Reason: TooLong, Part: "entry", Expected: "at most " + strconv.Itoa(maxEntry) + " bytes"}
	}
	var kind, issuer, id string
	var e Entry
	err := strictjson.Object(text, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "kind":
			kind, err = v.String()
		case "issuer":
			issuer, err = v.String()
		case "id":
			id, err = v.String()
		case "until":
			e.Until, err = wholeSeconds(v)
		default:
			return &Error{Reason: Malformed, Part: "member", Expected: "kind, issuer, id and until alone"}
		}
		if err != nil {
			return &Error{Reason: Malformed, Part: name, Err: err}
		}
		return nil
	})
	if err != nil {
		return Entry{}, malformed(err)
	}
	if e.Until.IsZero() {
		return Entry{}, &Error{Reason: Incomplete, Part: "until"}
	}
	e.Name, err = ParseName(Kind(kind), issuer, id)
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

// wholeSeconds reads a time up to the year 9999.
func wholeSeconds(v strictjson.Value) (time.Time, error) {
	n, err := v.Int64()
	if err != nil {
		return time.Time{}, err
	}
	if n <= 0 || n >= 253402300800 {
		return time.Time{}, &Error{Reason: Malformed, Part: "until", Expected: "a time from 1970 to 9999"}
	}
	return time.Unix(n, 0), nil
}

// MarshalJSON writes the object that ParseEntry reads. Until is rounded up to whole seconds.
func (e Entry) MarshalJSON() ([]byte, error) {
	if err := e.Name.check(); err != nil {
		return nil, err
	}
	until := e.Until.Unix()
	if e.Until.Nanosecond() > 0 {
		until++
	}
	return json.Marshal(struct {
		Kind   Kind   `json:"kind"`
		Issuer string `json:"issuer,omitempty"`
		ID     string `json:"id"`
		Until  int64  `json:"until"`
	}{e.Name.kind, e.Name.issuer, e.Name.ID(), until})
}
