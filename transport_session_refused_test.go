package holdfast_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
)

// The caller doesn't see that a session was refused.
func TestTransportSessionRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*resource)
		want   []string
	}{
		{"unknown ticket", func(s *resource) { s.restart("b", holdfast.Policy{}) },
			[]string{"PoP-Session", "DPoP+offer", "PoP-Session"}},
		{"no sessions any more", func(s *resource) { s.restart("", holdfast.Policy{}) },
			[]string{"PoP-Session", "DPoP+offer", "DPoP"}},
		{"a server of old", func(s *resource) {
			s.restart("", holdfast.Policy{})
			s.before = func(h http.Header) {
				if strings.HasPrefix(h.Get("Authorization"), "PoP") {
					h.Del("Authorization")
				}
			}
		}, []string{"PoP-Session", "DPoP+offer", "DPoP"}},
		{"bad MAC", func(s *resource) {
			s.before = func(h http.Header) { h.Set("Signature", "sig1=:AAAA:") }
		}, nil},
		{"demands a signature", func(s *resource) { s.restart("a", holdfast.Policy{RequireSignature: true}) },
			[]string{"PoP-Session", "DPoP", "DPoP"}},
		{"demands more coverage", func(s *resource) { s.restart("a", holdfast.Policy{Cover: []string{"x-a"}}) },
			[]string{"PoP-Session", "PoP-Session", "PoP-Session"}},
	} {
		if tc.want == nil {
			tc.want = []string{"PoP-Session", "DPoP+offer", "PoP-Session", "DPoP+offer"}
		}
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			tr := s.client("DPoP")
			var because []string
			tr.Trace = func(a *holdfast.Attempt) { because = append(because, a.Because) }
			s.get(tr)
			s.sent("DPoP+offer")
			tc.change(s)
			for range 2 {
				r := wireRequest(t, "GET", s.URL+"/a", "")
				r.Header.Set("X-A", "1")
				s.post(tr, r, "")
			}
			s.sent(tc.want...)
			want := "session"
			if tc.name == "demands more coverage" {
				want = "coverage"
			}
			if because[1] != "" || because[2] != want {
				t.Errorf("got attempts %q", because)
			}
		})
	}
}

// Only the path that refused sessions goes without.
func TestTransportSessionRefusedPath(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	s.get(tr)
	s.restart("a", holdfast.Policy{RequireSignature: true})
	s.get(tr)
	s.restart("a", holdfast.Policy{})
	s.get(tr)
	s.post(tr, wireRequest(t, "GET", s.URL+"/b", ""), "")
	s.sent("DPoP+offer", "PoP-Session", "DPoP", "DPoP", "PoP-Session")
}

// A body that is gone can't be sent again, but the next request knows.
func TestTransportSessionRefusedStream(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	s.get(tr)
	s.restart("b", holdfast.Policy{Body: holdfast.BodyStreamed})
	if status, _ := sendVia(t, tr, oneWay(wireRequest(t, "POST", s.URL, "body"))); status != http.StatusUnauthorized {
		t.Errorf("got status %d", status)
	}
	s.post(tr, oneWay(wireRequest(t, "POST", s.URL, "body")), "body")
	s.sent("DPoP+offer", "PoP-Session+stream", "DPoP+offer")
}

// What net/http sends twice is signed afresh, once, and then proved in full.
func TestTransportSessionReplayed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		copies int // of requests in the session, from the first on
		want   []string
	}{
		{"once", 1, []string{"DPoP+offer", "PoP-Session", "PoP-Session", "PoP-Session"}},
		{"twice", 2, []string{"DPoP+offer", "PoP-Session", "PoP-Session", "PoP-Session", "PoP-Session", "DPoP+offer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			tr, copies := s.client("DPoP"), tc.copies
			tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
				if copies > 0 && strings.HasPrefix(r.Header.Get("Authorization"), "PoP-Session") {
					copies--
					first, err := http.DefaultTransport.RoundTrip(r.Clone(context.Background()))
					if err != nil {
						return nil, err
					}
					if err := first.Body.Close(); err != nil {
						return nil, err
					}
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			s.get(tr)
			s.get(tr)
			s.sent(tc.want...)
		})
	}
}

// What a refusal says decides how the request is sent again.
func TestTransportSessionChallenges(t *testing.T) {
	const full, offer, within = "DPoP", "DPoP+offer", "PoP-Session"
	for _, tc := range []struct {
		name      string
		challenge string
		again     []string // after the refused request, and then for the next call
	}{
		{"unknown ticket", `PoP-Session error="unknown_ticket", reason="session-ticket-unknown"`, []string{offer, within}},
		{"without a reason", `PoP-Session error="expired"`, []string{offer, within}},
		{"beside others", `DPoP algs="ES256", PoP-Session error="bad_mac", reason="signature-invalid"`, []string{offer, within}},
		{"only of the scheme", `DPoP algs="ES256"`, []string{offer, within}},
		{"restarted", `PoP-Session error="replayed", reason="restarted"`, []string{within, within}},
		{"restarted, and we are behind", `PoP-Session error="replayed", reason="restarted"`, []string{offer, within}},
		{"coverage of nothing more", `PoP-Session error="invalid_request", reason="coverage"`, []string{full, full}},
		{"a signature", `PoP-Session error="invalid_request", reason="session-refused"`, []string{full, full}},

		{"of another scheme", `Bearer`, []string{within}},
		{"none", "", []string{within}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			tr, refuse := s.client("DPoP"), true
			tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
				resp, err := http.DefaultTransport.RoundTrip(r)
				if err == nil && refuse && strings.HasPrefix(r.Header.Get("Authorization"), within) {
					refuse = false
					resp.StatusCode, resp.Header = http.StatusUnauthorized, http.Header{"Www-Authenticate": {tc.challenge}}
					if strings.HasSuffix(tc.name, "we are behind") {
						resp.Header.Set("Date", s.time().Add(4*time.Second).UTC().Format(http.TimeFormat))
					}
				}
				return resp, err
			})
			s.get(tr)
			want := http.StatusOK
			if len(tc.again) == 1 {
				want = http.StatusUnauthorized
			}
			if got, _ := sendVia(t, tr, wireRequest(t, "GET", s.URL+"/a", "")); got != want {
				t.Errorf("got status %d, want %d", got, want)
			}
			s.post(tr, wireRequest(t, "GET", s.URL+"/a", ""), "")
			s.sent(slices.Concat([]string{offer, within}, tc.again)...)
		})
	}
}
