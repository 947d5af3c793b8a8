package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"

	"github.com/holdfast-project/holdfast/internal/config"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/resourcemeta"
)

// trustFlags say who servers are, and who the client is to them, on the level of connections and answers.
type trustFlags struct {
	CACert           string `name:"cacert" env:"HOLDFAST_REQUEST_CACERT" placeholder:"FILE" help:"Certificates, PEM, that servers must chain to, instead of the system's."`
	Cert             string `env:"HOLDFAST_REQUEST_CERT" placeholder:"FILE" help:"The client's certificate, PEM, with its chain; for --scheme mtls."`
	CertKey          string `env:"HOLDFAST_REQUEST_CERT_KEY" placeholder:"FILE" help:"Its private key, PEM."`
	ResourceKeys     string `env:"HOLDFAST_REQUEST_RESOURCE_KEYS" placeholder:"FILE" help:"JWK Set of the resource's keys: no session begins whose answer none of them signed."`
	RequireSigned    bool   `help:"Refuse answers that aren't signed by these keys, or in a session that they began."`
	ResourceMetadata bool   `help:"Fetch these keys by the metadata of --resource, or of the URL's origin (RFC 9728). Whoever ends TLS there can give its own."`
}

func (c *trustFlags) check(scheme string) error {
	switch {
	case (c.Cert == "") != (c.CertKey == ""):
		return usagef("give --cert and --cert-key, or neither")
	case (scheme == "mtls") != (c.Cert != ""):
		return usagef("--scheme mtls needs --cert and --cert-key, and nothing else does")
	case c.ResourceKeys != "" && c.ResourceMetadata:
		return usagef("give --resource-keys or --resource-metadata, not both")
	case c.RequireSigned && c.ResourceKeys == "" && !c.ResourceMetadata:
		return usagef("--require-signed needs the resource's keys: --resource-keys or --resource-metadata")
	}
	return nil
}

// base makes the connections. leaf is the client's certificate, or nil.
func (c *trustFlags) base() (base *http.Transport, leaf *x509.Certificate, err error) {
	base = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if c.CACert != "" {
		if base.TLSClientConfig, err = config.RootsFile(c.CACert); err != nil {
			return nil, nil, err
		}
	}
	if c.Cert == "" {
		return base, nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.CertKey)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.Cert, err)
	}
	base.TLSClientConfig.Certificates = []tls.Certificate{pair}
	return base, pair.Leaf, nil
}

// resourceKeys returns the keys that the resource's answers must be signed with; none if nobody asked for that.
func (c *trustFlags) resourceKeys(ctx context.Context, base http.RoundTripper, resource, target string) ([]*keys.Public, error) {
	switch {
	case c.ResourceKeys != "":
		set, err := config.ReadJWKSFile(c.ResourceKeys)
		if err != nil {
			return nil, usageError{err}
		}
		return set, nil
	case !c.ResourceMetadata:
		return nil, nil
	case resource == "":
		u, err := url.Parse(target)
		if err != nil || u.Host == "" {
			return nil, usagef("%q is no URL with a host", target)
		}
		resource = u.Scheme + "://" + u.Host
	}
	_, set, err := resourcemeta.Fetch(ctx, &http.Client{Transport: base}, resource)
	return set, err
}
