// Package base64url reads and writes the base64url of JOSE: no padding, one spelling a value (RFC 7515, section 2;
// RFC 4648, section 3.5).
package base64url

import (
	"encoding/base64"
	"errors"
	"strings"
)

// ErrSyntax is the one error of this package: another alphabet, padding, white space or bits that are not zero at the end.
var ErrSyntax = errors.New("base64url: not canonical base64url without padding")

// Strict refuses set bits after the last octet: else one value has several spellings, and a replay guard or cache that
// keys by text sees several values.
var encoding = base64.RawURLEncoding.Strict()

// DecodedLen returns how many octets n characters decode to.
func DecodedLen(n int) int { return encoding.DecodedLen(n) }

// Append decodes s and appends the octets to dst.
func Append(dst []byte, s string) ([]byte, error) {
	// encoding/base64 skips line feeds and carriage returns.
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return dst, ErrSyntax
	}
	n := len(dst)
	need := n + encoding.DecodedLen(len(s))
	if cap(dst) < need {
		grown := make([]byte, n, need)
		copy(grown, dst)
		dst = grown
	}
	written, err := encoding.Decode(dst[n:need], []byte(s))
	if err != nil {
		return dst[:n], ErrSyntax
	}
	return dst[:n+written], nil
}

// Decode returns the octets of s.
func Decode(s string) ([]byte, error) { return Append(nil, s) }

// AppendEncode appends the text of src to dst.
func AppendEncode(dst, src []byte) []byte { return encoding.AppendEncode(dst, src) }

// Encode returns the text of src.
func Encode(src []byte) string { return encoding.EncodeToString(src) }
