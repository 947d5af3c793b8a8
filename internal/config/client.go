package config

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"

	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// Client is one registered client.
type Client struct {
	ID                   string         `yaml:"id" required:"true" help:"The client_id."`
	Auth                 string         `yaml:"auth" required:"true" enum:"none,client_secret_basic,client_secret_post,private_key_jwt,tls_client_auth,self_signed_tls_client_auth,httpsig" help:"The one way in which it authenticates."`
	Secret               Secret         `yaml:"secret" help:"Its secret, for client_secret_basic and client_secret_post; or give secret_sha256."`
	SecretSHA256         string         `yaml:"secret_sha256" help:"SHA-256 of its secret in hexadecimal digits, as printed by holdfast key secret."`
	JWKSFile             string         `yaml:"jwks_file" help:"A JWK Set with its public keys, for private_key_jwt and httpsig-preregistered."`
	TLS                  ClientTLS      `yaml:"tls"`
	Grants               []string       `yaml:"grants" enum:"authorization_code,refresh_token,client_credentials,urn:ietf:params:oauth:grant-type:token-exchange" help:"The grant types that it may use. If empty, client_credentials."`
	Exchange             ClientExchange `yaml:"exchange"`
	Name                 string         `yaml:"name" help:"What its users are asked about. If empty, its id."`
	RedirectURIs         []string       `yaml:"redirect_uris" help:"Where the browser may return to, for authorization_code: https URLs, http URLs on a loopback host, or com.example.app:/… of an app."`
	RequirePushed        bool           `yaml:"require_pushed_requests" default:"false" help:"Refuse its authorization requests that weren't pushed."`
	SkipConsent          bool           `yaml:"skip_consent" default:"false" help:"Don't ask its users: for your own applications."`
	AuthorizationDetails []string       `yaml:"authorization_details" help:"The types of authorization_details that it may use."`
	IDTokenAlgorithm     string         `yaml:"id_token_alg" enum:",ES256,EdDSA,Ed25519" help:"What signs its ID tokens: one of issuer.signing_keys.algorithms. If empty, the first of them."`
	Scope                []string       `yaml:"scope" help:"What it may ask for, and gets if it doesn't ask."`
	Audience             []string       `yaml:"audience" help:"The resources that it may ask tokens for; the first is the default. If empty, it gets no tokens."`
	Binding              string         `yaml:"binding" enum:",dpop,httpsig-preregistered,httpsig-runtime,mtls" help:"The proof that it must use. If empty, any."`
	InsecureAllowUnbound bool           `yaml:"insecure_allow_unbound" default:"false" help:"Grant bearer tokens to requests without a proof: whoever copies such a token can use it."`
	Introspect           []string       `yaml:"introspect" help:"The audiences whose resource server it is, and whose tokens it may introspect."`
}

// ClientTLS is how a client is known by its certificate.
type ClientTLS struct {
	SubjectDN       string `yaml:"subject_dn" help:"For tls_client_auth: the subject of its certificate, as RFC 4514 writes it. Give one of the five."`
	DNS             string `yaml:"san_dns" help:"Likewise: a DNS name in it."`
	URI             string `yaml:"san_uri" help:"Likewise: a URI in it."`
	IP              string `yaml:"san_ip" help:"Likewise: an address in it."`
	Email           string `yaml:"san_email" help:"Likewise: an e-mail address in it."`
	CertificateFile string `yaml:"certificate_file" help:"For self_signed_tls_client_auth: its certificates, PEM."`
}

// ClientExchange is what a client may do by token exchange.
type ClientExchange struct {
	Impersonate       bool     `yaml:"impersonate" default:"false" help:"New tokens don't say that the client acts for somebody."`
	RequireActor      bool     `yaml:"require_actor" default:"false" help:"Demand an actor_token that is bound to the key of the proof."`
	RequireSubjectKey bool     `yaml:"require_subject_key" default:"false" help:"Demand the proof by the key that the old token is bound to."`
	Outside           []string `yaml:"outside" help:"The issuers of issuer.outside whose tokens it may bring."`
}

