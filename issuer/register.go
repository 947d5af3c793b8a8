package issuer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/issuer/store"
)

const (
	// maxMetadata bounds what a client says of itself, in bytes.
	maxMetadata = 16 << 10
	// maxClientName bounds the name that a client gives itself, in bytes: people read it.
	maxClientName = 100
	// maxRedirectURIs bounds how many a client may register by itself.
	maxRedirectURIs = 16

	registerSection = "RFC 7591, section 3.2.2"
)

// DynamicRegistration lets clients register themselves (RFC 7591), for authorization_code and refresh_token. Nobody has checked
// what they say of themselves, and users are told so. They can't be changed that way; `holdfast client` can.
type DynamicRegistration struct {
	// InitialTokens are hashes of the initial access tokens that let a client register (RFC 7591, section 1.2): see [HashSecret].
	// Each may be used any number of times.
	InitialTokens []SecretHash
	// InsecureOpen lets everybody register, without a token, as far as Config.FailureLimit allows: the database grows
	// with every registration, and any name may be taken.
	InsecureOpen bool
	// Documents lets a client be known by the URL of a document that describes it, without registering
	// (draft-ietf-oauth-client-id-metadata-document). Whoever names such a client has us fetch what is there.
	Documents bool
	// HTTP fetches documents. If nil, one that reaches addresses of the public Internet only.
	HTTP *http.Client
	// Audience lists the resources that such clients may ask tokens for; the first is the default. Required.
	Audience []string
	// Scope lists what they may ask for at most.
	Scope []string
}

func (r *DynamicRegistration) check() error {
	switch {
	case r == nil:
		return nil
	case len(r.InitialTokens) > 0 && r.InsecureOpen:
		return errors.New("issuer: Registration has InitialTokens and is InsecureOpen")
	case !r.registers() && !r.Documents:
		return errors.New("issuer: Registration needs InitialTokens, InsecureOpen or Documents")
	case slices.Contains(r.InitialTokens, SecretHash{}):
		return errors.New("issuer: Registration: an empty hash in InitialTokens")
	case len(r.Audience) == 0 || slices.Contains(r.Audience, ""):
		return errors.New("issuer: Registration needs an Audience, without empty strings")
	case slices.ContainsFunc(r.Scope, func(s string) bool { return !isScope(s) }):
		return errors.New("issuer: Registration: not a scope token in Scope (RFC 6749, section 3.3)")
	}
	return nil
}

// registers tells whether there is a registration endpoint.
func (r *DynamicRegistration) registers() bool {
	return r != nil && (len(r.InitialTokens) > 0 || r.InsecureOpen)
}

// lets tells whether a token, or none, lets a client register. The time that it takes doesn't depend on how much of a
// token is right.
func (r *DynamicRegistration) lets(token string) bool {
	ok := r.InsecureOpen
	for _, hash := range r.InitialTokens {
		if hash.matches(token) {
			ok = true
		}
	}
	return ok
}

// serveRegister is the client registration endpoint (RFC 7591, section 3).
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request) {
	event := Event{Endpoint: "registration"}
	registered, err := s.register(w, r, &event)
	if err != nil {
		event.Refusal = asError(err)
		s.observe(r.Context(), event)
		event.Refusal.write(w)
		return
	}
	s.observe(r.Context(), event)
	writeJSON(w, http.StatusCreated, registered)
}

// register lists the steps of a registration, and returns the answer (section 3.2.1).
func (s *Server) register(w http.ResponseWriter, r *http.Request, event *Event) (map[string]any, error) {
	if err := s.mayTry(r, nil); err != nil {
		return nil, err
	}
	if err := s.admitRegistration(r); err != nil {
		return nil, err
	}
	text, err := readMetadata(w, r)
	if err != nil {
		return nil, err
	}
	c, err := s.registration.parse(text, ClientSecretBasic, ignore)
	if err != nil {
		return nil, err
	}
	c.ID = rand.Text()
	secret := ""
	if c.AuthMethod == ClientSecretBasic || c.AuthMethod == ClientSecretPost {
		secret = newSecret(kindClient)
		if c.SecretHash, err = HashSecret(secret); err != nil {
			return nil, err
		}
	}
	if _, err := s.keys.Signer(c.IDTokenAlgorithm); err != nil {
		return nil, &Error{Reason: MetadataRefused, Section: registerSection, Part: "id_token_signed_response_alg", Err: err}
	}
	form, err := c.Registration()
	if err != nil {
		return nil, &Error{Reason: MetadataRefused, Section: registerSection, Err: err}
	}
	if s.registration.InsecureOpen {
		s.failures.count("", s.peerOf(r), s.now())
	}
	if err := s.store.CreateClient(r.Context(), s.now(), store.Client{ID: c.ID, Registration: form}); err != nil {
		return nil, storeRefusal(err, Unavailable, "client")
	}
	event.ClientID, event.Scope = c.ID, c.Scope
	answer := registrationOf(c).told()
	answer["client_id"], answer["client_id_issued_at"] = c.ID, s.now().Unix()
	if secret != "" {
		answer["client_secret"], answer["client_secret_expires_at"] = secret, 0
	}
	return answer, nil
}

