package issuer

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/issuer/store"
)

// consentLifetime is how long a user isn't asked again.
const consentLifetime = 90 * 24 * time.Hour

// agreed is what a stored consent covers besides its scope.
type agreed struct {
	Resources []string `json:"resources"`
}

// hasConsent tells whether the client may have what it asks for without asking the user, who is logged in. Details are
// asked for every time: they are about one thing, such as a payment.
func (s *Server) hasConsent(ctx context.Context, a *authorization) (bool, error) {
	if a.request.prompts(promptConsent) || !a.isAssured() {
		return false, nil
	}
	if a.client.SkipConsent {
		return true, nil
	}
	if len(a.request.Details) > 0 {
		return false, nil
	}
	c, err := s.store.Consent(ctx, s.now(), a.session.Subject, a.client.ID)
	if e := storeReason(err); e == store.NotFound || e == store.Expired {
		return false, nil
	}
	if err != nil {
		return false, storeRefusal(err, Failed, "consent")
	}
	var covers agreed
	if json.Unmarshal(c.Details, &covers) != nil || !slices.Contains(covers.Resources, a.request.Resource) {
		return false, nil
	}
	for _, scope := range a.request.Scope {
		if !slices.Contains(c.Scope, scope) {
			return false, nil
		}
	}
	return true, nil
}

// isAssured tells whether it is sure who gets the answer: the client proves itself when it redeems the code, or owns the
// host that it goes to. Any program can pass itself off as a native app, so its user is always asked (RFC 8252, section
// 8.6).
func (a *authorization) isAssured() bool {
	return a.client.AuthMethod != NoAuth || strings.HasPrefix(a.redirect, "https:")
}

// serveConsent is where an interaction goes on: it asks for a login, shows what the client wants, and takes the answer.
func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	a := authorization{}
	var err error
	if r.Method == http.MethodPost {
		err = s.decide(w, r, &a)
	} else {
		err = s.ask(w, r, &a)
	}
	if err != nil {
		s.refuseAuthorization(w, r, "consent", &a, err)
	}
}

// ask shows the next page of an interaction, or completes it if there is nothing to ask.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, a *authorization) error {
	f, err := readQuery(r)
	if err != nil {
		return err
	}
	id := f.get("interaction")
	if err := s.resumeInteraction(r, a, id); err != nil {
		return err
	}
	ask, err := s.mustAsk(r.Context(), a)
	switch {
	case err != nil:
		return err
	case ask == nil:
		return s.complete(w, r, a)
	case ask.Reason == LoginNeeded:
		s.login.Begin(w, r, s.interactionPath(id), a.loginHint())
	default:
		s.showConsent(w, a, id)
	}
	return nil
}

// resumeInteraction finds an interaction of this browser.
func (s *Server) resumeInteraction(r *http.Request, a *authorization, id string) error {
	browser := s.cookies.Read(r, browserCookie)
	if _, ok := kindBrowser.parse(browser); !ok {
		return &Error{Reason: InteractionRefused, Part: "cookie"}
	}
	if _, ok := kindAsk.parse(id); !ok {
		return &Error{Reason: InteractionRefused, Part: "interaction"}
	}
	i, err := s.store.Interaction(r.Context(), s.now(), hashOf(id), hashOf(browser))
	if err != nil {
		return storeRefusal(err, InteractionRefused, "interaction")
	}
	a.interaction, a.pushed, a.since = &i, i.PushedRequest, i.Created
	var stored struct {
		ClientID string `json:"client_id"`
	}
	if err := json.Unmarshal(i.Request, &stored); err != nil {
		return err
	}
	if a.client, err = s.namedClient(r, stored.ClientID); err != nil {
		return err
	}
	if err := a.resume(i.Request); err != nil {
		return err
	}
	a.session, err = s.login.Session(r)
	return err
}

func (a *authorization) loginHint() LoginHint {
	hint := LoginHint{ClientName: a.client.displayName(), User: a.request.LoginHint, FormAction: []string{formSource(a.redirect)}}
	if a.request.prompts(promptLogin) || a.request.prompts(promptSelect) {
		hint.After = a.since
	} else if a.request.MaxAge != nil {
		hint.After = a.since.Add(-time.Duration(*a.request.MaxAge) * time.Second)
	}
	return hint
}

func (c *client) displayName() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

