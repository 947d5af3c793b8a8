package login

import (
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/store"
)

// people is an issuer whose users have passkeys, at a time that tests move on.
type people struct {
	*fixture
	mu  sync.Mutex
	now time.Time
}

func newPeople(t *testing.T, change func(*Config)) *people {
	t.Helper()
	p := &people{now: time.Now()}
	p.fixture = newFixture(t, func(cfg *Config) {
		cfg.InsecureDevelopmentUser, cfg.Passkeys = "", true
		cfg.Now = p.time
		if change != nil {
			change(cfg)
		}
	})
	return p
}

func (p *people) time() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *people) wait(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// invite makes a user, unless there is one of the name, and an invitation.
func (p *people) invite(t *testing.T, name string) (invitation string) {
	t.Helper()
	user, err := p.store.UserByName(t.Context(), name)
	if reason(err) == store.NotFound {
		user = store.User{ID: rand.Text(), Name: name, DisplayName: strings.ToUpper(name)}
		err = p.store.CreateUser(t.Context(), p.time(), user)
	}
	if err != nil {
		t.Fatal(err)
	}
	link, err := Invite(t.Context(), p.store, p.url, p.time(), user.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	invitation, ok := strings.CutPrefix(link, p.url+"/login/invitation#")
	if !ok {
		t.Fatalf("got link %q", link)
	}
	return invitation
}

// enrol makes a user's first passkey on a new device.
func (p *people) enrol(t *testing.T, b *browser, name string) *authenticator {
	t.Helper()
	device := newAuthenticator(t, p.url)
	if status, said := b.add(t, device, p.invite(t, name)); status != http.StatusOK {
		t.Fatalf("got %d %s", status, said)
	}
	return device
}

// begin asks for options.
func (b *browser) begin(t *testing.T, path string, body map[string]any) (o options) {
	t.Helper()
	if status, said := b.post(t, path, body, &o); status != http.StatusOK {
		t.Fatalf("%s: got %d %s", path, status, said)
	}
	return o
}

// add makes a passkey on a device, by an invitation or, without one, for who is logged in.
func (b *browser) add(t *testing.T, device *authenticator, invitation string) (int, string) {
	t.Helper()
	o := b.begin(t, "begin", map[string]any{"invitation": invitation})
	return b.post(t, "add", device.create(t, o), nil)
}

// logIn logs in with a device's passkey, on the way to somewhere.
func (b *browser) logIn(t *testing.T, device *authenticator, back string) (status int, said, location string) {
	t.Helper()
	answer := device.get(t, b.begin(t, "begin-login", map[string]any{}))
	answer["back"] = back
	var to leads
	status, said = b.post(t, "login", answer, &to)
	return status, said, to.Location
}

// A user is invited, makes a passkey, logs in with it, agrees, makes another, and removes the first.
func TestPasskey(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	page := b.get(t, p.url+"/login/invitation")
	if page.status != http.StatusOK || !strings.Contains(page.body, `data-passkey="enrol"`) || !strings.Contains(page.body, `src="/login/passkey.js"`) {
		t.Fatalf("got %d %s", page.status, page.body)
	}
	if script := b.get(t, p.url+"/login/passkey.js"); script.status != http.StatusOK || !strings.Contains(script.body, "navigator.credentials") {
		t.Fatalf("got script %d", script.status)
	}
	invitation := p.invite(t, "ada")
	o := b.begin(t, "begin", map[string]any{"invitation": invitation})
	user, err := p.store.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if k := o.PublicKey; k.RP.ID != "localhost" || k.User.Name != "ada" || k.User.ID != base64url.Encode([]byte(user.ID)) || len(k.Exclude) != 0 ||
		k.Selection.ResidentKey != "required" || k.Selection.UserVerification != "required" || k.Attestation != "none" {
		t.Errorf("got options %+v", k)
	}
	first := newAuthenticator(t, p.url)
	var to leads
	if status, said := b.post(t, "add", first.create(t, o), &to); status != http.StatusOK || to.Location != "/login/?made" {
		t.Fatalf("got %d %s to %q", status, said, to.Location)
	}
	if got := p.lastEvent(t, "passkey-added").Subject; got != user.ID {
		t.Errorf("got event of %q", got)
	}
	if b.session(t) != "" {
		t.Error("making a passkey logged its user in: whoever has an invitation would be")
	}

	login := b.authorize(t, nil)
	back := "/consent?" + strings.SplitN(login.at, "?", 2)[1]
	if !strings.Contains(login.body, `data-passkey="login"`) {
		t.Fatalf("got %s", login.body)
	}
	status, said, location := b.logIn(t, first, back)
	if status != http.StatusOK || location != back {
		t.Fatalf("got %d %s to %q", status, said, location)
	}
	checkCode(t, b.submit(t, b.get(t, p.url+location), url.Values{"decision": {"allow"}}))

	second := newAuthenticator(t, p.url)
	second.count, second.steps, second.flags = 0, 0, second.flags|flagEligible|flagBackedUp // as platforms that synchronise have it
	_, second.key, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if o := b.begin(t, "begin", map[string]any{"invitation": ""}); len(o.PublicKey.Exclude) != 1 || o.PublicKey.Exclude[0].ID != base64url.Encode(first.id) {
		t.Errorf("got options %+v", o.PublicKey)
	} else if status, said := b.post(t, "add", second.create(t, o), nil); status != http.StatusOK {
		t.Fatalf("got %d %s", status, said)
	}
	account := b.get(t, p.url+"/login/")
	if n := strings.Count(account.body, "/login/passkey/remove"); n != 2 || !strings.Contains(account.body, "It may be on several devices") {
		t.Fatalf("%d passkeys can be removed: %s", n, account.body)
	}
	removed := b.do(t, "POST", p.url+"/login/passkey/remove", url.Values{"id": {base64url.Encode(first.id)}})
	if removed.status != http.StatusOK || strings.Contains(removed.body, "/login/passkey/remove") {
		t.Errorf("got %d %s", removed.status, removed.body)
	}
	other := p.browser(t)
	for range 2 { // its count stays 0
		if status, said, _ := other.logIn(t, second, ""); status != http.StatusOK {
			t.Errorf("the second: got %d %s", status, said)
		}
	}
	if status, _, _ := other.logIn(t, first, ""); status != http.StatusForbidden {
		t.Errorf("the removed one: got %d", status)
	}
}

// refusals are one lie each of a device, a browser, or whoever sends something in their place.
type passkeyRefusal struct {
	name   string
	device func(*authenticator)
	answer func(map[string]any)
	part   string // of the refusal; "" where it is accepted
}

func checkPasskeyRefused(t *testing.T, p *people, status int, part string) {
	t.Helper()
	refusal := p.lastEvent(t, "login").Refusal
	if refusal == nil || refusal.Part != part || status == http.StatusOK || refusal.Reason == issuer.Failed || refusal.Reason == issuer.Unavailable {
		t.Errorf("got %d, %v, want %s", status, refusal, part)
	}
}

func set(name string, value any) func(map[string]any) {
	return func(answer map[string]any) {
		if answer[name] = value; value == nil {
			delete(answer, name)
		}
	}
}

// flip changes the last octet of a member.
func flip(name string) func(map[string]any) {
	return func(answer map[string]any) {
		octets, err := base64url.Decode(answer[name].(string))
		if err != nil {
			panic(err)
		}
		octets[len(octets)-1] ^= 1
		answer[name] = base64url.Encode(octets)
	}
}

func clientDataOf(kind, challenge, origin string) string {
	return base64url.Encode([]byte(`{"type":"` + kind + `","challenge":"` + challenge + `","origin":"` + origin + `","crossOrigin":false}`))
}

func TestPasskeyLoginRefused(t *testing.T) {
	stranger := newAuthenticator(t, "")
	for _, tc := range []passkeyRefusal{
		{"as it should be", nil, nil, ""},
		{"another origin", func(a *authenticator) { a.origin = "https://evil.example" }, nil, "origin"},
		{"an origin in capitals", func(a *authenticator) { a.origin = strings.Replace(a.origin, "localhost", "LOCALHOST", 1) }, nil, "origin"},
		{"in a frame", func(a *authenticator) { a.crossOrigin = true }, nil, "crossOrigin"},
		{"another RP ID", func(a *authenticator) { a.domain = "evil.example" }, nil, "rpIdHash or user presence"},
		{"nobody there", func(a *authenticator) { a.flags &^= flagPresent }, nil, "rpIdHash or user presence"},
		{"nobody verified", func(a *authenticator) { a.flags &^= flagVerified }, nil, "user verification"},
		{"suddenly on several devices", func(a *authenticator) { a.flags |= flagEligible }, nil, "signature or flags"},
		{"backed up without being eligible", func(a *authenticator) { a.flags |= flagBackedUp }, nil, "signature or flags"},
		{"a count that stays", func(a *authenticator) { a.steps = 0 }, nil, "signCount"},
		{"a count that goes back", func(a *authenticator) { a.count, a.steps = 0, 0 }, nil, "signCount"},
		{"another key", func(a *authenticator) { a.key = stranger.key }, nil, "signature or flags"},
		{"an unknown passkey", func(a *authenticator) { a.id = stranger.id }, nil, "id"},
		{"another user", func(a *authenticator) { a.userHandle = []byte("somebody else") }, nil, "userHandle"},
		{"no user", func(a *authenticator) { a.userHandle = []byte{} }, nil, "userHandle"},
		{"another signature", nil, flip("signature"), "signature or flags"},
		{"other authenticator data", nil, flip("authenticatorData"), "signature or flags"},
		{"another challenge", nil, func(answer map[string]any) {
			answer["clientDataJSON"] = clientDataOf("webauthn.get", newSecret(), "http://localhost")
		}, "challenge"},
		{"of another kind", nil, func(answer map[string]any) {
			text, err := base64url.Decode(answer["clientDataJSON"].(string))
			if err != nil {
				panic(err)
			}
			answer["clientDataJSON"] = base64url.Encode([]byte(strings.Replace(string(text), "webauthn.get", "webauthn.create", 1)))
		}, "signature or flags"},
		{"client data that is no object", nil, set("clientDataJSON", base64url.Encode([]byte("[]"))), "clientDataJSON"},
		{"a member twice in it", nil, set("clientDataJSON", base64url.Encode([]byte(`{"type":"a","type":"b"}`))), "clientDataJSON"},
		{"short authenticator data", nil, set("authenticatorData", "AAAA"), "response"},
		{"no signature", nil, set("signature", nil), "a member that is absent"},
		{"more than is asked for", nil, set("x", "y"), "a member that isn't known"},
		{"another coding", nil, set("signature", "AA=="), "signature"},
		{"a number", nil, set("id", 7), "id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeople(t, nil)
			b := p.browser(t)
			device := p.enrol(t, b, "ada")
			if tc.device != nil {
				tc.device(device)
			}
			answer := device.get(t, b.begin(t, "begin-login", map[string]any{}))
			if tc.answer != nil {
				tc.answer(answer)
			}
			status, said := b.post(t, "login", answer, nil)
			if tc.part == "" {
				if status != http.StatusOK || b.session(t) == "" {
					t.Fatalf("got %d %s", status, said)
				}
				return
			}
			checkPasskeyRefused(t, p, status, tc.part)
			if b.session(t) != "" || said == "" {
				t.Errorf("logged in, or told nothing: %q", said)
			}
		})
	}
}

func TestPasskeyMakingRefused(t *testing.T) {
	for _, tc := range []passkeyRefusal{
		{"as it should be", nil, nil, ""},
		{"attested by itself", func(a *authenticator) {
			a.format = "packed"
			a.statement = map[string]any{"alg": -7, "sig": []byte("x")}
		}, nil, "attestation or flags"},
		{"attested by certificates", func(a *authenticator) {
			a.format = "packed"
			a.statement = map[string]any{"alg": -7, "sig": []byte("x"), "x5c": []any{[]byte("x")}}
		}, nil, "fmt"},
		{"attested in another way", func(a *authenticator) { a.format = "fido-u2f" }, nil, "fmt"},
		{"none, with a statement", func(a *authenticator) { a.statement = map[string]any{"x": 1} }, nil, "attestation or flags"},
		{"another origin", func(a *authenticator) { a.origin = "https://evil.example" }, nil, "origin"},
		{"in a frame", func(a *authenticator) { a.crossOrigin = true }, nil, "crossOrigin"},
		{"another RP ID", func(a *authenticator) { a.domain = "evil.example" }, nil, "rpIdHash or user presence"},
		{"nobody there", func(a *authenticator) { a.flags &^= flagPresent }, nil, "rpIdHash or user presence"},
		{"nobody verified", func(a *authenticator) { a.flags &^= flagVerified }, nil, "user verification"},
		{"another challenge", nil, func(answer map[string]any) {
			answer["clientDataJSON"] = clientDataOf("webauthn.create", newSecret(), "http://localhost")
		}, "challenge"},
		{"no object", nil, set("attestationObject", "AAAA"), "response"},
		{"another id than is attested", nil, set("id", base64url.Encode([]byte("another"))), "attestation or flags"},
		{"no client data", nil, set("clientDataJSON", nil), "a member that is absent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeople(t, nil)
			b := p.browser(t)
			device := newAuthenticator(t, p.url)
			if tc.device != nil {
				tc.device(device)
			}
			invitation := p.invite(t, "ada")
			answer := device.create(t, b.begin(t, "begin", map[string]any{"invitation": invitation}))
			if tc.answer != nil {
				tc.answer(answer)
			}
			status, said := b.post(t, "add", answer, nil)
			if tc.part == "" {
				if status != http.StatusOK {
					t.Fatalf("got %d %s", status, said)
				}
				return
			}
			checkPasskeyRefused(t, p, status, tc.part)
			// Nothing was lost by it.
			if status, said := b.add(t, newAuthenticator(t, p.url), invitation); status != http.StatusOK {
				t.Errorf("after the refusal: got %d %s", status, said)
			}
		})
	}
}

