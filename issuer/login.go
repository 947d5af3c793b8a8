package issuer

import (
	"net/http"
	"time"
)

// Login finds out who the user of a browser is.
type Login interface {
	// Session returns who is logged in at this browser, or nil.
	Session(r *http.Request) (*LoginSession, error)
	// Begin answers with what logs a user in. The browser comes back to back, a path of this server with a query, whether
	// that has worked or not.
	Begin(w http.ResponseWriter, r *http.Request, back string, hint LoginHint)
	// ServeHTTP serves the paths below the issuer's "/login/".
	ServeHTTP(w http.ResponseWriter, r *http.Request)
}

// LoginSession is a user's login in one browser.
type LoginSession struct {
	Subject  string    // the id of a user of the store
	Name     string    // what the user is called on pages, and by OpenID Connect
	AuthTime time.Time // when the user authenticated
	ACR      string    // how, by a name of the login's (OpenID Connect Core, section 2); or ""
	AMR      []string  // by which means (RFC 8176)
}

// LoginHint says what is known of the user who is to log in, and why.
type LoginHint struct {
	ClientName string
	User       string    // login_hint, which may be false; or ""
	After      time.Time // if not zero, an older login isn't enough
	FormAction []string  // where the browser may be sent in the end, for the policy of pages with forms
}
