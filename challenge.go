package holdfast

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/certbound"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/popstream"
	"github.com/holdfast-project/holdfast/replay"
	"github.com/holdfast-project/holdfast/signedurl"
)

// The error codes of challenges. invalid_signature is this project's own: the httpsig draft names none.
const (
	codeInvalidRequest   = "invalid_request"    // RFC 6750, section 3.1
	codeInvalidToken     = "invalid_token"      // RFC 6750, section 3.1
	codeInsufficient     = "insufficient_scope" // RFC 6750, section 3.1
	codeInvalidProof     = "invalid_dpop_proof" // RFC 9449, section 7.1
	codeUseNonce         = "use_dpop_nonce"     // RFC 9449, section 9
	codeInvalidSignature = "invalid_signature"
)

// uncovered is the refusal of a proof that holds but covers too little. It carries what to cover in Accept-Signature.
func uncovered(scheme Scheme, part string, demanded []httpsig.Component) *Refusal {
	base, tag := httpsigComponents, TagHTTPSig
	switch scheme {
	case SchemeDPoP:
		base, tag = besideComponents, TagProof
	case SchemeSession:
		tag = TagSession
	}
	want := httpsig.Request{
		Label:      "sig1",
		Components: append(base[:len(base):len(base)], demanded...),
		Params:     []httpsig.RequestParam{{Name: "created"}, {Name: "nonce"}, {Name: "tag", Value: tag}},
	}
	refusal := &Refusal{
		Reason: ReasonCoverage, Section: "RFC 9421, section 3.2.1", Part: part, Expected: "covered", Got: "not covered",
		ErrorCode: codeInvalidSignature, Header: http.Header{},
	}
	if scheme == SchemeSignedURL {
		return refusal // a URL can't cover more
	}
	field, err := httpsig.AcceptSignature([]httpsig.Request{want})
	if err == nil { // these components were parsed, so they serialise
		refusal.Header.Set("Accept-Signature", field)
	}
	return refusal
}

// refuse turns any error of check into the one answer for it: status, challenge and what helps a client to recover.
func (v *Verifier) refuse(err error, r *http.Request) *Refusal {
	refusal := classify(err)
	// A component or claim that the peer named may be as long as a field.
	refusal.Part, refusal.Got = clip(refusal.Part), clip(refusal.Got)
	if refusal.Header == nil {
		refusal.Header = http.Header{}
	}
	if refusal.Status == 0 {
		refusal.Status = statusOf(refusal)
	}
	switch refusal.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		v.challenge(refusal, r)
	case http.StatusServiceUnavailable:
		refusal.Header.Set("Retry-After", "1")
	}
	if refusal.ErrorCode == codeUseNonce && v.nonces != nil {
		refusal.Header.Set("DPoP-Nonce", v.nonces.Issue())
	}
	return refusal
}

// BodyRefusal returns the refusal of a body that turned out, while it was read, to be another than was signed; and false
// for errors that say nothing of the kind, such as a lost connection.
func BodyRefusal(err error) (*Refusal, bool) {
	_, digest := errors.AsType[*contentdigest.Error](err)
	_, stream := errors.AsType[*popstream.Error](err)
	if !digest && !stream {
		return nil, false
	}
	refusal := classify(err)
	refusal.Status = statusOf(refusal)
	return refusal, true
}

// classify gives every error of a check its reason and error code.
func classify(err error) *Refusal {
	var own *Refusal
	var pe *dpop.Error
	var se *httpsig.Error
	var te *accesstoken.Error
	var ce *certbound.Error
	var de *contentdigest.Error
	var ue *popstream.Error
	var xe *popsession.Error
	var le *signedurl.Error
	switch {
	case errors.As(err, &own):
		return own
	// Before httpsig, whose errors this one's wrap.
	case errors.As(err, &le):
		return &Refusal{Reason: string(le.Reason), Section: "docs/protocol.md, section 7", Part: le.Part, Expected: le.Expected, ErrorCode: codeInvalidSignature, Err: err}
	case errors.As(err, &pe):
		return &Refusal{Reason: string(pe.Reason), Section: pe.Section, Part: pe.Part, Expected: pe.Expected, Got: pe.Got, ErrorCode: proofCode(pe.Reason), Err: err}
	case errors.As(err, &se):
		return &Refusal{Reason: string(se.Reason), Section: "RFC 9421, section " + se.Section, Part: se.Part, Expected: se.Expected, Got: se.Got, ErrorCode: codeInvalidSignature, Err: err}
	case errors.As(err, &te):
		return &Refusal{Reason: string(te.Reason), Section: te.Section, Part: te.Part, Expected: te.Expected, Got: te.Got, ErrorCode: codeInvalidToken, Err: err}
	case errors.As(err, &ce):
		return &Refusal{Reason: string(ce.Reason), Section: ce.Section, Part: ce.Part, Expected: ce.Expected, Got: ce.Got, ErrorCode: codeInvalidToken, Err: err}
	case errors.As(err, &de):
		return &Refusal{Reason: string(de.Reason), Section: "RFC 9530, section 2", Part: "content-digest", Got: de.Detail, ErrorCode: codeInvalidRequest, Err: err}
	case errors.As(err, &ue):
		return &Refusal{Reason: string(ue.Reason), Section: "docs/protocol.md, section 6", Part: "body", Got: ue.Detail, ErrorCode: codeInvalidRequest, Err: err}
	case errors.As(err, &xe):
		return &Refusal{Reason: string(xe.Reason), Section: "docs/protocol.md, section 5", Part: xe.Part, ErrorCode: codeInvalidToken, Err: err}
	case errors.Is(err, replay.ErrReplayed):
		return &Refusal{Reason: ReasonReplayed, Section: "RFC 9449, section 11.1", Part: "proof", Expected: "used once", ErrorCode: codeInvalidProof, Err: err}
	case errors.Is(err, replay.ErrRestarted):
		return &Refusal{Reason: ReasonRestarted, Section: "RFC 9449, section 11.1", Part: "proof", Expected: "made after this node started", ErrorCode: codeInvalidProof, Err: err}
	case errors.Is(err, replay.ErrExpired): // it grew too old while it was checked
		return &Refusal{Reason: ReasonReplayed, Section: "RFC 9449, section 11.1", Part: "proof", Expected: "young enough to be remembered", ErrorCode: codeInvalidProof, Err: err}
	case errors.Is(err, replay.ErrFull):
		return &Refusal{Reason: ReasonReplayFull, Part: "replay guard", Err: err}
	}
	return &Refusal{Reason: ReasonReplayUnavailable, Part: "replay guard", Err: err}
}

