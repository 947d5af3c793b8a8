package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/keys"
)

// wellKnown is where metadata lives: before the issuer's own path, not below it (RFC 8414, section 3.1).
const wellKnown = "/.well-known/oauth-authorization-server"

// urls are the issuer's endpoints as clients call them.
type urls struct {
	base                            string // the issuer's own path, which may be empty
	token, introspect, revoke, jwks string
	par, authorize, userinfo        string
	register                        string
}

// parseIssuer checks an issuer identifier (RFC 8414, section 2) and lays out the endpoints below it.
func parseIssuer(issuer string) (urls, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return urls{}, errors.New("issuer: Issuer is no URL")
	}
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return urls{}, errors.New("issuer: Issuer must be scheme, host and path only")
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return urls{}, errors.New("issuer: Issuer must be https, or http on a loopback host")
	case u.String() != issuer || u.Host != strings.ToLower(u.Host):
		return urls{}, errors.New("issuer: Issuer is not in its normal form")
	case u.EscapedPath() != u.Path || u.Path != "" && path.Clean(u.Path) != u.Path || strings.HasSuffix(u.Path, "/"):
		return urls{}, errors.New("issuer: Issuer's path must be plain, without a slash at its end")
	}
	return urls{
		base:       u.Path,
		token:      issuer + "/token",
		introspect: issuer + "/introspect",
		revoke:     issuer + "/revoke",
		jwks:       issuer + "/jwks",
		par:        issuer + "/par",
		authorize:  issuer + "/authorize",
		userinfo:   issuer + "/userinfo",
		register:   issuer + "/register",
	}, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// metadata is the document of RFC 8414, section 2.
type metadata struct {
	Issuer                string `json:"issuer"`
	TokenEndpoint         string `json:"token_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
	RegistrationEndpoint  string `json:"registration_endpoint,omitempty"`

	AuthorizationEndpoint string   `json:"authorization_endpoint,omitempty"`
	PushEndpoint          string   `json:"pushed_authorization_request_endpoint,omitempty"` // RFC 9126, section 5
	RequirePush           bool     `json:"require_pushed_authorization_requests,omitempty"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported,omitempty"`
	ResponseModes         []string `json:"response_modes_supported,omitempty"`
	ResponseNamesIssuer   bool     `json:"authorization_response_iss_parameter_supported,omitempty"` // RFC 9207, section 3
	Prompts               []string `json:"prompt_values_supported,omitempty"`
	DetailsTypes          []string `json:"authorization_details_types_supported,omitempty"` // RFC 9396, section 10

	ScopesSupported []string `json:"scopes_supported,omitempty"`
	// ResponseTypesSupported is required, and empty without an authorization endpoint. Section 3.2 would have it left out
	// when empty, but readers insist on what section 2 requires.
	ResponseTypesSupported []string    `json:"response_types_supported"`
	GrantTypesSupported    []GrantType `json:"grant_types_supported"`

	TokenAuthMethods         []AuthMethod     `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms      []keys.Algorithm `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectAuthMethods    []AuthMethod     `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectAuthAlgorithms []keys.Algorithm `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	IntrospectAlgorithms     []keys.Algorithm `json:"introspection_signing_alg_values_supported"` // RFC 9701, section 7
	RevokeAuthMethods        []AuthMethod     `json:"revocation_endpoint_auth_methods_supported"`
	RevokeAuthAlgorithms     []keys.Algorithm `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgorithms           []keys.Algorithm `json:"dpop_signing_alg_values_supported"`
	ClientDocuments          bool             `json:"client_id_metadata_document_supported,omitempty"`      // draft-ietf-oauth-client-id-metadata-document, section 5
	CertificateBound         bool             `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705, section 3.3
}