func (b *builder) client(path string, c Client) issuer.Client {
	out := issuer.Client{
		ID:                   c.ID,
		AuthMethod:           issuer.AuthMethod(c.Auth),
		Scope:                c.Scope,
		Audience:             c.Audience,
		Binding:              issuer.Binding(c.Binding),
		InsecureAllowUnbound: c.InsecureAllowUnbound,
		Introspect:           c.Introspect,
		Name:                 c.Name, RedirectURIs: c.RedirectURIs, RequirePushedRequests: c.RequirePushed,
		SkipConsent: c.SkipConsent, AuthorizationDetails: c.AuthorizationDetails, IDTokenAlgorithm: keys.Algorithm(c.IDTokenAlgorithm),
		TLS:      b.clientTLS(path+".tls", c.TLS),
		Exchange: issuer.Exchange(c.Exchange),
	}
	for _, g := range c.Grants {
		out.Grants = append(out.Grants, issuer.GrantType(g))
	}
	if c.Secret.set() && c.SecretSHA256 != "" {
		b.fail(path+".secret_sha256", "give secret_file or secret_sha256, not both")
	} else if c.Secret.set() {
		out.SecretHash = b.secretHash(path+".secret_file", c.Secret)
	} else if c.SecretSHA256 != "" {
		out.SecretHash = b.hash(path+".secret_sha256", c.SecretSHA256)
	} else if out.AuthMethod == issuer.ClientSecretBasic || out.AuthMethod == issuer.ClientSecretPost {
		b.fail(path, "%s needs secret_file or secret_sha256", out.AuthMethod)
	}
	if c.JWKSFile != "" {
		out.Keys = b.jwks(path+".jwks_file", c.JWKSFile)
	}
	return out
}

// Registration lets clients register themselves (RFC 7591), or describe themselves at a URL.
type Registration struct {
	InitialTokens []string `yaml:"initial_tokens_sha256" help:"SHA-256 of each initial access token in hexadecimal digits, as printed by holdfast key secret. Without any, clients can't register themselves."`
	InsecureOpen  bool     `yaml:"insecure_open" default:"false" help:"Let everybody register without a token: under any name, as often as failure_limit allows."`
	Documents     bool     `yaml:"documents" default:"false" help:"Take a client_id that is an https URL, and fetch there what describes the client (Client ID Metadata Documents, a draft)."`
	Audience      []string `yaml:"audience" help:"The resources that such clients may ask tokens for; the first is the default. Required with any of the above."`
	Scope         []string `yaml:"scope" help:"What they may ask for at most."`
}

// registration returns nil where clients can't register themselves.
func (b *builder) registration(path string, r Registration) *issuer.DynamicRegistration {
	if len(r.InitialTokens) == 0 && !r.InsecureOpen && !r.Documents {
		if len(r.Audience) > 0 || len(r.Scope) > 0 {
			b.fail(path, "needs initial_tokens_sha256, insecure_open or documents")
		}
		return nil
	}
	out := &issuer.DynamicRegistration{InsecureOpen: r.InsecureOpen, Documents: r.Documents, Audience: r.Audience, Scope: r.Scope}
	for i, text := range r.InitialTokens {
		out.InitialTokens = append(out.InitialTokens, b.hash(fmt.Sprintf("%s.initial_tokens_sha256[%d]", path, i), text))
	}
	return out
}

// hash reads a SHA-256 in hexadecimal digits.
func (b *builder) hash(path, text string) (out issuer.SecretHash) {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != len(out) {
		b.fail(path, "want 64 hexadecimal digits")
	}
	copy(out[:], sum)
	return out
}

func (b *builder) secretHash(path string, s Secret) issuer.SecretHash {
	secret := b.secret(path, s)
	if secret == nil {
		return issuer.SecretHash{}
	}
	hash, err := issuer.HashSecret(string(secret))
	if err != nil {
		b.fail(path, "%w", err)
	}
	return hash
}

func (b *builder) clientTLS(path string, t ClientTLS) issuer.TLSIdentity {
	out := issuer.TLSIdentity{SubjectDN: t.SubjectDN, DNS: t.DNS, URI: t.URI, Email: t.Email}
	if t.IP != "" {
		var err error
		if out.IP, err = netip.ParseAddr(t.IP); err != nil {
			b.fail(path+".san_ip", "want an address, got %q", t.IP)
		}
	}
	if t.CertificateFile == "" {
		return out
	}
	text, err := os.ReadFile(t.CertificateFile)
	if err != nil {
		b.fail(path+".certificate_file", "%w", err)
		return out
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			b.fail(path+".certificate_file", "%s: holds something else than certificates", t.CertificateFile)
			return out
		}
		out.Certificates = append(out.Certificates, certbound.ThumbprintOf(cert))
	}
	if len(out.Certificates) == 0 {
		b.fail(path+".certificate_file", "%s: holds no certificate", t.CertificateFile)
	}
	return out
}