func proofCode(reason dpop.Reason) string {
	switch reason {
	case dpop.NonceRequired, dpop.NonceMismatch:
		return codeUseNonce
	case dpop.KeyMismatch:
		return codeInvalidToken
	}
	return codeInvalidProof
}

// statusOf says what each refusal is in HTTP.
func statusOf(r *Refusal) int {
	switch r.Reason {
	case ReasonURL, ReasonCredentialAmbiguous, string(contentdigest.Malformed), string(contentdigest.Unsupported),
		string(contentdigest.Absent), string(contentdigest.Mismatch), string(popstream.BadField), string(popstream.TooLarge),
		string(popstream.EmptyChunk), string(popstream.BadTag), string(popstream.Truncated), string(popstream.Trailing):
		return http.StatusBadRequest
	case string(contentdigest.TooLarge):
		return http.StatusRequestEntityTooLarge
	case ReasonScope:
		return http.StatusForbidden
	case ReasonReplayFull, ReasonReplayUnavailable, ReasonRevocationsUnavailable, string(accesstoken.Unavailable):
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// challenge adds one WWW-Authenticate field per scheme that the policy accepts. The scheme that the request tried
// carries the error (RFC 9449, section 7.1); a request without credentials is told none (RFC 6750, section 3.1).
func (v *Verifier) challenge(refusal *Refusal, r *http.Request) {
	if refusal.ErrorCode == "" {
		refusal.ErrorCode = ownCode(refusal.Reason)
	}
	name, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	schemes := v.rules.challenged(refusal, r)
	tried := schemes[0]
	for _, s := range schemes {
		if strings.EqualFold(name, s.wire()) {
			tried = s
		}
	}
	if strings.EqualFold(name, string(SchemeSession)) {
		// The client falls back to a full proof, so the other challenges stand without an error.
		refusal.Header.Add("WWW-Authenticate", string(SchemeSession)+" "+param("error", sessionCode(refusal.Reason))+", "+param("reason", refusal.Reason))
		tried = SchemeSession
	}
	for _, s := range schemes {
		var params []string
		if v.realm != "" {
			params = append(params, param("realm", v.realm))
		}
		if s == tried && refusal.ErrorCode != "" {
			params = append(params, param("error", refusal.ErrorCode), param("reason", refusal.Reason))
		}
		if s == tried && refusal.Reason == ReasonScope {
			params = append(params, param("scope", strings.Join(v.rules.Scope, " ")))
		}
		if s == SchemeDPoP {
			params = append(params, param("algs", v.algorithms()))
		}
		if v.metadata != "" {
			params = append(params, param("resource_metadata", v.metadata)) // RFC 9728, section 5.1
		}
		refusal.Header.Add("WWW-Authenticate", strings.TrimSpace(s.wire()+" "+strings.Join(params, ", ")))
	}
}

// challenged lists the schemes to challenge for. mTLS is one only where the request has to do with it, or nothing else is
// accepted: its challenge says Bearer, which invites other clients to send tokens that prove nothing.
func (u *rules) challenged(refusal *Refusal, r *http.Request) []Scheme {
	_, about := errors.AsType[*certbound.Error](refusal.Err)
	signed := slices.DeleteFunc(slices.Clone(u.Schemes), func(s Scheme) bool { return s == SchemeMTLS })
	if about || len(signed) == 0 || presentsCertificate(r) {
		return u.Schemes
	}
	return signed
}

// sessionCode is the `error` of a PoP-Session challenge.
func sessionCode(reason string) string {
	switch reason {
	case string(popsession.UnknownTicket):
		return "unknown_ticket"
	case string(popsession.Expired):
		return "expired"
	case ReasonTokenRevoked, ReasonSessionRevoked:
		return "revoked"
	case ReasonReplayed, ReasonRestarted:
		return "replayed"
	case string(httpsig.BadSignature):
		return "bad_mac"
	}
	return codeInvalidRequest
}

func ownCode(reason string) string {
	switch reason {
	case ReasonCredentialMissing:
		return ""
	case ReasonScope:
		return codeInsufficient
	}
	return codeInvalidToken
}

func (v *Verifier) algorithms() string {
	var b strings.Builder
	for i, a := range v.dpop.Algorithms() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(a))
	}
	return b.String()
}

// param is an auth-param as a quoted-string (RFC 9110, section 11.2).
func param(name, value string) string {
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}
