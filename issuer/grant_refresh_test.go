package issuer

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
)

// refreshing is a request that uses a refresh token, without a proof.
func refreshing(clientID, token string) *tokenRequest {
	q := request(clientID)
	q.form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	return q.public()
}

// session is a client that refreshes, at a time that its test sets.
type session struct {
	*fixture
	t        *testing.T
	clientID string
	now      time.Time
	token    string // the newest refresh token
	access   string // the newest access token
}

func newSession(t *testing.T, clientID string) *session {
	t.Helper()
	s := &session{t: t, clientID: clientID, now: testNow}
	s.fixture = newFixture(t, func(cfg *Config) { cfg.Now = func() time.Time { return s.now } })
	q := redemption(clientID, s.code(t, clientID, nil))
	s.addProof(t, q, nil)
	s.take(s.send(t, q))
	return s
}

// use presents a refresh token as its client does.
func (s *session) use(token string, change func(*tokenRequest)) result {
	s.t.Helper()
	q := refreshing(s.clientID, token)
	s.addProof(s.t, q, func(p *dpop.Params) { p.Now = s.now })
	if change != nil {
		change(q)
	}
	return s.send(s.t, q)
}

func (s *session) take(got result) {
	s.t.Helper()
	checkGranted(s.t, got)
	s.token, _ = got.body["refresh_token"].(string)
	s.access, _ = got.body["access_token"].(string)
}

func (s *session) active() bool {
	s.t.Helper()
	return s.send(s.t, introspectionOf("rs", s.access)).body["active"] == true
}

func TestRefreshRotates(t *testing.T) {
	for _, client := range []string{"web", "spa"} {
		t.Run(client, func(t *testing.T) {
			s := newSession(t, client)
			seen := map[string]bool{}
			for range 5 {
				if seen[s.token] {
					t.Fatal("a refresh token was given twice")
				}
				seen[s.token] = true
				s.now = s.now.Add(time.Hour)
				s.take(s.use(s.token, nil))
			}
			_, claims := claimsOf(t, s.access)
			if claims["sub"] != "alice" || claims["scope"] != "read write" {
				t.Errorf("got claims %v", claims)
			}
		})
	}
}

// Within the grace time a lost answer comes again, with the same refresh token.
func TestRefreshAnswerLost(t *testing.T) {
	s := newSession(t, "spa")
	old := s.token
	s.take(s.use(old, nil))
	lost := s.token

	early := s.use(old, nil)
	checkRefused(t, early, http.StatusServiceUnavailable, "temporarily_unavailable", RefreshRace)
	if retry := early.header.Get("Retry-After"); retry != "2" {
		t.Errorf("got Retry-After %q, want that it comes after the window", retry)
	}
	s.now = s.now.Add(3 * time.Second)
	for range refreshRepeats {
		s.take(s.use(old, nil))
		if s.token != lost {
			t.Fatal("another refresh token came than the one that was lost")
		}
	}
	s.now = s.now.Add(time.Second)
	s.take(s.use(lost, nil))
	if !s.active() {
		t.Error("the grant was revoked")
	}
}

// Each case presents a used refresh token when no honest client would any more.
func TestRefreshReused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		until func(s *session)
	}{
		{"after the grace time", func(s *session) { s.now = s.now.Add(refreshGrace + time.Second) }},
		{"after its successor was used", func(s *session) {
			s.now = s.now.Add(3 * time.Second)
			s.take(s.use(s.token, nil))
			s.now = s.now.Add(3 * time.Second)
		}},
		{"too often", func(s *session) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSession(t, "web")
			old := s.token
			s.take(s.use(old, nil))
			tc.until(s)
			if tc.name == "too often" {
				s.now = s.now.Add(3 * time.Second)
				for range refreshRepeats {
					s.take(s.use(old, nil))
				}
			}
			checkRefused(t, s.use(old, nil), http.StatusBadRequest, "invalid_grant", RefreshReused)
			checkRefused(t, s.use(s.token, nil), http.StatusBadRequest, "invalid_grant", RefreshRefused)
			if s.active() {
				t.Error("the grant's tokens are still active")
			}
		})
	}
}

