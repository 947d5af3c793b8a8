package issuer

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/holdfast-project/holdfast/certbound"
)

// TLSIdentity is how a client is known by its certificate (RFC 8705, section 2): by exactly one name in it, for
// tls_client_auth, or by the certificate itself, for self_signed_tls_client_auth.
type TLSIdentity struct {
	SubjectDN    string                 // as RFC 4514 writes it; compared as a string
	DNS          string                 // a SAN of the certificate; likewise the next
	URI          string                 //
	IP           netip.Addr             //
	Email        string                 //
	Certificates []certbound.Thumbprint // several, so that a client can change its certificate
}

// names counts the names that are set.
func (i TLSIdentity) names() int {
	n := 0
	for _, set := range []bool{i.SubjectDN != "", i.DNS != "", i.URI != "", i.IP.IsValid(), i.Email != ""} {
		if set {
			n++
		}
	}
	return n
}

// matches tells whether the certificate has the name (RFC 8705, section 2.1.2).
func (i TLSIdentity) matches(cert *x509.Certificate) bool {
	switch {
	case i.SubjectDN != "":
		return cert.Subject.String() == i.SubjectDN
	case i.DNS != "":
		return slices.Contains(cert.DNSNames, i.DNS)
	case i.URI != "":
		for _, u := range cert.URIs {
			if u.String() == i.URI {
				return true
			}
		}
	case i.IP.IsValid():
		return slices.ContainsFunc(cert.IPAddresses, func(ip net.IP) bool {
			addr, ok := netip.AddrFromSlice(ip)
			return ok && addr.Unmap() == i.IP.Unmap()
		})
	case i.Email != "":
		return slices.Contains(cert.EmailAddresses, i.Email)
	}
	return false
}

// check refuses what can't identify a client by the method.
func (i TLSIdentity) check(method AuthMethod) error {
	switch {
	case method == TLSClientAuth && (i.names() != 1 || len(i.Certificates) > 0):
		return errors.New("tls_client_auth needs exactly one name in TLS, and no certificates")
	case method == SelfSignedTLS && (i.names() != 0 || len(i.Certificates) == 0):
		return errors.New("self_signed_tls_client_auth needs Certificates in TLS, and no names")
	case method != TLSClientAuth && method != SelfSignedTLS && (i.names() != 0 || len(i.Certificates) > 0):
		return errors.New("TLS is for tls_client_auth and self_signed_tls_client_auth")
	}
	return nil
}

// presented is the certificate that a client presented.
type presented struct {
	*x509.Certificate
	chained bool // to an authority that we, or the edge, trust with naming clients
}

// certificateOf returns the certificate that r's client presented, on our own connection or as a trusted edge tells;
// nil if there is none.
func (s *Server) certificateOf(r *http.Request) (*presented, error) {
	const section = "RFC 8705, section 2"
	var p *presented
	if s.isEdge(r.RemoteAddr) {
		if len(r.Header.Values(certbound.FieldName)) == 0 {
			return nil, nil
		}
		cert, err := certbound.ParseField(r.Header.Values(certbound.FieldName))
		if err != nil {
			return nil, &Error{Reason: CertificateRefused, Section: section, Part: certbound.FieldName, Err: err}
		}
		p = &presented{cert, true}
	} else if c := r.TLS; c != nil && c.HandshakeComplete && len(c.PeerCertificates) > 0 {
		p = &presented{c.PeerCertificates[0], len(c.VerifiedChains) > 0}
	}
	if p == nil {
		return nil, nil
	}
	if now := s.now(); now.After(p.NotAfter) || now.Before(p.NotBefore) {
		return nil, &Error{Reason: CertificateRefused, Section: "RFC 5280, section 4.1.2.5", Part: "validity"}
	}
	return p, nil
}

// isEdge tells whether a connection comes from an edge that tells who its client is.
func (s *Server) isEdge(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap()
	return slices.ContainsFunc(s.edges, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// authenticateCertificate checks tls_client_auth and self_signed_tls_client_auth (RFC 8705, sections 2.1 and 2.2).
func (s *Server) authenticateCertificate(r *http.Request, c *client) error {
	const section = "RFC 8705, section 2"
	cert, err := s.certificateOf(r)
	if err != nil {
		return err
	}
	known := false
	if cert != nil {
		if c.AuthMethod == TLSClientAuth {
			known = cert.chained && c.TLS.matches(cert.Certificate)
		} else {
			known = slices.Contains(c.TLS.Certificates, certbound.ThumbprintOf(cert.Certificate))
		}
	}
	if !known {
		return &Error{Reason: CertificateRefused, Section: section, Part: "certificate", Expected: "the client's own"}
	}
	return nil
}
