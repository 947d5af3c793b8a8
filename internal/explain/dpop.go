package explain

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// provenKey is the key of the request's DPoP proof, if one was read.
type provenKey struct {
	key *keys.Public
}

const section43 = "RFC 9449, section 4.3, step "

var dpopSteps = []step{
	{"exactly one DPoP field", section43 + "1", []string{string(dpop.FieldCount)}},
	{"is one well-formed JWT", section43 + "2", []string{string(dpop.Malformed)}},
	{"has the required claims", section43 + "3", []string{string(dpop.ClaimMissing)}},
	{"typ is dpop+jwt", section43 + "4", []string{string(dpop.TypMismatch)}},
	{"alg is asymmetric and accepted", section43 + "5", []string{string(dpop.AlgRefused)}},
	{"jwk is a sound public key", section43 + "7", []string{string(dpop.KeyRefused)}},
	{"signature", section43 + "6", []string{string(dpop.BadSignature)}},
	{"htm", section43 + "8", []string{string(dpop.MethodMismatch)}},
	{"htu", section43 + "9", []string{string(dpop.TargetMismatch)}},
	{"nonce", section43 + "10", []string{string(dpop.NonceRequired), string(dpop.NonceMismatch)}},
	{"iat is fresh", section43 + "11", []string{string(dpop.TooOld), string(dpop.InFuture)}},
	{"ath is the token's hash", section43 + "12", []string{string(dpop.TokenMismatch)}},
	{"key is the token's", section43 + "12", []string{string(dpop.KeyMismatch)}},
}

// proofClaims are the claims that the explanation needs to see past a failed check.
type proofClaims struct {
	Method string  `json:"htm"`
	Target string  `json:"htu"`
	Issued float64 `json:"iat"`
	Nonce  string  `json:"nonce"`
}

// allAlgorithms is every algorithm that can be checked, for looking past one that isn't accepted by default.
var allAlgorithms = []keys.Algorithm{
	keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.EdDSA,
	keys.PS256, keys.PS384, keys.PS512, keys.RS256, keys.RS384, keys.RS512,
}

// dpop explains the DPoP proof, if the request carries one or should.
func (e *explainer) dpop() []Group {
	fields := e.req.header["Dpop"]
	bound := e.cred.binding != nil && e.cred.binding.Binding == accesstoken.BoundJKT
	if len(fields) == 0 && !bound && !e.cred.is("DPoP") {
		return nil
	}
	g := Group{Title: "DPoP proof"}
	var claims proofClaims
	if len(fields) > 0 {
		if header, body, ok := decodeJWT(fields[0]); ok {
			g.show("header", indent(header))
			g.show("claims", indent(body))
			if err := json.Unmarshal(body, &claims); err != nil {
				g.show("note", "a claim has the wrong type: "+kind(err))
			}
		} else {
			g.show("note", "the field doesn't hold a compact JWS with JSON inside")
		}
	}
	g.add(e.verifyDPoP(fields, claims)...)
	if e.proof.key != nil {
		g.show("key", e.proof.key.Thumbprint().String())
	}
	return []Group{g}
}

func (e *explainer) verifyDPoP(fields []string, claims proofClaims) []Check {
	cfg := dpop.Config{}
	now := e.in.Now
	cfg.Now = func() time.Time { return now }
	req := dpop.Request{Fields: fields, Method: e.req.method, TargetURI: e.req.url}
	if e.cred.is("DPoP") || e.cred.is("Bearer") {
		req.Token = e.cred.token
	}
	own := ownThumbprint(fields)
	// Without a thumbprint the verifier refuses every token; where the token tells none, that check is left out below.
	if req.Token != "" {
		req.Thumbprint = own
	}
	if b := e.cred.binding; b != nil && b.Binding == accesstoken.BoundJKT {
		req.Thumbprint = b.Thumbprint
	}
	l := ladder{steps: dpopSteps, describe: describeDPoP, verify: func() error {
		v, err := dpop.NewVerifier(cfg)
		if err != nil {
			return err
		}
		proof, err := v.Verify(req)
		if err == nil {
			e.proof.key = proof.Key()
		}
		return err
	}, relax: func(c Check) bool {
		switch dpop.Reason(c.Reason) {
		case dpop.AlgRefused:
			cfg.Algorithms = allAlgorithms
		case dpop.MethodMismatch:
			req.Method = claims.Method
		case dpop.TargetMismatch:
			req.TargetURI = claims.Target
		case dpop.TooOld, dpop.InFuture:
			now = time.Unix(int64(claims.Issued), 0)
		case dpop.TokenMismatch:
			req.Token = "" // the thumbprint is compared all the same
		case dpop.KeyMismatch:
			req.Thumbprint = own
		default:
			return false
		}
		return true
	}}
	tokenGiven := req.Token != ""
	checks := l.climb()
	e.qualify(checks, tokenGiven, claims)
	return checks
}

// ownThumbprint is the thumbprint of the key in a proof, or zero.
func ownThumbprint(fields []string) keys.Thumbprint {
	if len(fields) != 1 {
		return keys.Thumbprint{}
	}
	header, _, _ := decodeJWT(fields[0])
	var h struct {
		JWK json.RawMessage `json:"jwk"`
	}
	if json.Unmarshal(header, &h) != nil {
		return keys.Thumbprint{}
	}
	key, err := keys.ParsePublic(h.JWK)
	if err != nil {
		return keys.Thumbprint{}
	}
	return key.Thumbprint()
}

// qualify says of the steps that had nothing to compare with that they weren't checked.
func (e *explainer) qualify(checks []Check, token bool, claims proofClaims) {
	nonce := "the proof has no nonce; whether the server wants one isn't in the request"
	if claims.Nonce != "" {
		nonce = "only the server that issued the nonce can tell whether it is one of its own and still good"
	}
	set(checks, "nonce", Unknowable, nonce)
	if !token {
		set(checks, "ath is the token's hash", Unknowable, "the request carries no access token, as at a token endpoint")
		set(checks, "key is the token's", Unknowable, "the request carries no access token, as at a token endpoint")
	} else if b := e.cred.binding; b == nil {
		set(checks, "key is the token's", NotChecked, "the token doesn't tell its key here")
	} else if b.Binding != accesstoken.BoundJKT {
		set(checks, "key is the token's", NotChecked, "the token names no key for DPoP (cnf.jkt)")
	}
}

func describeDPoP(err error) Check {
	if e, ok := errors.AsType[*dpop.Error](err); ok {
		return Check{Reason: string(e.Reason), Section: e.Section, Part: e.Part, Expected: e.Expected, Got: e.Got}
	}
	return Check{Name: "proof", Outcome: Fail, Reason: string(dpop.Malformed), Why: err.Error()}
}
