package login

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/store"
)

const (
	// ceremonyLifetime is how long a challenge is good: what WebAuthn Level 3, section 15.1, recommends to wait for a user.
	ceremonyLifetime = 5 * time.Minute
	// freshLogin is how long after a login with a passkey its user may add and remove passkeys, so that whoever finds a
	// browser logged in can't stay.
	freshLogin = 10 * time.Minute
	// maxPasskeys bounds a user's passkeys, which are all listed when another is added.
	maxPasskeys = 20
)

const (
	sectionAdd   = "WebAuthn Level 3, section 7.1"
	sectionLogIn = "WebAuthn Level 3, section 7.2"
)

// byPasskey is how a user authenticated by a passkey, with user verification. Nobody attests where its key is: so pop and
// not hwk, and phr but not phrh (RFC 8176, section 2; OpenID Connect EAP ACR Values 1.0, sections 2 and 3).
var byPasskey = authentication{ACR: "phr", AMR: []string{"pop", "user", "mfa"}, Passkey: true}

// algorithms of the keys that are asked for, by preference. RS256 is there for older platforms that have nothing else.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// openPasskeys makes the relying party (WebAuthn Level 3, section 5.4.2) for an issuer at u.
func (c *Config) openPasskeys(u *url.URL) (*webauthn.WebAuthn, error) {
	host := u.Hostname()
	id := cmp.Or(c.PasskeyDomain, host)
	if _, err := netip.ParseAddr(host); err == nil {
		return nil, fmt.Errorf("login: Passkeys: browsers have none for an address: give Issuer the name of its host, as localhost instead of %s", host)
	}
	if id != host && (!strings.HasSuffix(host, "."+id) || !strings.Contains(id, ".")) {
		return nil, fmt.Errorf("login: PasskeyDomain: %s is not below %s", host, id)
	}
	required := true
	timeout := webauthn.TimeoutConfig{Timeout: ceremonyLifetime}
	return webauthn.New(&webauthn.Config{
		RPID: id, RPDisplayName: id, RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &required, UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
	})
}

// handlePasskeys adds the endpoints.
func (l *Login) handlePasskeys() {
	l.handlers["GET "+scriptPath] = serveScript
	l.handlers["GET "+invitationPath] = l.serveInvitation
	l.handlers["POST passkey/begin-login"] = l.answer(l.beginLogin)
	l.handlers["POST passkey/login"] = l.answer(l.finishLogin)
	l.handlers["POST passkey/begin"] = l.answer(l.beginAdding)
	l.handlers["POST passkey/add"] = l.answer(l.finishAdding)
	l.handlers["POST passkey/remove"] = l.serveRemove
}

// credential is what is kept of a passkey besides its count.
type credential struct {
	PublicKey      []byte `json:"public_key"`      // COSE_Key
	BackupEligible bool   `json:"backup_eligible"` // it may be on several devices; never changes
	BackedUp       bool   `json:"backed_up"`
}

// wrong says that an authenticator's answer is no good.
func wrong(section, part string, err error) error {
	return &issuer.Error{Reason: issuer.PasskeyRefused, Section: section, Part: part, Err: err}
}

// person is a user as the library wants one.
type person struct {
	store.User
	keys []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return []byte(p.ID) }
func (p person) WebAuthnName() string                       { return p.Name }
func (p person) WebAuthnDisplayName() string                { return cmp.Or(p.DisplayName, p.Name) }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.keys }

// beginLogin makes a challenge for whoever has a passkey.
func (l *Login) beginLogin(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := readMembers(r.Body, nil); err != nil {
		return nil, err
	}
	options, session, err := l.webauthn.BeginDiscoverableLogin()
	if err != nil {
		return nil, err
	}
	return options, l.keep(w, r, session.Challenge, ceremony{Purpose: toLogIn}, ceremonyLifetime)
}

