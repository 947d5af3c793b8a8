// Package issuer is an OAuth authorization server that binds every token to its client's key: metadata (RFC 8414), a
// key set, authorization codes with PKCE, refresh tokens, client credentials, token exchange (RFC 8693), introspection
// (RFC 7662, RFC 9701) and revocation (RFC 7009). Access tokens are JWTs (RFC 9068).
//
// [New] makes a [Server], [Server.Handler] serves it, and [Server.Run] keeps its store from growing. Endpoints lie under
// the issuer's own path: Issuer + "/token", "/introspect", "/revoke" and "/jwks"; the metadata is at
// /.well-known/oauth-authorization-server followed by that path.
//
// A client authenticates in exactly one way, the one that it is registered for (see [AuthMethod]), and proves a key by DPoP
// (RFC 9449), an OAuth HTTP signature (draft-richer-oauth-httpsig-03) or its certificate (RFC 8705). Everything is checked
// before anything is used up, in one transaction, so a refused or challenged request consumes nothing that its sender
// needs for the next attempt: no assertion, no code, no refresh token.
//
// With a [Login], users authorise clients in their browsers: authorization requests (RFC 6749, section 4.1), pushed ones
// (RFC 9126), consent, ID tokens and userinfo (OpenID Connect Core). A form of our pages counts only from the page that
// was shown to that user in that browser.
//
// What is not checked: whether a pre-registered key or a secret is still its client's alone. Resource servers that verify
// tokens by themselves, without asking, learn nothing of revocations: a token's lifetime is the time that a mistake lasts
// there. Client ids aren't secret: an assertion for an unknown client is refused sooner than one with a bad signature.
//
// Limits: a form of 64 KiB, one resource a token.
package issuer

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// How long tokens live where the configuration doesn't say.
const (
	defaultLifetime        = 5 * time.Minute
	defaultRefreshLifetime = 30 * 24 * time.Hour
)

// formPurpose is what the key that marks our forms is derived for; the issuer follows.
const formPurpose = "holdfast issuer, forms, version 1, of "

