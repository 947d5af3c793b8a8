// Package certbound checks access tokens that are bound to a client's TLS certificate (RFC 8705, section 3).
//
// [Verify] is what a resource server wants: it tells whether a connection's client presented the certificate that a token
// names in `cnf`. That the client has the certificate's key was proved by the TLS handshake.
//
// What is checked: that there is a connection whose handshake is complete, that its client presented a certificate, that
// this is the one that was named, and that it is valid now. What is not checked: the chain, names, revocation and the size
// of the key. They are the TLS stack's, and with self-signed certificates (section 2.2) there is no chain: what the token
// names is the certificate itself.
//
// The connection is the one that this process ends. Behind an edge that ends TLS it is the edge's.
package certbound

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// Thumbprint is the SHA-256 of a certificate's DER: the value of `x5t#S256` (RFC 8705, section 3.1). It is comparable; the
// zero value belongs to no certificate. It names the certificate, not its key: a renewed one has another.
type Thumbprint [sha256.Size]byte

// ThumbprintOf returns the thumbprint of a certificate.
func ThumbprintOf(cert *x509.Certificate) Thumbprint { return sha256.Sum256(cert.Raw) }

// String returns the base64url form without padding, as in `cnf`.
func (t Thumbprint) String() string { return base64url.Encode(t[:]) }

// Reason says why a connection was refused.
type Reason string

// The reasons.
const (
	Missing     Reason = "certificate-missing"       // no TLS connection with a client's certificate
	Mismatch    Reason = "certificate-mismatch"      // another certificate than the token's
	Expired     Reason = "certificate-expired"       // its notAfter is past
	NotYetValid Reason = "certificate-not-yet-valid" // its notBefore lies ahead
)

// Error is why a connection was refused.
type Error struct {
	Reason   Reason
	Section  string // the standard's, such as "RFC 8705, section 3"
	Part     string // what was wrong
	Expected string
	Got      string
}

// Error describes the refusal for the log.
func (e *Error) Error() string {
	return "certbound: " + string(e.Reason) + ": " + e.Part + ": expected " + e.Expected + ", got " + e.Got + " (" + e.Section + ")"
}

// Verify returns the certificate that the client of a connection presented, if it is the one that want names and is valid
// at now. conn is http.Request.TLS: nil means that there is no TLS. Errors are *Error. A zero want is refused.
func Verify(conn *tls.ConnectionState, want Thumbprint, now time.Time) (*x509.Certificate, error) {
	const section = "RFC 8705, section 3"
	switch {
	case conn == nil:
		return nil, &Error{Missing, section, "connection", "TLS up to this server", "none"}
	case !conn.HandshakeComplete:
		// Early data can be repeated by whoever recorded it (RFC 8446, section 8).
		return nil, &Error{Missing, section, "connection", "a complete handshake", "early data"}
	case len(conn.PeerCertificates) == 0:
		return nil, &Error{Missing, section, "connection", "a client's certificate", "none"}
	}
	leaf := conn.PeerCertificates[0]
	got := ThumbprintOf(leaf)
	switch {
	case subtle.ConstantTimeCompare(got[:], want[:]) != 1:
		return nil, &Error{Mismatch, section, "x5t#S256", want.String(), got.String()}
	// Both ends of the period belong to it (RFC 5280, section 4.1.2.5).
	case now.After(leaf.NotAfter):
		return nil, &Error{Expired, "RFC 5280, section 4.1.2.5", "notAfter", "not before " + stamp(now), stamp(leaf.NotAfter)}
	case now.Before(leaf.NotBefore):
		return nil, &Error{NotYetValid, "RFC 5280, section 4.1.2.5", "notBefore", "not after " + stamp(now), stamp(leaf.NotBefore)}
	}
	return leaf, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
