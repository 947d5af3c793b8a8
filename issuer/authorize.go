package issuer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast/internal/page"
	"github.com/holdfast-project/holdfast/issuer/store"
)

const (
	// codeLifetime is what the FAPI 2.0 Security Profile, section 5.3.2.1, allows.
	codeLifetime = time.Minute
	// interactionLifetime is how long a user has to log in and decide.
	interactionLifetime = 10 * time.Minute
	// grantLifetime is how long an application can go on without asking its user again.
	grantLifetime = 90 * 24 * time.Hour
	// browserCookie tells browsers apart: an interaction goes on only where it began.
	browserCookie = "holdfast-browser"
)

// authorization is an authorization request on its way to its code, as far as its steps have run.
type authorization struct {
	client      *client
	request     authorizationRequest
	pushed      store.Hash         // the pushed request that it came from, if it did
	interaction *store.Interaction // nil as long as nobody was asked anything
	since       time.Time          // when it came
	session     *LoginSession
	// redirect is where errors go, once that is known to be the client's.
	redirect string
	grantID  string
}

// serveAuthorize is the authorization endpoint (RFC 6749, section 3.1).
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.repeatByGet(w, r)
		return
	}
	a := authorization{since: s.now()}
	if err := s.authorize(w, r, &a); err != nil {
		s.refuseAuthorization(w, r, "authorization", &a, err)
	}
}

// repeatByGet has the browser send a posted request again, since another site's form comes without our cookies.
func (s *Server) repeatByGet(w http.ResponseWriter, r *http.Request) {
	f, err := readForm(w, r)
	if err != nil {
		s.refuseAuthorization(w, r, "authorization", &authorization{}, err)
		return
	}
	query := url.Values{}
	for name, value := range f.values {
		query.Set(name, value)
	}
	seeOther(w, s.urls.authorize+"?"+query.Encode())
}

// authorize lists the steps of an authorization request. A pushed request isn't used up by a visit, whatever comes of it.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, a *authorization) error {
	f, err := readQuery(r)
	if err != nil {
		return err
	}
	if a.client, err = s.namedClient(r, f.get("client_id")); err != nil {
		return err
	}
	if uri := f.get("request_uri"); uri != "" {
		err = s.pushedRequest(r.Context(), a, uri)
	} else {
		err = s.plainRequest(a, f)
	}
	if err != nil {
		return err
	}
	if a.session, err = s.login.Session(r); err != nil {
		return err
	}
	ask, err := s.mustAsk(r.Context(), a)
	if err != nil {
		return err
	}
	if ask != nil {
		if a.request.prompts(promptNone) {
			return ask
		}
		return s.beginInteraction(w, r, a)
	}
	return s.complete(w, r, a)
}

// readQuery reads the parameters of an authorization request, each at most once.
func readQuery(r *http.Request) (form, error) {
	if r.Method != http.MethodGet {
		return form{}, &Error{Reason: MethodRefused, Section: "RFC 6749, section 3.1", Expected: http.MethodGet}
	}
	if len(r.URL.RawQuery) > maxForm {
		return form{}, &Error{Reason: FormTooLarge, Expected: "at most 64 KiB"}
	}
	values, err := parseForm(r.URL.RawQuery)
	return form{values: values}, err
}

// namedClient finds the client that a browser's request names. It proves nothing.
func (s *Server) namedClient(r *http.Request, id string) (*client, error) {
	c, err := s.client(r, id)
	if err == nil && c == nil {
		err = &Error{Reason: ClientUnknown, Section: "RFC 6749, section 4.1.2.1", Part: "client_id"}
	}
	return c, err
}

// pushedRequest takes what its client has pushed. Whatever else the URL says doesn't count (RFC 9126, section 4).
func (s *Server) pushedRequest(ctx context.Context, a *authorization, uri string) error {
	refused := &Error{Reason: RequestURIRefused, Section: "RFC 9126, section 4", Part: "request_uri"}
	handle, ok := pushedHandle(uri)
	if !ok {
		return refused
	}
	pushed, err := s.store.PushedRequest(ctx, s.now(), handle)
	if err != nil {
		return storeRefusal(err, RequestURIRefused, "request_uri")
	}
	if pushed.ClientID != a.client.ID {
		refused.Part = "client_id"
		return refused
	}
	a.pushed = handle
	return a.resume(pushed.Parameters)
}

// resume takes up a request that was checked and stored. Its redirect URI may have been taken from the client since.
func (a *authorization) resume(stored json.RawMessage) error {
	if err := json.Unmarshal(stored, &a.request); err != nil {
		return err
	}
	if _, err := a.client.redirectFor(a.request.RedirectURI); err != nil {
		return err
	}
	a.redirect = a.request.RedirectURI
	return nil
}

// plainRequest takes a request that came in the URL.
func (s *Server) plainRequest(a *authorization, f form) error {
	redirect, err := a.client.redirectFor(f.get("redirect_uri"))
	if err != nil {
		return err
	}
	a.redirect, a.request.State = redirect, f.get("state")
	if s.requirePushed || a.client.RequirePushedRequests {
		return &Error{Reason: PushRequired, Section: "RFC 9126, section 6", Part: "request_uri"}
	}
	a.request, err = parseAuthorization(f, a.client, redirect)
	return err
}

// mustAsk returns what a user has to be asked, as the error that says so where nobody may be asked; or nil.
func (s *Server) mustAsk(ctx context.Context, a *authorization) (*Error, error) {
	const section = "OpenID Connect Core, section 3.1.2.6"
	if a.needsLogin() {
		return &Error{Reason: LoginNeeded, Section: section}, nil
	}
	agreed, err := s.hasConsent(ctx, a)
	if err != nil || agreed {
		return nil, err
	}
	return &Error{Reason: ConsentNeeded, Section: section}, nil
}