// decide takes the user's answer.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, a *authorization) error {
	if err := s.sameSite.Check(r); err != nil {
		return &Error{Reason: CrossSite, Part: "Origin"}
	}
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	id := f.get("interaction")
	if err := s.resumeInteraction(r, a, id); err != nil {
		return err
	}
	if a.needsLogin() { // the session has ended in the meantime
		seeOther(w, s.interactionPath(id))
		return nil
	}
	if !hmac.Equal([]byte(f.get("token")), []byte(s.formToken(id, a.session))) {
		return &Error{Reason: CrossSite, Part: "token"}
	}
	switch f.get("decision") {
	case "allow":
		return s.allow(w, r, a)
	case "deny":
		return s.deny(w, r, a)
	}
	return &Error{Reason: CrossSite, Part: "decision"}
}

// formToken binds a form to its interaction and to whom it was shown: it is no good after another user has logged in.
func (s *Server) formToken(id string, session *LoginSession) string {
	mac := hmac.New(sha256.New, s.formKey)
	mac.Write([]byte(id + " " + session.Subject))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Server) allow(w http.ResponseWriter, r *http.Request, a *authorization) error {
	details, err := json.Marshal(agreed{Resources: []string{a.request.Resource}})
	if err != nil {
		return err
	}
	if a.isAssured() && len(a.request.Details) == 0 {
		err = s.store.PutConsent(r.Context(), s.now(), store.Consent{
			UserID: a.session.Subject, ClientID: a.client.ID, Scope: a.request.Scope, Details: details,
			Until: s.now().Add(consentLifetime),
		})
		if err != nil {
			return storeRefusal(err, Failed, "consent")
		}
	}
	s.observe(r.Context(), a.event("consent"))
	return s.complete(w, r, a)
}

func (s *Server) deny(w http.ResponseWriter, r *http.Request, a *authorization) error {
	if err := s.store.EndInteraction(r.Context(), s.now(), *a.interaction); err != nil {
		return storeRefusal(err, InteractionRefused, "interaction")
	}
	return &Error{Reason: ConsentDenied, Section: "RFC 6749, section 4.1.2.1"}
}

// showConsent asks whether the client may have what it asks for.
func (s *Server) showConsent(w http.ResponseWriter, a *authorization, id string) {
	consentPage.Write(w, page.Page{
		Status: http.StatusOK, Title: "Allow " + a.client.displayName() + "?", FormAction: []string{formSource(a.redirect)},
		Data: struct {
			Client, User, Resource, Returns string
			Scope, Details                  []string
			Action, Interaction, Token      string
			SelfRegistered                  bool
			Home                            string // of a client that describes itself there
		}{
			a.client.displayName(), a.session.Name, a.request.Resource, returnsTo(a.redirect),
			a.request.Scope, readableDetails(a.request.Details),
			s.urls.base + "/consent", id, s.formToken(id, a.session), a.client.SelfRegistered, a.client.home(),
		},
	})
}

// home is the host of a client that is known by the URL of its document, or "".
func (c *client) home() string {
	if u, err := url.Parse(c.ID); err == nil && c.SelfRegistered {
		return u.Host
	}
	return ""
}

// returnsTo names for people where the answer goes.
func returnsTo(redirect string) string {
	u, err := url.Parse(redirect)
	switch {
	case err != nil:
		return ""
	case u.Host == "":
		return "the app " + u.Scheme
	case isLoopback(u.Hostname()):
		return "a program on this device"
	}
	return u.Host
}

// readableDetails lays out each of authorization_details.
func readableDetails(raw json.RawMessage) []string {
	var list []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var texts []string
	for _, item := range list {
		var b bytes.Buffer
		if json.Indent(&b, item, "", "  ") == nil {
			texts = append(texts, b.String())
		}
	}
	return texts
}

var consentPage = page.MustParse(`<h1>Allow {{.Client}} to act for you?</h1>
<p>You are logged in as <strong>{{.User}}</strong>. {{.Client}} asks for access to <strong>{{.Resource}}</strong>.</p>
{{- if .SelfRegistered}}
<p>It chose this name itself: nobody here has checked who is behind it{{with .Home}}, other than <strong>{{.}}</strong>{{end}}.</p>
{{- end}}
{{- with .Scope}}
<h2>It may then</h2>
<ul>
{{- range .}}
<li>{{if eq . "openid"}}know who you are{{else}}<code>{{.}}</code>{{end}}</li>
{{- end}}
</ul>
{{- end}}
{{- with .Details}}
<h2>In detail</h2>
{{- range .}}
<pre>{{.}}</pre>
{{- end}}
{{- end}}
<p class="quiet">You will return to {{.Returns}}. Refuse if you didn’t start this yourself.</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="interaction" value="{{.Interaction}}">
<input type="hidden" name="token" value="{{.Token}}">
<div class="actions">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny" class="second">Refuse</button>
</div>
</form>`)