// A challenge is good once, for five minutes, in the browser that asked for it, and for what it was made for.
func TestPasskeyChallenge(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	device := p.enrol(t, b, "ada")
	o := b.begin(t, "begin-login", map[string]any{})
	other := p.browser(t)
	status, _ := other.post(t, "login", device.get(t, o), nil)
	checkPasskeyRefused(t, p, status, "cookie")
	other.begin(t, "begin-login", map[string]any{})
	status, _ = other.post(t, "login", device.get(t, o), nil)
	checkPasskeyRefused(t, p, status, "challenge")

	if status, said := b.post(t, "login", device.get(t, o), nil); status != http.StatusOK {
		t.Fatalf("got %d %s", status, said)
	}
	status, _ = b.post(t, "login", device.get(t, o), nil)
	checkPasskeyRefused(t, p, status, "challenge")

	late := b.begin(t, "begin-login", map[string]any{})
	p.wait(ceremonyLifetime)
	status, _ = b.post(t, "login", device.get(t, late), nil)
	checkPasskeyRefused(t, p, status, "challenge")

	toMake := b.begin(t, "begin", map[string]any{"invitation": p.invite(t, "ada")})
	status, _ = b.post(t, "login", device.get(t, toMake), nil)
	checkPasskeyRefused(t, p, status, "challenge")
	status, _ = b.post(t, "add", newAuthenticator(t, p.url).create(t, b.begin(t, "begin-login", map[string]any{})), nil)
	checkPasskeyRefused(t, p, status, "challenge")
}

