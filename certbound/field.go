package certbound

import (
	"crypto/x509"

	"github.com/holdfast-project/holdfast/internal/sfv"
)

// FieldName is the field in which an edge that ends TLS tells which certificate its client presented (RFC 9440).
const FieldName = "Client-Cert"

// maxField bounds the field: certificates of clients have one or two KiB.
const maxField = 16 << 10

// ParseField reads the lines of Client-Cert: one byte sequence with the DER of the certificate (RFC 9440, section 2.2).
// Only an edge that drops what clients send under this name can be believed, and only on its own connection: that is for
// the caller to know. Errors are *Error with Missing: no line, an empty value or anything else that is no certificate.
func ParseField(lines []string) (*x509.Certificate, error) {
	const section = "RFC 9440, section 2.2"
	if len(lines) != 1 || len(lines[0]) > maxField {
		return nil, &Error{Missing, section, FieldName, "one field line", "none, several or a long one"}
	}
	item, err := sfv.ParseItem(lines[0])
	if err != nil || item.Value.Kind() != sfv.KindBytes {
		return nil, &Error{Missing, section, FieldName, "a byte sequence", "something else"}
	}
	cert, err := x509.ParseCertificate(item.Value.Bytes())
	if err != nil {
		return nil, &Error{Missing, section, FieldName, "a certificate", "something else"}
	}
	return cert, nil
}
