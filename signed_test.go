package holdfast_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/signedurl"
)

// signedRequest is a request for a URL that the session signed.
func (w *world) signedRequest(s *popsession.Session, method, target string) *http.Request {
	w.t.Helper()
	u, err := signedurl.Sign(origin+target, signedurl.Params{
		Method: method, Ticket: s.Ticket(), Secret: s.Keys().RequestSecret(), Now: func() time.Time { return w.now },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return request(method, strings.TrimPrefix(u, origin), "")
}

func TestSignedURL(t *testing.T) {
	for _, target := range []string{"/video/7", "/video/7?", "/a%2Fb?x=%C3%A9&y"} {
		t.Run(target, func(t *testing.T) {
			w := newWorld(t).withSessions()
			v := w.verifier(holdfast.Policy{})
			r := w.signedRequest(w.session(v), "GET", target)
			got, err := v.Check(r)
			if err != nil {
				t.Fatal(err)
			}
			if got.Scheme != holdfast.SchemeSignedURL || got.Token.Subject != "alice" || got.TargetURI != origin+target {
				t.Errorf("got %s for %s, target %s", got.Scheme, got.Token.Subject, got.TargetURI)
			}
			if strings.Contains(r.URL.String(), "pop-") || r.RequestURI != target {
				t.Errorf("the handler sees %s and %s, want %s", r.URL, r.RequestURI, target)
			}
		})
	}
}

func TestSignedURLRefused(t *testing.T) {
	tests := []struct {
		name   string
		policy holdfast.Policy
		edit   func(w *world, r *http.Request)
		reason string
	}{
		{name: "other path", edit: func(_ *world, r *http.Request) {
			r.RequestURI = strings.Replace(r.RequestURI, "/video/7", "/video/8", 1)
		}, reason: string(signedurl.BadSignature)},
		{name: "parameter added behind", edit: func(_ *world, r *http.Request) { r.RequestURI += "&x=1" }, reason: string(signedurl.Malformed)},
		{name: "other method", edit: func(_ *world, r *http.Request) { r.Method = "HEAD" }, reason: string(signedurl.BadSignature)},
		{name: "method with a body", edit: func(_ *world, r *http.Request) { r.Method = "POST" }, reason: string(signedurl.BadMethod)},
		{name: "expired", edit: func(w *world, _ *http.Request) { w.now = w.now.Add(36 * time.Second) }, reason: string(signedurl.Expired)},
		{name: "session over", edit: func(w *world, _ *http.Request) { w.now = w.now.Add(301 * time.Second) }, reason: string(popsession.Expired)},
		{name: "credential beside it", edit: func(_ *world, r *http.Request) { r.Header.Set("Authorization", "Bearer "+bearerToken) }, reason: holdfast.ReasonCredentialAmbiguous},
		{name: "body beside it", edit: func(_ *world, r *http.Request) { r.Body, r.ContentLength = unread{t}, 5 }, reason: holdfast.ReasonCoverage},
		{name: "field that must be covered", policy: holdfast.Policy{Cover: []string{"accept"}}, edit: func(_ *world, r *http.Request) { r.Header.Set("Accept", "text/html") }, reason: holdfast.ReasonCoverage},
		{name: "signature demanded", policy: holdfast.Policy{RequireSignature: true}, edit: func(*world, *http.Request) {}, reason: holdfast.ReasonSessionRefused},
		{name: "scope", policy: holdfast.Policy{Scope: []string{"write"}}, edit: func(*world, *http.Request) {}, reason: holdfast.ReasonScope},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t).withSessions()
			r := w.signedRequest(w.session(w.verifier(holdfast.Policy{})), "GET", "/video/7?x=1")
			tc.edit(w, r)
			_, err := w.verifier(tc.policy).Check(r)
			refusal(t, err, tc.reason)
		})
	}
}

// TestSignedURLWorksOnce also when it is used by two at the same moment.
func TestSignedURLWorksOnce(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{})
	s := w.session(v)
	for range 1000 {
		if passed, replayed := contest(v, w.signedRequest(s, "GET", "/video/7"), 2); passed != 1 || replayed != 1 {
			t.Fatalf("got %d passed and %d replayed, want one each", passed, replayed)
		}
	}
}

// TestSignedURLMeansNothingWithoutSessions: the parameters are then like others, and no credential.
func TestSignedURLMeansNothingWithoutSessions(t *testing.T) {
	w := newWorld(t).withSessions()
	r := w.signedRequest(w.session(w.verifier(holdfast.Policy{})), "GET", "/video/7")
	w.config.Sessions = nil
	_, err := w.verifier(holdfast.Policy{}).Check(r)
	refusal(t, err, holdfast.ReasonCredentialMissing)
}
