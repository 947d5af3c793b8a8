package login

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast/issuer/store"
)

// attempt is a login under way at a provider, kept by its state.
type attempt struct {
	Provider string `json:"provider"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // RFC 7636
	Back     string `json:"back"`     // where the browser goes on
	MaxAge   int64  `json:"max_age"`  // seconds that the user may have been logged in at the provider
	Begun    int64  `json:"begun"`    // Unix microseconds
}

// RedirectURI is where the provider of that name must send browsers back to.
func (l *Login) RedirectURI(name string) string {
	return l.cfg.Issuer + "/login/" + providerPath(name) + callbackPath
}

const callbackPath = "/callback"

func providerPath(name string) string { return "provider/" + name }

// beginAttempt sends a browser to the provider. A link does it, so that no form leads to another server.
func (l *Login) beginAttempt(p *provider) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		to, err := l.attempt(w, r, p)
		if err != nil {
			l.refuse(w, r, err)
			return
		}
		l.leadTo(w, to)
	}
}

// attempt keeps a new attempt and returns the authorization request.
func (l *Login) attempt(w http.ResponseWriter, r *http.Request, p *provider) (string, error) {
	found, err := p.discover(r.Context())
	if err != nil {
		return "", err
	}
	asked := r.URL.Query()
	a := attempt{
		Provider: p.Name, Nonce: newSecret(), Verifier: oauth2.GenerateVerifier(), Back: l.wayBack(asked.Get("back")),
		MaxAge: int64(l.cfg.SessionLifetime / time.Second), Begun: l.cfg.Now().UnixMicro(),
	}
	// Whoever takes this off the link gets an older login, which the issuer then finds too old.
	if age, err := strconv.ParseInt(asked.Get("max_age"), 10, 64); err == nil && 0 <= age && age < a.MaxAge {
		a.MaxAge = age
	}
	state := newSecret()
	if err := l.keep(w, r, state, a, attemptLifetime); err != nil {
		return "", err
	}
	cfg := found.oauth
	cfg.RedirectURL = l.RedirectURI(p.Name)
	return cfg.AuthCodeURL(state, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier),
		oauth2.SetAuthURLParam("max_age", strconv.FormatInt(a.MaxAge, 10))), nil
}

// endAttempt logs in whoever the provider says is there.
func (l *Login) endAttempt(p *provider) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		back, err := l.takeAnswer(w, r, p)
		if err != nil {
			l.refuse(w, r, err)
			return
		}
		l.leadTo(w, back)
	}
}

// takeAnswer checks an authorization response, ends its attempt, which is good once, and begins the session. It returns where
// the browser goes on.
func (l *Login) takeAnswer(w http.ResponseWriter, r *http.Request, p *provider) (string, error) {
	found, err := p.discover(r.Context())
	if err != nil {
		return "", err
	}
	answer, err := p.answerOf(r.URL, found.namesItself)
	if err != nil {
		return "", err
	}
	i, a, err := l.findAttempt(r, p, answer.state)
	if err != nil {
		return "", err
	}
	switch err := l.cfg.Store.EndInteraction(r.Context(), l.cfg.Now(), i); reason(err) {
	case "":
		if err != nil {
			return "", unavailable(err)
		}
	case store.Conflict, store.Used, store.NotFound: // another answer was faster
		return "", p.refused("state", string(store.Used), nil)
	default:
		return "", unavailable(err)
	}
	if answer.failed != "" {
		return "", p.refused("authorization response", shown(answer.failed), nil)
	}
	who, err := p.redeem(r.Context(), found, l.RedirectURI(p.Name), answer.code, a)
	if err != nil {
		return "", err
	}
	if who.since, err = p.sinceWhen(who.since, a); err != nil {
		return "", err
	}
	user, err := l.userNamed(r.Context(), p.userName(who.subject), who.display)
	if err != nil {
		return "", err
	}
	return a.Back, l.logIn(w, r, user, who.how, who.since)
}

// providerAnswer is an authorization response.
type providerAnswer struct{ state, code, failed string }

// answerOf reads an authorization response, and whose it is (RFC 9207, section 2.4).
func (p *provider) answerOf(u *url.URL, namesItself bool) (providerAnswer, error) {
	q := u.Query()
	for _, name := range []string{"state", "code", "iss", "error"} {
		if values := q[name]; len(values) > 1 || len(q.Get(name)) > maxParameter {
			return providerAnswer{}, p.refused(name, "twice, or too long", nil)
		}
	}
	switch _, named := q["iss"]; {
	case named && q.Get("iss") != p.Issuer:
		return providerAnswer{}, p.refused("iss", shown(q.Get("iss")), nil)
	case !named && namesItself:
		return providerAnswer{}, p.refused("iss", "", nil)
	case q.Get("state") == "":
		return providerAnswer{}, p.refused("state", "", nil)
	case (q.Get("code") == "") == (q.Get("error") == ""):
		return providerAnswer{}, p.refused("code", "", nil)
	}
	return providerAnswer{state: q.Get("state"), code: q.Get("code"), failed: q.Get("error")}, nil
}

// findAttempt finds what a state was made for, in this browser.
func (l *Login) findAttempt(r *http.Request, p *provider, state string) (i store.Interaction, a attempt, err error) {
	i, part, why, err := l.kept(r, state, &a)
	switch {
	case err != nil:
		return i, a, err
	case part == "secret":
		part = "state"
	case part == "" && a.Provider != p.Name: // other things that are kept have no name of a provider
		part, why = "state", madeForElse
	}
	if part != "" {
		return i, a, p.refused(part, why, nil)
	}
	return i, a, nil
}

// sinceWhen judges when the user authenticated (OpenID Connect Core, section 3.1.3.7, step 13). A provider that is asked
// for max_age must tell.
func (p *provider) sinceWhen(told time.Time, a attempt) (time.Time, error) {
	now, begun := p.now(), time.UnixMicro(a.Begun)
	switch {
	case told.IsZero() && p.InsecureAssumeAuthTime:
		return now, nil
	case told.IsZero():
		return told, p.refused("auth_time", "", nil)
	case told.After(now.Add(providerSkew)):
		return told, p.refused("auth_time", "in the future", nil)
	case told.After(now):
		return now, nil
	case told.Before(begun.Add(-time.Duration(a.MaxAge)*time.Second - providerSkew)):
		return told, p.refused("auth_time", "older than max_age", nil)
	case told.Before(begun) && told.After(begun.Add(-providerSkew)):
		return begun, nil // by a clock behind ours, or it makes no difference
	}
	return told, nil
}
