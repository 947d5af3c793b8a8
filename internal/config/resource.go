package config

import (
	"strings"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/resourcemeta"
)

// schemes are the proofs that a route accepts. Where no client is asked for a certificate, mTLS isn't one.
func (b *builder) schemes(path string, names []string, asks bool) []holdfast.Scheme {
	var out []holdfast.Scheme
	for _, name := range names {
		if s := holdfast.Scheme(name); s != holdfast.SchemeMTLS || asks {
			out = append(out, s)
			continue
		}
		b.fail(path, "mTLS needs gateway.tls.client_auth")
	}
	if len(names) == 0 && !asks {
		return []holdfast.Scheme{holdfast.SchemeDPoP, holdfast.SchemeHTTPSig}
	}
	return out
}

// resource makes what the gateway publishes of itself; nil if there is no identifier that could be published.
func (b *builder) resource(s Gateway) (out *gateway.Resource, metadataURL string) {
	identifier, named := s.Resource, s.Resource != ""
	if !named {
		identifier = strings.TrimSuffix(s.ExternalOrigin, "/") // as External takes it
	}
	metadataURL, err := resourcemeta.URL(identifier)
	switch {
	case err != nil && named:
		b.fail("gateway.resource", "%w", err)
		return nil, ""
	case err != nil && (s.ResourceName != "" || s.ResourceKeysAlsoFile != ""):
		b.fail("gateway.resource", "required with resource_name and resource_keys_also_file, as external_origin is no https URL")
		return nil, ""
	case err != nil:
		return nil, ""
	}
	out = &gateway.Resource{Identifier: identifier, Name: s.ResourceName}
	for _, is := range s.Issuers {
		out.AuthorizationServers = append(out.AuthorizationServers, is.URL)
	}
	if s.ResourceKeysAlsoFile != "" {
		out.Others = b.jwks("gateway.resource_keys_also_file", s.ResourceKeysAlsoFile)
		if s.ResourceKeyFile == "" {
			b.fail("gateway.resource_key_file", "required with resource_keys_also_file")
		}
	}
	return out, metadataURL
}
