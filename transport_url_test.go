package holdfast_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/signedurl"
)

// signURL has tr sign a URL of the resource's.
func (s *resource) signURL(tr *holdfast.Transport, method, target string) string {
	s.t.Helper()
	signed, err := tr.SignURL(s.t.Context(), method, s.URL+target, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

// use makes a request as something does that can't set headers.
func (s *resource) use(method, signed string) int {
	s.t.Helper()
	status, _ := sendVia(s.t, http.DefaultTransport, wireRequest(s.t, method, signed, ""))
	return status
}

func TestSignURL(t *testing.T) {
	for _, kind := range []string{"DPoP", "HTTPSig"} {
		for _, method := range []string{"", "GET", "HEAD"} {
			t.Run(kind+" "+method, func(t *testing.T) {
				s := newResource(t)
				signed := s.signURL(s.client(kind), method, "/video?x=1")
				s.sent(kind + "+offer")
				if !strings.HasPrefix(signed, s.URL+"/video?x=1&pop-ticket=") {
					t.Fatalf("got %s", signedurl.Redact(signed))
				}
				if got := s.use(method, signed); got != http.StatusOK {
					t.Errorf("status %d", got)
				}
				if got := s.use(method, signed); got != http.StatusUnauthorized {
					t.Errorf("again: status %d, want 401", got)
				}
			})
		}
	}
}

// TestSignURLInSession: a session that is there is used, and one near its end renewed.
func TestSignURLInSession(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	s.get(tr)
	s.sent("DPoP+offer")
	s.signURL(tr, "GET", "/a")
	s.sent()
	s.wait(4 * time.Minute)
	s.signURL(tr, "GET", "/a")
	s.sent("DPoP+offer")
	s.wait(10 * time.Minute)
	signed := s.signURL(tr, "GET", "/a")
	s.sent("DPoP+offer")
	if got := s.use("GET", signed); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}

// TestSignURLBeginsOnce: many at once begin one session.
func TestSignURLBeginsOnce(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := tr.SignURL(t.Context(), "GET", s.URL+"/a", 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.sent("DPoP+offer")
}

// TestSignURLBesideAnOffer: a request whose offer waits for its answer, as that of a long upload does, holds up no URL.
func TestSignURLBesideAnOffer(t *testing.T) {
	s := newResource(t)
	arrived, release := make(chan bool), make(chan bool)
	tr := s.client("DPoP")
	tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			close(arrived)
			<-release
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	done := make(chan bool)
	go func() { defer close(done); sendVia(t, tr, wireRequest(t, "GET", s.URL+"/slow", "")) }()
	<-arrived
	signed := s.signURL(tr, "HEAD", "/a")
	close(release)
	<-done
	if got := s.use("HEAD", signed); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}

func TestSignURLOfAWebSocket(t *testing.T) {
	s := newResource(t)
	socket := "ws" + strings.TrimPrefix(s.URL, "http")
	signed, err := s.client("DPoP").SignURL(t.Context(), "GET", socket+"/feed", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(signed, socket) {
		t.Fatalf("got %s, want the scheme ws", signedurl.Redact(signed))
	}
	if got := s.use("GET", signedurl.Handshake(signed)); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}

// TestSignURLByAnotherClock: what the session knows of the client's clock counts for its URLs as well.
func TestSignURLByAnotherClock(t *testing.T) {
	for _, off := range []time.Duration{-50 * time.Second, -10 * time.Hour, 10 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			s := newResource(t)
			s.dateAnswers()
			tr := s.client("DPoP")
			tr.Now = func() time.Time { return s.time().Add(off) }
			signed := s.signURL(tr, "GET", "/a")
			s.wait(25 * time.Second)
			if got := s.use("GET", signed); got != http.StatusOK {
				t.Errorf("status %d", got)
			}
			if got := s.use("GET", signed); got != http.StatusUnauthorized {
				t.Errorf("again: status %d, want 401", got)
			}
			// However long it is accepted, it is remembered for longer.
			signed = s.signURL(tr, "GET", "/a")
			s.use("GET", signed)
			for range 20 {
				s.wait(5 * time.Second)
				if got := s.use("GET", signed); got != http.StatusUnauthorized {
					t.Errorf("after a while: status %d, want 401", got)
				}
			}
		})
	}
}

// dateAnswers has answers tell the resource's time.
func (s *resource) dateAnswers() {
	inner := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.time().UTC().Format(http.TimeFormat))
		inner.ServeHTTP(w, r)
	})
}

func TestSignURLRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		edit   func(s *resource, tr *holdfast.Transport)
		url    string // if it isn't the resource's
		method string
		ttl    time.Duration
		want   holdfast.TransportReason
		sent   []string
	}{
		{name: "no Source", edit: func(_ *resource, tr *holdfast.Transport) { tr.Source = nil }, want: holdfast.TransportMisconfigured},
		{name: "NoSessions", edit: func(_ *resource, tr *holdfast.Transport) { tr.NoSessions = true }, want: holdfast.TransportMisconfigured},
		{name: "no Signer", edit: func(_ *resource, tr *holdfast.Transport) { tr.Signer = nil }, want: holdfast.TransportMisconfigured},
		{name: "method with a body", method: "POST", want: holdfast.TransportTargetUnusable},
		{name: "too long", ttl: 61 * time.Second, want: holdfast.TransportTargetUnusable},
		{name: "part of a second", ttl: time.Millisecond, want: holdfast.TransportTargetUnusable},
		{name: "not as it is sent", url: "http://API.example/a", want: holdfast.TransportTargetUnusable},
		{name: "signed already", url: "http://api.example/a?pop-sig=x", want: holdfast.TransportTargetUnusable},
		{name: "no token", edit: func(_ *resource, tr *holdfast.Transport) {
			tr.Source = oauth2.StaticTokenSource(nil)
		}, want: holdfast.TransportNoToken},
		{name: "bearer token", edit: func(_ *resource, tr *holdfast.Transport) {
			tr.InsecureAllowBearer = true
			tr.Source = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: bearerToken, TokenType: "Bearer"})
		}, want: holdfast.TransportNoSession},
		{name: "token refused", edit: func(_ *resource, tr *holdfast.Transport) {
			tr.Source = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "another", TokenType: "DPoP"})
		}, want: holdfast.TransportNoSession, sent: []string{"DPoP+offer"}},
		{name: "server without sessions", edit: func(s *resource, _ *holdfast.Transport) { s.restart("", holdfast.Policy{}) },
			want: holdfast.TransportNoSession, sent: []string{"DPoP+offer"}},
		{name: "route without sessions", edit: func(s *resource, _ *holdfast.Transport) {
			s.restart("a", holdfast.Policy{RequireSignature: true})
		}, want: holdfast.TransportNoSession, sent: []string{"DPoP+offer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			tr := s.client("DPoP")
			if tc.edit != nil {
				tc.edit(s, tr)
			}
			url := tc.url
			if url == "" {
				url = s.URL + "/a"
			}
			signed, err := tr.SignURL(t.Context(), tc.method, url, tc.ttl)
			refusedAs(t, err, tc.want)
			if signed != "" {
				t.Error("there is a URL with the error")
			}
			s.sent(tc.sent...)
			// Nobody asks again at once.
			if tc.name == "server without sessions" || tc.name == "route without sessions" {
				_, err = tr.SignURL(t.Context(), tc.method, url, tc.ttl)
				refusedAs(t, err, tc.want)
				s.sent()
			}
		})
	}
}

// TestSignURLAfterADeclinedOffer: other routes of the origin begin sessions.
func TestSignURLAfterADeclinedOffer(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	s.restart("a", holdfast.Policy{RequireSignature: true})
	_, err := tr.SignURL(t.Context(), "GET", s.URL+"/signed", 0)
	refusedAs(t, err, holdfast.TransportNoSession)
	s.restart("a", holdfast.Policy{})
	s.signURL(tr, "GET", "/other")
	s.sent("DPoP+offer", "DPoP+offer")
}

// TestSignURLFailures: what the network did is told as it is, and a later call isn't held up by it.
func TestSignURLFailures(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	broken := errors.New("broken")
	tr.Base = roundTrips(func(*http.Request) (*http.Response, error) { return nil, broken })
	if _, err := tr.SignURL(t.Context(), "GET", s.URL+"/a", 0); err != broken {
		t.Errorf("got %v, want the error of Base", err)
	}
	arrived, release := make(chan bool), make(chan bool)
	tr = s.client("DPoP")
	tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		close(arrived)
		<-release
		return http.DefaultTransport.RoundTrip(r)
	})
	done := make(chan bool)
	go func() { defer close(done); s.signURL(tr, "GET", "/a") }()
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.SignURL(ctx, "GET", s.URL+"/a", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v while another call begins a session, want ctx's error", err)
	}
	close(release)
	<-done
}
