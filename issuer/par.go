package issuer

import (
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/issuer/store"
)

const (
	// requestURI begins every request_uri of ours (RFC 9126, section 2.2).
	requestURI = "urn:ietf:params:oauth:request_uri:"

	defaultPushedLifetime = time.Minute
	// maxPushedLifetime is what the FAPI 2.0 Security Profile, section 5.3.2.2, allows.
	maxPushedLifetime = 10 * time.Minute
)

// push is a pushed authorization request, as far as its steps have run.
type push struct {
	caller  caller
	proof   *proof // nil without one
	request authorizationRequest
	handle  string
}

// pushAnswer is the answer to a pushed authorization request (RFC 9126, section 2.2).
type pushAnswer struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

// servePush is the pushed authorization request endpoint (RFC 9126, section 2).
func (s *Server) servePush(w http.ResponseWriter, r *http.Request) {
	p, err := s.push(w, r)
	event := p.event()
	if err != nil {
		event.Refusal = asError(err)
		if event.Refusal.Reason == NonceNeeded {
			w.Header().Set("DPoP-Nonce", s.nonces.Issue())
		}
		s.observe(r.Context(), event)
		event.Refusal.write(w)
		return
	}
	s.observe(r.Context(), event)
	if s.requireNonce && p.proof != nil {
		w.Header().Set("DPoP-Nonce", s.nonces.Issue())
	}
	writeJSON(w, http.StatusCreated, pushAnswer{requestURI + p.handle, int64(s.pushedLifetime / time.Second)})
}

// push lists the steps of a pushed request. As at the token endpoint, only one that is accepted uses anything up.
func (s *Server) push(w http.ResponseWriter, r *http.Request) (p push, err error) {
	f, err := readForm(w, r)
	if err != nil {
		return p, err
	}
	if p.caller, err = s.authenticate(r, f); err != nil {
		return p, err
	}
	redirect, err := p.caller.redirectFor(f.get("redirect_uri"))
	if err != nil {
		return p, err
	}
	if p.request, err = parseAuthorization(f, p.caller.client, redirect); err != nil {
		return p, err
	}
	if p.proof, err = s.provePush(r); err != nil {
		s.countFailure(r, p.caller.client, err)
		return p, err
	}
	if err := p.bind(); err != nil {
		return p, err
	}
	for _, proof := range [...]*proof{p.caller.signature, p.proof} {
		if err := s.claimProof(r.Context(), proof); err != nil {
			return p, err
		}
	}
	parameters, err := p.request.encode()
	if err != nil {
		return p, err
	}
	p.handle = newSecret(kindPushed)
	err = s.store.PushRequest(r.Context(), s.now(), store.PushedRequest{
		Handle: hashOf(p.handle), ClientID: p.caller.ID, Parameters: parameters, Binding: p.request.binding(),
		Expires: s.now().Add(s.pushedLifetime),
	}, p.caller.claims()...)
	if err != nil {
		return p, storeRefusal(err, Failed, "request")
	}
	return p, nil
}

// provePush verifies the proof that a pushed request may carry (RFC 9449, section 10.1).
func (s *Server) provePush(r *http.Request) (*proof, error) {
	fields := r.Header.Values("DPoP")
	if len(fields) == 0 {
		return nil, nil
	}
	return s.proveDPoP(r, fields)
}

// bind binds the code to the key of the proof, which must be the one of dpop_jkt if both are there.
func (p *push) bind() error {
	if p.proof == nil {
		return nil
	}
	if err := p.caller.mayUse(DPoP); err != nil {
		return err
	}
	thumbprint := p.proof.key.String()
	if p.request.Thumbprint != "" && p.request.Thumbprint != thumbprint {
		return &Error{Reason: JKTMismatch, Section: "RFC 9449, section 10.1", Part: "dpop_jkt"}
	}
	p.request.Thumbprint = thumbprint
	return nil
}

func (p *push) event() Event {
	e := Event{Endpoint: "par", Scope: p.request.Scope, Audience: p.request.Resource}
	if p.caller.client != nil {
		e.ClientID = p.caller.ID
	}
	if p.proof != nil {
		e.Binding, e.Key = p.proof.binding, p.proof.key
	}
	return e
}

// pushedHandle returns the handle in a request_uri, and whether that is one of ours. No other is ever fetched.
func pushedHandle(uri string) (store.Hash, bool) {
	handle, ours := strings.CutPrefix(uri, requestURI)
	if _, ok := kindPushed.parse(handle); !ours || !ok {
		return store.Hash{}, false
	}
	return hashOf(handle), true
}