func (s *Server) metadata() metadata {
	confidential := []AuthMethod{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT, HTTPSigAuth}
	if s.certificates {
		confidential = append(confidential, TLSClientAuth, SelfSignedTLS)
	}
	methods := append([]AuthMethod{NoAuth}, confidential...)
	var scopes []string
	for _, c := range s.clients {
		scopes = append(scopes, c.Scope...)
	}
	if s.registration != nil {
		scopes = append(scopes, s.registration.Scope...)
	}
	slices.Sort(scopes)
	m := metadata{
		Issuer:                   s.issuer,
		TokenEndpoint:            s.urls.token,
		JWKSURI:                  s.urls.jwks,
		IntrospectionEndpoint:    s.urls.introspect,
		RevocationEndpoint:       s.urls.revoke,
		ScopesSupported:          slices.Compact(scopes),
		ResponseTypesSupported:   []string{},
		GrantTypesSupported:      slices.Sorted(maps.Keys(grantTypes)),
		TokenAuthMethods:         methods,
		TokenAuthAlgorithms:      assertionAlgorithms,
		IntrospectAuthMethods:    confidential,
		IntrospectAuthAlgorithms: assertionAlgorithms,
		IntrospectAlgorithms:     s.keys.Algorithms()[:1],
		RevokeAuthMethods:        methods,
		RevokeAuthAlgorithms:     assertionAlgorithms,
		DPoPAlgorithms:           s.dpop.Algorithms(),
		CertificateBound:         s.certificates,
	}
	m.ClientDocuments = s.documents != nil
	if s.registration.registers() {
		m.RegistrationEndpoint = s.urls.register
	}
	if s.login != nil {
		s.addAuthorization(&m)
	}
	return m
}

// addAuthorization says what the authorization endpoint does.
func (s *Server) addAuthorization(m *metadata) {
	for _, c := range s.clients {
		m.DetailsTypes = append(m.DetailsTypes, c.AuthorizationDetails...)
	}
	slices.Sort(m.DetailsTypes)
	m.DetailsTypes = slices.Compact(m.DetailsTypes)
	m.AuthorizationEndpoint, m.PushEndpoint, m.RequirePush = s.urls.authorize, s.urls.par, s.requirePushed
	m.ChallengeMethods, m.ResponseModes, m.ResponseNamesIssuer = []string{"S256"}, []string{"query"}, true
	m.ResponseTypesSupported = []string{"code"}
	m.Prompts = []string{promptNone, promptLogin, promptConsent, promptSelect}
}

// document is a handler for something public that doesn't change while we run.
func document(contentType string, v any) (http.HandlerFunc, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return func(w http.ResponseWriter, r *http.Request) { writeDocument(w, r, contentType, body) }, nil
}

// writeDocument answers a GET for something public, which may be kept for five minutes.
func writeDocument(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(body)
}

// openidMetadata is the document of OpenID Connect Discovery 1.0, section 3: that of RFC 8414, and what only OpenID
// Connect has.
type openidMetadata struct {
	metadata
	UserinfoEndpoint  string           `json:"userinfo_endpoint"`
	SubjectTypes      []string         `json:"subject_types_supported"`
	IDTokenAlgorithms []keys.Algorithm `json:"id_token_signing_alg_values_supported"`
	Claims            []string         `json:"claims_supported"`
	ClaimsParameter   bool             `json:"claims_parameter_supported"`
	RequestParameter  bool             `json:"request_parameter_supported"`
	RequestURI        bool             `json:"request_uri_parameter_supported"` // of others than ours
}

func (s *Server) openid() openidMetadata {
	m := openidMetadata{
		metadata: s.metadata(), UserinfoEndpoint: s.urls.userinfo, SubjectTypes: []string{"public"},
		Claims: []string{"sub", "name", "auth_time", "acr", "amr"},
	}
	for _, key := range s.keys.Published() {
		if !slices.Contains(m.IDTokenAlgorithms, key.Algorithm()) {
			m.IDTokenAlgorithms = append(m.IDTokenAlgorithms, key.Algorithm())
		}
	}
	if !slices.Contains(m.ScopesSupported, scopeOpenID) {
		m.ScopesSupported = append(m.ScopesSupported, scopeOpenID)
	}
	return m
}