// needsLogin tells whether nobody is logged in, or not lately enough. Where nobody was asked yet, no login answers a
// request for one.
func (a *authorization) needsLogin() bool {
	if a.session == nil {
		return true
	}
	if a.interaction == nil && (a.request.prompts(promptLogin) || a.request.prompts(promptSelect)) {
		return true
	}
	return a.request.mustLogin(a.session.AuthTime, a.since)
}

// beginInteraction sends the browser to the pages that ask.
func (s *Server) beginInteraction(w http.ResponseWriter, r *http.Request, a *authorization) error {
	request, err := a.request.encode()
	if err != nil {
		return err
	}
	browser := s.cookies.Read(r, browserCookie)
	if _, ok := kindBrowser.parse(browser); !ok {
		browser = newSecret(kindBrowser)
		s.cookies.Set(w, browserCookie, browser, 0)
	}
	id := newSecret(kindAsk)
	err = s.store.CreateInteraction(r.Context(), s.now(), store.Interaction{
		ID: hashOf(id), Cookie: hashOf(browser), PushedRequest: a.pushed, Request: request, Expires: s.now().Add(interactionLifetime),
	})
	if err != nil {
		return storeRefusal(err, RequestURIRefused, "request_uri")
	}
	seeOther(w, s.interactionPath(id))
	return nil
}

// interactionPath is where an interaction goes on.
func (s *Server) interactionPath(id string) string {
	return s.urls.base + "/consent?interaction=" + id
}

// complete gives the client its code.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, a *authorization) error {
	now, code := s.now(), newSecret(kindCode)
	a.grantID = rand.Text()
	extra, err := json.Marshal(identity{ACR: a.session.ACR, AMR: a.session.AMR})
	if err != nil {
		return err
	}
	approval := store.Approval{
		Interaction: a.interaction,
		Grant: store.Grant{
			ID: a.grantID, ClientID: a.client.ID, Subject: a.session.Subject, Scope: a.request.Scope,
			Resources: []string{a.request.Resource}, AuthorizationDetails: a.request.Details, Extra: extra,
			AuthTime: a.session.AuthTime, Expires: now.Add(grantLifetime),
		},
		Code: store.Code{
			Hash: hashOf(code), RedirectURI: a.redirect, Challenge: a.request.Challenge, Binding: a.request.binding(),
			Nonce: a.request.Nonce, Expires: now.Add(codeLifetime),
		},
	}
	if a.interaction == nil {
		approval.PushedRequest = a.pushed
	}
	if err := s.store.CompleteAuthorization(r.Context(), now, approval); err != nil {
		return storeRefusal(err, InteractionRefused, "interaction")
	}
	s.observe(r.Context(), a.event("authorization"))
	s.respond(w, a, url.Values{"code": {code}})
	return nil
}

// identity is how a user authenticated, as kept in a grant.
type identity struct {
	ACR string   `json:"acr,omitempty"`
	AMR []string `json:"amr,omitempty"`
}

// respond sends an authorization response (RFC 6749, section 4.1.2), with iss, so that the client can't take it for
// another server's (RFC 9207).
func (s *Server) respond(w http.ResponseWriter, a *authorization, response url.Values) {
	if a.request.State != "" {
		response.Set("state", a.request.State)
	}
	response.Set("iss", s.issuer)
	u, err := url.Parse(a.redirect)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += response.Encode()
	seeOther(w, u.String())
}

// seeOther sends a browser elsewhere, by GET and without what it posted (RFC 9700, section 4.12).
func seeOther(w http.ResponseWriter, location string) {
	page.Private(w.Header())
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// refuseAuthorization tells the client why it gets no code; or the user, while nobody knows whether the redirect URI is the
// client's, and where it's about the user's own browser.
func (s *Server) refuseAuthorization(w http.ResponseWriter, r *http.Request, endpoint string, a *authorization, err error) {
	refusal := asError(err)
	event := a.event(endpoint)
	event.Refusal = refusal
	s.observe(r.Context(), event)
	what := refusal.answer()
	if a.redirect == "" || !refusal.forClient() {
		if refusal.Reason == MethodRefused {
			w.Header().Set("Allow", "GET, POST")
		}
		errorPage.Write(w, page.Page{Status: what.status, Title: "Not authorised", Data: what.description})
		return
	}
	s.respond(w, a, url.Values{"error": {what.code}, "error_description": {what.description}})
}

// forClient tells whether a refusal is for the client to know: others end at our page, which leaves what is under way in
// another tab alone.
func (e *Error) forClient() bool {
	switch e.Reason {
	case InteractionRefused, CrossSite, RequestURIRefused:
		return false
	}
	return true
}

func (a *authorization) event(endpoint string) Event {
	e := Event{Endpoint: endpoint, Scope: slices.Clone(a.request.Scope), Audience: a.request.Resource, GrantID: a.grantID}
	if a.client != nil {
		e.ClientID = a.client.ID
	}
	if a.session != nil {
		e.Subject = a.session.Subject
	}
	return e
}

var errorPage = page.MustParse(`<h1>This didn’t work</h1>
<p>The application sent you here with a request that can’t be granted:</p>
<p role="alert">{{.}}</p>
<p class="quiet">Go back to the application and try again. If that doesn’t help, tell the people who run it.</p>`)
