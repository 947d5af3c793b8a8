package holdfast

import (
	"net/http"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/keys"
)

// proveMTLS checks that the request came over a connection with the token's certificate. TLS covers the whole request up
// to this server, so whatever the policy wants covered is, and keeps replays out, so nothing is claimed. An offer of a
// session is covered like the rest.
func (v *Verifier) proveMTLS(r *http.Request, token *accesstoken.Token) (*proof, error) {
	now := v.now()
	cert, err := certbound.Verify(r.TLS, certbound.Thumbprint(token.Confirmation.Certificate), now)
	if err != nil {
		return nil, err
	}
	p := &proof{
		scheme: SchemeMTLS, key: keys.Thumbprint(token.Confirmation.Certificate), algorithm: cert.PublicKeyAlgorithm.String(),
		made: now, until: cert.NotAfter,
	}
	p.offer = v.offerOf(r, true)
	return p, nil
}

// presentsCertificate tells whether the client of r's connection did.
func presentsCertificate(r *http.Request) bool {
	return r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}
