package accesstoken

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/fetch"
	"github.com/holdfast-project/holdfast/keys"
)

// jwksSuite is a server with one key and a JWKS on it, with a clock that the test moves.
type jwksSuite struct {
	as    *authorizationServer
	clock *manual
	jwks  *JWKS
	old   *keys.Public // kid "old", served at first
	next  *keys.Public // kid "next"
}

func newJWKSSuite(t *testing.T) *jwksSuite {
	t.Helper()
	s := &jwksSuite{
		clock: newManual(),
		old:   publish(t, newSigner(t, keys.ES256), "old", ""),
		next:  publish(t, newSigner(t, keys.ES256), "next", ""),
	}
	s.as = newAuthorizationServer(t, s.old)
	s.jwks = openJWKS(t, JWKSConfig{URL: s.as.URL + "/jwks", Now: s.clock.Now})
	return s
}

func openJWKS(t *testing.T, cfg JWKSConfig) *JWKS {
	t.Helper()
	j, err := OpenJWKS(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// key wants a key to be found ("") or refused for a reason.
func (s *jwksSuite) key(t *testing.T, kid string, want Reason) {
	t.Helper()
	key, err := s.jwks.Key(t.Context(), kid)
	if want != "" {
		checkReason(t, err, want)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if key.KeyID() != kid {
		t.Errorf("got key %q, want %q", key.KeyID(), kid)
	}
}

func (s *jwksSuite) fetches(t *testing.T, want int) {
	t.Helper()
	if got := s.as.asked("/jwks"); got != want {
		t.Errorf("got %d fetches, want %d", got, want)
	}
}

// settle waits for the fetch under way, if there is one.
func (s *jwksSuite) settle() {
	s.jwks.mu.Lock()
	f := s.jwks.flight
	s.jwks.mu.Unlock()
	if f != nil {
		<-f.done
	}
}

func TestJWKSFetchesOnNeed(t *testing.T) {
	s := newJWKSSuite(t)
	s.fetches(t, 0)
	for range 3 {
		s.key(t, "old", "")
	}
	s.fetches(t, 1)
}

func TestJWKSReady(t *testing.T) {
	s := newJWKSSuite(t)
	for range 2 {
		if err := s.jwks.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.fetches(t, 1)
}

func TestJWKSReadyFails(t *testing.T) {
	s := newJWKSSuite(t)
	s.as.set(http.StatusServiceUnavailable)
	err := s.jwks.Ready(t.Context())
	checkReason(t, err, Unavailable)
	if !errors.Is(err, fetch.StatusError(503)) {
		t.Errorf("got %v, want the status", err)
	}
}

func TestJWKSConcurrentFirstUse(t *testing.T) {
	s := newJWKSSuite(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { s.key(t, "old", "") })
	}
	wg.Wait()
	s.fetches(t, 1)
}

func TestJWKSRefreshesInBackground(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	s.as.set(0, s.next)
	s.clock.advance(defaultRefresh - 1)
	s.key(t, "old", "")
	s.settle()
	s.fetches(t, 1)
	s.clock.advance(1)
	s.key(t, "old", "") // the old set, at once
	s.settle()
	s.fetches(t, 2)
	s.key(t, "next", "")
	s.fetches(t, 2)
}

// A key that the issuer removed stops working, though nobody asked for a while.
func TestJWKSRemovedKey(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	s.as.set(0, s.next)
	s.clock.advance(2 * defaultRefresh)
	s.key(t, "old", UnknownKey)
	s.key(t, "next", "")
}

func TestJWKSClockSetBack(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	s.clock.advance(-time.Hour)
	s.key(t, "old", "")
	s.settle()
	s.fetches(t, 2)
}

func TestJWKSOutage(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	s.as.set(http.StatusInternalServerError)
	s.clock.advance(2 * defaultRefresh)
	s.key(t, "old", "") // the refresh failed, the set is still good
	s.fetches(t, 2)
	s.clock.advance(defaultStale - 2*defaultRefresh - 1)
	s.key(t, "old", "")
	s.settle()
	s.fetches(t, 3)
	s.clock.advance(time.Hour)
	s.key(t, "old", Unavailable)
	s.as.set(0, s.next)
	s.clock.advance(time.Hour)
	s.key(t, "old", UnknownKey)
	s.key(t, "next", "")
}

func TestJWKSBacksOff(t *testing.T) {
	s := newJWKSSuite(t)
	s.as.set(http.StatusInternalServerError)
	fetches := 0
	for _, wait := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 64, 64} {
		s.clock.advance(wait*time.Second - 1)
		if wait > 0 {
			s.key(t, "old", Unavailable)
			s.fetches(t, fetches)
		}
		s.clock.advance(1)
		s.key(t, "old", Unavailable)
		fetches++
		s.fetches(t, fetches)
	}
	s.as.set(0, s.old)
	s.clock.advance(64 * time.Second)
	s.key(t, "old", "")
	// The count starts again.
	s.as.set(http.StatusInternalServerError)
	s.key(t, "next", UnknownKey)
	fetches += 2
	s.fetches(t, fetches)
	s.clock.advance(defaultUnknownEvery)
	s.key(t, "next", UnknownKey)
	s.fetches(t, fetches+1)
}

func TestJWKSUnknownKeyFetchesAtARate(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	s.key(t, "next", UnknownKey)
	s.fetches(t, 2)
	s.as.set(0, s.old, s.next)
	s.clock.advance(defaultUnknownEvery - 1)
	for _, kid := range []string{"next", "a", "b", ""} {
		if kid != "" {
			s.key(t, kid, UnknownKey)
		}
	}
	s.fetches(t, 2)
	s.clock.advance(1)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { s.key(t, "next", "") })
	}
	wg.Wait()
	s.fetches(t, 3)
	s.key(t, "a", UnknownKey)
	s.fetches(t, 3)
}

