package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/gateway"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
	"github.com/holdfast-project/holdfast/revocation"
)

// Gateway is the section of the reverse proxy.
type Gateway struct {
	Listen               string        `yaml:"listen" default:"127.0.0.1:8443" help:"Address and port to listen on; port 0 picks one."`
	TLS                  TLS           `yaml:"tls"`
	ExternalOrigin       string        `yaml:"external_origin" help:"What clients call the gateway, such as https://api.example. This or hosts."`
	Hosts                []string      `yaml:"hosts" help:"The hosts that it answers to, where scheme and host come from the connection or a trusted peer."`
	TrustedPeers         []string      `yaml:"trusted_peers" help:"Networks of the edges whose X-Forwarded-* fields count, such as 10.0.0.0/8."`
	Audience             string        `yaml:"audience" required:"true" help:"What tokens must name in aud."`
	Issuers              []TokenIssuer `yaml:"issuers" required:"true" help:"Whose tokens are accepted."`
	TokenCache           TokenCache    `yaml:"token_cache"`
	Freshness            time.Duration `yaml:"freshness" default:"60s" help:"How old a proof may be."`
	Skew                 time.Duration `yaml:"skew" default:"5s" zero:"true" help:"How far a proof may lie in the future; 0s means none."`
	NonceSecret          Secret        `yaml:"nonce_secret" help:"If set, DPoP proofs need a nonce of this gateway: 32 random bytes or more, the same on every node."`
	DPoPAlgorithms       []string      `yaml:"dpop_algorithms" help:"Algorithms of DPoP proofs. If empty, ECDSA and Ed25519; RSA only if named."`
	Realm                string        `yaml:"realm" help:"Named in challenges, if set."`
	Replay               Replay        `yaml:"replay"`
	ResourceKeyFile      string        `yaml:"resource_key_file" help:"The resource's private JWK, as written by holdfast key new. It signs the answers that begin sessions, and responses where a request or a route asks for it; required with sessions.secrets and sign_responses. Its public half is published."`
	ResourceKeysAlsoFile string        `yaml:"resource_keys_also_file" help:"A JWK Set of further public keys to publish: in a rotation, the next and the previous one."`
	Resource             string        `yaml:"resource" help:"The resource identifier that metadata is published for (RFC 9728): an https URL. If empty, external_origin; without either, no metadata is published."`
	ResourceName         string        `yaml:"resource_name" help:"The resource's name for people, in its metadata."`
	Sessions             Sessions      `yaml:"sessions"`
	Revocations          Revocations   `yaml:"revocations"`
	Routes               []Route       `yaml:"routes" required:"true" help:"Where requests go, and what they must prove."`
	Identity             Identity      `yaml:"identity"`
	PlainHeaders         bool          `yaml:"plain_headers" default:"false" help:"Tell upstreams who called in unsigned headers as well: only for upstreams that nobody else can reach."`
	PlainPrefix          string        `yaml:"plain_prefix" help:"How their names start. If empty, X-Holdfast-."`
	UpstreamCAFile       string        `yaml:"upstream_ca_file" help:"Certificates, PEM, that https upstreams must chain to. If empty, the system's."`
	Limits               Limits        `yaml:"limits"`
}

// TokenIssuer is one issuer whose tokens are accepted.
type TokenIssuer struct {
	URL             string        `yaml:"url" required:"true" help:"The issuer identifier, as in iss. Its metadata (RFC 8414) names its keys."`
	JWKSURL         string        `yaml:"jwks_url" help:"Where its keys are, for issuers without metadata."`
	JWKSFile        string        `yaml:"jwks_file" help:"A JWK Set with its keys, instead of fetching them."`
	Introspection   Introspection `yaml:"introspection"`
	CAFile          string        `yaml:"ca_file" help:"Certificates, PEM, that the issuer's server must chain to. If empty, the system's."`
	Skew            time.Duration `yaml:"skew" default:"5s" zero:"true" help:"Granted to exp, nbf and iat; 0s means none."`
	InsecureAnyType bool          `yaml:"insecure_any_type" default:"false" help:"Accept tokens whose typ isn't at+jwt: ID tokens for the same audience then pass as access tokens."`
}

