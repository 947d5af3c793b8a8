package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// minSecret is the length of 128 bits in base64url.
const minSecret = 22

// HashSecret hashes a client secret, of at least 22 characters: 128 random bits in base64url. A slow hash would protect
// guessable secrets in a stolen configuration; against 2^128 guesses a fast one is as good, and a slow one at an
// endpoint that anybody can call is a gift to whoever wants it busy. So secrets must be random: people don't choose them.
func HashSecret(secret string) (SecretHash, error) {
	if len(secret) < minSecret {
		return SecretHash{}, fmt.Errorf("issuer: a client secret needs at least %d random characters", minSecret)
	}
	return sha256.Sum256([]byte(secret)), nil
}

// matches compares in constant time. The zero hash, of a client without a secret or of none, matches nothing: no
// string with that SHA-256 is known.
func (h SecretHash) matches(secret string) bool {
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(h[:], got[:]) == 1
}

// client is a checked copy of a Client.
type client struct {
	Client
	keys          map[string]*keys.Public // kid → key
	signatureKeys map[string]*httpsig.Key // kid → key that token requests may be signed with
}

// uses tells whether a client may use a grant type.
func (c *client) uses(g GrantType) bool { return slices.Contains(c.Grants, g) }

var errNoID = errors.New("issuer: a client needs an ID of visible ASCII")

// newClients checks the clients and copies them, by id.
func newClients(list []Client) (map[string]*client, error) {
	clients := make(map[string]*client, len(list))
	for _, c := range list {
		if !isVisible(c.ID) {
			return nil, errNoID
		}
		if clients[c.ID] != nil {
			return nil, fmt.Errorf("issuer: client %s: ID used twice", c.ID)
		}
		checked, err := newClient(c)
		if err != nil {
			return nil, fmt.Errorf("issuer: client %s: %w", c.ID, err)
		}
		clients[c.ID] = checked
	}
	return clients, nil
}

func newClient(c Client) (*client, error) {
	c.Keys = slices.Clone(c.Keys)
	c.Scope = slices.Clone(c.Scope)
	c.Audience = slices.Clone(c.Audience)
	c.Introspect = slices.Clone(c.Introspect)
	c.Grants = slices.Clone(c.Grants)
	if len(c.Grants) == 0 && len(c.Audience) > 0 {
		c.Grants = []GrantType{ClientCredentials}
	}
	c.TLS.Certificates = slices.Clone(c.TLS.Certificates)
	c.Exchange.Outside = slices.Clone(c.Exchange.Outside)
	c.RedirectURIs = slices.Clone(c.RedirectURIs)
	c.AuthorizationDetails = slices.Clone(c.AuthorizationDetails)
	checked := &client{Client: c}
	if err := checked.indexKeys(); err != nil {
		return nil, err
	}
	if err := checked.checkAuthMethod(); err != nil {
		return nil, err
	}
	if err := checked.checkBinding(); err != nil {
		return nil, err
	}
	if err := c.TLS.check(c.AuthMethod); err != nil {
		return nil, err
	}
	for _, scope := range c.Scope {
		if !isScope(scope) {
			return nil, fmt.Errorf("%q in Scope is no scope token (RFC 6749, section 3.3)", scope)
		}
	}
	if slices.Contains(c.Audience, "") || slices.Contains(c.Introspect, "") {
		return nil, errors.New("an empty string in Audience or Introspect")
	}
	for _, uri := range c.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return nil, err
		}
	}
	return checked, checked.checkGrants()
}

// checkGrants refuses a client that could do nothing, or what isn't ours to grant.
func (c *client) checkGrants() error {
	for _, g := range c.Grants {
		if grantTypes[g] == nil {
			return fmt.Errorf("unknown grant type %q", g)
		}
	}
	switch {
	case len(c.Audience) == 0 && len(c.Introspect) == 0:
		return errors.New("needs an Audience, Introspect, or both")
	case len(c.Audience) == 0 && len(c.Grants) > 0:
		return errors.New("grant types without an Audience")
	case c.uses(CodeGrant) != (len(c.RedirectURIs) > 0):
		return errors.New("authorization_code and RedirectURIs need each other")
	}
	return nil
}

// indexKeys finds the keys by kid, and those that may sign requests.
func (c *client) indexKeys() error {
	c.keys = make(map[string]*keys.Public, len(c.Keys))
	c.signatureKeys = make(map[string]*httpsig.Key, len(c.Keys))
	for _, key := range c.Keys {
		if key == nil || key.KeyID() == "" {
			return errors.New("each of Keys needs a kid")
		}
		kid := key.KeyID()
		if c.keys[kid] != nil {
			return fmt.Errorf("kid %q used twice in Keys", kid)
		}
		c.keys[kid] = key
		if !fullySpecified(key.Algorithm()) {
			continue
		}
		signatureKey, err := httpsig.NewJOSEKey(key)
		if err != nil {
			return fmt.Errorf("key %q: %w", kid, err)
		}
		c.signatureKeys[kid] = signatureKey
	}
	return nil
}

// fullySpecified tells whether alg says everything about a signature (RFC 9864), and is one that we take.
func fullySpecified(alg keys.Algorithm) bool {
	switch alg {
	case keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.PS256, keys.PS384, keys.PS512:
		return true
	}
	return false
}

func (c *client) checkAuthMethod() error {
	switch c.AuthMethod {
	case ClientSecretBasic, ClientSecretPost:
		if c.SecretHash == (SecretHash{}) {
			return fmt.Errorf("%s needs a SecretHash", c.AuthMethod)
		}
		return nil
	case NoAuth:
		if slices.Contains(c.Grants, ClientCredentials) || len(c.Introspect) > 0 {
			return errors.New("a client that can't prove who it is may neither introspect nor have tokens in its own name")
		}
	case PrivateKeyJWT:
		if !slices.ContainsFunc(c.Keys, mayAssert) {
			return errors.New("private_key_jwt needs a key for ES256, Ed25519 or PS256")
		}
	case TLSClientAuth, SelfSignedTLS:
	case HTTPSigAuth:
		if c.Binding != HTTPSigPreregistered {
			return errors.New("httpsig needs the binding HTTPSigPreregistered: the signature is the authentication")
		}
	default:
		return fmt.Errorf("unknown AuthMethod %q", c.AuthMethod)
	}
	if c.SecretHash != (SecretHash{}) {
		return fmt.Errorf("%s takes no SecretHash", c.AuthMethod)
	}
	return nil
}

// mayAssert tells whether a client assertion can be signed with the key.
func mayAssert(key *keys.Public) bool {
	if key.Algorithm() != "" {
		return slices.Contains(assertionAlgorithms, key.Algorithm())
	}
	switch key := key.Key().(type) {
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256()
	default:
		return true
	}
}

func (c *client) checkBinding() error {
	switch c.Binding {
	case AnyBinding, DPoP, HTTPSigRuntime, MutualTLS:
	case HTTPSigPreregistered:
		if len(c.signatureKeys) == 0 {
			return errors.New("binding HTTPSigPreregistered needs a key with a fully specified alg (RFC 9864)")
		}
	default:
		return fmt.Errorf("unknown Binding %q", c.Binding)
	}
	return nil
}

// isScope tells whether s is a scope-token (RFC 6749, section 3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return s != ""
}

// isVisible tells whether s is visible ASCII and not empty.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
