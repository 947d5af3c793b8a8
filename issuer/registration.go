package issuer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// maxRegistration bounds a client's registration, in bytes: what the store takes.
const maxRegistration = 64 << 10

// ParseClient reads a client's registration: one JSON object, whose members have the names of RFC 7591, section 2, and of
// the standards that add to it, where these have any; docs/configuration.md lists them. A member that isn't known is
// refused. Whether the client makes sense is for [Client.Registration] and [New] to judge.
func ParseClient(text []byte) (Client, error) {
	if len(text) > maxRegistration {
		return Client{}, fmt.Errorf("issuer: registration: longer than %d bytes", maxRegistration)
	}
	var g registration
	members := g.members()
	err := strictjson.Object(text, func(name string, value strictjson.Value) error {
		if err := readMember(members[name], value); err != nil {
			return fmt.Errorf("%.64q: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return Client{}, fmt.Errorf("issuer: registration: %w", err)
	}
	c, err := g.client()
	if err != nil {
		return Client{}, fmt.Errorf("issuer: registration: %w", err)
	}
	return c, nil
}

// Registration returns the JSON form of c, which [ParseClient] reads and [store.Client] holds. A client that [New] would
// refuse is refused. Of a secret it has the hash only.
func (c Client) Registration() (json.RawMessage, error) {
	if !isVisible(c.ID) {
		return nil, errNoID
	}
	checked, err := newClient(c)
	if err != nil {
		return nil, fmt.Errorf("issuer: client %s: %w", c.ID, err)
	}
	g := registrationOf(checked.Client)
	members := make(map[string]any)
	for name, member := range g.members() {
		if value := writeMember(member); value != nil {
			members[name] = value
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(members); err != nil {
		return nil, fmt.Errorf("issuer: client %s: %w", c.ID, err)
	}
	if b.Len() > maxRegistration {
		return nil, fmt.Errorf("issuer: client %s: longer than %d bytes", c.ID, maxRegistration)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// registration is a client as JSON has it.
type registration struct {
	id, name, authMethod, secretHash string
	grants, redirects                []string
	scope                            string // as in a request: tokens with a space between (RFC 6749, section 3.3)
	audience, introspect             []string
	keys                             []*keys.Public
	dn, dns, uri, ip, email          string
	certificates                     []string
	dpop, certificateBound           bool
	signature                        string
	requirePushed, skipConsent       bool
	selfRegistered                   bool
	details                          []string
	idTokenAlgorithm                 string
	unbound                          bool
	exchange                         Exchange
}

// members maps the names to where their values are.
func (g *registration) members() map[string]any {
	return map[string]any{
		"client_id":                  &g.id,
		"client_name":                &g.name,
		"token_endpoint_auth_method": &g.authMethod,
		"grant_types":                &g.grants,
		"redirect_uris":              &g.redirects,
		"scope":                      &g.scope,
		"jwks":                       &g.keys,
		"tls_client_auth_subject_dn": &g.dn, // RFC 8705, section 2.1.2
		"tls_client_auth_san_dns":    &g.dns,
		"tls_client_auth_san_uri":    &g.uri,
		"tls_client_auth_san_ip":     &g.ip,
		"tls_client_auth_san_email":  &g.email,
		"tls_client_certificate_bound_access_tokens": &g.certificateBound, // RFC 8705, section 3.4
		"dpop_bound_access_tokens":                   &g.dpop,             // RFC 9449, section 5.2
		"require_pushed_authorization_requests":      &g.requirePushed,    // RFC 9126, section 6
		"authorization_details_types":                &g.details,          // RFC 9396, section 10
		"id_token_signed_response_alg":               &g.idTokenAlgorithm, // OpenID Connect Registration, section 2

		// Ours.
		"client_secret_sha256":               &g.secretHash,
		"audience":                           &g.audience,
		"introspect":                         &g.introspect,
		"tls_certificate_thumbprints":        &g.certificates,
		"signature_binding":                  &g.signature,
		"skip_consent":                       &g.skipConsent,
		"self_registered":                    &g.selfRegistered,
		"insecure_allow_unbound":             &g.unbound,
		"token_exchange_impersonate":         &g.exchange.Impersonate,
		"token_exchange_require_actor":       &g.exchange.RequireActor,
		"token_exchange_require_subject_key": &g.exchange.RequireSubjectKey,
		"token_exchange_outside":             &g.exchange.Outside,
	}
}

func readMember(to any, v strictjson.Value) (err error) {
	switch to := to.(type) {
	case *string:
		*to, err = v.String()
	case *bool:
		*to, err = v.Bool()
	case *[]string:
		*to, err = v.Strings()
	case *[]*keys.Public:
		*to, err = keys.ParseSet([]byte(v.Raw()))
	default:
		err = errors.New("unknown member")
	}
	return err
}

// writeMember returns the value, or nil if there is none.
func writeMember(from any) any {
	switch from := from.(type) {
	case *string:
		if *from != "" {
			return *from
		}
	case *bool:
		if *from {
			return true
		}
	case *[]string:
		if len(*from) > 0 {
			return *from
		}
	case *[]*keys.Public:
		if len(*from) > 0 {
			return map[string][]*keys.Public{"keys": *from}
		}
	}
	return nil
}

func registrationOf(c Client) *registration {
	g := &registration{
		id: c.ID, name: c.Name, authMethod: string(c.AuthMethod), redirects: c.RedirectURIs, scope: strings.Join(c.Scope, " "),
		audience: c.Audience, introspect: c.Introspect, keys: c.Keys,
		dn: c.TLS.SubjectDN, dns: c.TLS.DNS, uri: c.TLS.URI, email: c.TLS.Email,
		dpop: c.Binding == DPoP, certificateBound: c.Binding == MutualTLS,
		requirePushed: c.RequirePushedRequests, skipConsent: c.SkipConsent, selfRegistered: c.SelfRegistered, details: c.AuthorizationDetails,
		idTokenAlgorithm: string(c.IDTokenAlgorithm), unbound: c.InsecureAllowUnbound, exchange: c.Exchange,
	}
	for _, grant := range c.Grants {
		g.grants = append(g.grants, string(grant))
	}
	if c.SecretHash != (SecretHash{}) {
		g.secretHash = base64url.Encode(c.SecretHash[:])
	}
	if c.TLS.IP.IsValid() {
		g.ip = c.TLS.IP.String()
	}
	for _, t := range c.TLS.Certificates {
		g.certificates = append(g.certificates, t.String())
	}
	if c.Binding == HTTPSigPreregistered || c.Binding == HTTPSigRuntime {
		g.signature = string(c.Binding)
	}
	return g
}

func (g *registration) client() (Client, error) {
	c := Client{
		ID: g.id, Name: g.name, AuthMethod: AuthMethod(g.authMethod), RedirectURIs: g.redirects,
		Audience: g.audience, Introspect: g.introspect, Keys: g.keys,
		TLS:                   TLSIdentity{SubjectDN: g.dn, DNS: g.dns, URI: g.uri, Email: g.email},
		RequirePushedRequests: g.requirePushed, SkipConsent: g.skipConsent, SelfRegistered: g.selfRegistered, AuthorizationDetails: g.details,
		IDTokenAlgorithm: keys.Algorithm(g.idTokenAlgorithm), InsecureAllowUnbound: g.unbound, Exchange: g.exchange,
	}
	for _, grant := range g.grants {
		c.Grants = append(c.Grants, GrantType(grant))
	}
	if g.scope != "" {
		c.Scope = strings.Split(g.scope, " ")
	}
	var err error
	if g.ip != "" {
		if c.TLS.IP, err = netip.ParseAddr(g.ip); err != nil {
			return c, errors.New(`"tls_client_auth_san_ip": not an address`)
		}
	}
	if g.secretHash != "" {
		hash, err := keys.ParseThumbprint(g.secretHash)
		if err != nil {
			return c, errors.New(`"client_secret_sha256": not 32 bytes in base64url`)
		}
		c.SecretHash = SecretHash(hash)
	}
	for _, text := range g.certificates {
		t, err := keys.ParseThumbprint(text)
		if err != nil {
			return c, errors.New(`"tls_certificate_thumbprints": not 32 bytes in base64url`)
		}
		c.TLS.Certificates = append(c.TLS.Certificates, certbound.Thumbprint(t))
	}
	c.Binding, err = g.binding()
	return c, err
}

// binding is the one that the members name, of which there may be one at most.
func (g *registration) binding() (Binding, error) {
	var named []Binding
	if g.dpop {
		named = append(named, DPoP)
	}
	if g.certificateBound {
		named = append(named, MutualTLS)
	}
	switch b := Binding(g.signature); b {
	case AnyBinding:
	case HTTPSigPreregistered, HTTPSigRuntime:
		named = append(named, b)
	default:
		return "", errors.New(`"signature_binding": not httpsig-preregistered or httpsig-runtime`)
	}
	switch len(named) {
	case 0:
		return AnyBinding, nil
	case 1:
		return named[0], nil
	}
	return "", errors.New("its tokens can't be bound in two ways")
}
