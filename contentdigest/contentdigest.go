// Package contentdigest makes and checks the digest fields of RFC 9530.
package contentdigest

import "io"

// Algorithm is a digest algorithm by its registered name (RFC 9530, section 5).
type Algorithm string

// The active algorithms. Deprecated ones are parsed over and never relied on.
const (
	SHA256 Algorithm = "sha-256"
	SHA512 Algorithm = "sha-512"
)

// Digests is a parsed Content-Digest or Repr-Digest: the values of the algorithms that can be relied on, at least one.
type Digests struct{}

// Parse reads the field lines of Content-Digest or Repr-Digest. Errors are *Error: malformed, unsupported or absent.
func Parse(lines []string) (Digests, error) { panic("stub") }

// Sum returns the field value for body, such as `sha-256=:…:`.
func Sum(alg Algorithm, body []byte) string { panic("stub") }

// Verify checks the whole body at once: every digest that Digests holds must match.
func (d Digests) Verify(body []byte) error { panic("stub") }

// NewReader returns a body that is verified while it is read: the last read returns an *Error with reason Mismatch
// instead of io.EOF if a digest differs. It never gives a clean EOF on a mismatch, and uses no memory beyond the hash.
func NewReader(body io.ReadCloser, d Digests) io.ReadCloser { panic("stub") }

// ReadAll reads at most limit bytes and verifies them before it returns any. Longer bodies give reason TooLarge.
func ReadAll(body io.Reader, d Digests, limit int64) ([]byte, error) { panic("stub") }

// Preference is one member of a Want-Content-Digest or Want-Repr-Digest field (RFC 9530, section 4).
type Preference struct {
	Algorithm string
	Weight    int // 0 (not wanted) to 10
}

// ParseWant reads the field lines of a Want-* field, in order.
func ParseWant(lines []string) ([]Preference, error) { panic("stub") }

// Choose returns the supported algorithm with the highest weight, and false if none is wanted.
func Choose(prefs []Preference) (Algorithm, bool) { panic("stub") }

// Reason says which rule a digest field or body broke. Each is stable text for logs and vectors.
type Reason string

// The reasons.
const (
	Malformed   Reason = "digest-malformed"   // not a Dictionary of Byte Sequences (RFC 9530, section 2)
	Unsupported Reason = "digest-unsupported" // no algorithm that can be relied on (section 5)
	Absent      Reason = "digest-absent"      // no member, or no field
	Mismatch    Reason = "digest-mismatch"    // the body isn't what was digested
	TooLarge    Reason = "body-too-large"     // longer than the limit of the buffered mode
)

// Error is the error of this package.
type Error struct {
	Reason    Reason
	Algorithm Algorithm // which digest differed, for Mismatch
	Detail    string    // for the log: never body bytes
}

func (e *Error) Error() string { panic("stub") }
