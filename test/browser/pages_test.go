package browser

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/keys"
)

// One browser serves all.
func TestPages(t *testing.T) {
	browser := chromium(t)
	for _, tc := range []struct {
		name string
		test func(*testing.T, context.Context)
	}{
		{"these tests notice", testNotices},
		{"a user's whole way", testWholeWay},
		{"passkeys of a user", testPasskeys},
		{"what is refused", testRefused},
		{"without JavaScript", testWithoutScript},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, browser) })
	}
}

const goOn = "Log in to go on to Photos"

// From an invitation to a call by a token that only the app can use.
func testWholeWay(t *testing.T, browser context.Context) {
	s := newStage(t, "")
	b := newTab(t, browser)
	b.visit(t, s.invite(t, "user1"))
	b.see(t, "Make a passkey")
	b.press(t, "Make a passkey")
	b.read(t, "p", "Your passkey is ready. Log in with it now.")
	b.see(t, "Log in")
	b.press(t, "Log in with a passkey")
	b.see(t, "You are logged in")
	b.picture(t, "users-account.png")
	b.press(t, "Log out")
	b.see(t, "Log in")

	a := newApp(t, s)
	b.visit(t, a.request(t))
	b.see(t, goOn)
	b.picture(t, "users-login.png")
	b.press(t, "Log in with a passkey")
	b.see(t, "Allow Photos to act for you?")
	b.picture(t, "users-consent.png")
	b.press(t, "Allow")
	b.read(t, "h1", "Back at the app")
	token := a.redeem(t, a.response(t, "code"))
	if got := a.userinfo(t, token, a.key); got != "user1" {
		t.Errorf("got user %q", got)
	}
	thief, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.userinfo(t, token, thief); got != "" {
		t.Errorf("another key got user %q", got)
	}
	s.wantRefusals(t, issuer.DPoPRefused)
}

// What the account page does with passkeys, and what its user is told.
func testPasskeys(t *testing.T, browser context.Context) {
	s := newStage(t, "")
	b := newTab(t, browser)
	link := s.invite(t, "user1")
	b.visit(t, link)
	call(t, b, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: b.authenticator})
	b.press(t, "Make a passkey")
	b.read(t, "p[@role='alert']", "The passkey wasn’t used: you cancelled, or it took too long.")
	b.see(t, "Make a passkey")
	call(t, b, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: b.authenticator, IsUserVerified: true})
	b.press(t, "Make a passkey")
	b.see(t, "Log in")

	b.visit(t, link)
	b.press(t, "Make a passkey")
	b.read(t, "p[@role='alert']", "This invitation isn’t good")
	b.see(t, "Make a passkey")
	b.visit(t, s.issuer+"/login/invitation")
	b.press(t, "Make a passkey")
	b.read(t, "p[@role='alert']", "The end of the link is missing")

	b.visit(t, s.issuer+"/login/")
	b.press(t, "Log in with a passkey")
	b.see(t, "You are logged in")
	b.press(t, "Add a passkey")
	b.read(t, "p[@role='alert']", "This device has a passkey of yours already.")
	if focused := run(t, b, chromedp.Evaluate[string]("document.activeElement.innerText")); focused != "Add a passkey" {
		t.Errorf("the focus is on %q", focused)
	}
	call(t, b, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: b.authenticator})
	b.connectAuthenticator(t) // another device
	b.press(t, "Add a passkey")
	b.do(t, chromedp.WaitVisible("//li[2]"))
	b.see(t, "You are logged in")
	b.do(t, chromedp.Click("//li[1]//button"), chromedp.WaitNotPresent("//li[1]//button"))
	b.see(t, "You are logged in")
	s.wantRefusals(t, issuer.InvitationRefused)
}

// The pages that say no.
func testRefused(t *testing.T, browser context.Context) {
	s := newStage(t, developer)
	b := newTab(t, browser)
	a := newApp(t, s)
	b.visit(t, a.request(t))
	b.press(t, "Log in as "+developer)
	b.see(t, "Allow Photos to act for you?")
	b.press(t, "Refuse")
	b.read(t, "h1", "Back at the app")
	if got := a.response(t, "error"); got != "access_denied" {
		t.Errorf("got %q", got)
	}
	b.visit(t, s.issuer+"/authorize?client_id=nobody")
	b.see(t, "This didn’t work")
	b.visit(t, s.issuer+"/login/")
	b.see(t, "You are logged in")
	user, err := s.store.UserByName(t.Context(), developer)
	if err != nil {
		t.Fatal(err)
	}
	user.Disabled = true
	if err := s.store.UpdateUser(t.Context(), user.Created, user); err != nil {
		t.Fatal(err)
	}
	b.visit(t, s.issuer+"/login/")
	b.press(t, "Log in as "+developer)
	b.see(t, "This didn’t work")
	s.wantRefusals(t, issuer.ConsentDenied, issuer.ClientUnknown, issuer.LoginRefused)
}

// Without scripts everything works but passkeys, and the page says so.
func testWithoutScript(t *testing.T, browser context.Context) {
	s := newStage(t, developer)
	b := newTab(t, browser)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.visit(t, s.invite(t, "user1"))
	b.read(t, "p", "Passkeys need JavaScript, which is switched off in this browser.")
	a := newApp(t, s)
	b.visit(t, a.request(t))
	b.read(t, "h1", goOn)
	b.read(t, "p", "Passkeys need JavaScript, which is switched off in this browser.")
	b.do(t, chromedp.WaitNotVisible(`//button[normalize-space()="Log in with a passkey"]`))
	b.press(t, "Log in as "+developer)
	b.read(t, "h1", "Allow Photos to act for you?")
	b.press(t, "Allow")
	b.read(t, "h1", "Back at the app")
	if got := a.userinfo(t, a.redeem(t, a.response(t, "code")), a.key); got != developer {
		t.Errorf("got user %q", got)
	}
	s.wantRefusals(t)
}

// What browser and axe find wrong with a page reaches the test.
func testNotices(t *testing.T, browser context.Context) {
	s := newStage(t, "")
	for _, tc := range []struct{ name, path, want string }{
		{"a script against the policy", "/inline", "policy: script-src"},
		{"a script that throws", "/throws", "exception: Uncaught"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := openTab(t, browser)
			b.visit(t, s.app+tc.path)
			tooLate := time.After(patience)
			for got := ""; !strings.HasPrefix(got, tc.want); {
				select {
				case got = <-b.problems:
				case <-tooLate:
					t.Fatalf("got %q, want %q", got, tc.want)
				}
			}
		})
	}
	t.Run("a page that is hard to use", func(t *testing.T) {
		b := openTab(t, browser)
		b.visit(t, s.app+"/unlabelled")
		b.do(t, chromedp.Evaluate[chromedp.Void](b.axe))
		if got := b.rules(t, "axe.run()"); len(got.Violations) == 0 {
			t.Errorf("got %+v", got)
		}
	})
}
