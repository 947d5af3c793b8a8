// Package login finds out who the user of a browser is, for an issuer: by a passkey (WebAuthn Level 3), by an outside
// OpenID provider, or, for development, by nothing at all.
//
// [New] makes a [Login], which is an [issuer.Login]. A login lasts for [Config.SessionLifetime] in one browser; each gets
// a cookie of its own, so that nobody can prepare one for somebody else. A user's id is random and says nothing about the
// name; names of users of an outside provider are its identifier and theirs, so that they are never those of others.
//
// What is not checked: who gets an invitation, and what a provider says of its users beyond the signature.
package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/store"
)

const (
	defaultSessionLifetime = 12 * time.Hour
	sessionCookie          = "holdfast-session"
	// maxForm bounds a form of our pages and what their script sends, in bytes. A passkey's answer takes a tenth of it.
	maxForm = 16 << 10
)

// Config configures a Login. At least one way to log in is required.
type Config struct {
	// Issuer is the issuer identifier, as the issuer's own. Required.
	Issuer string
	// Store is the issuer's. Required.
	Store *store.Store
	// InsecureDevelopmentUser is the name of a user as whom anybody can log in, with one press of a button. If empty, there
	// is none.
	InsecureDevelopmentUser string
	// Providers are outside OpenID providers that users may log in by.
	Providers []Provider
	// Passkeys lets users log in by passkeys, of which each gets the first by an invitation (see [Invite]). Browsers have
	// none for hosts that are addresses; localhost is fine.
	Passkeys bool
	// PasskeyDomain is the domain that passkeys are for (the RP ID): the host of Issuer or a domain above it. If empty, the
	// host. Passkeys for one domain are no good for another: it can't be changed later.
	PasskeyDomain string
	// SessionLifetime is how long a login lasts. If zero, 12 hours.
	SessionLifetime time.Duration
	// Observer, if set, is told of every login, refusal and logout. It must not block.
	Observer func(ctx context.Context, e issuer.Event)
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

// Login logs users in. It is safe for concurrent use.
type Login struct {
	cfg      Config
	base     string // the path that ours lie below, with a slash at its end
	back     string // what paths begin with that we send a browser back to
	cookies  page.Cookies
	sameSite *http.CrossOriginProtection
	handlers map[string]http.HandlerFunc // method, space, path below base → endpoint
	links    []providerLink              // to the providers, in the order of the configuration

	webauthn   *webauthn.WebAuthn // nil without passkeys
	domainHash [sha256.Size]byte  // of the RP ID
}

// New checks cfg and copies it.
func New(cfg Config) (*Login, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Host == "" {
		return nil, errors.New("login: Issuer is no URL")
	}
	cfg.SessionLifetime = cmp.Or(cfg.SessionLifetime, defaultSessionLifetime)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	switch {
	case cfg.Store == nil:
		return nil, errors.New("login: Store is required")
	case cfg.SessionLifetime < time.Minute:
		return nil, errors.New("login: SessionLifetime is under a minute")
	case cfg.PasskeyDomain != "" && !cfg.Passkeys:
		return nil, errors.New("login: PasskeyDomain is set without Passkeys")
	}
	l := &Login{
		cfg: cfg, base: u.Path + "/login/", back: u.Path + "/consent?interaction=",
		cookies: page.Cookies{Secure: u.Scheme == "https"}, sameSite: http.NewCrossOriginProtection(),
	}
	if err := l.sameSite.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, err
	}
	l.handlers = map[string]http.HandlerFunc{"GET ": l.serveAccount, "POST logout": l.serveLogout}
	if cfg.InsecureDevelopmentUser != "" {
		l.handlers["POST development"] = l.serveDevelopment
	}
	for _, p := range cfg.Providers {
		if err := l.addProvider(p); err != nil {
			return nil, err
		}
	}
	if cfg.Passkeys {
		if l.webauthn, err = cfg.openPasskeys(u); err != nil {
			return nil, err
		}
		l.domainHash = sha256.Sum256([]byte(l.webauthn.Config.RPID))
		l.handlePasskeys()
	}
	if len(l.handlers) == 2 {
		return nil, errors.New("login: no way to log in")
	}
	return l, nil
}

