package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/login"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// Issuer is the section of the authorization server.
type Issuer struct {
	Listen          string        `yaml:"listen" default:"127.0.0.1:8440" help:"Address and port to listen on; port 0 picks one."`
	TLS             TLS           `yaml:"tls"`
	URL             string        `yaml:"url" required:"true" help:"The issuer identifier: the https URL that clients call it by, or http on a loopback host."`
	Database        string        `yaml:"database" default:"sqlite:holdfast-issuer.db" help:"Where clients, grants and keys are kept: sqlite:FILE, sqlite::memory: or postgres://…; several nodes share one PostgreSQL database."`
	Secret          Secret        `yaml:"secret" required:"true" help:"What seals signing keys and makes nonces: 32 random bytes or more, the same on every node, as written by holdfast key secret."`
	FormerSecret    Secret        `yaml:"former_secret" help:"The secret before this one, while keys that it sealed are still published."`
	SigningKeys     SigningKeys   `yaml:"signing_keys"`
	RequireNonce    bool          `yaml:"require_nonce" default:"false" help:"Demand a nonce of this server in every DPoP proof."`
	TokenLifetime   time.Duration `yaml:"token_lifetime" default:"5m" help:"How long access tokens live."`
	RefreshLifetime time.Duration `yaml:"refresh_lifetime" default:"720h" help:"How long a refresh token may lie unused."`
	Login           Login         `yaml:"login"`
	PARLifetime     time.Duration `yaml:"par_lifetime" default:"1m" help:"How long a pushed authorization request waits for the browser; at most 10m."`
	RequirePushed   bool          `yaml:"require_pushed_requests" default:"false" help:"Refuse authorization requests that weren't pushed."`
	FailureLimit    int           `yaml:"failure_limit" default:"30" help:"How many times a minute client authentication or a proof may fail for a client from one address (or IPv6 /64) before it must wait. 0 for no limit."`
	Replay          Replay        `yaml:"replay"`
	Edges           []string      `yaml:"edges" help:"Networks of proxies that end TLS, verify clients' certificates and tell them in Client-Cert (RFC 9440): 10.0.0.0/8. They must drop that field from clients, and add the address to X-Forwarded-For."`
	Outside         []Outside     `yaml:"outside" help:"Other issuers whose ID or access tokens may be exchanged for bound tokens of this one."`
	Registration    Registration  `yaml:"registration"`
	Clients         []Client      `yaml:"clients" help:"Who may authenticate: clients, and resource servers that introspect."`
}

// Replay bounds the memory of proofs that were seen.
type Replay struct {
	Capacity            int  `yaml:"capacity" default:"1000000" help:"How many live proofs are remembered; when full, requests are refused."`
	Share               int  `yaml:"share" default:"100000" help:"How many of them one key may take."`
	InsecureAcceptOlder bool `yaml:"insecure_accept_older" default:"false" help:"Accept proofs made before this process started: whoever recorded one before a restart can use it once more."`
}

// Outside is another issuer.
type Outside struct {
	URL      string `yaml:"url" required:"true" help:"Its identifier, as in iss: an https URL whose OpenID metadata is there."`
	Audience string `yaml:"audience" required:"true" help:"What its tokens must be for: the client_id that it knows this server or its client by."`
	CAFile   string `yaml:"ca_file" help:"Certificates, PEM, that its server must chain to. If empty, the system's."`
}

// httpClient returns a client for servers whose certificates chain to those in the file, or nil if there is none.
func (b *builder) httpClient(path, caFile string) *http.Client {
	if caFile == "" {
		return nil
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: b.roots(path, caFile), ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}}
}

// SigningKeys are the keys that sign tokens: made by themselves, and replaced on a schedule.
type SigningKeys struct {
	Algorithms []string      `yaml:"algorithms" enum:"ES256,EdDSA,Ed25519" help:"The first signs tokens unless a client wants another. If empty, ES256 and EdDSA."`
	Period     time.Duration `yaml:"period" default:"720h" help:"How long a key signs; the same on every node."`
	Lead       time.Duration `yaml:"lead" help:"How long a key is published before it signs: longer than resource servers keep a key set. If empty, a tenth of the period, at most a day."`
	Overlap    time.Duration `yaml:"overlap" default:"24h" help:"How long a key is published after it has signed: at least as long as a token lives."`
}

// IssuerParts are what an issuer consists of, from its section.
type IssuerParts struct {
	issuer.Config
	// Ready tells whether the memory of proofs has begun and the database answers.
	Ready func(context.Context) error
}

// Close closes the database. Nothing else holds anything.
func (p *IssuerParts) Close() error { return p.Store.Close() }

