package holdfast

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/holdfast-project/holdfast/accesstoken"
)

// credential is the one token that a request carries.
type credential struct {
	scheme Scheme
	token  string
}

// credentialOf finds it: exactly one Authorization field, and no other way of sending a token beside it
// (RFC 6750, section 2; RFC 9449, section 7.1).
func credentialOf(r *http.Request) (credential, error) {
	if hasQueryToken(r.URL.RawQuery) {
		return credential{}, &Refusal{Reason: ReasonCredentialAmbiguous, Section: "RFC 6750, section 2", Part: "query", Expected: "no access_token parameter"}
	}
	lines := r.Header["Authorization"]
	if len(lines) == 0 {
		return credential{}, &Refusal{Reason: ReasonCredentialMissing, Section: "RFC 9449, section 7.1", Part: "Authorization", Expected: "one field"}
	}
	if len(lines) > 1 {
		return credential{}, &Refusal{Reason: ReasonCredentialAmbiguous, Section: "RFC 9449, section 7.2", Part: "Authorization", Expected: "one field", Got: "several"}
	}
	name, token, ok := strings.Cut(lines[0], " ")
	token = strings.TrimLeft(token, " ") // 1*SP (RFC 9110, section 11.4)
	if !ok || !isToken68(token) {
		return credential{}, &Refusal{Reason: ReasonCredentialMalformed, Section: "RFC 9110, section 11.4", Part: "Authorization", Expected: "a scheme and one token"}
	}
	for _, s := range [...]Scheme{SchemeDPoP, SchemeHTTPSig, SchemeSession, SchemeBearer} {
		if strings.EqualFold(name, string(s)) {
			return credential{scheme: s, token: token}, nil
		}
	}
	return credential{}, &Refusal{Reason: ReasonSchemeRefused, Section: "RFC 9110, section 11.1", Part: "Authorization", Expected: "DPoP, HTTPSig or Bearer"}
}

// isToken68 tells whether s is a non-empty token68 (RFC 9110, section 11.2).
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" {
		return false
	}
	for i := range len(body) {
		if !token68Char[body[i]] {
			return false
		}
	}
	return true
}

// token68Char holds what a token68 is made of, but for the padding. Looking it up takes half the time of comparing.
var token68Char = func() *[256]bool {
	var set [256]bool
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		set[c] = true
	}
	return &set
}()

// hasQueryToken tells whether a query carries an access_token parameter, in any spelling of its name.
func hasQueryToken(query string) bool {
	const parameter = "access_token"
	escapes := strings.Contains(query, "%")
	if !escapes && !strings.Contains(query, parameter) {
		return false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name == parameter {
			return true
		}
		// A name of another length needn't be decoded, which thousands of short ones would make costly.
		if escaped := strings.Count(name, "%"); escaped > 0 && len(name) == len(parameter)+2*escaped {
			if plain, err := url.QueryUnescape(name); err == nil && plain == parameter {
				return true
			}
		}
	}
	return false
}

// admit is the downgrade rule: the token's confirmation, and nothing that the request says, chooses the proof, which it
// returns. A bound token under another scheme is refused, and so is an unbound one under a scheme that would prove nothing
// about it. A certificate-bound token is sent as Bearer, and never accepted as one.
func (u *rules) admit(sent Scheme, c accesstoken.Confirmation) (want Scheme, err error) {
	switch c.Binding {
	case accesstoken.BoundJKT:
		want = SchemeDPoP
	case accesstoken.BoundJWK, accesstoken.BoundHTSK:
		want = SchemeHTTPSig
	case accesstoken.BoundX5T:
		want = SchemeMTLS
	case accesstoken.Unbound:
		want = SchemeBearer
	default:
		return "", &Refusal{Reason: ReasonBindingUnsupported, Section: "RFC 7800, section 3.1", Part: "cnf", Expected: "jkt, jwk, htsk or x5t#S256", Got: string(c.Binding)}
	}
	switch right := string(sent) == want.wire(); {
	case !right && want == SchemeBearer:
		return "", &Refusal{Reason: ReasonUnbound, Section: "RFC 9449, section 7.1", Part: "cnf", Expected: "a confirmation", Got: "none"}
	case !right:
		return "", &Refusal{Reason: ReasonDowngrade, Section: "RFC 9449, section 7.2", Part: "Authorization scheme", Expected: want.wire(), Got: string(sent)}
	case want == SchemeBearer && u.Bearer != InsecureBearerObserved:
		return "", &Refusal{Reason: ReasonUnbound, Section: "RFC 9449, section 7.2", Part: "cnf", Expected: "a confirmation", Got: "none"}
	case want != SchemeBearer && !u.accepts(want):
		return "", &Refusal{Reason: ReasonSchemeRefused, Part: "Authorization scheme", Expected: u.schemeNames(), Got: string(want)}
	}
	return want, nil
}

func (u *rules) accepts(scheme Scheme) bool {
	for _, s := range u.Schemes {
		if s == scheme {
			return true
		}
	}
	return false
}

func (u *rules) schemeNames() string {
	names := make([]string, len(u.Schemes))
	for i, s := range u.Schemes {
		names[i] = string(s)
	}
	return strings.Join(names, " or ")
}
