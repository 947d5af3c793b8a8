package holdfast_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
	"github.com/holdfast-project/holdfast/revocation"
)

const asURL = "https://as.example"

// withRevocations gives the world's tokens an id, and its verifiers a list.
func (w *world) withRevocations() *revocation.Set {
	w.t.Helper()
	set, err := revocation.NewSet(revocation.SetConfig{Now: func() time.Time { return w.now }})
	if err != nil {
		w.t.Fatal(err)
	}
	for text, token := range w.config.Tokens.(tokenTable) {
		token.ID = "id of " + text
	}
	w.config.Revocations = set
	return set
}

func revoke(t *testing.T, set *revocation.Set, now time.Time, n revocation.Name) {
	t.Helper()
	if err := set.Revoke(t.Context(), revocation.Entry{Name: n, Until: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
}

// revocables are the names of what the world's requests prove by.
func (w *world) revocables(s *popsession.Session) map[string]revocation.Name {
	return map[string]revocation.Name{
		"token":      revocation.Token(asURL, "id of "+boundToken),
		"token hash": revocation.TokenHash(sha256.Sum256([]byte(boundToken))),
		"key":        revocation.Key(w.signer.Public().Thumbprint()),
		"client":     revocation.Client(asURL, "shop"),
		"subject":    revocation.Subject(asURL, "alice"),
		"session":    revocation.Session(s.ID()),
	}
}

// TestRevoked: whatever is revoked of what a request proves by ends its way in, by full proof, session and signed URL.
func TestRevoked(t *testing.T) {
	for name := range newWorld(t).withSessions().revocables(new(popsession.Session)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).withSessions()
			set := w.withRevocations()
			v := w.verifier(holdfast.Policy{})
			s := w.session(v)
			requests := map[string]func() *http.Request{
				"full proof": func() *http.Request { return w.prove(request("GET", target, ""), boundToken) },
				"session":    func() *http.Request { return w.mac(request("GET", target, ""), s) },
				"signed URL": func() *http.Request { return w.signedRequest(s, "GET", "/video") },
			}
			for way, r := range requests {
				if _, err := v.Check(r()); err != nil {
					t.Fatalf("%s before: %v", way, err)
				}
			}
			revoke(t, set, w.now, w.revocables(s)[name])
			for way, r := range requests {
				want := holdfast.ReasonTokenRevoked
				if name == "session" {
					want = holdfast.ReasonSessionRevoked
				}
				_, err := v.Check(r())
				if name == "session" && way == "full proof" {
					if err != nil {
						t.Errorf("the key can't be proved again: %v", err)
					}
					continue
				}
				if got := refusal(t, err, want); got.Status != http.StatusUnauthorized || got.ErrorCode != "invalid_token" {
					t.Errorf("%s: got %d %s", way, got.Status, got.ErrorCode)
				}
			}
		})
	}
}

// TestOthersRevoked: what a request doesn't prove by may be revoked. That a token lacks a name makes it nobody's.
func TestOthersRevoked(t *testing.T) {
	w := newWorld(t).withSessions()
	set := w.withRevocations()
	tokens := w.config.Tokens.(tokenTable)
	tokens[boundToken].ID, tokens[boundToken].Subject = "", ""
	v := w.verifier(holdfast.Policy{})
	for _, n := range []revocation.Name{
		revocation.Token("https://other.example", "x"), revocation.Token(asURL, "id of "+jwkToken), revocation.Client(asURL, "alice"),
		revocation.Subject(asURL, "shop"), revocation.Session(popsession.ID{1}), revocation.TokenHash([32]byte{1}),
	} {
		revoke(t, set, w.now, n)
	}
	if _, err := v.Check(w.mac(request("GET", target, ""), w.session(v))); err != nil {
		t.Error(err)
	}
}

// TestRevokedTokenIsNoLongerCached: that a token was remembered as good doesn't let it in.
func TestRevokedTokenIsNoLongerCached(t *testing.T) {
	w := newWorld(t).withSessions()
	set := w.withRevocations()
	w.config.Tokens = accesstoken.NewCache(w.config.Tokens, accesstoken.CacheConfig{Now: func() time.Time { return w.now }})
	v := w.verifier(holdfast.Policy{})
	if _, err := v.Check(w.prove(request("GET", target, ""), boundToken)); err != nil {
		t.Fatal(err)
	}
	revoke(t, set, w.now, revocation.Token(asURL, "id of "+boundToken))
	_, err := v.Check(w.prove(request("GET", target, ""), boundToken))
	refusal(t, err, holdfast.ReasonTokenRevoked)
}