// Of many answers to one challenge at once, one logs in.
func TestPasskeyAnswersAtOnce(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	device := p.enrol(t, b, "ada")
	o := b.begin(t, "begin-login", map[string]any{})
	var answers []map[string]any
	for range 10 {
		answers = append(answers, device.get(t, o))
	}
	var good atomic.Int64
	var wg sync.WaitGroup
	for _, answer := range answers {
		wg.Go(func() {
			switch status, _ := b.post(t, "login", answer, nil); status {
			case http.StatusOK:
				good.Add(1)
			case http.StatusForbidden:
			default:
				t.Errorf("got %d", status)
			}
		})
	}
	if wg.Wait(); good.Load() != 1 {
		t.Errorf("%d of 10 logged in", good.Load())
	}
}

func TestInvitation(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	refused := func(what, invitation, got string) {
		t.Helper()
		status, said := b.post(t, "begin", map[string]any{"invitation": invitation}, nil)
		refusal := p.lastEvent(t, "login").Refusal
		if status != http.StatusForbidden || refusal.Reason != issuer.InvitationRefused || refusal.Got != got || !strings.Contains(said, "invitation") {
			t.Errorf("%s: got %d %s, %v", what, status, said, refusal)
		}
	}
	invitation := p.invite(t, "ada")
	o := b.begin(t, "begin", map[string]any{"invitation": invitation})
	again := b.begin(t, "begin", map[string]any{"invitation": invitation})
	if status, said := b.post(t, "add", newAuthenticator(t, p.url).create(t, o), nil); status != http.StatusOK {
		t.Fatalf("got %d %s", status, said)
	}
	if status, _ := b.post(t, "add", newAuthenticator(t, p.url).create(t, again), nil); status != http.StatusForbidden {
		t.Errorf("begun before it was used: got %d", status)
	}
	refused("used", invitation, "used")
	refused("unknown", newSecret(), "not-found")
	late := p.invite(t, "ada")
	p.wait(time.Hour)
	refused("late", late, "expired")
}

