package holdfast_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/replay"
)

// The two front doors face each other: whatever a Verifier refuses for the moment, a Transport puts right by itself.
func TestTransportMeetsVerifier(t *testing.T) {
	tokens := map[string]oauth2.Token{
		"DPoP":    {AccessToken: boundToken, TokenType: "DPoP"},
		"httpsig": {AccessToken: runtimeToken, TokenType: "httpsig"},
	}
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: []byte(strings.Repeat("s", 32)), Scope: "rs"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name          string
		policy        holdfast.Policy
		config        func(*world)
		clock         time.Duration // the client's, relative to the server's
		dpop, httpsig int32         // requests for two calls, by scheme
	}{
		{name: "nothing special", dpop: 2, httpsig: 2},
		{name: "nonces", config: func(w *world) { w.config.Nonces = nonces }, dpop: 3, httpsig: 2},
		{name: "the query", policy: holdfast.Policy{Cover: []string{"@query"}}, dpop: 3, httpsig: 2},
		{name: "a field", policy: holdfast.Policy{Cover: []string{"content-type"}}, dpop: 3, httpsig: 3},
		{name: "the body", policy: holdfast.Policy{CoverBody: true, Body: holdfast.BodyBuffered}, dpop: 3, httpsig: 3},
		{name: "everything", policy: holdfast.Policy{Cover: []string{"content-type", "host", "@query"}, CoverBody: true},
			config: func(w *world) { w.config.Nonces = nonces }, dpop: 4, httpsig: 3},
		{name: "client behind", clock: -2 * time.Hour, dpop: 3, httpsig: 3},
		{name: "client ahead", clock: 2 * time.Hour, dpop: 3, httpsig: 3},
	} {
		for kind, token := range tokens {
			t.Run(tc.name+"/"+kind, func(t *testing.T) {
				w := newWorld(t)
				w.now = time.Now()
				if tc.config != nil {
					tc.config(w)
				}
				var requests atomic.Int32
				var v *holdfast.Verifier
				s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					v.Handler(http.HandlerFunc(echo)).ServeHTTP(rw, r)
				}))
				t.Cleanup(s.Close)
				w.config.External = holdfast.External{Hosts: []string{s.Listener.Addr().String()}}
				w.config.Replay = w.newGuard(replay.MemoryConfig{InsecureAcceptOlder: true})
				v = w.verifier(tc.policy)
				client := &http.Client{Transport: &holdfast.Transport{
					Source: oauth2.StaticTokenSource(&token), Signer: w.signer, Now: func() time.Time { return w.now.Add(tc.clock) },
				}}
				for range 2 {
					resp, err := client.Post(s.URL+"/a%2Fb?q=1", "text/plain", strings.NewReader("body"))
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil {
						t.Fatal(err)
					}
					if err := resp.Body.Close(); err != nil {
						t.Fatal(err)
					}
					if resp.StatusCode != http.StatusOK || string(body) != "alice: body" {
						t.Fatalf("got %d %q, %v", resp.StatusCode, body, resp.Header)
					}
				}
				if got, want := requests.Load(), map[string]int32{"DPoP": tc.dpop, "httpsig": tc.httpsig}[kind]; got != want {
					t.Errorf("got %d requests, want %d", got, want)
				}
			})
		}
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	verdict, ok := holdfast.FromContext(r.Context())
	body, err := io.ReadAll(r.Body)
	if !ok || err != nil {
		http.Error(w, "unverified", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s: %s", verdict.Token.Subject, body)
}

// burntGuard takes the first proof for one that was seen before, as it is when net/http has sent it twice.
type burntGuard struct {
	replay.Guard
	spent atomic.Bool
}

func (g *burntGuard) Claim(ctx context.Context, c replay.Claim) error {
	if g.spent.CompareAndSwap(false, true) {
		return replay.ErrReplayed
	}
	return g.Guard.Claim(ctx, c)
}

func TestTransportMeetsReplayGuard(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now()
	w.config.Replay = &burntGuard{Guard: w.newGuard(replay.MemoryConfig{InsecureAcceptOlder: true})}
	var v *holdfast.Verifier
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v.Handler(http.HandlerFunc(echo)).ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	w.config.External = holdfast.External{Hosts: []string{s.Listener.Addr().String()}}
	v = w.verifier(holdfast.Policy{})
	var because []string
	tr := &holdfast.Transport{
		Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: boundToken, TokenType: "DPoP"}), Signer: w.signer,
		Trace: func(a *holdfast.Attempt) { because = append(because, a.Because) },
	}
	if status, body := sendVia(t, tr, wireRequest(t, "GET", s.URL, "")); status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
	if got := strings.Join(because, ","); got != ",replayed" {
		t.Errorf("got attempts %q", got)
	}
}
