package login

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/issuer/store"
)

const invitationPath = "invitation"

// Invite stores an invitation for a user, which is good for as long as lifetime, once: whoever opens the URL that it
// returns can add a passkey to the user. The secret in it is behind a number sign, which browsers don't send, so that no
// server on the way logs it; only its hash is stored. Errors are of the store.
func Invite(ctx context.Context, s *store.Store, issuerURL string, now time.Time, userID string, lifetime time.Duration) (string, error) {
	secret := newSecret()
	err := s.CreateInvitation(ctx, now, store.Invitation{Hash: store.HashOf(secret), UserID: userID, Expires: now.Add(lifetime)})
	if err != nil {
		return "", err
	}
	return issuerURL + "/login/" + invitationPath + "#" + secret, nil
}

// serveInvitation shows the page that makes a passkey. It is the same for all: the script knows the invitation.
func (l *Login) serveInvitation(w http.ResponseWriter, _ *http.Request) {
	invitationPage.Write(w, page.Page{Status: http.StatusOK, Title: "Make a passkey", Script: l.base + scriptPath, Data: l.base})
}

var invitationPage = page.MustParse(`<h1>Make a passkey</h1>
<p>You are invited to log in here with a passkey: your device keeps a key, and asks for your fingerprint, face or PIN before it
uses it. There is no password.</p>
<div class="actions"><button type="button" data-passkey="enrol" data-base="{{.}}" hidden>Make a passkey</button></div>` + passkeyNotes)
