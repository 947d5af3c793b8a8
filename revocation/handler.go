package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// HandlerConfig configures a handler.
type HandlerConfig struct {
	// Revoke remembers an entry. (*Set).Revoke is one. Required.
	Revoke func(context.Context, Entry) error
	// Secret of the operators, at least 32 bytes. Required.
	Secret []byte
	// Observe, if set, is told of each request: of the entry that was remembered, or of the error with which it was refused.
	Observe func(context.Context, Entry, error)
}

const minSecret = 32

type handler struct {
	revoke  func(context.Context, Entry) error
	secret  [sha256.Size]byte
	observe func(context.Context, Entry, error)
}

// NewHandler returns the handler of POST requests that revoke: the body is an entry's JSON (ParseEntry), and Authorization is
// Bearer and the secret (RFC 6750, section 2.1). The answer is 204; a refusal is 400, 401, 413 or 503, in the form of RFC 9457
// with the reason. The secret travels as it is, so the handler belongs on a private network or behind TLS.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	if cfg.Revoke == nil {
		return nil, errors.New("revocation: HandlerConfig needs Revoke")
	}
	if len(cfg.Secret) < minSecret {
		return nil, errors.New("revocation: the secret has less than 32 bytes")
	}
	h := &handler{revoke: cfg.Revoke, secret: sha256.Sum256(cfg.Secret), observe: cfg.Observe}
	if h.observe == nil {
		h.observe = func(context.Context, Entry, error) {}
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	e, err := h.serve(r)
	h.observe(r.Context(), e, err)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) serve(r *http.Request) (Entry, error) {
	if !h.authentic(r.Header["Authorization"]) {
		return Entry{}, &Error{Reason: Unauthorized, Part: "Authorization"}
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxEntry+1))
	if err != nil {
		return Entry{}, &Error{Reason: Malformed, Part: "body", Err: err}
	}
	e, err := ParseEntry(text)
	if err != nil {
		return Entry{}, err
	}
	return e, h.revoke(r.Context(), e)
}

// authentic tells whether the one Authorization field brings the secret. Hashes have one length, so comparing them takes the
// same time whatever was sent.
func (h *handler) authentic(lines []string) bool {
	if len(lines) != 1 {
		return false
	}
	scheme, secret, _ := strings.Cut(lines[0], " ")
	sum := sha256.Sum256([]byte(secret))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], h.secret[:]) == 1
}

// refuse answers with a problem (RFC 9457). What isn't an *Error is a failure of the store.
func refuse(w http.ResponseWriter, err error) {
	status, reason := http.StatusServiceUnavailable, Unavailable
	if e, ok := errors.AsType[*Error](err); ok {
		reason = e.Reason
		switch e.Reason {
		case Unauthorized:
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", "Bearer")
		case TooLong:
			status = http.StatusRequestEntityTooLarge
		case Malformed, Incomplete, Over:
			status = http.StatusBadRequest
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// A failed write means that the peer is gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Reason Reason `json:"reason"`
	}{http.StatusText(status), status, reason})
}
