// Package resourcemeta is the metadata of a protected resource (RFC 9728): what clients must know before they call it.
//
// [Fetch] is what a client wants that checks what the resource signs: it gets the resource's keys, for
// holdfast.Transport.ResourceKeys. [Handlers] is what a resource serves.
//
// What is checked: that the metadata is of the resource that was asked for, and everything's form. That it is the
// resource's own word is as good as the connection that it came over: whoever ends TLS for the resource can give keys of
// its own. Fetch before, over another way, or pin the keys.
//
// What is not read: signed metadata (section 2.2), internationalised members, and members that holdfast has no use for.
//
// Limits: metadata and key sets of 256 KiB, 64 keys.
package resourcemeta

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// WellKnown is where a resource's metadata is: before the path of its identifier, not below it (section 3.1).
const WellKnown = "/.well-known/oauth-protected-resource"

// Metadata is the document of RFC 9728, section 2.
type Metadata struct {
	// Resource is the resource identifier: an https URL, or http on loopback, without a fragment. Required.
	Resource string `json:"resource"`
	// Name is for people.
	Name string `json:"resource_name,omitempty"`
	// AuthorizationServers are the issuer identifiers of those whose tokens it takes.
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	// JWKSURI is where the resource's keys are.
	JWKSURI string   `json:"jwks_uri,omitempty"`
	Scopes  []string `json:"scopes_supported,omitempty"`
	// BearerMethods are the ways to send a token: "header" here.
	BearerMethods []string `json:"bearer_methods_supported,omitempty"`
	// SigningAlgorithms are those of what the resource signs.
	SigningAlgorithms []keys.Algorithm `json:"resource_signing_alg_values_supported,omitempty"`
	// DPoPAlgorithms are those accepted in DPoP proofs.
	DPoPAlgorithms []keys.Algorithm `json:"dpop_signing_alg_values_supported,omitempty"`
	// DPoPRequired tells that only DPoP-bound tokens are taken, everywhere.
	DPoPRequired bool `json:"dpop_bound_access_tokens_required,omitempty"`
	// CertificateBound tells that certificate-bound tokens are taken (RFC 8705), somewhere.
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	// Sessions tells that offers of sessions are answered: docs/protocol.md, section 5. The member is our own.
	Sessions bool `json:"pop_sessions_supported,omitempty"`
}

// Parse reads metadata, which must be of resource: the identifier that it was asked for by (section 3.3). Errors are
// *Error.
func Parse(document []byte, resource string) (*Metadata, error) {
	if len(document) > fetch.MaxDocument {
		return nil, refuse(Malformed, "document", "at most 256 KiB", "more", nil)
	}
	var m Metadata
	err := strictjson.Object(document, func(name string, v strictjson.Value) error {
		if err := m.read(name, v); err != nil {
			return refuse(Malformed, name, "", "", err)
		}
		return nil
	})
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	if err != nil {
		return nil, refuse(Malformed, "document", "a JSON object", "", err)
	}
	if m.Resource != resource {
		return nil, refuse(ResourceMismatch, "resource", quote(resource), quote(m.Resource), nil)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return &m, nil
}

// read reads one member. Those that are unknown are ignored (section 3.2).
func (m *Metadata) read(name string, v strictjson.Value) (err error) {
	switch name {
	case "resource":
		m.Resource, err = v.String()
	case "resource_name":
		m.Name, err = v.String()
	case "authorization_servers":
		m.AuthorizationServers, err = v.Strings()
	case "jwks_uri":
		m.JWKSURI, err = v.String()
	case "scopes_supported":
		m.Scopes, err = v.Strings()
	case "bearer_methods_supported":
		m.BearerMethods, err = v.Strings()
	case "resource_signing_alg_values_supported":
		m.SigningAlgorithms, err = algorithms(v)
	case "dpop_signing_alg_values_supported":
		m.DPoPAlgorithms, err = algorithms(v)
	case "dpop_bound_access_tokens_required":
		m.DPoPRequired, err = v.Bool()
	case "tls_client_certificate_bound_access_tokens":
		m.CertificateBound, err = v.Bool()
	case "pop_sessions_supported":
		m.Sessions, err = v.Bool()
	}
	return err
}

func algorithms(v strictjson.Value) ([]keys.Algorithm, error) {
	names, err := v.Strings()
	list := make([]keys.Algorithm, len(names))
	for i, name := range names {
		list[i] = keys.Algorithm(name)
	}
	return list, err
}

// check checks the values that aren't merely texts.
func (m *Metadata) check() error {
	if _, err := URL(m.Resource); err != nil {
		return err
	}
	if m.JWKSURI != "" {
		if _, err := fetch.Endpoint(m.JWKSURI); err != nil {
			return refuse(Malformed, "jwks_uri", "https, or http on loopback", "", err)
		}
	}
	for _, issuer := range m.AuthorizationServers {
		if u, err := fetch.Endpoint(issuer); err != nil || u.RawQuery != "" || u.ForceQuery {
			return refuse(Malformed, "authorization_servers", "issuer identifiers (RFC 8414, section 2)", quote(issuer), err)
		}
	}
	// Section 2: "The value none MUST NOT be used."
	if slices.Contains(m.SigningAlgorithms, "none") || slices.Contains(m.DPoPAlgorithms, "none") {
		return refuse(Malformed, "algorithms", "signature algorithms", "none", nil)
	}
	return nil
}

// URL returns where the metadata of a resource is: WellKnown goes between the host and the rest (section 3.1).
func URL(resource string) (string, error) {
	origin, rest, err := split(resource)
	if err != nil {
		return "", err
	}
	return origin + WellKnown + rest, nil
}

// split returns the origin of a resource identifier and what follows it, without a slash that has nothing behind it.
func split(resource string) (origin, rest string, err error) {
	u, err := fetch.Endpoint(resource)
	if err != nil {
		return "", "", refuse(BadIdentifier, "resource", "an https URL, or http on loopback, without fragment", quote(resource), err)
	}
	origin = u.Scheme + "://" + u.Host
	rest, ok := strings.CutPrefix(resource, origin)
	if !ok {
		return "", "", refuse(BadIdentifier, "resource", origin+"…", quote(resource), nil)
	}
	if rest == "/" || strings.HasPrefix(rest, "/?") {
		rest = rest[1:]
	}
	return origin, rest, nil
}

// document returns the metadata's text, which Parse accepts.
func (m *Metadata) document() ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, refuse(Malformed, "document", "", "", err)
	}
	_, err = Parse(text, m.Resource)
	return text, err
}

// quote makes a peer's text fit for a log: one line, printable, of bounded length.
func quote(s string) string {
	const most = 128
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
