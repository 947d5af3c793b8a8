package browser

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/login"
	"github.com/holdfast-project/holdfast/issuer/signing"
	"github.com/holdfast-project/holdfast/issuer/store"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	audience = "https://photos.example"
	// developer is as whom anybody can log in.
	developer = "developer"
)

// stage is an issuer, at a name that browsers have passkeys for, and an app that users come back to.
type stage struct {
	issuer, app string // origins
	store       *store.Store
	answers     chan url.Values // authorization responses that reached the app

	mu     sync.Mutex // guards events
	events []issuer.Event
}

// newStage starts both. Whoever likes can log in as the user of that name, if there is one.
func newStage(t *testing.T, anybody string) *stage {
	t.Helper()
	s := &stage{answers: make(chan url.Values, 1)}
	app := httptest.NewServer(http.HandlerFunc(s.serveApp))
	t.Cleanup(app.Close)
	s.app = app.URL
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.issuer = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	handler = s.open(t, anybody)
	return s
}

// open makes the issuer.
func (s *stage) open(t *testing.T, anybody string) http.Handler {
	t.Helper()
	var err error
	if s.store, err = store.Open(t.Context(), "sqlite::memory:"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	secret := bytes.Repeat([]byte("s"), 32)
	ring, err := signing.Open(t.Context(), signing.Config{Store: s.store, Secrets: [][]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	users, err := login.New(login.Config{
		Issuer: s.issuer, Store: s.store, Passkeys: true, InsecureDevelopmentUser: anybody, Observer: s.observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	server, err := issuer.New(issuer.Config{
		Issuer: s.issuer, Store: s.store, Keys: ring, Secret: secret, Replay: guard, Login: users, Observer: s.observe,
		Clients: []issuer.Client{{
			ID: "photos", Name: "Photos", AuthMethod: issuer.NoAuth, Grants: []issuer.GrantType{issuer.CodeGrant},
			RedirectURIs: []string{s.app + "/callback"}, RequirePushedRequests: true, Binding: issuer.DPoP,
			Scope: []string{"openid", "photos:read"}, Audience: []string{audience},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server.Handler()
}

func (s *stage) observe(_ context.Context, e issuer.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// wantRefusals checks that the issuer refused just this.
func (s *stage) wantRefusals(t *testing.T, want ...issuer.Reason) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []issuer.Reason
	for _, e := range s.events {
		if e.Refusal != nil {
			got = append(got, e.Refusal.Reason)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got refusals %q, want %q", got, want)
	}
}

// invite makes a user, and returns the invitation's link.
func (s *stage) invite(t *testing.T, name string) string {
	t.Helper()
	user := store.User{ID: rand.Text(), Name: name}
	if err := s.store.CreateUser(t.Context(), time.Now(), user); err != nil {
		t.Fatal(err)
	}
	link, err := login.Invite(t.Context(), s.store, s.issuer, time.Now(), user.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// serveApp is where users come back to, and what must be noticed.
func (s *stage) serveApp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	switch r.URL.Path {
	case "/callback":
		s.answers <- r.URL.Query()
		io.WriteString(w, "<!DOCTYPE html><title>Photos</title><h1>Back at the app</h1>")
	case "/inline":
		w.Header().Set("Content-Security-Policy", "script-src 'none'")
		io.WriteString(w, "<!DOCTYPE html><title>Inline</title><script>1</script>")
	case "/throws":
		io.WriteString(w, "<!DOCTYPE html><title>Throws</title><script>throw new Error('thrown')</script>")
	case "/unlabelled":
		io.WriteString(w, "<!DOCTYPE html><title>Unlabelled</title><input>")
	default: // as the icon that browsers ask for
		http.NotFound(w, r)
	}
}

// answer returns the authorization response that has reached the app.
func (s *stage) answer(t *testing.T) url.Values {
	t.Helper()
	select {
	case a := <-s.answers:
		return a
	case <-time.After(patience):
		t.Fatal("no authorization response reached the app")
		return nil
	}
}
