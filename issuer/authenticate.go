package issuer

import (
	"net/http"
	"net/url"

	"github.com/holdfast-project/holdfast/replay"
)

// jwtBearer is the one client_assertion_type (RFC 7523, section 2.2).
const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// caller is who sent a request.
type caller struct {
	*client
	// assertion is the use of a client assertion, to be claimed when everything else holds; nil for other methods.
	assertion *replay.Claim
	// signature is the proof that authenticated the client, or nil.
	signature *proof
}

// claims are the ids that the request uses up when everything else holds.
func (c caller) claims() []replay.Claim {
	if c.assertion == nil {
		return nil
	}
	return []replay.Claim{*c.assertion}
}

// authenticate finds out which client sent r, in exactly one way (RFC 6749, section 2.3), and remembers nothing. With
// an error, the caller's client is the one that was named, if there is such a one.
func (s *Server) authenticate(r *http.Request, f form) (c caller, err error) {
	defer func() { s.countFailure(r, c.client, err) }()
	const section = "RFC 6749, section 2.3"
	authorization := r.Header.Values("Authorization")
	asserted := f.get("client_assertion") != "" || f.get("client_assertion_type") != ""
	switch {
	case len(authorization) > 1:
		return caller{}, &Error{Reason: AuthAmbiguous, Section: section, Part: "Authorization"}
	case len(authorization) == 1 && asserted:
		return caller{}, &Error{Reason: AuthAmbiguous, Section: section, Part: "client_assertion"}
	case f.get("client_secret") != "" && (asserted || len(authorization) > 0):
		return caller{}, &Error{Reason: AuthAmbiguous, Section: section, Part: "client_secret"}
	}
	switch {
	case asserted:
		c, err = s.authenticateAssertion(r, f)
	case len(authorization) == 1:
		c, err = s.authenticateBasic(r)
	case f.get("client_secret") != "":
		c, err = s.authenticateSecret(r, ClientSecretPost, f.get("client_id"), f.get("client_secret"))
	default:
		c, err = s.identify(r, f)
	}
	if err != nil {
		return c, err
	}
	if id := f.get("client_id"); id != "" && id != c.ID {
		return c, &Error{Reason: AuthAmbiguous, Section: "RFC 7521, section 4.2", Part: "client_id"}
	}
	return c, nil
}

// identify finds the client that a request names, and what shows that it is the one: its certificate, its signature, or
// nothing for a public client (RFC 6749, section 3.2.1).
func (s *Server) identify(r *http.Request, f form) (caller, error) {
	c, err := s.client(r, f.get("client_id"))
	if err != nil {
		return caller{}, err
	}
	out := caller{client: c}
	if err := s.mayTry(r, c); err != nil {
		return out, err
	}
	switch {
	case c == nil:
	case c.AuthMethod == NoAuth:
		return out, nil
	case c.AuthMethod == TLSClientAuth, c.AuthMethod == SelfSignedTLS:
		return out, s.authenticateCertificate(r, c)
	case c.AuthMethod == HTTPSigAuth:
		out.signature, err = s.authenticateSignature(r, f.body, c)
		return out, err
	}
	return out, &Error{Reason: AuthMissing, Section: "RFC 6749, section 3.2.1"}
}

// authenticateSignature takes a signature by a key of the client's, which is its proof as well.
func (s *Server) authenticateSignature(r *http.Request, body []byte, c *client) (*proof, error) {
	signature, err := tokenRequestSignature(r.Header)
	if err != nil {
		return nil, err
	}
	if signature == nil {
		return nil, &Error{Reason: AuthMissing, Section: "RFC 6749, section 3.2.1", Part: partSignature}
	}
	return s.proveSignature(r, body, c, HTTPSigPreregistered)
}

// authenticateBasic checks client_secret_basic (RFC 6749, section 2.3.1).
func (s *Server) authenticateBasic(r *http.Request) (caller, error) {
	const section = "RFC 6749, section 2.3.1"
	id, secret, ok := basicCredentials(r)
	if !ok {
		return caller{}, &Error{Reason: AuthRefused, Section: section, Part: "Authorization"}
	}
	return s.authenticateSecret(r, ClientSecretBasic, id, secret)
}

// authenticateSecret compares a client's secret. An unknown client costs as much as a wrong secret.
func (s *Server) authenticateSecret(r *http.Request, method AuthMethod, id, secret string) (caller, error) {
	const section = "RFC 6749, section 2.3.1"
	c, err := s.client(r, id)
	if err != nil {
		return caller{}, err
	}
	if err := s.mayTry(r, c); err != nil {
		return caller{client: c}, err
	}
	var hash SecretHash
	if c != nil {
		hash = c.SecretHash
	}
	matches := hash.matches(secret)
	switch {
	case c == nil:
		return caller{}, &Error{Reason: AuthRefused, Section: section, Part: "client_id"}
	case c.AuthMethod != method:
		return caller{client: c}, &Error{Reason: AuthRefused, Section: section, Part: "method", Expected: string(c.AuthMethod), Got: string(method)}
	case !matches:
		return caller{client: c}, &Error{Reason: SecretMismatch, Section: section}
	}
	return caller{client: c}, nil
}

// basicCredentials reads the field. Id and secret are form-encoded inside it, which generic Basic isn't.
func basicCredentials(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, err := url.QueryUnescape(user)
	if err != nil {
		return "", "", false
	}
	secret, err = url.QueryUnescape(password)
	return id, secret, err == nil
}
