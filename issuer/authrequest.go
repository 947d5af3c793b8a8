package issuer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	// maxParameter bounds a parameter of an authorization request, in bytes: they are stored until the request ends.
	maxParameter = 4 << 10
	// maxDetails bounds authorization_details, in bytes.
	maxDetails = 16 << 10
	// maxDetailsCount bounds how many things a person is asked to agree to at once.
	maxDetailsCount = 16
	// maxAgeLimit is the greatest max_age that is told apart, in seconds: ten years.
	maxAgeLimit = 10 * 365 * 24 * 60 * 60
)

// authorizationRequest is a checked authorization request (RFC 6749, section 4.1.1), as it is stored.
type authorizationRequest struct {
	ClientID    string          `json:"client_id"`
	RedirectURI string          `json:"redirect_uri"`
	Scope       []string        `json:"scope,omitempty"`
	Resource    string          `json:"resource"`
	State       string          `json:"state,omitempty"`
	Challenge   string          `json:"code_challenge"` // S256 (RFC 7636)
	Nonce       string          `json:"nonce,omitempty"`
	Prompt      []string        `json:"prompt,omitempty"`
	MaxAge      *int64          `json:"max_age,omitempty"` // seconds
	LoginHint   string          `json:"login_hint,omitempty"`
	Thumbprint  string          `json:"dpop_jkt,omitempty"` // RFC 9449, section 10
	Details     json.RawMessage `json:"authorization_details,omitempty"`
}

// encode returns the request as it is stored. Nothing is escaped for HTML, which would make it up to six times as long.
func (q *authorizationRequest) encode() (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(q); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// binding is what a code of this request is bound to, written as cnf; nil if the request named no key.
func (q *authorizationRequest) binding() json.RawMessage {
	if q.Thumbprint == "" {
		return nil
	}
	return fmt.Appendf(nil, `{"jkt":%q}`, q.Thumbprint)
}

// parseAuthorization checks what a client asks for. redirect has been checked before, since errors go there.
func parseAuthorization(f form, c *client, redirect string) (authorizationRequest, error) {
	q := authorizationRequest{
		ClientID: c.ID, RedirectURI: redirect,
		State: f.get("state"), Nonce: f.get("nonce"), LoginHint: f.get("login_hint"), Challenge: f.get("code_challenge"),
	}
	if err := checkParameters(f, c); err != nil {
		return q, err
	}
	var err error
	if q.Scope, err = narrowed(c.Scope, f.get("scope")); err != nil {
		return q, err
	}
	if q.Resource, err = c.audienceFor(f.get("resource"), f.get("audience")); err != nil {
		return q, err
	}
	if q.Prompt, err = parsePrompt(f.get("prompt")); err != nil {
		return q, err
	}
	if q.MaxAge, err = parseMaxAge(f.get("max_age")); err != nil {
		return q, err
	}
	if q.Thumbprint, err = parseJKT(f.get("dpop_jkt")); err != nil {
		return q, err
	}
	q.Details, err = parseDetails(f.get("authorization_details"), c.AuthorizationDetails)
	return q, err
}

// checkParameters refuses what can be judged parameter by parameter. acr_values, claims, display and ui_locales are
// wishes, and ignored; id_token_hint and request are demands that we can't meet.
func checkParameters(f form, c *client) error {
	if f.get("request") != "" {
		return &Error{Reason: RequestRefused, Section: "RFC 9101, section 7", Part: "request"}
	}
	for _, name := range [...]string{"request_uri", "id_token_hint"} {
		if f.get(name) != "" {
			return parameterRefused("RFC 9126, section 2.1", name)
		}
	}
	for _, name := range [...]string{"state", "nonce"} {
		if v := f.get(name); len(v) > maxParameter || !isPrintable(v) {
			return parameterRefused("RFC 6749, appendix A.5", name)
		}
	}
	if v := f.get("login_hint"); len(v) > maxParameter || !utf8.ValidString(v) {
		return parameterRefused("OpenID Connect Core, section 3.1.2.1", "login_hint")
	}
	switch {
	case !c.uses(CodeGrant):
		return &Error{Reason: ClientRefused, Section: "RFC 6749, section 4.1.2.1", Part: "client_id"}
	case f.get("response_type") == "":
		return parameterRefused("RFC 6749, section 4.1.1", "response_type")
	case f.get("response_type") != "code":
		return &Error{Reason: ResponseTypeRefused, Section: "RFC 6749, section 4.1.2.1", Part: "response_type", Expected: "code"}
	case f.get("response_mode") != "" && f.get("response_mode") != "query":
		return parameterRefused("OAuth 2.0 Multiple Response Types, section 2.1", "response_mode")
	case f.get("code_challenge_method") != "S256":
		return &Error{Reason: PKCERefused, Section: "RFC 7636, section 4.3", Part: "code_challenge_method", Expected: "S256"}
	case !isChallenge(f.get("code_challenge")):
		return &Error{Reason: PKCERefused, Section: "RFC 7636, section 4.2", Part: "code_challenge"}
	}
	return nil
}

func parameterRefused(section, name string) error {
	return &Error{Reason: ParameterRefused, Section: section, Part: name}
}

// isChallenge tells whether v is the base64url of a SHA-256, and its only spelling.
func isChallenge(v string) bool { return isThumbprint(v) }

func isThumbprint(v string) bool {
	t, err := keys.ParseThumbprint(v)
	return err == nil && t.String() == v
}

// isPrintable tells whether v is visible ASCII and spaces (RFC 6749, appendix A: VSCHAR).
func isPrintable(v string) bool {
	for i := range len(v) {
		if v[i] < ' ' || v[i] > '~' {
			return false
		}
	}
	return true
}

// The values of prompt (OpenID Connect Core, section 3.1.2.1).
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
	promptSelect  = "select_account" // a login, in which another user can be chosen
)

