package config

import (
	"crypto/tls"
	"strings"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/resourcemeta"
)

// GatewayTLS is where the gateway's certificate is, and what it asks of clients.
type GatewayTLS struct {
	CertFile     string `yaml:"cert_file" help:"Certificate chain, PEM. If empty, plain HTTP, for a TLS-terminating proxy in front."`
	KeyFile      string `yaml:"key_file" help:"Its private key, PEM. Both files are read again when they change."`
	ClientAuth   string `yaml:"client_auth" default:"none" enum:"none,any,verified" help:"Whether clients are asked for certificates, for certificate-bound tokens (RFC 8705). any takes every certificate, as tokens name the certificate itself; verified refuses those that don't chain to client_ca_file. A client without one can use other tokens."`
	ClientCAFile string `yaml:"client_ca_file" help:"Certificates, PEM, that clients' must chain to; with verified."`
}

// asks tells whether clients are asked for certificates.
func (t GatewayTLS) asks() bool { return t.ClientAuth != "none" }

// Config returns what the listener asks of clients; nil without TLS. The certificate is the caller's to add.
func (t GatewayTLS) Config() (*tls.Config, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	switch t.ClientAuth {
	case "any":
		cfg.ClientAuth = tls.RequestClientCert
	case "verified":
		roots, err := RootsFile(t.ClientCAFile)
		if err != nil {
			return nil, err
		}
		cfg.ClientAuth, cfg.ClientCAs = tls.VerifyClientCertIfGiven, roots.RootCAs
	}
	return cfg, nil
}

func (b *builder) gatewayTLS(path string, t GatewayTLS) {
	b.tls(path, TLS{CertFile: t.CertFile, KeyFile: t.KeyFile})
	switch {
	case t.asks() && t.CertFile == "":
		b.fail(path+".client_auth", "needs cert_file: where a proxy ends TLS, the certificate on the connection is the proxy's")
	case t.ClientAuth == "verified" && t.ClientCAFile == "":
		b.fail(path+".client_ca_file", "required with client_auth: verified")
	case t.ClientAuth != "verified" && t.ClientCAFile != "":
		b.fail(path+".client_ca_file", "is for client_auth: verified")
	case t.ClientAuth == "verified":
		b.roots(path+".client_ca_file", t.ClientCAFile)
	}
}

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
