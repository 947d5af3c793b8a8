package login

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/issuer"
)

// ways is what a login page offers.
type ways struct {
	Base        string // what our paths begin with
	Back        string // where the browser goes on
	Client      string // for whom; or ""
	Development string // the development user; or ""
	Providers   []providerLink
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
	to.Base, to.Development = l.base, l.cfg.InsecureDevelopmentUser
	loginPage.Write(w, page.Page{Status: http.StatusOK, Title: "Log in", FormAction: formAction, Data: to})
}

// serveAccount shows who is logged in, and lets the user log out; or in.
func (l *Login) serveAccount(w http.ResponseWriter, r *http.Request) {
	session, err := l.Session(r)
	switch {
	case err != nil:
		l.refuse(w, r, err)
	case session == nil:
		l.showLogin(w, ways{Providers: l.links}, nil)
	default:
		accountPage.Write(w, page.Page{Status: http.StatusOK, Title: "Logged in", Data: struct{ Base, User string }{l.base, session.Name}})
	}
}

var (
	loginPage = page.MustParse(`<h1>Log in{{with .Client}} to go on to {{.}}{{end}}</h1>
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
</form>`)

	refusedPage = page.MustParse(`<h1>Not logged in</h1>
<p role="alert">{{.}}</p>
<p class="quiet">Go back to the application and try again.</p>`)
)
