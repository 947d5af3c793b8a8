package issuer

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
)

// Error is why a request was refused. It is for the log: the peer is told less.
type Error struct {
	Reason   Reason
	Section  string // the standard's, such as "RFC 7523, section 3, step 3"
	Part     string // the parameter, claim or field
	Expected string // never secret, key or token bytes
	Got      string
	Err      error         // from the package that refused
	Wait     time.Duration // for TooManyFailures and RefreshRace: when to try again
}

// Reason says which rule a request broke. Each is stable text.
type Reason string

// The reasons, in the order in which the endpoints check.
const (
	MethodRefused       Reason = "request-method"          // RFC 6749, section 3.2: POST only
	FormRefused         Reason = "request-form"            // RFC 6749, section 3.2: not one form, parameters repeated, in the query or absent
	FormTooLarge        Reason = "request-too-large"       // the limit of this package
	TooManyFailures     Reason = "too-many-failures"       // this client from this network, or the network
	AuthMissing         Reason = "client-auth-missing"     // RFC 6749, section 3.2.1
	AuthAmbiguous       Reason = "client-auth-ambiguous"   // RFC 6749, section 2.3: more than one method
	AuthRefused         Reason = "client-auth-refused"     // malformed, of another method than the client's, or by an unknown client
	SecretMismatch      Reason = "client-secret-mismatch"  // RFC 6749, section 2.3.1
	AssertionRefused    Reason = "assertion-refused"       // RFC 7523, section 3
	CertificateRefused  Reason = "certificate-refused"     // RFC 8705, section 2: not the client's, not valid now, or unreadable
	AssertionUsed       Reason = "assertion-used"          // RFC 7523, section 3, step 7: jti seen before
	IntrospectDenied    Reason = "introspection-denied"    // RFC 7662, section 2.3: not a resource server
	RevocationDenied    Reason = "revocation-denied"       // RFC 7009, section 2.1: another client's token
	InitialTokenRefused Reason = "initial-token-refused"   // RFC 7591, section 3: absent, or not one of ours
	MetadataRefused     Reason = "client-metadata-refused" // RFC 7591, section 3.2.2
	RedirectURIRefused  Reason = "client-redirect-refused" // RFC 7591, section 3.2.2: of a client that would register
	StatementRefused    Reason = "statement-refused"       // RFC 7591, section 3.2.2: software statements aren't taken
	GrantRefused        Reason = "grant-unsupported"       // RFC 6749, section 5.2
	ClientRefused       Reason = "client-gets-no-tokens"   // RFC 6749, section 5.2: unauthorized_client
	ScopeRefused        Reason = "scope-refused"           // RFC 6749, section 3.3
	TargetRefused       Reason = "target-refused"          // RFC 8707, section 2
	ClientUnknown       Reason = "client-unknown"          // RFC 6749, section 4.1.2.1: no client of this id
	ParameterRefused    Reason = "authorization-parameter" // RFC 6749, section 4.1.2.1: absent, malformed, or not supported
	RedirectRefused     Reason = "redirect-uri-refused"    // RFC 9700, section 2.1: absent or not registered
	RequestRefused      Reason = "request-object-refused"  // RFC 9101, section 7: request objects aren't taken
	ResponseTypeRefused Reason = "response-type-refused"   // RFC 6749, section 4.1.2.1
	PKCERefused         Reason = "pkce-refused"            // RFC 7636, section 4.4.1: no challenge, or not by S256
	DetailsRefused      Reason = "authorization-details"   // RFC 9396, section 5
	PushRequired        Reason = "push-required"           // RFC 9126, section 6: sent through the browser
	RequestURIRefused   Reason = "request-uri-refused"     // RFC 9126, section 4: unknown, used, expired or another client's
	JKTMismatch         Reason = "dpop-jkt-mismatch"       // RFC 9449, section 10.1: dpop_jkt isn't the proof's key
	LoginRefused        Reason = "login-refused"           // the user didn't prove who they are, or is disabled
	PasskeyRefused      Reason = "passkey-refused"         // WebAuthn Level 3, section 7: Part says which check; or it may not be added or removed
	InvitationRefused   Reason = "invitation-refused"      // by which a passkey was to be made: unknown, used or expired
	LoginNeeded         Reason = "login-needed"            // OpenID Connect Core, section 3.1.2.6: prompt=none
	ConsentNeeded       Reason = "consent-needed"          // OpenID Connect Core, section 3.1.2.6: prompt=none
	ConsentDenied       Reason = "consent-denied"          // RFC 6749, section 4.1.2.1: the user refused
	InteractionRefused  Reason = "interaction-refused"     // unknown, ended, expired or of another browser
	CrossSite           Reason = "cross-site"              // a form that another site, or none of our pages, sent

	TokenRefused Reason = "token-refused" // RFC 6750, section 3.1: not ours, expired, revoked, or bound otherwise

	ProofMissing     Reason = "proof-missing"            // the client's tokens are bound
	ProofAmbiguous   Reason = "proof-ambiguous"          // a DPoP proof and a signature
	ProofRefused     Reason = "proof-of-another-binding" // not the client's Binding
	DPoPRefused      Reason = "dpop-refused"             // RFC 9449, section 5; Err is a *dpop.Error
	NonceNeeded      Reason = "dpop-nonce-needed"        // RFC 9449, section 8
	SignatureRefused Reason = "signature-refused"        // draft-richer-oauth-httpsig-03; Err is an *httpsig.Error
	DigestRefused    Reason = "digest-refused"           // the same; Err is a *contentdigest.Error
	CodeRefused      Reason = "code-refused"             // RFC 6749, section 5.2: unknown, expired, another client's, redirect_uri or verifier differ
	CodeUsed         Reason = "code-used"                // RFC 6749, section 4.1.2: its grant is revoked
	RefreshRefused   Reason = "refresh-refused"          // RFC 6749, section 5.2: unknown, expired, revoked or another client's
	RefreshReused    Reason = "refresh-reused"           // RFC 9700, section 4.14.2: its grant is revoked
	RefreshRace      Reason = "refresh-race"             // used a moment ago: try again
	ExchangeRefused  Reason = "exchange-refused"         // RFC 8693, section 2.2.2: a token that isn't good, or of a type that isn't taken
	ExchangeDenied   Reason = "exchange-denied"          // RFC 8693, section 2.2.2: a good token that this client may not exchange
	KeyMismatch      Reason = "key-mismatch"             // RFC 9449, sections 5 and 10: bound to another key than the proof's
	ProofUsed        Reason = "proof-used"               // RFC 9449, section 11.1; the nonce of a signature
	Restarted        Reason = "restarted"                // made before the replay guard's memory begins, so perhaps used
	Unavailable      Reason = "unavailable"              // our failure: the replay guard or the store can't answer, or no key may sign
	Failed           Reason = "failed"                   // our failure
)