// addProvider adds a way to log in.
func (l *Login) addProvider(p Provider) error {
	checked, err := newProvider(p, l.cfg.Now)
	if err != nil {
		return err
	}
	begin := "GET " + providerPath(p.Name)
	if l.handlers[begin] != nil {
		return fmt.Errorf("login: two providers have the name %s", p.Name)
	}
	l.handlers[begin], l.handlers[begin+callbackPath] = l.beginAttempt(checked), l.endAttempt(checked)
	l.links = append(l.links, providerLink{URL: l.base + providerPath(p.Name), Label: checked.Label})
	return nil
}

// ServeHTTP serves the paths below the issuer's "/login/". No form of another site does anything here.
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve := l.handlers[r.Method+" "+strings.TrimPrefix(r.URL.EscapedPath(), l.base)]
	switch {
	case serve == nil:
		http.NotFound(w, r)
	case l.sameSite.Check(r) != nil:
		l.refuse(w, r, &issuer.Error{Reason: issuer.CrossSite, Part: "Origin"})
	default:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		serve(w, r)
	}
}

// Session returns who is logged in at the browser that sent r, or nil.
func (l *Login) Session(r *http.Request) (*issuer.LoginSession, error) {
	s, err := l.session(r)
	if s == nil || err != nil {
		return nil, err
	}
	return &issuer.LoginSession{
		Subject: s.user.ID, Name: cmp.Or(s.user.DisplayName, s.user.Name), AuthTime: s.since, ACR: s.how.ACR, AMR: s.how.AMR,
	}, nil
}

// session is a login as we keep it.
type session struct {
	user  store.User
	how   authentication
	since time.Time // when the user authenticated
}