// Introspection asks the issuer about each token, for opaque ones.
type Introspection struct {
	Endpoint string `yaml:"endpoint" help:"The introspection endpoint (RFC 7662). If empty, tokens are JWTs."`
	ClientID string `yaml:"client_id" help:"How the gateway authenticates there, by client_secret_basic."`
	Secret   Secret `yaml:"secret" help:"Its secret there."`
}

// TokenCache bounds the memory of verified tokens.
type TokenCache struct {
	Entries int           `yaml:"entries" default:"10000" help:"How many verified tokens are remembered."`
	MaxAge  time.Duration `yaml:"max_age" default:"1m" zero:"true" help:"How long one is, at most until it expires: one that its issuer revoked is accepted for as long, unless it is revoked here as well. 0s means not at all."`
}

// Route is one route.
type Route struct {
	Host             string        `yaml:"host" help:"The host that requests must name. If empty, any."`
	Path             string        `yaml:"path" required:"true" help:"Prefix of whole segments; / is everything."`
	Methods          []string      `yaml:"methods" help:"If empty, all that no other route with this host and path has."`
	Upstream         string        `yaml:"upstream" required:"true" help:"Where requests go: http, https or h2c URL, with a path to put before theirs, if any."`
	StripPrefix      string        `yaml:"strip_prefix" help:"Taken off the path before it is sent on."`
	Schemes          []string      `yaml:"schemes" enum:"DPoP,HTTPSig,mTLS" help:"Proofs accepted: DPoP, HTTPSig, mTLS. If empty, the first two, and mTLS where clients are asked for certificates."`
	Scope            []string      `yaml:"scope" help:"Scopes that the token must have, all of them."`
	Cover            []string      `yaml:"cover" help:"Components that a signature must cover beyond what its scheme does: @query, content-type, …"`
	CoverBody        bool          `yaml:"cover_body" default:"false" help:"Demand a covered Content-Digest on every request with a body."`
	Body             string        `yaml:"body" default:"streamed" enum:"streamed,buffered" help:"Verify a covered body while it is passed on, or before."`
	BodyLimit        int64         `yaml:"body_limit" default:"1048576" help:"The longest body that is buffered, in bytes."`
	Bearer           string        `yaml:"bearer" default:"refuse" enum:"refuse,observe" help:"What happens to unbound tokens. observe lets whoever has a copy of one in, and logs it."`
	RequireSignature bool          `yaml:"require_signature" default:"false" help:"Refuse the MACs of sessions: each request needs a signature by the client's key."`
	MaxSessionAge    time.Duration `yaml:"max_session_age" help:"Refuse the MACs of older sessions. If empty, as long as a session lasts."`
	SignResponses    bool          `yaml:"sign_responses" default:"false" help:"Sign every response, and not only those to requests that ask for it; needs resource_key_file."`
	CoverResponse    []string      `yaml:"cover_response" help:"Fields that signatures of responses cover beyond content-type, content-encoding and location."`
	Replay           string        `yaml:"replay" default:"node" enum:"node,off" help:"A proof is good once on this node, or, with off, until it is too old."`
	InsecurePublic   bool          `yaml:"insecure_public" default:"false" help:"Let everybody in, without any proof."`
}

// Identity tells upstreams who called.
type Identity struct {
	KeyFile  string        `yaml:"key_file" help:"The private JWK that signs it. If empty, there is no identity header."`
	Issuer   string        `yaml:"issuer" help:"Names this gateway in iss; required with key_file."`
	Header   string        `yaml:"header" default:"Holdfast-Identity" help:"The field's name."`
	Lifetime time.Duration `yaml:"lifetime" default:"60s" help:"How long a statement is good."`
	KeysPath string        `yaml:"keys_path" default:"/.well-known/holdfast-gateway-jwks.json" help:"Where upstreams find the keys."`
}

