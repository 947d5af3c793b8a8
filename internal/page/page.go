// Package page writes the HTML pages that the issuer shows to people, and the cookies that tell their browsers apart.
//
// [Template.Write] sends one. Every page has the same frame: it loads nothing but its own style, which is in it, and a
// script of this server's own where one is named; it can't be framed, isn't stored, and tells nobody where it was.
//
// What is not checked: Page.FormAction and Page.Script, which the caller must not take from a peer unread.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // layout and style
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

//go:embed layout.html
var layoutText string

//go:embed style.css
var style string

// styleSource allows the style in a page's head and no other (CSP Level 3, section 2.3.1).
var styleSource = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// Template is the content of a page.
type Template struct{ t *template.Template }

// MustParse reads the content of a page: text of html/template, for the main element. It panics if text is none.
func MustParse(text string) *Template {
	t := template.Must(template.New("layout").Parse(layoutText))
	return &Template{template.Must(t.New("main").Parse(text))}
}

// Page is one answer with a page.
type Page struct {
	Status     int      // of the answer
	Title      string   // of the window
	FormAction []string // where forms may lead besides this server: origins, or schemes with their colon
	Script     string   // the path of a script of this server, or ""
	Data       any      // for the template
}

// Write answers with a page. A template that fails is our mistake, and answered with status 500.
func (t *Template) Write(w http.ResponseWriter, p Page) {
	var b bytes.Buffer
	err := t.t.ExecuteTemplate(&b, "layout", struct {
		Page
		Style template.CSS
	}{p, template.CSS(style)})
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy())
	Private(h)
	w.WriteHeader(p.Status)
	w.Write(b.Bytes())
}

// Private marks an answer that concerns one person: it isn't stored, and what it leads to isn't told of it.
func Private(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would take Origin from our own forms
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

func (p *Page) policy() string {
	script := "'none'"
	connect := "'none'"
	if p.Script != "" {
		script, connect = "'self'", "'self'"
	}
	return strings.Join([]string{
		"default-src 'none'", "style-src " + styleSource, "script-src " + script, "connect-src " + connect,
		"form-action " + strings.Join(append([]string{"'self'"}, p.FormAction...), " "),
		"base-uri 'none'", "frame-ancestors 'none'",
	}, "; ")
}
