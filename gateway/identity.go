package gateway

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

// Identity tells upstreams who called, in a signed header: a JWT of type "holdfast-identity+jwt". Its `aud` is the
// upstream's origin, so that an upstream can't use it at another one; `htm` and `htu` say which request it is about.
// Further claims: `sub`, `client_id`, `scope` and `token_iss` (the issuer) of the token; `scheme`; `cnf`, the key that
// signed (`jkt`) or the client's certificate (`x5t#S256`); `covered`, the components that its proof covers, and `body`,
// whether the body is one of them: with mTLS none is, as a connection says nothing to third parties. Upstreams find
// the gateway's keys at KeysPath.
type Identity struct {
	// Header is the field's name. If empty, "Holdfast-Identity".
	Header string
	// Signer signs. Required.
	Signer *keys.Signer
	// Others are further keys to publish: those before and after Signer's in a rotation.
	Others []*keys.Public
	// Issuer names this gateway in `iss`. Required.
	Issuer string
	// Lifetime of a statement. If zero, 60 s.
	Lifetime time.Duration
	// KeysPath is where the keys are published. If empty, "/.well-known/holdfast-gateway-jwks.json".
	KeysPath string
}

const (
	defaultIdentityHeader   = "Holdfast-Identity"
	defaultIdentityLifetime = 60 * time.Second
	defaultKeysPath         = "/.well-known/holdfast-gateway-jwks.json"
)

// identity is an Identity that was checked.
type identity struct {
	Identity
	head jws.Header
	jwks []byte
	now  func() time.Time
}

func newIdentity(in *Identity, now func() time.Time) (*identity, error) {
	if in == nil {
		return nil, nil
	}
	id := &identity{Identity: *in, now: now}
	if id.Header == "" {
		id.Header = defaultIdentityHeader
	}
	if id.Lifetime == 0 {
		id.Lifetime = defaultIdentityLifetime
	}
	if id.KeysPath == "" {
		id.KeysPath = defaultKeysPath
	}
	switch {
	case id.Signer == nil:
		return nil, errors.New("gateway: identity: Signer is required")
	case id.Issuer == "":
		return nil, errors.New("gateway: identity: Issuer is required")
	case id.Lifetime < 0:
		return nil, errors.New("gateway: identity: negative Lifetime")
	case !plainPath(id.KeysPath):
		return nil, errors.New("gateway: identity: KeysPath isn't a plain path")
	}
	return id, id.publish()
}

// publish makes the key set (RFC 7517, section 5) and the head, which names the key in it.
func (id *identity) publish() error {
	public := id.Signer.Public()
	kid := public.KeyID()
	if kid == "" {
		kid = public.Thumbprint().String()
		var err error
		if public, err = keys.NewPublic(public.Key(), kid, id.Signer.Algorithm()); err != nil {
			return err
		}
	}
	id.head = jws.Header{Typ: "holdfast-identity+jwt", KeyID: kid}
	var err error
	id.jwks, err = json.Marshal(map[string][]*keys.Public{"keys": append([]*keys.Public{public}, id.Others...)})
	return err
}

// statement is the claims.
type statement struct {
	Issuer      string            `json:"iss"`
	Subject     string            `json:"sub,omitempty"`
	Audience    string            `json:"aud"`
	IssuedAt    int64             `json:"iat"`
	Expires     int64             `json:"exp"`
	ID          string            `json:"jti"`
	ClientID    string            `json:"client_id,omitempty"`
	Scope       string            `json:"scope,omitempty"`
	TokenIssuer string            `json:"token_iss"`
	Scheme      string            `json:"scheme"`
	Confirm     map[string]string `json:"cnf,omitempty"`
	Covered     []string          `json:"covered,omitempty"`
	Body        bool              `json:"body"`
	Method      string            `json:"htm"`
	URL         string            `json:"htu"` // without the query, as in a DPoP proof
}

// state signs what v says about a request with this method, for the upstream with this origin.
func (id *identity) state(v *holdfast.Verdict, method, origin string) (string, error) {
	now := id.now()
	url, _, _ := strings.Cut(v.TargetURI, "?")
	s := statement{
		Issuer: id.Issuer, Subject: v.Token.Subject, Audience: origin, ID: rand.Text(),
		IssuedAt: now.Unix(), Expires: now.Add(id.Lifetime).Unix(),
		ClientID: v.Token.ClientID, Scope: strings.Join(v.Token.Scope, " "), TokenIssuer: v.Token.Issuer,
		Scheme: string(v.Scheme), Covered: v.Covered, Body: v.BodyCovered, Method: method, URL: url,
	}
	switch {
	case v.Scheme == holdfast.SchemeBearer:
	case v.Token.Confirmation.Binding == accesstoken.BoundX5T:
		s.Confirm = map[string]string{"x5t#S256": v.Key.String()}
	default:
		s.Confirm = map[string]string{"jkt": v.Key.String()}
	}
	claims, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return jws.Sign(id.Signer, id.head, claims)
}

// serveKeys answers with the key set.
func (id *identity) serveKeys(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	// A failed write means that the peer is gone; there is nobody left to tell.
	_, _ = w.Write(id.jwks)
}