// Limits bound what peers may take.
type Limits struct {
	HeaderBytes   int           `yaml:"header_bytes" default:"65536" help:"Longest header of a request or an answer."`
	HeaderTimeout time.Duration `yaml:"header_timeout" default:"10s" help:"For a client to send a request's header."`
	IdleTimeout   time.Duration `yaml:"idle_timeout" default:"2m" help:"For an unused connection of a client."`
	DialTimeout   time.Duration `yaml:"dial_timeout" default:"5s" help:"For connecting to an upstream."`
	AnswerTimeout time.Duration `yaml:"answer_timeout" default:"1m" help:"For an upstream to begin its answer."`
}

// Service is what the gateway shares with the rest of its process.
type Service struct {
	Observers []holdfast.Observer
	Propagate func(ctx context.Context, upstream http.Header)
	Logger    *slog.Logger
	// Revocations says what is refused before its time; nil if nothing is. See [File.Revocations].
	Revocations revocation.List
}

// GatewayConfig turns the section into the gateway's configuration. ctx ends the fetching of keys; ready tells whether
// every issuer's keys are there and the memory of proofs has begun.
func (f *File) GatewayConfig(ctx context.Context, svc Service) (cfg gateway.Config, ready func(context.Context) error, err error) {
	b, s := &builder{file: f}, f.Gateway
	b.tls("gateway.tls", s.TLS)
	if err := b.required("gateway", s); err != nil {
		return gateway.Config{}, nil, err
	}
	peers := b.prefixes("gateway.trusted_peers", s.TrustedPeers)
	cfg = gateway.Config{
		PlainHeaders: s.PlainHeaders, PlainPrefix: s.PlainPrefix, TrustedPeers: peers,
		Limits:    gateway.Limits(s.Limits),
		Identity:  b.identity("gateway.identity", s.Identity),
		Observers: svc.Observers, Propagate: svc.Propagate, Logger: svc.Logger,
	}
	if s.UpstreamCAFile != "" {
		cfg.UpstreamTLS = b.roots("gateway.upstream_ca_file", s.UpstreamCAFile)
	}
	for i, r := range s.Routes {
		if r.SignResponses && s.ResourceKeyFile == "" {
			b.fail(fmt.Sprintf("gateway.routes[%d].sign_responses", i), "needs gateway.resource_key_file")
		}
		cfg.Routes = append(cfg.Routes, b.route(fmt.Sprintf("gateway.routes[%d]", i), r, s.TLS.asks()))
	}
	t := b.tokens(ctx, "gateway", s)
	// A proof may be dated Skew ahead, and is good for Freshness and Skew more.
	guard, from := b.guard("gateway.replay", s.Replay, replay.MemoryConfig{
		Skew: exact(s.Skew), Horizon: max(s.Freshness+2*s.Skew+time.Minute, 10*time.Minute),
	})
	begun := begins(from)
	vc := holdfast.Config{
		Tokens: t.verifier, Replay: guard, External: b.external(s, peers),
		Freshness: s.Freshness, Skew: exact(s.Skew), Realm: s.Realm, Observers: svc.Observers,
		Revocations: svc.Revocations,
	}
	cfg.Resource, vc.MetadataURL = b.resource(s)
	if s.ResourceKeyFile != "" {
		vc.Signer = b.signer("gateway.resource_key_file", s.ResourceKeyFile)
	}
	if len(s.Sessions.Secrets) > 0 {
		if s.ResourceKeyFile == "" {
			b.fail("gateway.resource_key_file", "required with sessions.secrets")
		}
		var windows func(context.Context) error
		vc.Sessions, windows = b.sessions("gateway.sessions", s.Sessions, s.Skew)
		begun = both(begun, windows)
	}
	for _, a := range s.DPoPAlgorithms {
		vc.DPoPAlgorithms = append(vc.DPoPAlgorithms, keys.Algorithm(a))
	}
	if s.NonceSecret.set() {
		vc.Nonces = b.nonces("gateway.nonce_secret_file", s)
	}
	if err := b.err(); err != nil {
		return gateway.Config{}, nil, err
	}
	if cfg.Verifier, err = holdfast.NewVerifier(vc); err != nil {
		return gateway.Config{}, nil, &Error{Path: "gateway", Problem: err.Error(), Err: err}
	}
	return cfg, both(begun, t.ready), nil
}

