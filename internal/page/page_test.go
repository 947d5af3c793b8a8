package page

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The policy allows the style that is really sent, and data can't become markup.
func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	MustParse("<p>{{.}}</p>").Write(w, Page{Status: http.StatusTeapot, Title: "</title><b>", FormAction: []string{"https://app.example"}, Data: "<script>"})
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	_, rest, _ := strings.Cut(body, "<style>")
	sent, _, ok := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(sent))
	if !ok || !strings.Contains(policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("policy %q doesn't allow the page's style", policy)
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "<b>") {
		t.Errorf("data became markup: %s", body)
	}
	if w.Code != http.StatusTeapot || !strings.Contains(policy, "form-action 'self' https://app.example;") || !strings.Contains(policy, "script-src 'none'") {
		t.Errorf("got %d with policy %q", w.Code, policy)
	}
	w = httptest.NewRecorder()
	MustParse("").Write(w, Page{Status: http.StatusOK, Script: "/own.js"})
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || !strings.Contains(w.Body.String(), `src="/own.js"`) {
		t.Errorf("got policy %q and page %s", policy, w.Body)
	}
	w = httptest.NewRecorder()
	if MustParse("{{.Missing}}").Write(w, Page{Status: http.StatusOK, Data: 1}); w.Code != http.StatusInternalServerError {
		t.Errorf("a failing template got %d", w.Code)
	}
}

func TestCookies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		secure bool
		want   string
	}{
		{"https", true, "__Host-c=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"},
		{"http on a loopback host", false, "c=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Cookies{tc.secure}
			w := httptest.NewRecorder()
			c.Set(w, "c", "v", 60e9)
			if got := w.Header().Get("Set-Cookie"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(w.Result().Cookies()[0])
			if got := c.Read(r, "c"); got != "v" {
				t.Errorf("got %q", got)
			}
			r.AddCookie(w.Result().Cookies()[0])
			if got := c.Read(r, "c"); got != "" {
				t.Errorf("of two got %q", got)
			}
		})
	}
}