// Error describes the refusal for the log.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("issuer: ")
	b.WriteString(string(e.Reason))
	for _, part := range []struct{ name, value string }{
		{"", e.Part}, {"expected ", e.Expected}, {"got ", e.Got}, {"", e.Section},
	} {
		if part.value != "" {
			b.WriteString(", " + part.name + part.value)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// asError returns err as an *Error: what isn't one is our failure.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Reason: Failed, Err: err}
}

// answer is what the peer is told (RFC 6749, section 5.2).
type answer struct {
	status      int
	code        string
	description string
}

// answer is the one place where reasons become what the peer sees. An outsider learns the same from every failure of
// client authentication, whichever check it was.
func (e *Error) answer() answer {
	switch e.Reason {
	case MethodRefused:
		return answer{http.StatusMethodNotAllowed, "invalid_request", "use POST"}
	case FormRefused:
		return answer{http.StatusBadRequest, "invalid_request", "send one application/x-www-form-urlencoded body, each parameter once, none in the query: " + e.Part}
	case FormTooLarge:
		return answer{http.StatusRequestEntityTooLarge, "invalid_request", "the body is too long"}
	case AuthAmbiguous:
		return answer{http.StatusBadRequest, "invalid_request", "authenticate the client in one way"}
	case AuthMissing, AuthRefused, SecretMismatch, AssertionRefused, AssertionUsed, CertificateRefused:
		return answer{http.StatusUnauthorized, "invalid_client", "client authentication failed"}
	case TooManyFailures:
		return answer{http.StatusTooManyRequests, "temporarily_unavailable", "too many failures: try again later"}
	case IntrospectDenied:
		return answer{http.StatusForbidden, "unauthorized_client", "this client may not introspect"}
	case RevocationDenied:
		return answer{http.StatusBadRequest, "unauthorized_client", "not a token of this client"}
	case InitialTokenRefused:
		return answer{http.StatusUnauthorized, "invalid_token", "registering needs an initial access token"}
	case MetadataRefused:
		return answer{http.StatusBadRequest, "invalid_client_metadata", "not metadata that a client can register here: " + e.Part}
	case RedirectURIRefused:
		return answer{http.StatusBadRequest, "invalid_redirect_uri", "redirect_uris: https, http on a loopback host, or a private-use scheme"}
	case StatementRefused:
		return answer{http.StatusBadRequest, "invalid_software_statement", "software statements aren't taken"}
	case GrantRefused:
		return answer{http.StatusBadRequest, "unsupported_grant_type", "not a grant type of this server"}
	case ClientRefused:
		return answer{http.StatusBadRequest, "unauthorized_client", "not a grant type of this client"}
	case ScopeRefused:
		return answer{http.StatusBadRequest, "invalid_scope", "not a scope of this client"}
	case TargetRefused:
		return answer{http.StatusBadRequest, "invalid_target", "name one resource of this client"}
	case ClientUnknown:
		return answer{http.StatusBadRequest, "invalid_request", "no such client"}
	case ParameterRefused:
		return answer{http.StatusBadRequest, "invalid_request", "absent, malformed or not supported: " + e.Part}
	case RequestRefused:
		return answer{http.StatusBadRequest, "request_not_supported", "request objects aren't taken: send their parameters"}
	case RedirectRefused:
		return answer{http.StatusBadRequest, "invalid_request", "redirect_uri is not registered for this client"}
	case ResponseTypeRefused:
		return answer{http.StatusBadRequest, "unsupported_response_type", "use response_type=code"}
	case PKCERefused:
		return answer{http.StatusBadRequest, "invalid_request", "send a code_challenge of method S256"}
	case DetailsRefused:
		return answer{http.StatusBadRequest, "invalid_authorization_details", "not authorization_details of this client"}
	case PushRequired:
		return answer{http.StatusBadRequest, "invalid_request", "push the authorization request first"}
	case RequestURIRefused:
		return answer{http.StatusBadRequest, "invalid_request_uri", "this request_uri isn't good for this client, or not any more"}
	case JKTMismatch:
		return answer{http.StatusBadRequest, "invalid_dpop_proof", "dpop_jkt names another key than the proof's"}
	case LoginRefused, PasskeyRefused, InvitationRefused:
		return answer{http.StatusForbidden, "access_denied", "not logged in"}
	case LoginNeeded:
		return answer{http.StatusForbidden, "login_required", "the user must log in"}
	case ConsentNeeded:
		return answer{http.StatusForbidden, "consent_required", "the user must agree"}
	case ConsentDenied:
		return answer{http.StatusForbidden, "access_denied", "the user refused"}
	case InteractionRefused:
		return answer{http.StatusBadRequest, "invalid_request", "this page is out of date, or was opened in another browser"}
	case CrossSite:
		return answer{http.StatusForbidden, "invalid_request", "this form was sent from another site, or an old page"}
	case ProofMissing:
		return answer{http.StatusBadRequest, "invalid_request", "prove possession of a key: DPoP proof or HTTP message signature"}
	case ProofAmbiguous:
		return answer{http.StatusBadRequest, "invalid_request", "send a DPoP proof or a signature, not both"}
	case ProofRefused:
		return answer{http.StatusBadRequest, "invalid_request", "not the proof that this client is registered for"}
	case TokenRefused:
		return answer{http.StatusUnauthorized, "invalid_token", "the access token isn't good here"}
	case DPoPRefused:
		return answer{http.StatusBadRequest, "invalid_dpop_proof", "the DPoP proof was refused"}
	case NonceNeeded:
		return answer{http.StatusBadRequest, "use_dpop_nonce", "make a fresh DPoP proof with this nonce"}
	case SignatureRefused, DigestRefused:
		return answer{http.StatusBadRequest, "invalid_request", "the message signature was refused"}
	case CodeRefused, CodeUsed:
		return answer{http.StatusBadRequest, "invalid_grant", "the code isn't good, or not with these parameters"}
	case RefreshRefused, RefreshReused:
		return answer{http.StatusBadRequest, "invalid_grant", "the refresh token isn't good"}
	case RefreshRace:
		return answer{http.StatusServiceUnavailable, "temporarily_unavailable", "this refresh token was used a moment ago: try again"}
	case ExchangeRefused:
		return answer{http.StatusBadRequest, "invalid_request", "a token to exchange isn't good, or its type isn't taken"}
	case ExchangeDenied:
		return answer{http.StatusBadRequest, "invalid_request", "not a token that this client may exchange"}
	case KeyMismatch:
		return answer{http.StatusBadRequest, "invalid_grant", "bound to another key than the proof's"}
	case ProofUsed:
		return answer{http.StatusBadRequest, e.usedCode(), "the proof was used before"}
	case Restarted:
		return answer{http.StatusServiceUnavailable, "temporarily_unavailable", "this server has just started: try again with a fresh proof and assertion"}
	case Unavailable:
		return answer{http.StatusServiceUnavailable, "temporarily_unavailable", "try again"}
	default:
		return answer{http.StatusInternalServerError, "server_error", "failed"}
	}
}

// usedCode is the code for a proof seen before: only DPoP has one of its own.
func (e *Error) usedCode() string {
	if e.Part == partDPoP {
		return "invalid_dpop_proof"
	}
	return "invalid_request"
}

// unavailableWait is when to try again what failed for reasons of ours.
const unavailableWait = 5 * time.Second

// write answers the peer.
func (e *Error) write(w http.ResponseWriter) {
	a := e.answer()
	switch a.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		challenge := `Basic realm="token"`
		if e.Reason == InitialTokenRefused {
			challenge = `Bearer realm="registration"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := cmp.Or(e.Wait, unavailableWait)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	writeJSON(w, a.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Reason      string `json:"reason,omitempty"`
	}{a.code, a.description, e.proofReason()})
}

// proofReason is what was wrong with a proof, by the names that resources have for it too (docs/protocol.md, section 3),
// or "". A client needs it to tell a clock that is off from a proof that is no good.
func (e *Error) proofReason() string {
	if p, ok := errors.AsType[*dpop.Error](e.Err); ok && e.Reason == DPoPRefused {
		return string(p.Reason)
	}
	if s, ok := errors.AsType[*httpsig.Error](e.Err); ok && e.Reason == SignatureRefused {
		return string(s.Reason)
	}
	return ""
}

// writeJSON writes an answer that nobody may store (RFC 6749, section 5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "failed", http.StatusInternalServerError)
		return
	}
	noStore(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}
