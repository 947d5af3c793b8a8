package config

import "crypto/tls"

// TLS is where a listener's certificate is, and what it asks of clients.
type TLS struct {
	CertFile     string `yaml:"cert_file" help:"Certificate chain, PEM. If empty, plain HTTP, for a TLS-terminating proxy in front."`
	KeyFile      string `yaml:"key_file" help:"Its private key, PEM. Both files are read again when they change."`
	ClientAuth   string `yaml:"client_auth" default:"none" enum:"none,any,verified" help:"Whether clients are asked for certificates, for certificate-bound tokens and for authentication (RFC 8705). any takes every certificate, as tokens name the certificate itself; verified refuses those that don't chain to client_ca_file. A client without one can do all that needs none."`
	ClientCAFile string `yaml:"client_ca_file" help:"Certificates, PEM, that clients' must chain to; with verified."`
}

// asks tells whether clients are asked for certificates.
func (t TLS) asks() bool { return t.ClientAuth != "none" }

// Config returns what the listener asks of clients; nil without TLS. The certificate is the caller's to add.
func (t TLS) Config() (*tls.Config, error) {
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

func (b *builder) tls(path string, t TLS) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		b.fail(path+".key_file", "required with cert_file")
	case t.CertFile == "" && t.KeyFile != "":
		b.fail(path+".cert_file", "required with key_file")
	}
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
