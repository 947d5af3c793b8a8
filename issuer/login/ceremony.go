package login

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/store"
)

// browserCookie tells browsers apart: what one begins here ends in the same.
const browserCookie = "holdfast-login"

// keep stores what is to be known again by a secret, in this browser and once. Only the secret's hash is kept.
func (l *Login) keep(w http.ResponseWriter, r *http.Request, secret string, what any, lifetime time.Duration) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	browser, ok := l.browser(r)
	if !ok {
		browser = newSecret()
		l.cookies.Set(w, browserCookie, browser, 0)
	}
	now := l.cfg.Now()
	return unavailable(l.cfg.Store.CreateInteraction(r.Context(), now, store.Interaction{
		ID: store.HashOf(secret), Cookie: store.HashOf(browser), Request: text, Expires: now.Add(lifetime),
	}))
}

// browser returns the cookie that came with r, and whether it is one that we make.
func (l *Login) browser(r *http.Request) (string, bool) {
	value := l.cookies.Read(r, browserCookie)
	octets, err := base64url.Decode(value)
	return value, err == nil && len(octets) == secretLength
}

// kept finds what was kept under a secret, and reads it into what. If it isn't good, it returns the part that isn't, and
// why.
func (l *Login) kept(r *http.Request, secret string, what any) (i store.Interaction, part, why string, err error) {
	browser, ok := l.browser(r)
	if !ok {
		return i, "cookie", "", nil
	}
	i, err = l.cfg.Store.Interaction(r.Context(), l.cfg.Now(), store.HashOf(secret), store.HashOf(browser))
	switch reason(err) {
	case store.NotFound, store.Used, store.Expired:
		return i, "secret", string(reason(err)), nil
	}
	if err != nil {
		return i, "", "", unavailable(err)
	}
	if err := json.Unmarshal(i.Request, what); err != nil {
		return i, "secret", madeForElse, nil
	}
	return i, "", "", nil
}

// madeForElse is why a secret isn't good that was made for something else.
const madeForElse = "made for something else"

// purpose is what a challenge was made for.
type purpose string

// The purposes.
const (
	toLogIn purpose = "log-in"
	toAdd   purpose = "add"   // a passkey to a user who is logged in
	toEnrol purpose = "enrol" // a passkey by an invitation
)

// ceremony is what is kept with a challenge.
type ceremony struct {
	Purpose    purpose `json:"purpose"`
	User       string  `json:"user,omitempty"`       // whose passkey is made
	Invitation []byte  `json:"invitation,omitempty"` // its hash
}

// ceremony finds what a challenge was made for. It must be one of the purposes.
func (l *Login) ceremony(r *http.Request, challenge string, purposes ...purpose) (store.Interaction, ceremony, error) {
	var c ceremony
	i, part, why, err := l.kept(r, challenge, &c)
	switch {
	case err != nil:
		return i, c, err
	case part == "secret":
		part = "challenge"
	case part == "" && !slices.Contains(purposes, c.Purpose):
		part, why = "challenge", madeForElse
	}
	if part != "" {
		return i, c, &issuer.Error{Reason: issuer.PasskeyRefused, Section: "WebAuthn Level 3, section 13.4.3", Part: part, Got: why}
	}
	return i, c, nil
}
