package config

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// Issuer is the section of the authorization server.
type Issuer struct {
	Listen        string        `yaml:"listen" default:"127.0.0.1:8440" help:"Address and port to listen on; port 0 picks one."`
	TLS           TLS           `yaml:"tls"`
	URL           string        `yaml:"url" required:"true" help:"The issuer identifier: the https URL that clients call it by, or http on a loopback host."`
	Database      string        `yaml:"database" default:"sqlite:holdfast-issuer.db" help:"Where clients, grants and keys are kept: sqlite:FILE, sqlite::memory: or postgres://…; several nodes share one PostgreSQL database."`
	Secret        Secret        `yaml:"secret" required:"true" help:"What seals signing keys and makes nonces: 32 random bytes or more, the same on every node, as written by holdfast key secret."`
	FormerSecret  Secret        `yaml:"former_secret" help:"The secret before this one, while keys that it sealed are still published."`
	SigningKeys   SigningKeys   `yaml:"signing_keys"`
	RequireNonce  bool          `yaml:"require_nonce" default:"false" help:"Demand a nonce of this server in every DPoP proof."`
	TokenLifetime time.Duration `yaml:"token_lifetime" default:"5m" help:"How long access tokens live."`
	Replay        Replay        `yaml:"replay"`
	Clients       []Client      `yaml:"clients" help:"Who may authenticate: clients, and resource servers that introspect."`
}

// Client is one registered client.
type Client struct {
	ID                   string   `yaml:"id" required:"true" help:"The client_id."`
	Auth                 string   `yaml:"auth" required:"true" enum:"client_secret_basic,private_key_jwt" help:"The one way in which it authenticates."`
	Secret               Secret   `yaml:"secret" help:"Its secret, for client_secret_basic; or give secret_sha256."`
	SecretSHA256         string   `yaml:"secret_sha256" help:"SHA-256 of its secret in hexadecimal digits, as printed by holdfast key secret."`
	JWKSFile             string   `yaml:"jwks_file" help:"A JWK Set with its public keys, for private_key_jwt and httpsig-preregistered."`
	Scope                []string `yaml:"scope" help:"What it may ask for, and gets if it doesn't ask."`
	Audience             []string `yaml:"audience" help:"The resources that it may ask tokens for; the first is the default. If empty, it gets no tokens."`
	Binding              string   `yaml:"binding" enum:",dpop,httpsig-preregistered,httpsig-runtime" help:"The proof that it must use. If empty, any."`
	InsecureAllowUnbound bool     `yaml:"insecure_allow_unbound" default:"false" help:"Grant bearer tokens to requests without a proof: whoever copies such a token can use it."`
	Introspect           []string `yaml:"introspect" help:"The audiences whose resource server it is, and whose tokens it may introspect."`
}

// TLS is the certificate of a listener.
type TLS struct {
	CertFile string `yaml:"cert_file" help:"Certificate chain, PEM. If empty, plain HTTP, for a TLS-terminating proxy in front."`
	KeyFile  string `yaml:"key_file" help:"Its private key, PEM. Both files are read again when they change."`
}

// Replay bounds the memory of proofs that were seen.
type Replay struct {
	Capacity            int  `yaml:"capacity" default:"1000000" help:"How many live proofs are remembered; when full, requests are refused."`
	Share               int  `yaml:"share" default:"100000" help:"How many of them one key may take."`
	InsecureAcceptOlder bool `yaml:"insecure_accept_older" default:"false" help:"Accept proofs made before this process started: whoever recorded one before a restart can use it once more."`
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
func (f *File) OpenIssuer(ctx context.Context, log *slog.Logger) (*IssuerParts, error) {
	b, s := &builder{file: f}, f.Issuer
	b.tls("issuer.tls", s.TLS)
	if err := b.required("issuer", s); err != nil {
		return nil, err
	}
	guard, begun := b.guard("issuer.replay", s.Replay, replay.MemoryConfig{})
	cfg := issuer.Config{
		Issuer:        s.URL,
		Secret:        b.secret("issuer.secret_file", s.Secret),
		RequireNonce:  s.RequireNonce,
		TokenLifetime: s.TokenLifetime,
		Replay:        guard,
	}
	for i, c := range s.Clients {
		cfg.Clients = append(cfg.Clients, b.client(fmt.Sprintf("issuer.clients[%d]", i), c))
	}
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
	return &IssuerParts{Config: cfg, Ready: both(begun, cfg.Store.Ping)}, nil
}

func (s SigningKeys) algorithms() []keys.Algorithm {
	var out []keys.Algorithm
	for _, a := range s.Algorithms {
		out = append(out, keys.Algorithm(a))
	}
	return out
}

func (b *builder) tls(path string, t TLS) {
	if t.CertFile != "" && t.KeyFile == "" {
		b.fail(path+".key_file", "required with cert_file")
	} else if t.CertFile == "" && t.KeyFile != "" {
		b.fail(path+".cert_file", "required with key_file")
	}
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

// guard makes a memory of proofs. It is ready once an honest client's fresh proof can't be refused any more for having
// been made before the memory began. cfg says what the proofs' verifier grants.
func (b *builder) guard(path string, r Replay, cfg replay.MemoryConfig) (guard replay.Guard, ready func(context.Context) error) {
	cfg.Capacity, cfg.Share, cfg.InsecureAcceptOlder = r.Capacity, min(r.Share, r.Capacity), r.InsecureAcceptOlder
	m, err := replay.NewMemory(cfg)
	if err != nil {
		b.fail(path, "%w", err)
		return nil, nil
	}
	if r.InsecureAcceptOlder {
		return m, func(context.Context) error { return nil }
	}
	return m, begins(m.Begins())
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
	}
	if c.Secret.set() && c.SecretSHA256 != "" {
		b.fail(path+".secret_sha256", "give secret_file or secret_sha256, not both")
	} else if c.Secret.set() {
		out.SecretHash = b.secretHash(path+".secret_file", c.Secret)
	} else if c.SecretSHA256 != "" {
		sum, err := hex.DecodeString(c.SecretSHA256)
		if err != nil || len(sum) != len(out.SecretHash) {
			b.fail(path+".secret_sha256", "want 64 hexadecimal digits")
		}
		copy(out.SecretHash[:], sum)
	} else if out.AuthMethod == issuer.ClientSecretBasic {
		b.fail(path, "client_secret_basic needs secret_file or secret_sha256")
	}
	if c.JWKSFile != "" {
		out.Keys = b.jwks(path+".jwks_file", c.JWKSFile)
	}
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