// OpenIssuer turns the section into the issuer's configuration, and opens its database. ctx bounds the opening only.
func (f *File) OpenIssuer(ctx context.Context, log *slog.Logger, observe func(context.Context, issuer.Event)) (*IssuerParts, error) {
	b, s := &builder{file: f}, f.Issuer
	b.tls("issuer.tls", s.TLS)
	if err := b.required("issuer", s); err != nil {
		return nil, err
	}
	guard, begun := b.guard("issuer.replay", s.Replay, replay.MemoryConfig{})
	begun = begun.Add(issuer.GuardLag)
	cfg := issuer.Config{
		Issuer:       s.URL,
		Secret:       b.secret("issuer.secret_file", s.Secret),
		RequireNonce: s.RequireNonce, FailureLimit: s.FailureLimit,
		TokenLifetime: s.TokenLifetime, RefreshLifetime: s.RefreshLifetime,
		Edges: b.prefixes("issuer.edges", s.Edges), Certificates: s.TLS.asks(),
		Observer: observe,
		Replay:   guard, PushedLifetime: s.PARLifetime, RequirePushedRequests: s.RequirePushed,
	}
	for i, c := range s.Clients {
		cfg.Clients = append(cfg.Clients, b.client(fmt.Sprintf("issuer.clients[%d]", i), c))
	}
	for i, o := range s.Outside {
		cfg.Outside = append(cfg.Outside, b.outside(fmt.Sprintf("issuer.outside[%d]", i), o))
	}
	var providers []login.Provider
	for i, p := range s.Login.Providers {
		providers = append(providers, b.provider(fmt.Sprintf("issuer.login.providers[%d]", i), p))
	}
	cfg.Registration = b.registration("issuer.registration", s.Registration)
	secrets := [][]byte{cfg.Secret}
	if s.FormerSecret.set() {
		secrets = append(secrets, b.secret("issuer.former_secret_file", s.FormerSecret))
	}
	if err := b.err(); err != nil {
		return nil, err
	}
	var err error
	if cfg.Store, err = store.Open(ctx, s.Database); err != nil {
		return nil, &Error{Path: "issuer.database", Problem: err.Error(), Err: err}
	}
	cfg.Keys, err = signing.Open(ctx, signing.Config{
		Store: cfg.Store, Secrets: secrets, Algorithms: s.SigningKeys.algorithms(),
		Period: s.SigningKeys.Period, Lead: s.SigningKeys.Lead, Overlap: s.SigningKeys.Overlap, Logger: log,
	})
	if err != nil {
		err = &Error{Path: "issuer.signing_keys", Problem: err.Error(), Err: err}
		return nil, errors.Join(err, cfg.Store.Close())
	}
	if cfg.Login, err = s.Login.open(cfg, providers, observe); err != nil {
		err = &Error{Path: "issuer.login", Problem: err.Error(), Err: err}
		return nil, errors.Join(err, cfg.Store.Close())
	}
	return &IssuerParts{Config: cfg, Ready: both(begins(begun), cfg.Store.Ping)}, nil
}

func (s SigningKeys) algorithms() []keys.Algorithm {
	var out []keys.Algorithm
	for _, a := range s.Algorithms {
		out = append(out, keys.Algorithm(a))
	}
	return out
}

// signer opens a key file. A missing one is said to be missing: a key that appeared by itself would be another one
// after the next deployment.
func (b *builder) signer(path, name string) *keys.Signer {
	signer, err := keys.OpenFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		b.fail(path, "no key there; make one with: holdfast key new %s", name)
	} else if err != nil {
		b.fail(path, "%w", err)
	}
	return signer
}

// guard makes a memory of proofs, and tells when it begins: zero, if it doesn't matter. cfg says what the proofs' verifier
// grants.
func (b *builder) guard(path string, r Replay, cfg replay.MemoryConfig) (guard replay.Guard, begins time.Time) {
	cfg.Capacity, cfg.Share, cfg.InsecureAcceptOlder = r.Capacity, min(r.Share, r.Capacity), r.InsecureAcceptOlder
	m, err := replay.NewMemory(cfg)
	if err != nil {
		b.fail(path, "%w", err)
		return nil, time.Time{}
	}
	if r.InsecureAcceptOlder {
		return m, time.Time{}
	}
	return m, m.Begins()
}

// maxJWKS bounds a key set's file: 64 RSA keys take a tenth of it.
const maxJWKS = 1 << 20

func (b *builder) jwks(path, name string) []*keys.Public {
	set, err := ReadJWKSFile(name)
	if err != nil {
		b.fail(path, "%w", err)
	}
	return set
}

// ReadJWKSFile reads a JWK Set that holds at least one usable key.
func ReadJWKSFile(name string) ([]*keys.Public, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxJWKS+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxJWKS {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxJWKS)
	}
	set, err := keys.ParseSet(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(set) == 0 {
		return nil, errors.New(name + ": holds no key for signatures")
	}
	return set, nil
}
