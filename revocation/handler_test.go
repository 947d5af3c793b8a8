package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var secret = strings.Repeat("s", minSecret)

func TestHandler(t *testing.T) {
	const good = `{"kind":"client","issuer":"https://as.example","id":"shop","until":1800000060}`
	for _, tc := range []struct {
		name   string
		edit   func(f *fixture, r *http.Request)
		body   string
		status int
		reason Reason
	}{
		{name: "good", status: http.StatusNoContent},
		{name: "scheme in other letters", edit: func(_ *fixture, r *http.Request) { r.Header.Set("Authorization", "bearer "+secret) }, status: http.StatusNoContent},
		{name: "no secret", edit: func(_ *fixture, r *http.Request) { r.Header.Del("Authorization") }, status: http.StatusUnauthorized, reason: Unauthorized},
		{name: "another secret", edit: func(_ *fixture, r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret[1:]+"x") }, status: http.StatusUnauthorized, reason: Unauthorized},
		{name: "longer secret", edit: func(_ *fixture, r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret+"s") }, status: http.StatusUnauthorized, reason: Unauthorized},
		{name: "empty secret", edit: func(_ *fixture, r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, status: http.StatusUnauthorized, reason: Unauthorized},
		{name: "secret twice", edit: func(_ *fixture, r *http.Request) { r.Header.Add("Authorization", "Bearer "+secret) }, status: http.StatusUnauthorized, reason: Unauthorized},
		{name: "another scheme", edit: func(_ *fixture, r *http.Request) { r.Header.Set("Authorization", "Basic "+secret) }, status: http.StatusUnauthorized, reason: Unauthorized},
		{name: "another method", edit: func(_ *fixture, r *http.Request) { r.Method = http.MethodPut }, status: http.StatusMethodNotAllowed},
		{name: "malformed", body: good[1:], status: http.StatusBadRequest, reason: Malformed},
		{name: "over", edit: func(f *fixture, _ *http.Request) { f.now = f.now.Add(time.Hour) }, status: http.StatusBadRequest, reason: Over},
		{name: "too long", body: good + strings.Repeat(" ", maxEntry), status: http.StatusRequestEntityTooLarge, reason: TooLong},
		{name: "full", edit: func(f *fixture, _ *http.Request) {
			if err := f.revoke(names[KindKey]); err != nil {
				t.Fatal(err)
			}
		}, status: http.StatusServiceUnavailable, reason: Full},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, 1)
			var seen []error
			h, err := NewHandler(HandlerConfig{Revoke: f.Revoke, Secret: []byte(secret), Observe: func(_ context.Context, e Entry, err error) {
				if err == nil && e.Name != names[KindClient] {
					t.Errorf("observed %s", e.Name)
				}
				seen = append(seen, err)
			}})
			if err != nil {
				t.Fatal(err)
			}
			body := tc.body
			if body == "" {
				body = good
			}
			r := httptest.NewRequest("POST", "/revocations", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+secret)
			if tc.edit != nil {
				tc.edit(f, r)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code != tc.status {
				t.Fatalf("got %d %s, want %d", rec.Code, rec.Body, tc.status)
			}
			if got := f.revoked(t, names[KindClient]) != (Name{}); got != (tc.status == http.StatusNoContent) {
				t.Errorf("got revoked %t", got)
			}
			if tc.status == http.StatusMethodNotAllowed {
				return
			}
			if len(seen) != 1 || (seen[0] == nil) != (tc.reason == "") {
				t.Errorf("observed %v, want one", seen)
			}
			if tc.reason != "" {
				reason(t, seen[0], tc.reason)
				told(t, rec, tc.reason)
			}
		})
	}
}

// told checks what the peer is told.
func told(t *testing.T, rec *httptest.ResponseRecorder, want Reason) {
	t.Helper()
	var problem struct{ Reason Reason }
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Reason != want {
		t.Errorf("told %s, want %s", rec.Body, want)
	}
	if got := rec.Header().Get("WWW-Authenticate") != ""; got != (want == Unauthorized) {
		t.Errorf("got a challenge: %t", got)
	}
}

func TestHandlerOfAFailingStore(t *testing.T) {
	h, err := NewHandler(HandlerConfig{Secret: []byte(secret), Revoke: func(context.Context, Entry) error { return errors.New("10.0.0.7 is away") }})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/revocations", strings.NewReader(`{"kind":"client","issuer":"i","id":"c","until":1}`))
	r.Header.Set("Authorization", "Bearer "+secret)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "10.0.0.7") {
		t.Errorf("got %d %s, want 503 without details", rec.Code, rec.Body)
	}
	told(t, rec, Unavailable)
}

func TestHandlerConfig(t *testing.T) {
	revoke := func(context.Context, Entry) error { return nil }
	for name, cfg := range map[string]HandlerConfig{
		"no Revoke":    {Secret: []byte(secret)},
		"no secret":    {Revoke: revoke},
		"short secret": {Revoke: revoke, Secret: []byte(secret[1:])},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewHandler(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}
