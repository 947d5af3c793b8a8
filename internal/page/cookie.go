package page

import (
	"net/http"
	"time"
)

// Cookies reads and writes cookies that only this host's own pages get, on every path, and no script.
//
// A Secure server's have the prefix __Host-, so that no sibling host can set them (RFC 6265bis, section 4.1.3.2). Browsers
// don't take that prefix from plain http, which an issuer on a loopback host may speak: there the prefix and Secure are
// left out, and other programs on the machine's other ports see the cookies.
type Cookies struct{ Secure bool }

func (c Cookies) name(name string) string {
	if c.Secure {
		return "__Host-" + name
	}
	return name
}

// Read returns a cookie's value, or "". One that comes twice is none: which of them is ours isn't ours to guess.
func (c Cookies) Read(r *http.Request, name string) string {
	if all := r.CookiesNamed(c.name(name)); len(all) == 1 {
		return all[0].Value
	}
	return ""
}

// Set sets a cookie for a time, or if that is zero until the browser is closed.
func (c Cookies) Set(w http.ResponseWriter, name, value string, lifetime time.Duration) {
	http.SetCookie(w, c.cookie(name, value, int(lifetime/time.Second)))
}

// Clear takes a cookie away.
func (c Cookies) Clear(w http.ResponseWriter, name string) {
	http.SetCookie(w, c.cookie(name, "", -1))
}

func (c Cookies) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: c.name(name), Value: value, Path: "/", MaxAge: maxAge, Secure: c.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}
