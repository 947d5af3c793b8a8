package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/holdfast-project/holdfast/internal/strictjson"
)

// Hash is the SHA-256 of a secret: a code, token, handle or cookie. The zero Hash is none.
type Hash [sha256.Size]byte

// HashOf returns the hash of a secret. The secret must be random, of 128 bits or more: it is neither salted nor stretched.
func HashOf(secret string) Hash { return sha256.Sum256([]byte(secret)) }

// The bounds, which hold on both databases: PostgreSQL indexes no text beyond some 2,700 bytes.
const (
	maxID         = 256     // ids, names, subjects: OpenID Connect Core, section 2, allows 255
	maxText       = 4096    // redirect URIs, nonces
	maxJSON       = 1 << 16 // each JSON column
	maxSealed     = 1 << 14 // a sealed private key
	maxCredential = 1023    // a credential id: WebAuthn Level 3, section 4
	maxStrings    = 256     // scope tokens, resources
	maxClaims     = 8       // single-use ids of one request
	maxList       = 1000    // rows of one answer
)

// latest is the last time that JSON and SQL tools read back: the end of the year 9999.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// checks collects the first value that the store doesn't take.
type checks struct {
	what string
	err  error
}

func (c *checks) require(ok bool, part string) {
	if !ok && c.err == nil {
		c.err = &Error{Reason: Invalid, What: c.what, Part: part}
	}
}

// id takes what rows are found by. Neither database orders or compares control characters usefully, and one of them
// stores no NUL.
func (c *checks) id(part, text string) { c.require(text != "" && isText(text, maxID), part) }

func (c *checks) text(part, text string) { c.require(isText(text, maxText), part) }

func isText(text string, limit int) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f {
			return false
		}
	}
	return len(text) <= limit && utf8.ValidString(text)
}

func (c *checks) strings(part string, list []string) {
	c.require(len(list) <= maxStrings, part)
	total := 0
	for _, text := range list {
		c.require(text != "" && isText(text, maxText), part)
		total += len(text)
	}
	c.require(total <= maxJSON, part)
}

func (c *checks) hash(part string, h Hash) { c.require(h != Hash{}, part) }

func (c *checks) blob(part string, b []byte, limit int) {
	c.require(len(b) > 0 && len(b) <= limit, part)
}

// object takes one JSON object, or nothing.
func (c *checks) object(part string, raw json.RawMessage) { c.json(part, raw, strictjson.KindObject) }

// array takes one JSON array, or nothing.
func (c *checks) array(part string, raw json.RawMessage) { c.json(part, raw, strictjson.KindArray) }

func (c *checks) json(part string, raw json.RawMessage, kind strictjson.Kind) {
	if len(raw) == 0 {
		return
	}
	c.require(len(raw) <= maxJSON, part)
	if c.err != nil {
		return
	}
	v, err := strictjson.Parse([]byte(raw))
	c.require(err == nil && v.Kind() == kind, part)
}

func (c *checks) time(part string, t time.Time) {
	c.require(t.Unix() > 0 && !t.After(latest), part)
}

// after takes a time that lies after another.
func (c *checks) after(part string, t, before time.Time) {
	c.time(part, t)
	c.require(t.After(before), part)
}

func (c *checks) limit(n int) { c.require(n > 0 && n <= maxList, "limit") }

// micros is how a time is stored: whole microseconds, so that both databases compare it alike.
func micros(t time.Time) int64 { return t.UnixMicro() }

// optionalMicros stores the zero time as NULL.
func optionalMicros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// optionalHash stores the zero hash as NULL.
func optionalHash(h Hash) any {
	if h == (Hash{}) {
		return nil
	}
	return h[:]
}

// encodeStrings is how a list is stored.
func encodeStrings(list []string) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// scanMicros reads a time; NULL is the zero time.
type scanMicros struct{ t *time.Time }

func (s scanMicros) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s.t = time.Time{}
	case int64:
		*s.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("%T is no time", v)
	}
	return nil
}

// scanHash reads a hash, or other 32 bytes; NULL is the zero one.
type scanHash struct{ h *Hash }

func (s scanHash) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s.h = Hash{}
	case []byte:
		if len(v) != len(s.h) {
			return fmt.Errorf("%d bytes are no hash", len(v))
		}
		copy(s.h[:], v)
	default:
		return fmt.Errorf("%T is no hash", v)
	}
	return nil
}

// scanJSON reads a JSON column; ” is nil.
type scanJSON struct{ raw *json.RawMessage }

func (s scanJSON) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("%T is no text", v)
	}
	*s.raw = nil
	if text != "" {
		*s.raw = json.RawMessage(text)
	}
	return nil
}

// scanStrings reads a list; an empty one is nil.
type scanStrings struct{ list *[]string }

func (s scanStrings) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("%T is no text", v)
	}
	*s.list = nil
	if text == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(text), s.list)
}
