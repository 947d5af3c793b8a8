package login

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/store"
)

// ways is what a login page offers.
type ways struct {
	Base        string // what our paths begin with
	Back        string // where the browser goes on
	Client      string // for whom; or ""
	Development string // the development user; or ""
	Providers   []providerLink
	Passkeys    bool // there are some
	Made        bool // one was made just now
}

// providerLink is a link to where a login by a provider begins.
type providerLink struct{ URL, Label string }

// Begin shows the page that logs a user in.
func (l *Login) Begin(w http.ResponseWriter, _ *http.Request, back string, hint issuer.LoginHint) {
	query := url.Values{"back": {back}}
	if !hint.After.IsZero() {
		age := max(l.cfg.Now().Sub(hint.After), 0)
		query.Set("max_age", strconv.FormatInt(int64(age/time.Second), 10))
	}
	to := ways{Back: back, Client: hint.ClientName}
	for _, link := range l.links {
		to.Providers = append(to.Providers, providerLink{link.URL + "?" + query.Encode(), link.Label})
	}
	l.showLogin(w, to, hint.FormAction)
}

func (l *Login) showLogin(w http.ResponseWriter, to ways, formAction []string) {
	to.Base, to.Development, to.Passkeys = l.base, l.cfg.InsecureDevelopmentUser, l.cfg.Passkeys
	loginPage.Write(w, page.Page{Status: http.StatusOK, Title: "Log in", FormAction: formAction, Script: l.script(), Data: to})
}

// script is the path of what pages with passkeys do, or "" without passkeys.
func (l *Login) script() string {
	if !l.cfg.Passkeys {
		return ""
	}
	return l.base + scriptPath
}

// madeQuery is where somebody comes from who has just made a first passkey.
const madeQuery = "made"

// account is what the page says to who is logged in.
type account struct {
	Base, User string
	Passkeys   []shownPasskey
	Fresh      bool // the passkeys may be changed
}

// shownPasskey is a passkey as its user sees it. Times are UTC.
type shownPasskey struct {
	ID, Made, Used string // Used is "" if it never was
	Shared         bool   // it may be on several devices
}

// serveAccount shows who is logged in and by which passkeys, and lets the user log out; or in.
func (l *Login) serveAccount(w http.ResponseWriter, r *http.Request) {
	s, err := l.session(r)
	if err == nil && s == nil {
		l.showLogin(w, ways{Providers: l.links, Made: r.URL.RawQuery == madeQuery}, nil)
		return
	}
	var shown account
	if err == nil {
		shown, err = l.account(r, s)
	}
	if err != nil {
		l.refuse(w, r, err)
		return
	}
	accountPage.Write(w, page.Page{Status: http.StatusOK, Title: "Logged in", Script: l.script(), Data: shown})
}

func (l *Login) account(r *http.Request, s *session) (account, error) {
	shown := account{Base: l.base, User: cmp.Or(s.user.DisplayName, s.user.Name), Fresh: l.isFresh(s)}
	if !l.cfg.Passkeys {
		return shown, nil
	}
	passkeys, err := l.cfg.Store.Passkeys(r.Context(), s.user.ID)
	if err != nil {
		return shown, unavailable(err)
	}
	for _, p := range passkeys {
		var kept credential
		if err := json.Unmarshal(p.Credential, &kept); err != nil {
			return shown, err
		}
		one := shownPasskey{ID: base64url.Encode(p.ID), Made: readable(p.Created), Shared: kept.BackupEligible}
		if !p.UsedAt.IsZero() {
			one.Used = readable(p.UsedAt)
		}
		shown.Passkeys = append(shown.Passkeys, one)
	}
	return shown, nil
}

func readable(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// plainPasskey says what to do about a passkey that was refused.
func plainPasskey(e *issuer.Error) string {
	switch e.Part {
	case "challenge", "cookie":
		return "This took too long, or was done already. Try again."
	case "signCount":
		return "This passkey was refused, because it may have been copied. Use another, and tell the people who run this server."
	case "passkeys":
		return "You have as many passkeys as there can be. Remove one first."
	case "id":
		switch {
		case e.Got == string(store.Last):
			return "This is your last passkey. Add another before you remove it."
		case e.Section == sectionLogIn:
			return "This passkey isn’t known here. It may have been removed."
		}
	}
	return "This passkey was refused."
}

const passkeyNotes = `
<p role="alert"></p>
<noscript><p>Passkeys need JavaScript, which is switched off in this browser.</p></noscript>`

var (
	loginPage = page.MustParse(`<h1>Log in{{with .Client}} to go on to {{.}}{{end}}</h1>
{{- if .Made}}
<p role="status">Your passkey is ready. Log in with it now.</p>
{{- end}}
{{- if .Passkeys}}
<div class="actions"><button type="button" data-passkey="login" data-base="{{.Base}}" data-back="{{.Back}}" hidden>Log in with a passkey</button></div>` + passkeyNotes + `
{{- end}}
{{- range .Providers}}
<p class="actions"><a class="button" href="{{.URL}}">Log in with {{.Label}}</a></p>
{{- end}}
{{- with .Development}}
<form method="post" action="{{$.Base}}development">
<input type="hidden" name="back" value="{{$.Back}}">
<p>This server is set up for development: anybody can log in, without a proof of who they are.</p>
<div class="actions"><button>Log in as {{.}}</button></div>
</form>
{{- end}}`)

	accountPage = page.MustParse(`<h1>You are logged in</h1>
<p>You are logged in as <strong>{{.User}}</strong> in this browser.</p>
<form method="post" action="{{.Base}}logout">
<div class="actions"><button>Log out</button></div>
</form>
{{- if .Passkeys}}
<h2>Your passkeys</h2>
<ul>
{{- range $i, $p := .Passkeys}}
<li>
<p>Made on {{.Made}}. {{if .Shared}}It may be on several devices of yours.{{else}}It is on one device only.{{end}}
{{with .Used}}Last used on {{.}}.{{else}}Never used.{{end}}</p>
{{- if and $.Fresh (gt (len $.Passkeys) 1)}}
<form method="post" action="{{$.Base}}passkey/remove">
<input type="hidden" name="id" value="{{.ID}}">
<button class="second">Remove the passkey made on {{.Made}}</button>
</form>
{{- end}}
</li>
{{- end}}
</ul>
{{- if .Fresh}}
<div class="actions"><button type="button" data-passkey="add" data-base="{{.Base}}" hidden>Add a passkey</button></div>
{{- else}}
<p>To add or remove a passkey, log in with one again.</p>
<div class="actions"><button type="button" data-passkey="login" data-base="{{.Base}}" hidden>Log in with a passkey</button></div>
{{- end}}` + passkeyNotes + `
{{- end}}`)

	refusedPage = page.MustParse(`<h1>This didn’t work</h1>
<p role="alert">{{.}}</p>
<p class="quiet">Go back and try again.</p>`)
)