// exact keeps a written 0s from meaning the default.
func exact(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func (b *builder) external(s Gateway, peers []netip.Prefix) holdfast.External {
	switch {
	case s.ExternalOrigin == "" && len(s.Hosts) == 0:
		b.fail("gateway.external_origin", "required, unless hosts are given%s", inEnvironment("gateway.external_origin"))
	case s.ExternalOrigin != "" && len(s.Hosts) > 0:
		b.fail("gateway.hosts", "give external_origin or hosts, not both")
	case s.ExternalOrigin != "":
		return holdfast.External{Origin: s.ExternalOrigin} // trusted peers then have no say in the URL
	}
	return holdfast.External{Hosts: s.Hosts, TrustedPeers: peers}
}

func (b *builder) nonces(path string, s Gateway) holdfast.NonceSource {
	secret := b.secret(path, s.NonceSecret)
	if secret == nil {
		return nil
	}
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: secret, Scope: "resource " + s.Audience})
	if err != nil {
		b.fail(path, "%w", err)
		return nil
	}
	return nonces
}

func (b *builder) prefixes(path string, list []string) []netip.Prefix {
	var out []netip.Prefix
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			b.fail(fmt.Sprintf("%s[%d]", path, i), "want a network such as 10.0.0.0/8, got %q", s)
			continue
		}
		out = append(out, p)
	}
	return out
}

func (b *builder) identity(path string, s Identity) *gateway.Identity {
	if s.KeyFile == "" {
		return nil
	}
	if s.Issuer == "" {
		b.fail(path+".issuer", "required with key_file")
	}
	return &gateway.Identity{
		Header: s.Header, Signer: b.signer(path+".key_file", s.KeyFile), Issuer: s.Issuer,
		Lifetime: s.Lifetime, KeysPath: s.KeysPath,
	}
}

func (b *builder) route(path string, r Route, asks bool) gateway.Route {
	out := gateway.Route{
		Host: r.Host, Path: r.Path, Methods: r.Methods, StripPrefix: r.StripPrefix, InsecurePublic: r.InsecurePublic,
		Policy: holdfast.Policy{Cover: r.Cover, CoverBody: r.CoverBody, BodyLimit: r.BodyLimit, Scope: r.Scope,
			RequireSignature: r.RequireSignature, MaxSessionAge: r.MaxSessionAge,
			SignResponses: r.SignResponses, CoverResponse: r.CoverResponse},
	}
	var err error
	if out.Upstream, err = url.Parse(r.Upstream); err != nil {
		b.fail(path+".upstream", "not a URL")
	}
	out.Policy.Schemes = b.schemes(path+".schemes", r.Schemes, asks)
	if r.Body == "buffered" {
		out.Policy.Body = holdfast.BodyBuffered
	}
	if r.Bearer == "observe" {
		out.Policy.Bearer = holdfast.InsecureBearerObserved
	}
	if r.Replay == "off" {
		out.Policy.Replay = holdfast.InsecureReplayOff
	}
	return out
}

// roots reads a file of certificates to trust.
func (b *builder) roots(path, name string) *tls.Config {
	cfg, err := RootsFile(name)
	if err != nil {
		b.fail(path, "%w", err)
	}
	return cfg
}

// RootsFile returns a TLS configuration that trusts the certificates in a PEM file, and no others.
func RootsFile(name string) (*tls.Config, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(name + ": holds no certificate")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