// A failed fetch for an unknown id leaves it unknown: the set that is there is still good.
func TestJWKSUnknownKeyDuringOutage(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	s.as.set(http.StatusInternalServerError)
	s.key(t, "next", UnknownKey)
	s.key(t, "old", "")
}

func TestJWKSEmptySetIsHonoured(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	s.as.answer("/jwks", text(`{"keys":[]}`))
	s.clock.advance(2 * defaultRefresh)
	s.key(t, "old", UnknownKey)
}

// text answers 200 with a text in which {url} stands for the server's own.
func text(body string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, url string) {
		_, _ = w.Write([]byte(strings.ReplaceAll(body, "{url}", url)))
	}
}

// hang makes the server keep requests until the returned function is called.
func (s *jwksSuite) hang(t *testing.T) (arrived <-chan struct{}, release func()) {
	came, gate := make(chan struct{}, 10), make(chan struct{})
	s.as.answer("/jwks", func(w http.ResponseWriter, _ string) {
		came <- struct{}{}
		<-gate
		s.as.serveKeys(w)
	})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return came, release
}

// A caller who goes away takes nobody with it.
func TestJWKSCallerLeaves(t *testing.T) {
	s := newJWKSSuite(t)
	arrived, release := s.hang(t)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.jwks.Key(ctx, "old")
		left <- err
	}()
	<-arrived
	cancel()
	err := <-left
	checkReason(t, err, Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	release()
	s.key(t, "old", "")
	s.fetches(t, 1)
}

// The same for one who waits because of an unknown key id.
func TestJWKSCallerOfUnknownKeyLeaves(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	arrived, _ := s.hang(t)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.jwks.Key(ctx, "next")
		left <- err
	}()
	<-arrived
	cancel()
	checkReason(t, <-left, Unavailable)
	s.key(t, "old", "")
}

func TestJWKSCloseEndsFetch(t *testing.T) {
	s := newJWKSSuite(t)
	arrived, _ := s.hang(t)
	waited := make(chan error)
	go func() { waited <- s.jwks.Ready(context.Background()) }()
	<-arrived
	if err := s.jwks.Close(); err != nil {
		t.Error(err)
	}
	err := <-waited
	checkReason(t, err, Unavailable)
	s.key(t, "old", Unavailable)
	s.fetches(t, 1)
}

// A server that is about to end still answers its last requests.
func TestJWKSUsedAfterClose(t *testing.T) {
	s := newJWKSSuite(t)
	s.key(t, "old", "")
	for range 2 {
		if err := s.jwks.Close(); err != nil {
			t.Error(err)
		}
	}
	s.clock.advance(2 * defaultRefresh)
	s.key(t, "old", "")
	s.key(t, "next", UnknownKey)
	s.clock.advance(defaultStale)
	s.key(t, "old", Unavailable)
	s.fetches(t, 1)
}

func TestJWKSClosedBeforeUse(t *testing.T) {
	s := newJWKSSuite(t)
	if err := s.jwks.Close(); err != nil {
		t.Error(err)
	}
	s.key(t, "old", Unavailable)
	s.fetches(t, 0)
}

func TestJWKSConcurrent(t *testing.T) {
	s := newJWKSSuite(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				kid, want := "old", Reason("")
				if (g+i)%5 == 0 {
					kid, want = "other", UnknownKey
				}
				s.key(t, kid, want)
				s.clock.advance(20 * time.Second)
			}
		})
	}
	wg.Wait()
}

func TestOpenJWKSRefuses(t *testing.T) {
	for name, cfg := range map[string]JWKSConfig{
		"neither":              {},
		"both":                 {Issuer: "https://a.example", URL: "https://a.example/jwks"},
		"http":                 {URL: "http://a.example/jwks"},
		"http issuer":          {Issuer: "http://a.example"},
		"issuer with a query":  {Issuer: "https://a.example?x=1"},
		"negative refresh":     {URL: "https://a.example/jwks", Refresh: -1},
		"negative stale":       {URL: "https://a.example/jwks", Stale: -1},
		"negative rate":        {URL: "https://a.example/jwks", UnknownEvery: -1},
		"stale before refresh": {URL: "https://a.example/jwks", Refresh: time.Hour, Stale: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := OpenJWKS(t.Context(), cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}