// A refused request uses nothing up, and a thief without the key ends nothing.
func TestHazardRefusalKeepsTheRefreshToken(t *testing.T) {
	s := newSession(t, "spa")
	for _, tc := range []struct {
		name   string
		change func(q *tokenRequest)
		status int
		code   string
		reason Reason
	}{
		{"no proof", func(q *tokenRequest) { q.header.Del("DPoP") }, 400, "invalid_request", ProofMissing},
		{"another key", func(q *tokenRequest) { otherProof(t, s.fixture, q) }, 400, "invalid_grant", KeyMismatch},
		{"another client", func(q *tokenRequest) { q.form.Del("client_id"); q.basic("web", testSecret) }, 400, "invalid_grant", RefreshRefused},
		{"more scope", func(q *tokenRequest) { q.form.Set("scope", "read admin") }, 400, "invalid_scope", ScopeRefused},
		{"another resource", func(q *tokenRequest) { q.form.Set("resource", "https://other.example") }, 400, "invalid_target", TargetRefused},
		{"no token", func(q *tokenRequest) { q.form.Del("refresh_token") }, 400, "invalid_request", FormRefused},
		{"another spelling", func(q *tokenRequest) { q.form.Set("refresh_token", q.form.Get("refresh_token")+"=") }, 400, "invalid_grant", RefreshRefused},
		{"unknown", func(q *tokenRequest) { q.form.Set("refresh_token", newSecret(kindRefresh)) }, 400, "invalid_grant", RefreshRefused},
		{"a code", func(q *tokenRequest) {
			q.form.Set("refresh_token", strings.Replace(q.form.Get("refresh_token"), "hfr_", "hfc_", 1))
		}, 400, "invalid_grant", RefreshRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkRefused(t, s.use(s.token, tc.change), tc.status, tc.code, tc.reason)
		})
	}
	used := s.token
	s.take(s.use(used, nil))
	s.now = s.now.Add(refreshGrace + time.Second)
	checkRefused(t, s.use(used, func(q *tokenRequest) {
		q.header.Del("DPoP")
		proof, err := dpop.Sign(s.jwtKey, dpop.Params{Method: "POST", TargetURI: testToken, Now: s.now})
		if err != nil {
			t.Fatal(err)
		}
		q.header.Set("DPoP", proof)
	}), http.StatusBadRequest, "invalid_grant", KeyMismatch)
	if !s.active() {
		t.Error("the thief ended the grant")
	}
}

func TestRefreshNarrows(t *testing.T) {
	s := newSession(t, "web")
	s.take(s.use(s.token, func(q *tokenRequest) { q.form.Set("scope", "read read") }))
	if _, claims := claimsOf(t, s.access); claims["scope"] != "read" {
		t.Errorf("got scope %v, want read", claims["scope"])
	}
	s.now = s.now.Add(3 * time.Second)
	s.take(s.use(s.token, nil))
	if _, claims := claimsOf(t, s.access); claims["scope"] != "read write" {
		t.Errorf("got scope %v, want what was granted", claims["scope"])
	}
}

func TestRefreshExpires(t *testing.T) {
	s := newSession(t, "web")
	s.now = s.now.Add(defaultRefreshLifetime)
	if err := s.keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkRefused(t, s.use(s.token, nil), http.StatusBadRequest, "invalid_grant", RefreshRefused)
}

// However many use one refresh token at once, one gets tokens, and the grant lives on.
func TestRefreshHasOneWinner(t *testing.T) {
	s := newSession(t, "spa")
	if got := s.race(t, func() *tokenRequest { return refreshing("spa", s.token) }); got != 1 {
		t.Errorf("got %d answers, want 1", got)
	}
	if !s.active() {
		t.Error("the race ended the grant")
	}
	s.now = s.now.Add(3 * time.Second)
	s.take(s.use(s.token, nil)) // the winner's answer, if it was lost
}