// finishLogin lists the steps of a login by a passkey (WebAuthn Level 3, section 7.2). All is checked before the challenge
// is used up.
func (l *Login) finishLogin(w http.ResponseWriter, r *http.Request) (any, error) {
	response, back, err := readAssertion(r.Body)
	if err != nil {
		return nil, err
	}
	challenge := response.Response.CollectedClientData.Challenge
	interaction, _, err := l.ceremony(r, challenge, toLogIn)
	if err != nil {
		return nil, err
	}
	passkey, user, err := l.cfg.Store.Passkey(r.Context(), response.RawID)
	switch reason(err) {
	case store.NotFound:
		return nil, wrong(sectionLogIn, "id", err)
	case store.Disabled:
		return nil, disabled(err)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	used, err := l.verifyAssertion(response, challenge, passkey, user)
	if err != nil {
		return nil, err
	}
	at := l.cfg.Now()
	err = l.logInBy(w, r, user, byPasskey, at, func(s store.Session) error {
		err := l.cfg.Store.LogIn(r.Context(), at, store.PasskeyLogin{
			Ceremony: interaction, Passkey: used, Was: passkey.SignCount, Session: s,
		})
		if reason(err) == store.Conflict { // somebody was faster, with the challenge or the count
			return wrong(sectionLogIn, "challenge", err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return leads{l.wayBack(back)}, nil
}

// verifyAssertion checks all that an authenticator said, and returns the passkey as it is after this use.
func (l *Login) verifyAssertion(response *protocol.ParsedCredentialAssertionData, challenge string, passkey store.Passkey, user store.User) (store.Passkey, error) {
	if !bytes.Equal(response.Response.UserHandle, []byte(user.ID)) {
		return passkey, wrong(sectionLogIn, "userHandle", nil)
	}
	if err := l.checkOrigin(sectionLogIn, response.Response.CollectedClientData); err != nil {
		return passkey, err
	}
	if err := l.checkAuthenticator(sectionLogIn, response.Response.AuthenticatorData); err != nil {
		return passkey, err
	}
	var kept credential
	if err := json.Unmarshal(passkey.Credential, &kept); err != nil {
		return passkey, err
	}
	owner := person{User: user, keys: []webauthn.Credential{{
		ID: passkey.ID, PublicKey: kept.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: kept.BackupEligible},
		Authenticator: webauthn.Authenticator{SignCount: uint32(passkey.SignCount)},
	}}}
	verified, err := l.webauthn.ValidateLogin(owner, l.expect(challenge, user), response)
	if err != nil {
		return passkey, wrong(sectionLogIn, "signature or flags", err)
	}
	if verified.Authenticator.CloneWarning {
		return passkey, &issuer.Error{
			Reason: issuer.PasskeyRefused, Section: "WebAuthn Level 3, section 6.1.1", Part: "signCount",
			Expected: fmt.Sprintf("above %d", passkey.SignCount), Got: fmt.Sprint(response.Response.AuthenticatorData.Counter),
		}
	}
	kept.BackedUp = verified.Flags.BackupState
	passkey.SignCount = int64(verified.Authenticator.SignCount)
	passkey.Credential, err = json.Marshal(kept)
	return passkey, err
}

// expect is what the library compares with: a challenge that was found in the store.
func (l *Login) expect(challenge string, user store.User) webauthn.SessionData {
	return webauthn.SessionData{
		Challenge: challenge, UserID: []byte(user.ID), UserVerification: protocol.VerificationRequired, CredParams: algorithms,
	}
}

// checkOrigin compares byte by byte, which the library doesn't.
func (l *Login) checkOrigin(section string, c protocol.CollectedClientData) error {
	if want := l.webauthn.Config.RPOrigins[0]; c.Origin != want {
		return &issuer.Error{Reason: issuer.PasskeyRefused, Section: section, Part: "origin", Expected: want}
	}
	if c.CrossOrigin || c.TopOrigin != "" { // in a frame of another site
		return wrong(section, "crossOrigin", nil)
	}
	return nil
}

// checkAuthenticator tells apart what the library gives one name to.
func (l *Login) checkAuthenticator(section string, a protocol.AuthenticatorData) error {
	if err := a.Verify(l.domainHash[:], nil, false, true); err != nil {
		return wrong(section, "rpIdHash or user presence", err)
	}
	if !a.Flags.HasUserVerified() {
		return wrong(section, "user verification", nil)
	}
	return nil
}

// beginAdding makes a challenge for a new passkey, of whoever has an invitation or is freshly logged in by a passkey.
func (l *Login) beginAdding(w http.ResponseWriter, r *http.Request) (any, error) {
	var invitation string
	if err := readMembers(r.Body, map[string]any{"invitation": &invitation}); err != nil {
		return nil, err
	}
	user, c, err := l.mayAdd(r, invitation)
	if err != nil {
		return nil, err
	}
	passkeys, err := l.passkeysBeforeAnother(r.Context(), user)
	if err != nil {
		return nil, err
	}
	var known []protocol.CredentialDescriptor
	for _, p := range passkeys {
		known = append(known, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: p.ID})
	}
	options, session, err := l.webauthn.BeginRegistration(person{User: user},
		webauthn.WithExclusions(known), webauthn.WithCredentialParameters(algorithms))
	if err != nil {
		return nil, err
	}
	return options, l.keep(w, r, session.Challenge, c, ceremonyLifetime)
}

// passkeysBeforeAnother returns a user's passkeys if there may be one more.
func (l *Login) passkeysBeforeAnother(ctx context.Context, user store.User) ([]store.Passkey, error) {
	passkeys, err := l.cfg.Store.Passkeys(ctx, user.ID)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(passkeys) >= maxPasskeys {
		return nil, &issuer.Error{Reason: issuer.PasskeyRefused, Part: "passkeys", Expected: fmt.Sprintf("at most %d", maxPasskeys)}
	}
	return passkeys, nil
}

// mayAdd returns the user whose passkey is made, and what is kept with its challenge.
func (l *Login) mayAdd(r *http.Request, invitation string) (store.User, ceremony, error) {
	if invitation == "" {
		s, err := l.freshSession(r)
		if err != nil {
			return store.User{}, ceremony{}, err
		}
		return s.user, ceremony{Purpose: toAdd, User: s.user.ID}, nil
	}
	hash := store.HashOf(invitation)
	_, user, err := l.cfg.Store.Invitation(r.Context(), l.cfg.Now(), hash)
	if err != nil {
		return store.User{}, ceremony{}, invitationRefused(err)
	}
	return user, ceremony{Purpose: toEnrol, User: user.ID, Invitation: hash[:]}, nil
}

// freshSession returns the session of a browser that may change its user's passkeys.
func (l *Login) freshSession(r *http.Request) (*session, error) {
	s, err := l.session(r)
	if err != nil {
		return nil, err
	}
	if s == nil || !l.isFresh(s) {
		return nil, &issuer.Error{Reason: issuer.LoginNeeded, Part: "session", Expected: "a login with a passkey in the last " + freshLogin.String()}
	}
	return s, nil
}

func (l *Login) isFresh(s *session) bool {
	return s.how.Passkey && l.cfg.Now().Before(s.since.Add(freshLogin))
}

// finishAdding lists the steps of making a passkey (WebAuthn Level 3, section 7.1).
func (l *Login) finishAdding(_ http.ResponseWriter, r *http.Request) (any, error) {
	response, err := readAttestation(r.Body)
	if err != nil {
		return nil, err
	}
	challenge := response.Response.CollectedClientData.Challenge
	interaction, c, err := l.ceremony(r, challenge, toAdd, toEnrol)
	if err != nil {
		return nil, err
	}
	user, err := l.stillMayAdd(r, c)
	if err != nil {
		return nil, err
	}
	if _, err := l.passkeysBeforeAnother(r.Context(), user); err != nil {
		return nil, err
	}
	made, err := l.verifyAttestation(response, challenge, user)
	if err != nil {
		return nil, err
	}
	to := l.base
	if c.Purpose == toEnrol {
		to += "?" + madeQuery
		err = l.cfg.Store.Enrol(r.Context(), l.cfg.Now(), store.Hash(c.Invitation), interaction, made)
	} else {
		err = l.cfg.Store.AddPasskey(r.Context(), l.cfg.Now(), interaction, made)
	}
	if err != nil {
		return nil, addingRefused(err)
	}
	l.observe(r.Context(), issuer.Event{Endpoint: "passkey-added", Subject: user.ID})
	return leads{to}, nil
}

// stillMayAdd asks again what was asked before the user was, because somebody else may be logged in by now.
func (l *Login) stillMayAdd(r *http.Request, c ceremony) (store.User, error) {
	if c.Purpose == toEnrol {
		_, user, err := l.cfg.Store.Invitation(r.Context(), l.cfg.Now(), store.Hash(c.Invitation))
		return user, invitationRefused(err)
	}
	s, err := l.freshSession(r)
	if err != nil {
		return store.User{}, err
	}
	if s.user.ID != c.User {
		return store.User{}, wrong(sectionAdd, "user", nil)
	}
	return s.user, nil
}

// verifyAttestation checks all that an authenticator said, and returns the new passkey.
func (l *Login) verifyAttestation(response *protocol.ParsedCredentialCreationData, challenge string, user store.User) (store.Passkey, error) {
	if err := l.checkOrigin(sectionAdd, response.Response.CollectedClientData); err != nil {
		return store.Passkey{}, err
	}
	attestation := response.Response.AttestationObject
	if err := l.checkAuthenticator(sectionAdd, attestation.AuthData); err != nil {
		return store.Passkey{}, err
	}
	// We ask for none. What browsers leave in place then is a signature by the new key itself (WebAuthn Level 3, section
	// 5.1.3): certificates, which the library would parse, we don't take.
	_, certified := attestation.AttStatement["x5c"]
	if f := protocol.AttestationFormat(attestation.Format); f != protocol.AttestationFormatNone && (f != protocol.AttestationFormatPacked || certified) {
		return store.Passkey{}, wrong(sectionAdd, "fmt", nil)
	}
	made, err := l.webauthn.CreateCredential(person{User: user}, l.expect(challenge, user), response)
	if err != nil {
		return store.Passkey{}, wrong(sectionAdd, "attestation or flags", err)
	}
	text, err := json.Marshal(credential{
		PublicKey: made.PublicKey, BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState,
	})
	return store.Passkey{ID: made.ID, UserID: user.ID, Credential: text, SignCount: int64(made.Authenticator.SignCount)}, err
}

// addingRefused says why the store didn't take a new passkey.
func addingRefused(err error) error {
	e, ok := errors.AsType[*store.Error](err)
	switch {
	case ok && e.Reason == store.Conflict && e.What == "passkey":
		return wrong(sectionAdd, "id", err)
	case ok && e.Reason == store.Conflict:
		return wrong(sectionAdd, "challenge", err)
	}
	return invitationRefused(err)
}

// invitationRefused says why an invitation is no good; nil stays nil.
func invitationRefused(err error) error {
	switch reason(err) {
	case store.NotFound, store.Used, store.Expired:
		return &issuer.Error{Reason: issuer.InvitationRefused, Part: "invitation", Got: string(reason(err))}
	case store.Disabled:
		return disabled(err)
	}
	return unavailable(err)
}

// serveRemove deletes a passkey of a user who is freshly logged in by one; not the last.
func (l *Login) serveRemove(w http.ResponseWriter, r *http.Request) {
	s, err := l.freshSession(r)
	if err == nil {
		err = l.remove(r.Context(), s.user, r.PostFormValue("id"))
	}
	if err != nil {
		l.refuse(w, r, err)
		return
	}
	l.leadTo(w, l.base)
}

func (l *Login) remove(ctx context.Context, user store.User, text string) error {
	id, err := base64url.Decode(text)
	if err != nil {
		return &issuer.Error{Reason: issuer.FormRefused, Part: "id"}
	}
	err = l.cfg.Store.DeletePasskey(ctx, user.ID, id)
	switch reason(err) {
	case store.NotFound, store.Last:
		return &issuer.Error{Reason: issuer.PasskeyRefused, Part: "id", Got: string(reason(err))}
	}
	if err != nil {
		return unavailable(err)
	}
	l.observe(ctx, issuer.Event{Endpoint: "passkey-removed", Subject: user.ID})
	return nil
}