func parsePrompt(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	refused := parameterRefused("OpenID Connect Core, section 3.1.2.1", "prompt")
	var prompt []string
	for p := range strings.SplitSeq(text, " ") {
		switch p {
		case promptNone, promptLogin, promptConsent, promptSelect:
		default:
			return nil, refused
		}
		if slices.Contains(prompt, p) {
			return nil, refused
		}
		prompt = append(prompt, p)
	}
	if slices.Contains(prompt, promptNone) && len(prompt) > 1 {
		return nil, refused
	}
	return prompt, nil
}

func (q *authorizationRequest) prompts(p string) bool { return slices.Contains(q.Prompt, p) }

func parseMaxAge(text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return nil, parameterRefused("OpenID Connect Core, section 3.1.2.1", "max_age")
	}
	age := min(int64(n), maxAgeLimit)
	return &age, nil
}

// mustLogin tells whether a login at the time authenticated is too old for a request of the time since.
func (q *authorizationRequest) mustLogin(authenticated, since time.Time) bool {
	if q.prompts(promptLogin) || q.prompts(promptSelect) {
		return authenticated.Before(since)
	}
	return q.MaxAge != nil && authenticated.Before(since.Add(-time.Duration(*q.MaxAge)*time.Second))
}

func parseJKT(text string) (string, error) {
	if text != "" && !isThumbprint(text) {
		return "", parameterRefused("RFC 9449, section 10", "dpop_jkt")
	}
	return text, nil
}

// parseDetails reads authorization_details (RFC 9396, section 2): an array of objects, each of a type that is the
// client's. What else they say is for the resource server.
func parseDetails(text string, types []string) (json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	refused := &Error{Reason: DetailsRefused, Section: "RFC 9396, section 5", Part: "authorization_details"}
	if len(text) > maxDetails {
		return nil, refused
	}
	list, err := strictjson.Parse(text)
	if err != nil {
		return nil, refused
	}
	n := 0
	err = list.Array(func(v strictjson.Value) error {
		typ, err := detailsType(v)
		if n++; err != nil || n > maxDetailsCount || !slices.Contains(types, typ) {
			return refused
		}
		return nil
	})
	if err != nil || n == 0 {
		return nil, refused
	}
	return json.RawMessage(text), nil
}

// detailsType returns an object's type.
func detailsType(v strictjson.Value) (typ string, err error) {
	err = v.Object(func(name string, member strictjson.Value) (err error) {
		if name == "type" {
			typ, err = member.String()
		}
		return err
	})
	return typ, err
}

// redirectFor returns where an authorization response may go: exactly a registered URI (RFC 9700, section 2.1), except
// that a native app on this machine picks its port as it starts (RFC 8252, section 7.3).
func (c *client) redirectFor(asked string) (string, error) {
	if asked == "" {
		return "", &Error{Reason: RedirectRefused, Section: "RFC 6749, section 3.1.2.3", Part: "redirect_uri", Got: "none"}
	}
	if slices.Contains(c.RedirectURIs, asked) {
		return asked, nil
	}
	if base, ok := withoutPort(asked); ok {
		for _, registered := range c.RedirectURIs {
			if other, ok := withoutPort(registered); ok && other == base {
				return asked, nil
			}
		}
	}
	return "", &Error{Reason: RedirectRefused, Section: "RFC 9700, section 2.1", Part: "redirect_uri"}
}

// withoutPort returns a redirect URI of a loopback address without its port, and whether it is such a one, in its only
// spelling. The name localhost is none: a resolver may say where it leads (RFC 8252, section 8.3).
func withoutPort(text string) (string, bool) {
	if len(text) > maxParameter || checkRedirectURI(text) != nil {
		return "", false
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.String() != text {
		return "", false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || !addr.IsLoopback() || addr.Zone() != "" {
		return "", false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
			return "", false
		}
	}
	u.Host = addr.String()
	return u.String(), true
}

// checkRedirectURI tells what is wrong with a redirect URI that a client registers.
func checkRedirectURI(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || !isVisible(text) || len(text) > maxParameter:
		return fmt.Errorf("redirect URI is no URL of visible ASCII")
	case strings.Contains(text, "#"):
		return fmt.Errorf("redirect URI %q has a fragment (RFC 6749, section 3.1.2)", text)
	case !isPlainHost(u.Host):
		return fmt.Errorf("redirect URI %q has a host of other characters than letters, digits, dots and hyphens", text)
	case u.Scheme == "https" && u.Host != "" && u.User == nil:
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()) && u.User == nil:
		return nil
	case strings.Contains(u.Scheme, ".") && u.Host == "":
		// A private-use scheme is a domain name the other way round, so that two apps don't share one by accident.
		return nil
	}
	return fmt.Errorf("redirect URI %q is neither https, nor http on a loopback host, nor of a private-use scheme like com.example.app:/ (RFC 8252, section 7)", text)
}

// isPlainHost tells whether a host and port can stand in a policy for browsers as they are.
func isPlainHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(".-:[]_", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// formSource is what a page's policy must name so that its form may end at a redirect URI (CSP Level 3, section 6.4.2).
// There is no source for a host in brackets, so an IPv6 address stands for its scheme.
func formSource(redirect string) string {
	u, err := url.Parse(redirect)
	if err != nil {
		return "'none'"
	}
	if u.Host == "" || strings.Contains(u.Host, "[") {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