// awayList is a list whose store is away.
type awayList struct{ *revocation.Set }

func (awayList) Find(context.Context, []revocation.Name) (revocation.Name, bool, error) {
	return revocation.Name{}, false, errors.New("away")
}

func TestRevocationsUnavailable(t *testing.T) {
	w := newWorld(t).withSessions()
	s := w.session(w.verifier(holdfast.Policy{}))
	w.config.Revocations = awayList{}
	v := w.verifier(holdfast.Policy{})
	for _, r := range []*http.Request{
		w.prove(request("GET", target, ""), boundToken), w.mac(request("GET", target, ""), s), w.signedRequest(s, "GET", "/video"),
	} {
		_, err := v.Check(r)
		got := refusal(t, err, holdfast.ReasonRevocationsUnavailable)
		if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
		}
	}
}

// TestRevokedRequestClaimsNothing: it is refused before it takes room in the guard.
func TestRevokedRequestClaimsNothing(t *testing.T) {
	w := newWorld(t).withSessions()
	guard := w.newGuard(replay.MemoryConfig{InsecureAcceptOlder: true})
	w.config.Replay = guard
	set := w.withRevocations()
	v := w.verifier(holdfast.Policy{})
	revoke(t, set, w.now, revocation.Client(asURL, "shop"))
	_, err := v.Check(w.prove(request("GET", target, ""), boundToken))
	refusal(t, err, holdfast.ReasonTokenRevoked)
	if guard.Len() != 0 {
		t.Error("a claim was made")
	}
}

// TestTransportAfterRevocation: a client whose session is revoked proves its key again; one whose token is gives up after that.
func TestTransportAfterRevocation(t *testing.T) {
	for _, tc := range []struct {
		name   string
		revoke func(s *resource, id popsession.ID) revocation.Name
		status int
		then   []string // what is sent
		later  []string // by the request after that
	}{
		{"session", func(_ *resource, id popsession.ID) revocation.Name { return revocation.Session(id) },
			http.StatusOK, []string{"PoP-Session", "DPoP+offer"}, []string{"PoP-Session"}},
		{"token", func(*resource, popsession.ID) revocation.Name { return revocation.Token(asURL, "id of "+boundToken) },
			http.StatusUnauthorized, []string{"PoP-Session", "DPoP+offer"}, []string{"DPoP+offer"}},
		{"key", func(s *resource, _ popsession.ID) revocation.Name {
			return revocation.Key(s.signer.Public().Thumbprint())
		},
			http.StatusUnauthorized, []string{"PoP-Session", "DPoP+offer"}, []string{"DPoP+offer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			set, err := revocation.NewSet(revocation.SetConfig{Now: s.time})
			if err != nil {
				t.Fatal(err)
			}
			s.config.Tokens.(tokenTable)[boundToken].ID = "id of " + boundToken
			seen := make(chan popsession.ID, 10)
			s.config.Revocations, s.config.Observers = set, []holdfast.Observer{observer(func(v *holdfast.Verdict) {
				if v != nil && v.Session != nil {
					seen <- v.Session.ID
				}
			})}
			s.restart("a", holdfast.Policy{})
			tr := s.client("DPoP")
			s.get(tr)
			s.get(tr)
			s.sent("DPoP+offer", "PoP-Session")
			revoke(t, set, s.time(), tc.revoke(s, <-seen))
			if status, _ := sendVia(t, tr, wireRequest(t, "GET", s.URL+"/a", "")); status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			s.sent(tc.then...)
			if status, _ := sendVia(t, tr, wireRequest(t, "GET", s.URL+"/a", "")); status != tc.status {
				t.Errorf("later: status %d, want %d", status, tc.status)
			}
			s.sent(tc.later...)
		})
	}
}

type observer func(*holdfast.Verdict)

func (f observer) Observe(_ context.Context, _ *http.Request, v *holdfast.Verdict, _ *holdfast.Refusal) {
	f(v)
}

// watched is what came of a verdict's Watch, and when.
type watched struct {
	reasons []string
	after   time.Duration
}