// session returns the session of the browser that sent r, or nil.
func (l *Login) session(r *http.Request) (*session, error) {
	hash, ok := l.cookie(r)
	if !ok {
		return nil, nil
	}
	stored, user, err := l.cfg.Store.Session(r.Context(), l.cfg.Now(), hash)
	switch reason(err) {
	case store.NotFound, store.Expired, store.Disabled:
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	s := &session{user: user, since: stored.AuthTime}
	if err := json.Unmarshal(stored.Authentication, &s.how); err != nil {
		return nil, &issuer.Error{Reason: issuer.Failed, Part: "session", Err: err}
	}
	return s, nil
}

// authentication is how a user authenticated, as kept with a session.
type authentication struct {
	ACR     string   `json:"acr,omitempty"`
	AMR     []string `json:"amr,omitempty"`
	Passkey bool     `json:"passkey,omitempty"` // by one of ours
}

// cookie returns the hash of the session cookie that came with r, and whether one did.
func (l *Login) cookie(r *http.Request) (store.Hash, bool) {
	value := l.cookies.Read(r, sessionCookie)
	return store.HashOf(value), value != ""
}

// logIn begins a session in place of the browser's former one, with a fresh cookie.
func (l *Login) logIn(w http.ResponseWriter, r *http.Request, user store.User, how authentication, at time.Time) error {
	return l.logInBy(w, r, user, how, at, func(s store.Session) error {
		return l.cfg.Store.CreateSession(r.Context(), l.cfg.Now(), s)
	})
}

// logInBy does what logIn does; create stores the session, and whatever must be stored with it.
func (l *Login) logInBy(w http.ResponseWriter, r *http.Request, user store.User, how authentication, at time.Time, create func(store.Session) error) error {
	text, err := json.Marshal(how)
	if err != nil {
		return err
	}
	secret := newSecret()
	err = create(store.Session{
		Cookie: store.HashOf(secret), UserID: user.ID, Authentication: text, AuthTime: at,
		Expires: l.cfg.Now().Add(l.cfg.SessionLifetime),
	})
	if _, ok := errors.AsType[*issuer.Error](err); ok { // create says more than the store
		return err
	}
	if reason(err) == store.Disabled {
		return disabled(err)
	}
	if err != nil {
		return unavailable(err)
	}
	if former, ok := l.cookie(r); ok {
		if err := l.cfg.Store.DeleteSession(r.Context(), former); err != nil {
			return unavailable(err)
		}
	}
	l.cookies.Set(w, sessionCookie, secret, l.cfg.SessionLifetime)
	l.observe(r.Context(), issuer.Event{Endpoint: "login", Subject: user.ID})
	return nil
}

// serveLogout ends this browser's session.
func (l *Login) serveLogout(w http.ResponseWriter, r *http.Request) {
	session, err := l.Session(r)
	if err != nil {
		l.refuse(w, r, err)
		return
	}
	if hash, ok := l.cookie(r); ok {
		if err := l.cfg.Store.DeleteSession(r.Context(), hash); err != nil {
			l.refuse(w, r, unavailable(err))
			return
		}
	}
	l.cookies.Clear(w, sessionCookie)
	if session != nil {
		l.observe(r.Context(), issuer.Event{Endpoint: "logout", Subject: session.Subject})
	}
	l.leadTo(w, l.base)
}

// serveDevelopment logs anybody in, as the one user that there is for this.
func (l *Login) serveDevelopment(w http.ResponseWriter, r *http.Request) {
	user, err := l.userNamed(r.Context(), l.cfg.InsecureDevelopmentUser, l.cfg.InsecureDevelopmentUser)
	if err == nil {
		err = l.logIn(w, r, user, authentication{}, l.cfg.Now())
	}
	if err != nil {
		l.refuse(w, r, err)
		return
	}
	l.leadTo(w, l.wayBack(r.PostFormValue("back")))
}

// userNamed returns the user of a name, and makes one if there is none yet.
func (l *Login) userNamed(ctx context.Context, name, display string) (store.User, error) {
	user, err := l.cfg.Store.UserByName(ctx, name)
	if reason(err) != store.NotFound {
		return user, unavailable(err)
	}
	err = l.cfg.Store.CreateUser(ctx, l.cfg.Now(), store.User{ID: rand.Text(), Name: name, DisplayName: display})
	if err != nil && reason(err) != store.Conflict { // somebody else was faster
		return store.User{}, unavailable(err)
	}
	user, err = l.cfg.Store.UserByName(ctx, name)
	return user, unavailable(err)
}

// wayBack returns where a browser goes on: to the interaction that asked for the login, if back names one, else to our
// own page. It never leaves this server.
func (l *Login) wayBack(back string) string {
	id, ok := strings.CutPrefix(back, l.back)
	if !ok || id == "" || len(id) > 64 || strings.Trim(id, base64URL) != "" {
		return l.base
	}
	return back
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (l *Login) leadTo(w http.ResponseWriter, path string) {
	page.Private(w.Header())
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

// refuse tells the observer and the user that something didn't work.
func (l *Login) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, text := l.observeRefusal(r.Context(), err)
	refusedPage.Write(w, page.Page{Status: status, Title: "This didn’t work", Data: text})
}

// observeRefusal tells the observer of a refusal, and returns the status and what the user is told.
func (l *Login) observeRefusal(ctx context.Context, err error) (int, string) {
	refusal, ok := errors.AsType[*issuer.Error](err)
	if !ok {
		refusal = &issuer.Error{Reason: issuer.Failed, Err: err}
	}
	l.observe(ctx, issuer.Event{Endpoint: "login", Refusal: refusal})
	return plain(refusal)
}

// plain is the one place where reasons become what users read.
func plain(e *issuer.Error) (status int, text string) {
	switch e.Reason {
	case issuer.Unavailable, issuer.Failed:
		return http.StatusServiceUnavailable, "This doesn’t work at the moment. Try again in a while."
	case issuer.FormRefused:
		return http.StatusBadRequest, "Your browser sent something else than this page does."
	case issuer.FormTooLarge:
		return http.StatusRequestEntityTooLarge, "Your browser sent more than this page does."
	case issuer.InvitationRefused:
		return http.StatusForbidden, "This invitation isn’t good: it was used, is too old, or the link isn’t complete. Ask for another."
	case issuer.LoginNeeded:
		return http.StatusForbidden, "For this, log in with a passkey again first."
	case issuer.PasskeyRefused:
		return http.StatusForbidden, plainPasskey(e)
	}
	return http.StatusForbidden, "You could not be logged in."
}

func (l *Login) observe(ctx context.Context, e issuer.Event) {
	if l.cfg.Observer != nil {
		l.cfg.Observer(ctx, e)
	}
}

const secretLength = 32

// newSecret returns 32 random octets in base64url.
func newSecret() string {
	var b [secretLength]byte
	rand.Read(b[:])
	return base64url.Encode(b[:])
}

// reason returns why the store refused, or "".
func reason(err error) store.Reason {
	if e, ok := errors.AsType[*store.Error](err); ok {
		return e.Reason
	}
	return ""
}

// disabled says that a user is.
func disabled(err error) error {
	return &issuer.Error{Reason: issuer.LoginRefused, Part: "user", Got: "disabled", Err: err}
}

// unavailable says that the store can't be asked; nil stays nil.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &issuer.Error{Reason: issuer.Unavailable, Part: "store", Err: err}
}