// Config configures a Server.
type Config struct {
	// Issuer is the issuer identifier: an https URL, or http on a loopback host, without query, fragment and slash at its
	// end. Required.
	// The URLs that proofs are checked against are made from it, never from a request's Host.
	Issuer string
	// Store keeps what must not be forgotten. Required.
	Store *store.Store
	// Keys sign tokens. Required.
	Keys *signing.Ring
	// Clients that may authenticate, besides those in Store (see [Client.Registration]). Ids are unique; one that is here
	// hides one of the same id there.
	Clients []Client
	// Secret is what nonces are derived from: at least 32 random bytes, the same on every node. Required.
	Secret []byte
	// RequireNonce demands a nonce of this server in every DPoP proof (RFC 9449, section 8). Proofs can then not be made
	// ahead of time by someone who has the key only for a moment.
	RequireNonce bool
	// TokenLifetime is how long access tokens live. If zero, 5 minutes.
	TokenLifetime time.Duration
	// RefreshLifetime is how long a refresh token may lie unused; none outlives its grant. If zero, 30 days.
	RefreshLifetime time.Duration
	// Edges end TLS for us, and tell their client's certificate in Client-Cert (RFC 9440), whose chain they have verified.
	// They must drop what clients send under that name. From others the field means nothing.
	Edges []netip.Prefix
	// Certificates says that our own connections ask clients for certificates. Metadata then tells clients what they are
	// good for, as it does where there are Edges.
	Certificates bool
	// FailureLimit is how many times a minute client authentication or a proof may fail for a client from one network (an
	// IPv4 address, an IPv6 /64), or for a network that names no known client; then we answer 429 for a while. Edges must
	// tell their peer's address as the last entry of X-Forwarded-For. If zero, failures aren't counted.
	FailureLimit int
	// Outside lists other issuers whose tokens may be exchanged.
	Outside []Outside
	// Registration lets clients register themselves, or describe themselves at a URL. If nil, neither. It needs a Login.
	Registration *DynamicRegistration
	// Replay remembers proofs, up to 2 minutes ahead. Required. One that has just lost its memory
	// makes us refuse for some 10 s, with status 503 (see [replay.Memory]).
	Replay replay.Guard
	// Login finds out who users are. If nil, there are no authorization and pushed request endpoints.
	Login Login
	// PushedLifetime is how long a client may wait before it sends the browser with what it pushed. If zero, a minute; at
	// most 10 minutes.
	PushedLifetime time.Duration
	// RequirePushedRequests refuses authorization requests of all clients that weren't pushed (RFC 9126, section 5).
	RequirePushedRequests bool
	// Observer, if set, is told of every grant and refusal. It must not block.
	Observer func(ctx context.Context, e Event)
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

// AuthMethod is how a client authenticates, by its registered name (RFC 7591, section 2).
type AuthMethod string

// The methods.
const (
	NoAuth            AuthMethod = "none" // a public client: it has no secret to prove who it is
	ClientSecretBasic AuthMethod = "client_secret_basic"
	ClientSecretPost  AuthMethod = "client_secret_post"
	PrivateKeyJWT     AuthMethod = "private_key_jwt"             // RFC 7523
	TLSClientAuth     AuthMethod = "tls_client_auth"             // RFC 8705, section 2.1
	SelfSignedTLS     AuthMethod = "self_signed_tls_client_auth" // RFC 8705, section 2.2
	HTTPSigAuth       AuthMethod = "httpsig"                     // a signature by a pre-registered key is authentication, too
)

// Binding is the proof that a client's token requests carry, which is what its tokens are bound by.
type Binding string

// The bindings.
const (
	AnyBinding           Binding = ""                      // any one of the others
	DPoP                 Binding = "dpop"                  // RFC 9449; cnf.jkt
	HTTPSigPreregistered Binding = "httpsig-preregistered" // draft-richer-oauth-httpsig-03, key named by keyid; cnf.jwk
	HTTPSigRuntime       Binding = "httpsig-runtime"       // the same, key in pub; cnf.htsk
	MutualTLS            Binding = "mtls"                  // RFC 8705, section 3; cnf.x5t#S256
)

// Client is a registered client, a resource server that introspects, or both.
type Client struct {
	// ID is the client_id: visible ASCII, without spaces. Required.
	ID string
	// AuthMethod is the one way in which it authenticates. Required.
	AuthMethod AuthMethod
	// SecretHash is the hash of its secret, for client_secret_basic: see [HashSecret].
	SecretHash SecretHash
	// Keys are its keys, each with a kid of its own: for private_key_jwt, and for HTTPSigPreregistered, which takes only
	// keys with a fully specified alg (RFC 9864: Ed25519, not EdDSA).
	Keys []*keys.Public
	// TLS is its identity, for tls_client_auth and self_signed_tls_client_auth.
	TLS TLSIdentity
	// Scope lists what it may ask for, and gets if it doesn't ask.
	Scope []string
	// Audience lists the resources that it may ask tokens for, as `resource` (RFC 8707) or `audience`, one a token; the
	// first is the default. If empty, it gets no tokens.
	Audience []string
	// Name is what people are asked about in its place. If empty, its ID.
	Name string
	// RedirectURIs are where authorization responses may go, for authorization_code: compared byte by byte, except for the
	// port of a loopback address (RFC 8252, section 7.3).
	RedirectURIs []string
	// RequirePushedRequests refuses authorization requests that weren't pushed (RFC 9126, section 6).
	RequirePushedRequests bool
	// AuthorizationDetails lists the types of authorization_details that it may use (RFC 9396, section 10).
	AuthorizationDetails []string
	// SkipConsent lets it have what it asks for without asking the user: for one's own applications.
	SkipConsent bool
	// SelfRegistered says that what is known of it is its own word, which users are told.
	SelfRegistered bool
	// IDTokenAlgorithm signs its ID tokens. If empty, the default of Keys.
	IDTokenAlgorithm keys.Algorithm
	// Grants lists the grant types that it may use. If empty, client_credentials, provided that it has an Audience.
	Grants []GrantType
	// Exchange is what it may do by token exchange, if that is one of its Grants.
	Exchange Exchange
	// Binding is the proof that it must use.
	Binding Binding
	// InsecureAllowUnbound grants Bearer tokens to requests without any proof: whoever copies such a token can use it.
	InsecureAllowUnbound bool
	// Introspect lists the audiences whose server it is. It may introspect tokens for these; all others look inactive
	// (RFC 7662, section 2.2), so that a resource server can't probe tokens that it was never meant to see.
	Introspect []string
}

// SecretHash is the SHA-256 of a client secret: see [HashSecret]. The zero value matches no secret.
type SecretHash [32]byte

// Event is a grant, an introspection or a refusal, for audit logs. It holds no token and no secret.
type Event struct {
	Endpoint string // "token", "introspection", "revocation", "par", "authorization", "consent", "userinfo", "registration",
	// "login", "logout", "passkey-added", "passkey-removed"; of Run, "pruning"
	// ClientID is the client's, or "" if no known one was named. It is authenticated unless Refusal is about just that.
	ClientID string
	// Refusal is nil for a grant, and for an introspection that was answered.
	Refusal *Error
	// Subject is the user's, if one is logged in.
	Subject string
	// GrantID names the grant that the tokens belong to, if any.
	GrantID string
	// TokenID is the jti of the token that was granted, revoked, or asked about and found active.
	TokenID string
	// Audience and Scope are that token's; of a refusal, what would have been granted, as far as it was known by then.
	Audience string
	Scope    []string
	// Binding and Key are those of the proof that a token request made. Both are zero for an unbound token.
	Binding Binding
	Key     keys.Thumbprint
}

// Server is an authorization server. It is safe for concurrent use.
type Server struct {
	issuer   string
	urls     urls
	handlers map[string]http.HandlerFunc // path → endpoint
	clients  map[string]*client          // client_id → configured client
	store    *store.Store
	keys     *signing.Ring
	lifetime time.Duration

	registered clientCache
	failures   *failures // or nil

	login          Login // or nil
	cookies        page.Cookies
	sameSite       *http.CrossOriginProtection
	formKey        []byte // marks our forms
	pushedLifetime time.Duration
	requirePushed  bool

	refreshLifetime time.Duration
	outside         []Outside
	registration    *DynamicRegistration // or nil
	documents       *documents           // or nil
	edges           []netip.Prefix
	certificates    bool // clients have a way to present theirs
	replay          replay.Guard
	dpop            *dpop.Verifier
	signatures      map[signatureKind]*httpsig.Verifier
	nonces          *dpop.Nonces
	requireNonce    bool
	observer        func(context.Context, Event)
	now             func() time.Time
}

// New checks cfg and copies it.
func New(cfg Config) (*Server, error) {
	s := &Server{
		issuer:   cfg.Issuer,
		store:    cfg.Store,
		keys:     cfg.Keys,
		lifetime: cfg.TokenLifetime,

		failures:       newFailures(cfg.FailureLimit),
		edges:          slices.Clone(cfg.Edges),
		certificates:   cfg.Certificates || len(cfg.Edges) > 0,
		outside:        slices.Clone(cfg.Outside),
		registration:   cfg.Registration,
		documents:      newDocuments(cfg.Registration),
		login:          cfg.Login,
		cookies:        page.Cookies{Secure: strings.HasPrefix(cfg.Issuer, "https:")},
		sameSite:       http.NewCrossOriginProtection(),
		pushedLifetime: cmp.Or(cfg.PushedLifetime, defaultPushedLifetime),
		requirePushed:  cfg.RequirePushedRequests,

		refreshLifetime: cmp.Or(cfg.RefreshLifetime, defaultRefreshLifetime),
		replay:          cfg.Replay,
		requireNonce:    cfg.RequireNonce,
		observer:        cfg.Observer,
		now:             cfg.Now,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.lifetime == 0 {
		s.lifetime = defaultLifetime
	}
	switch {
	case cfg.Store == nil || cfg.Keys == nil:
		return nil, errors.New("issuer: Store and Keys are required")
	case cfg.FailureLimit < 0:
		return nil, errors.New("issuer: FailureLimit is negative")
	case cfg.Registration != nil && cfg.Login == nil:
		return nil, errors.New("issuer: Registration is for clients with users, who need a Login")
	case cfg.Replay == nil:
		return nil, errors.New("issuer: Replay is required")
	case s.lifetime < time.Second:
		return nil, errors.New("issuer: TokenLifetime is under a second")
	case s.refreshLifetime < time.Second:
		return nil, errors.New("issuer: RefreshLifetime is under a second")
	case s.pushedLifetime < time.Second || s.pushedLifetime > maxPushedLifetime:
		return nil, errors.New("issuer: PushedLifetime is not between a second and 10 minutes")
	case s.lifetime > cfg.Keys.Overlap():
		return nil, errors.New("issuer: tokens would live longer than the keys that signed them are published")
	}
	if err := cfg.Registration.check(); err != nil {
		return nil, err
	}
	var err error
	if s.urls, err = parseIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	if err := s.sameSite.AddTrustedOrigin(strings.TrimSuffix(cfg.Issuer, s.urls.base)); err != nil {
		return nil, fmt.Errorf("issuer: Issuer: %w", err)
	}
	if s.clients, err = newClients(cfg.Clients); err != nil {
		return nil, err
	}
	for _, c := range s.clients {
		if _, err := s.keys.Signer(c.IDTokenAlgorithm); err != nil {
			return nil, fmt.Errorf("issuer: client %s: IDTokenAlgorithm: %w", c.ID, err)
		}
	}
	if err := s.openVerifiers(cfg.Secret); err != nil {
		return nil, err
	}
	if s.formKey, err = hkdf.Key(sha256.New, cfg.Secret, nil, formPurpose+s.issuer, sha256.Size); err != nil {
		return nil, fmt.Errorf("issuer: Secret: %w", err)
	}
	return s, s.route()
}

// openVerifiers makes what verifies proofs.
func (s *Server) openVerifiers(secret []byte) error {
	var err error
	s.nonces, err = dpop.NewNonces(dpop.NoncesConfig{Secret: secret, Scope: "token endpoint of " + s.issuer, Now: s.now})
	if err != nil {
		return fmt.Errorf("issuer: Secret: %w", err)
	}
	cfg := dpop.Config{Skew: skew, Now: s.now}
	if s.requireNonce {
		cfg.Nonces = s.nonces
	}
	if s.dpop, err = dpop.NewVerifier(cfg); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	s.signatures, err = newSignatureVerifiers(s.now)
	return err
}

// route lays out the endpoints.
func (s *Server) route() error {
	discovery, err := document("application/json", s.metadata())
	if err != nil {
		return err
	}
	s.handlers = map[string]http.HandlerFunc{
		wellKnown + s.urls.base:     discovery,
		s.urls.base + "/jwks":       s.serveKeys,
		s.urls.base + "/token":      s.serveToken,
		s.urls.base + "/introspect": s.serveIntrospect,
		s.urls.base + "/revoke":     s.serveRevoke,
	}
	if s.registration.registers() {
		s.handlers[s.urls.base+"/register"] = s.serveRegister
	}
	if s.login != nil {
		s.handlers[s.urls.base+"/par"] = s.servePush
		s.handlers[s.urls.base+"/authorize"] = s.serveAuthorize
		s.handlers[s.urls.base+"/consent"] = s.serveConsent
		s.handlers[s.urls.base+"/userinfo"] = s.serveUserinfo
		openid, err := document("application/json", s.openid())
		if err != nil {
			return err
		}
		s.handlers[s.urls.base+"/.well-known/openid-configuration"] = openid
	}
	return nil
}

// Handler serves the endpoints, by their paths, and answers 404 for others. It sets Request.Pattern to the endpoint's path, as
// http.ServeMux does, for the metrics of whoever wraps it.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if serve := s.handlers[r.URL.EscapedPath()]; serve != nil {
			r.Pattern = r.URL.EscapedPath()
			serve(w, r)
			return
		}
		if s.login != nil && strings.HasPrefix(r.URL.EscapedPath(), s.urls.base+"/login/") {
			r.Pattern = s.urls.base + "/login/"
			s.login.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

// urlOf is the URL of the endpoint that r is for, as clients call it: by the issuer's name and never by r's Host.
func (s *Server) urlOf(r *http.Request) string {
	return strings.TrimSuffix(s.issuer, s.urls.base) + r.URL.EscapedPath()
}

// observe tells the observer, if there is one.
func (s *Server) observe(ctx context.Context, e Event) {
	if s.observer != nil {
		s.observer(ctx, e)
	}
}
