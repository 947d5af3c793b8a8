package issuer

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// revoking is a request that revokes a token.
func revoking(clientID, token string) *tokenRequest {
	q := request(clientID)
	q.url, q.form = testIssuer+"/revoke", url.Values{"token": {token}}
	return q.public()
}

// revoke sends it; what succeeds has no body.
func (s *session) revoke(q *tokenRequest) int {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, q.http())
	if w.Code == http.StatusOK && w.Body.Len() != 0 {
		s.t.Errorf("got body %q", w.Body)
	}
	return w.Code
}

func TestRevokeRefreshToken(t *testing.T) {
	for _, client := range []string{"web", "spa"} {
		t.Run(client, func(t *testing.T) {
			s := newSession(t, client)
			if got := s.revoke(revoking(client, s.token)); got != http.StatusOK {
				t.Fatalf("got %d", got)
			}
			if s.active() {
				t.Error("the grant's access token is still active")
			}
			checkRefused(t, s.use(s.token, nil), http.StatusBadRequest, "invalid_grant", RefreshRefused)
			if got := s.revoke(revoking(client, s.token)); got != http.StatusOK {
				t.Errorf("again: got %d", got)
			}
		})
	}
}

func TestRevokeAccessToken(t *testing.T) {
	s := newSession(t, "web")
	q := revoking("web", s.access)
	q.form.Set("token_type_hint", "refresh_token") // hints don't bind (RFC 7009, section 2.1)
	if got := s.revoke(q); got != http.StatusOK {
		t.Fatalf("got %d", got)
	}
	if s.active() {
		t.Error("still active")
	}
	s.take(s.use(s.token, nil)) // its grant goes on
	if !s.active() {
		t.Error("the next token isn't active")
	}
}

// What is no token is as good as revoked; what isn't the client's is refused and stays.
func TestRevokeOthers(t *testing.T) {
	s := newSession(t, "web")
	for _, tc := range []struct {
		name   string
		q      *tokenRequest
		status int
		reason Reason
	}{
		{"no token at all", revoking("web", "x"), 200, ""},
		{"an unknown refresh token", revoking("web", newSecret(kindRefresh)), 200, ""},
		{"another client's refresh token", revoking("spa", s.token), 400, RevocationDenied},
		{"another client's access token", revoking("spa", s.access), 400, RevocationDenied},
		{"no parameter", revoking("web", ""), 400, FormRefused},
		{"no client", revoking("", s.token), 401, AuthMissing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.revoke(tc.q); got != tc.status {
				t.Errorf("got %d, want %d", got, tc.status)
			}
			e := s.events[len(s.events)-1]
			if tc.reason != "" && (e.Refusal == nil || e.Refusal.Reason != tc.reason) {
				t.Errorf("got %v, want %s", e.Refusal, tc.reason)
			}
		})
	}
	if !s.active() {
		t.Error("the token was revoked")
	}
	s.take(s.use(s.token, nil))
}