// admitRegistration checks the initial access token (RFC 6750, section 2.1).
func (s *Server) admitRegistration(r *http.Request) error {
	if r.Method != http.MethodPost {
		return &Error{Reason: MethodRefused, Section: "RFC 7591, section 3.1", Expected: http.MethodPost}
	}
	token := ""
	if fields := r.Header.Values("Authorization"); len(fields) == 1 {
		scheme, rest, _ := strings.Cut(fields[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = rest
		}
	}
	if !s.registration.lets(token) {
		s.failures.count("", s.peerOf(r), s.now())
		return &Error{Reason: InitialTokenRefused, Section: "RFC 7591, section 3", Part: "Authorization"}
	}
	return nil
}

// readMetadata reads the body of a registration request.
func readMetadata(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || len(r.Header.Values("Content-Encoding")) > 0 {
		return nil, &Error{Reason: MetadataRefused, Section: "RFC 7591, section 3.1", Part: "Content-Type", Expected: "application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMetadata))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &Error{Reason: FormTooLarge, Expected: "at most 16 KiB"}
	}
	if err != nil {
		return nil, &Error{Reason: MetadataRefused, Section: registerSection, Part: "body", Err: err}
	}
	return body, nil
}

// parse reads what a client says of itself. Members that aren't known are ignored (RFC 7591, section 2), our own too: a
// client can't give itself privileges.
// Those go to further. If it names no way to authenticate, it is the default.
func (r *DynamicRegistration) parse(text []byte, byDefault AuthMethod, further func(name string, value strictjson.Value) error) (Client, error) {
	g := registration{authMethod: string(byDefault), grants: []string{string(CodeGrant)}}
	var responseTypes []string
	members := g.toldMembers()
	members["response_types"] = &responseTypes
	err := strictjson.Object(text, func(name string, value strictjson.Value) error {
		switch name {
		case "software_statement":
			return &Error{Reason: StatementRefused, Section: registerSection, Part: name}
		case "jwks_uri": // without it the client could do nothing
			return &Error{Reason: MetadataRefused, Section: registerSection, Part: name, Expected: "jwks"}
		}
		if members[name] == nil {
			return further(name, value)
		}
		if err := readMember(members[name], value); err != nil {
			return &Error{Reason: MetadataRefused, Section: registerSection, Part: name, Err: err}
		}
		return nil
	})
	if e, ok := errors.AsType[*Error](err); ok {
		return Client{}, e
	}
	if err != nil {
		return Client{}, &Error{Reason: MetadataRefused, Section: registerSection, Part: "body", Err: err}
	}
	if responseTypes != nil && !slices.Equal(responseTypes, []string{"code"}) {
		return Client{}, &Error{Reason: MetadataRefused, Section: registerSection, Part: "response_types", Expected: "code"}
	}
	return r.client(&g)
}

func ignore(string, strictjson.Value) error { return nil }

// client makes a client of what it says of itself.
func (r *DynamicRegistration) client(g *registration) (Client, error) {
	refuse := func(part string, err error) (Client, error) {
		return Client{}, &Error{Reason: MetadataRefused, Section: registerSection, Part: part, Err: err}
	}
	c, err := g.client()
	if err != nil {
		return refuse("", err)
	}
	if len(c.RedirectURIs) == 0 || len(c.RedirectURIs) > maxRedirectURIs {
		return Client{}, &Error{Reason: RedirectURIRefused, Section: registerSection, Part: "redirect_uris", Expected: fmt.Sprintf("1 to %d", maxRedirectURIs)}
	}
	for _, uri := range c.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return Client{}, &Error{Reason: RedirectURIRefused, Section: registerSection, Part: "redirect_uris", Err: err}
		}
	}
	for _, grant := range c.Grants {
		if grant != CodeGrant && grant != RefreshGrant {
			return refuse("grant_types", errors.New("only authorization_code and refresh_token are for clients that register themselves"))
		}
	}
	switch c.AuthMethod {
	case NoAuth, ClientSecretBasic, ClientSecretPost, PrivateKeyJWT:
	default:
		return refuse("token_endpoint_auth_method", errors.New("only none, client_secret_basic, client_secret_post and private_key_jwt"))
	}
	if len(c.Name) > maxClientName || strings.ContainsFunc(c.Name, func(ch rune) bool { return !unicode.IsPrint(ch) }) {
		return refuse("client_name", errors.New("longer than 100 bytes, or with other than printable characters"))
	}
	c.Scope = r.allowed(c.Scope)
	c.Audience, c.SelfRegistered = r.Audience, true
	return c, nil
}

// allowed returns what a client may ask for: of what it wants, what is ours to give (RFC 7591, section 3.2.1).
func (r *DynamicRegistration) allowed(wanted []string) []string {
	if len(wanted) == 0 {
		return r.Scope
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(s string) bool { return !slices.Contains(r.Scope, s) })
}

// told is what the client is told of its registration.
func (g *registration) told() map[string]any {
	out := map[string]any{"response_types": []string{"code"}}
	for name, member := range g.toldMembers() {
		if value := writeMember(member); value != nil {
			out[name] = value
		}
	}
	return out
}

// toldMembers are the members that a client may say of itself.
func (g *registration) toldMembers() map[string]any {
	all := g.members()
	members := make(map[string]any)
	for _, name := range []string{
		"client_name", "token_endpoint_auth_method", "grant_types", "redirect_uris", "scope", "jwks", "dpop_bound_access_tokens",
		"tls_client_certificate_bound_access_tokens", "require_pushed_authorization_requests", "id_token_signed_response_alg",
	} {
		members[name] = all[name]
	}
	return members
}