// Of many who open one invitation at once, one makes a passkey.
func TestInvitationAtOnce(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	b.begin(t, "begin-login", map[string]any{}) // for the cookie
	invitation := p.invite(t, "ada")
	var answers []map[string]any
	for range 20 {
		answers = append(answers, newAuthenticator(t, p.url).create(t, b.begin(t, "begin", map[string]any{"invitation": invitation})))
	}
	var good atomic.Int64
	var wg sync.WaitGroup
	for _, answer := range answers {
		wg.Go(func() {
			if status, _ := b.post(t, "add", answer, nil); status == http.StatusOK {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	user, err := p.store.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := p.store.Passkeys(t.Context(), user.ID)
	if good.Load() != 1 || len(kept) != 1 || err != nil {
		t.Errorf("%d of 20 made a passkey, %d are kept, %v", good.Load(), len(kept), err)
	}
}

// A passkey has one owner, and whoever is disabled has none that works.
func TestPasskeyOwner(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	device := p.enrol(t, b, "ada")
	device.userHandle = nil
	if status, _ := b.add(t, device, p.invite(t, "bob")); status != http.StatusForbidden || p.lastEvent(t, "login").Refusal.Part != "id" {
		t.Errorf("somebody else's: got %d", status)
	}
	user, err := p.store.UserByName(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	invitation := p.invite(t, "bob")
	user.Disabled = true
	if err := p.store.UpdateUser(t.Context(), p.time(), user); err != nil {
		t.Fatal(err)
	}
	if status, _ := b.post(t, "begin", map[string]any{"invitation": invitation}, nil); status != http.StatusForbidden {
		t.Errorf("disabled: got %d", status)
	}
}

func TestPasskeyOfDisabledUser(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	device := p.enrol(t, b, "ada")
	user, err := p.store.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	user.Disabled = true
	if err := p.store.UpdateUser(t.Context(), p.time(), user); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := b.logIn(t, device, ""); status != http.StatusForbidden || p.lastEvent(t, "login").Refusal.Got != "disabled" {
		t.Errorf("got %d, %v", status, p.lastEvent(t, "login").Refusal)
	}
}

// Whoever finds a browser logged in can't stay: passkeys change only soon after a login by one.
func TestHazardPasskeyOfFoundBrowser(t *testing.T) {
	p := newPeople(t, func(cfg *Config) { cfg.InsecureDevelopmentUser = "dev" })
	check := func(b *browser, what string, id []byte) {
		t.Helper()
		if status, _ := b.post(t, "begin", map[string]any{"invitation": ""}, nil); status != http.StatusForbidden {
			t.Errorf("%s: adding: got %d", what, status)
		}
		removed := b.do(t, "POST", p.url+"/login/passkey/remove", url.Values{"id": {base64url.Encode(id)}})
		if refusal := p.lastEvent(t, "login").Refusal; removed.status != http.StatusForbidden || refusal == nil || refusal.Reason != issuer.LoginNeeded {
			t.Errorf("%s: removing: got %d, %v", what, removed.status, refusal)
		}
	}
	b := p.browser(t)
	device := p.enrol(t, b, "ada")
	check(b, "nobody", device.id)
	if status, said, _ := b.logIn(t, device, ""); status != http.StatusOK {
		t.Fatalf("got %d %s", status, said)
	}
	begun := b.begin(t, "begin", map[string]any{"invitation": ""})
	p.wait(freshLogin)
	check(b, "too late", device.id)
	if status, _ := b.post(t, "add", newAuthenticator(t, p.url).create(t, begun), nil); status == http.StatusOK {
		t.Error("too late: what was begun before ended")
	}
	other := p.browser(t)
	other.do(t, "POST", p.url+"/login/development", nil)
	check(other, "without a passkey", device.id)
}

func TestPasskeyRemoveRefused(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	bob := p.enrol(t, b, "bob")
	ada := p.enrol(t, b, "ada")
	if status, said, _ := b.logIn(t, ada, ""); status != http.StatusOK {
		t.Fatalf("got %d %s", status, said)
	}
	for what, tc := range map[string]struct{ id, got string }{
		"the last":       {base64url.Encode(ada.id), "last"},
		"somebody's":     {base64url.Encode(bob.id), "not-found"},
		"no passkey":     {base64url.Encode([]byte("x")), "not-found"},
		"no base64url":   {"!", ""},
		"another coding": {base64url.Encode(ada.id) + "=", ""},
	} {
		removed := b.do(t, "POST", p.url+"/login/passkey/remove", url.Values{"id": {tc.id}})
		if refusal := p.lastEvent(t, "login").Refusal; removed.status < 400 || refusal == nil || refusal.Got != tc.got {
			t.Errorf("%s: got %d, %v", what, removed.status, refusal)
		}
	}
}

func TestPasskeysAtMost(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	begun := b.begin(t, "begin", map[string]any{"invitation": p.invite(t, "ada")})
	for range maxPasskeys {
		p.enrol(t, b, "ada")
	}
	status, _ := b.post(t, "add", newAuthenticator(t, p.url).create(t, begun), nil)
	checkPasskeyRefused(t, p, status, "passkeys")
	status, said := b.post(t, "begin", map[string]any{"invitation": p.invite(t, "ada")}, nil)
	checkPasskeyRefused(t, p, status, "passkeys")
	if !strings.Contains(said, "Remove one first") {
		t.Errorf("got %q", said)
	}
}

func TestPasskeyConfig(t *testing.T) {
	for _, tc := range []struct {
		name, issuer, domain string
		good                 bool
	}{
		{"the host", "https://as.example", "", true},
		{"the host, named", "https://as.example", "as.example", true},
		{"a domain above", "https://login.as.example", "as.example", true},
		{"localhost", "http://localhost:8440", "", true},
		{"an address", "http://127.0.0.1:8440", "", false},
		{"a top level", "https://as.example", "example", false},
		{"another domain", "https://as.example", "other.example", false},
		{"the end of a name", "https://has.example", "as.example", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(Config{Issuer: tc.issuer, Store: new(store.Store), Passkeys: true, PasskeyDomain: tc.domain})
			if (err == nil) != tc.good {
				t.Errorf("got %v", err)
			}
		})
	}
}
