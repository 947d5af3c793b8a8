// Package contentdigest makes and checks the digest fields of RFC 9530.
//
// A server that got a Content-Digest calls [Parse], and then [NewReader], which verifies the body while it is read, or
// [ReadAll], which verifies it before anybody sees a byte; [NewTrailerReader] where the field comes behind the body. A
// client calls [Sum], or [Field] where it has hashed the body itself.
//
// What is checked: every sha-256 and sha-512 member, and that there is at least one. Other algorithms are never relied
// on (RFC 9530, section 5), a repeated member is refused. What is not checked: that the field itself is authentic. That
// is for a signature that covers it; without one, whoever changes the body changes the digest too.
//
// Limits: the field is bounded by internal/sfv (64 KiB); bodies may have any length in constant memory.
package contentdigest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// Algorithm is a digest algorithm by its registered name (RFC 9530, section 5).
type Algorithm string

// The active algorithms. Deprecated ones are parsed over and never relied on.
const (
	SHA256 Algorithm = "sha-256"
	SHA512 Algorithm = "sha-512"
)

// Digests is a parsed Content-Digest or Repr-Digest: the values of the algorithms that can be relied on, at least one.
// The zero value matches no body.
type Digests struct {
	sha256, sha512 []byte // nil: not given
}

// Parse reads the field lines of Content-Digest or Repr-Digest. Errors are *Error: Malformed, Unsupported or Absent.
func Parse(lines []string) (Digests, error) {
	dict, err := sfv.ParseDictionary(lines...)
	if err != nil {
		return Digests{}, &Error{Reason: Malformed, Detail: err.Error()}
	}
	if len(dict) == 0 {
		return Digests{}, &Error{Reason: Absent}
	}
	if key, ok := dict.Repeated(); ok {
		// RFC 9651 takes the last one; another reader of the message may take the first.
		return Digests{}, &Error{Reason: Malformed, Detail: "member " + key + " given twice"}
	}
	var d Digests
	for i := range dict {
		m := &dict[i]
		if m.Value.Kind() != sfv.KindBytes {
			return Digests{}, &Error{Reason: Malformed, Detail: "member " + m.Key + " isn't a Byte Sequence"}
		}
		switch Algorithm(m.Key) {
		case SHA256:
			d.sha256 = m.Value.Bytes()
		case SHA512:
			d.sha512 = m.Value.Bytes()
		}
	}
	if d.sha256 == nil && d.sha512 == nil {
		return Digests{}, &Error{Reason: Unsupported}
	}
	return d, nil
}

// Sum returns the field value for body, such as `sha-256=:…:`. An algorithm other than SHA512 gives SHA256.
func Sum(alg Algorithm, body []byte) string {
	if alg == SHA512 {
		sum := sha512.Sum512(body)
		return Field(SHA512, sum[:])
	}
	sum := sha256.Sum256(body)
	return Field(SHA256, sum[:])
}

// Field returns the field value for the sum of a body that the caller has hashed, in its canonical form.
func Field(alg Algorithm, sum []byte) string {
	return string(alg) + "=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// Verify checks a whole body: every digest that d holds must match.
func (d Digests) Verify(body []byte) error {
	h := newHashes(d)
	h.Write(body)
	return h.verify()
}

// Reason says which rule a digest field or body broke. Each is stable text for logs and vectors.
type Reason string

// The reasons.
const (
	Malformed   Reason = "digest-malformed"   // not a Dictionary of Byte Sequences (RFC 9530, section 2), or a member twice
	Unsupported Reason = "digest-unsupported" // no algorithm that can be relied on (section 5)
	Absent      Reason = "digest-absent"      // no member, or no field
	Mismatch    Reason = "digest-mismatch"    // the body isn't what was digested
	TooLarge    Reason = "body-too-large"     // longer than the limit of ReadAll
)

// Error is why a field or a body was refused.
type Error struct {
	Reason    Reason
	Algorithm Algorithm // which digest differed, for Mismatch
	Detail    string    // for the log: never body bytes
}

// Error describes e for the log.
func (e *Error) Error() string {
	s := "contentdigest: " + string(e.Reason)
	if e.Algorithm != "" {
		s += " (" + string(e.Algorithm) + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Preference is one member of a Want-Content-Digest or Want-Repr-Digest field (RFC 9530, section 4).
type Preference struct {
	Algorithm string
	Weight    int // 0 (not wanted) to 10
}

// ParseWant reads the field lines of a Want-* field, in order. Errors are *Error: Malformed.
func ParseWant(lines []string) ([]Preference, error) {
	dict, err := sfv.ParseDictionary(lines...)
	if err != nil {
		return nil, &Error{Reason: Malformed, Detail: err.Error()}
	}
	prefs := make([]Preference, 0, len(dict))
	for i := range dict {
		m := &dict[i]
		if weight := m.Value.Int64(); m.Value.Kind() != sfv.KindInteger || weight < 0 || weight > 10 {
			return nil, &Error{Reason: Malformed, Detail: fmt.Sprintf("weight of %s isn't an Integer from 0 to 10", m.Key)}
		}
		prefs = append(prefs, Preference{Algorithm: m.Key, Weight: int(m.Value.Int64())})
	}
	return prefs, nil
}

// Choose returns the algorithm with the highest weight among those that can be relied on, the first of equals, and
// false if none of them is wanted.
func Choose(prefs []Preference) (Algorithm, bool) {
	best := Preference{}
	for _, p := range prefs {
		if a := Algorithm(p.Algorithm); (a == SHA256 || a == SHA512) && p.Weight > best.Weight {
			best = p
		}
	}
	return Algorithm(best.Algorithm), best.Weight > 0
}