// TestWatch: a verdict is over with its token or its session, or a revocation, whichever is first, and once.
func TestWatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		edit   func(w *world)
		in     bool // a session, of 5 minutes
		revoke time.Duration
		want   watched
	}{
		{name: "token", want: watched{[]string{"token-expired"}, time.Hour}},
		{name: "session", in: true, want: watched{[]string{"session-expired"}, 5 * time.Minute}},
		{name: "token in a session", in: true, edit: func(w *world) {
			w.config.Tokens.(tokenTable)[boundToken].Expires = w.now.Add(2 * time.Minute)
		}, want: watched{[]string{"token-expired"}, 2 * time.Minute}},
		{name: "token without an end", edit: func(w *world) {
			w.config.Tokens.(tokenTable)[boundToken].Expires = time.Time{}
		}, revoke: 2 * time.Hour, want: watched{[]string{"token-revoked"}, 2 * time.Hour}},
		{name: "revoked before the end", revoke: time.Minute, want: watched{[]string{"token-revoked"}, time.Minute}},
		{name: "revoked before the session's end", in: true, revoke: time.Minute, want: watched{[]string{"token-revoked"}, time.Minute}},
		{name: "revoked after the end", revoke: 2 * time.Hour, want: watched{[]string{"token-expired"}, time.Hour}},
		{name: "without a list", edit: func(w *world) { w.config.Revocations = nil }, revoke: time.Minute, want: watched{[]string{"token-expired"}, time.Hour}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.now = time.Now()
				w.withSessions()
				set := w.withRevocations()
				w.config.Now = time.Now
				if tc.edit != nil {
					tc.edit(w)
				}
				v := w.verifier(holdfast.Policy{})
				r := w.prove(request("GET", target, ""), boundToken)
				if tc.in {
					r = w.mac(request("GET", target, ""), w.session(v))
				}
				verdict, err := v.Check(r)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				var got watched
				stop := verdict.Watch(func(why *holdfast.Refusal) {
					got.reasons = append(got.reasons, why.Reason)
					got.after = time.Since(begin).Round(time.Second)
				})
				if tc.revoke > 0 {
					time.Sleep(tc.revoke)
					revoke(t, set, w.now, revocation.Client(asURL, "shop"))
				}
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				stop()
				if len(got.reasons) != 1 || got.reasons[0] != tc.want.reasons[0] || got.after != tc.want.after {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			})
		})
	}
}

// TestWatchOfWhatIsOver: what was revoked between the check and the watch ends it.
func TestWatchOfWhatIsOver(t *testing.T) {
	w := newWorld(t).withSessions()
	set := w.withRevocations()
	verdict, err := w.verifier(holdfast.Policy{}).Check(w.prove(request("GET", target, ""), boundToken))
	if err != nil {
		t.Fatal(err)
	}
	revoke(t, set, w.now, revocation.Subject(asURL, "alice"))
	var got string
	verdict.Watch(func(why *holdfast.Refusal) { got = why.Reason })()
	if got != holdfast.ReasonTokenRevoked {
		t.Errorf("got %q, want %s", got, holdfast.ReasonTokenRevoked)
	}
}

// TestWatchStopped: nothing is called, and nothing runs on.
func TestWatchStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = time.Now()
		w.withSessions()
		set := w.withRevocations()
		w.config.Now = time.Now
		verdict, err := w.verifier(holdfast.Policy{}).Check(w.prove(request("GET", target, ""), boundToken))
		if err != nil {
			t.Fatal(err)
		}
		verdict.Watch(func(*holdfast.Refusal) { t.Error("called after stop") })()
		revoke(t, set, w.now, revocation.Subject(asURL, "alice"))
		time.Sleep(2 * time.Hour)
	})
}

// lostList is a list that lost its store.
type lostList struct{ *revocation.Set }

func (lostList) Watch(_ []revocation.Name, revoked func(revocation.Name)) func() {
	revoked(revocation.Name{})
	return func() {}
}

func TestWatchOfALostList(t *testing.T) {
	w := newWorld(t).withSessions()
	w.config.Revocations = lostList{w.withRevocations()}
	verdict, err := w.verifier(holdfast.Policy{}).Check(w.prove(request("GET", target, ""), boundToken))
	if err != nil {
		t.Fatal(err)
	}
	var got string
	verdict.Watch(func(why *holdfast.Refusal) { got = why.Reason })()
	if got != holdfast.ReasonRevocationsUnavailable {
		t.Errorf("got %q, want %s", got, holdfast.ReasonRevocationsUnavailable)
	}
}
