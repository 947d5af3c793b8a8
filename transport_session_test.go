package holdfast_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// resource is a server with sessions, and what it was sent.
type resource struct {
	*world
	*httptest.Server
	answers  *keys.Signer      // the resource's
	before   func(http.Header) // if set, sees a request first
	handler  http.HandlerFunc  // behind the verifier
	lifetime time.Duration     // of sessions; the default, if zero
	clock    atomic.Int64
	with     atomic.Pointer[holdfast.Verifier]

	mu  sync.Mutex
	log []string // guarded by mu
}

func newResource(t *testing.T) *resource {
	t.Helper()
	return newResourceOn(t, httptest.NewServer)
}

func newResourceOn(t *testing.T, serve func(http.Handler) *httptest.Server) *resource {
	t.Helper()
	s := &resource{world: newWorld(t), answers: wireKey(t), handler: echo}
	s.clock.Store(start.UnixNano())
	s.Server = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.record(r.Header)
		if s.before != nil {
			s.before(r.Header)
		}
		s.with.Load().Handler(s.handler).ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	s.config.External = holdfast.External{Hosts: []string{s.Listener.Addr().String()}}
	s.config.Now = s.time
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true, Now: s.time})
	if err != nil {
		t.Fatal(err)
	}
	s.config.Replay = guard
	for text, token := range s.config.Tokens.(tokenTable) {
		token.Hash, token.Expires = sha256.Sum256([]byte(text)), start.Add(time.Hour)
	}
	s.restart("a", holdfast.Policy{Body: holdfast.BodyStreamed})
	return s
}

// restart begins again with another secret. Without one, the server knows no sessions.
func (s *resource) restart(secret string, p holdfast.Policy) {
	s.t.Helper()
	s.config.Signer, s.config.Sessions = s.answers, nil
	if secret != "" {
		windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true, Now: s.time})
		if err != nil {
			s.t.Fatal(err)
		}
		s.config.Sessions = &holdfast.Sessions{
			Secrets: []popsession.Secret{{ID: "s", Key: bytes.Repeat([]byte(secret), 32)}}, Windows: windows,
			Lifetime: s.lifetime,
		}
	}
	s.with.Store(s.verifier(p))
}

func (s *resource) time() time.Time { return time.Unix(0, s.clock.Load()) }

func (s *resource) wait(d time.Duration) { s.clock.Add(int64(d)) }

// record notes how a request proves possession.
func (s *resource) record(h http.Header) {
	said, _, _ := strings.Cut(h.Get("Authorization"), " ")
	if (said == "DPoP") != (h["Dpop"] != nil) {
		said += " with or without proof"
	}
	for _, f := range []struct{ name, short string }{{"Pop-Session-Offer", "offer"}, {"Content-Digest", "digest"}, {"Pop-Stream", "stream"}} {
		if h[f.name] != nil {
			said += "+" + f.short
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, said)
}

// sent checks what was sent since the last time.
func (s *resource) sent(want ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.log); diff != "" {
		s.t.Errorf("requests (-want +got)\n%s", diff)
	}
	s.log = nil
}

var sessionTokens = map[string]oauth2.Token{
	"DPoP":    {AccessToken: boundToken, TokenType: "DPoP"},
	"HTTPSig": {AccessToken: runtimeToken, TokenType: "httpsig"},
}

func (s *resource) client(scheme string) *holdfast.Transport {
	token := sessionTokens[scheme]
	return &holdfast.Transport{Source: oauth2.StaticTokenSource(&token), Signer: s.signer, Now: s.time, ResourceKeys: []*keys.Public{s.answers.Public()}}
}

// get makes a request, which must succeed.
func (s *resource) get(tr http.RoundTripper) {
	s.t.Helper()
	s.post(tr, wireRequest(s.t, "GET", s.URL+"/a?x=1", ""), "")
}

func (s *resource) post(tr http.RoundTripper, r *http.Request, body string) {
	s.t.Helper()
	if status, got := sendVia(s.t, tr, r); status != http.StatusOK || got != "alice: "+body {
		s.t.Fatalf("got %d and %d bytes %q", status, len(got), got[:min(len(got), 100)])
	}
}

func TestTransportSession(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 100_000)
	for scheme := range sessionTokens {
		for _, tc := range []struct {
			name   string
			body   string
			change func(*http.Request)
			want   string
		}{
			{"GET", "", nil, "PoP-Session"},
			{"short", "body", nil, "PoP-Session+digest"},
			{"short, once", "body", func(r *http.Request) { r.GetBody = nil }, "PoP-Session+digest"},
			{"short, once, of unknown length", "body", func(r *http.Request) { oneWay(r) }, "PoP-Session+stream"},
			{"long", long, nil, "PoP-Session+stream"},
			{"long, once", long, func(r *http.Request) { r.GetBody = nil }, "PoP-Session+stream"},
			{"long, once, of unknown length", long, func(r *http.Request) { oneWay(r) }, "PoP-Session+stream"},
			{"of unknown length", long, func(r *http.Request) { r.ContentLength = -1 }, "PoP-Session+stream"},
		} {
			t.Run(scheme+"/"+tc.name, func(t *testing.T) {
				s := newResource(t)
				tr := s.client(scheme)
				var seen []*holdfast.Attempt
				tr.Trace = func(a *holdfast.Attempt) { seen = append(seen, a) }
				s.get(tr)
				for range 2 {
					method := "POST"
					if tc.body == "" {
						method = "GET"
					}
					r := wireRequest(t, method, s.URL, tc.body)
					if tc.change != nil {
						tc.change(r)
					}
					length := r.ContentLength
					s.post(tr, r, tc.body)
					if r.Header["Authorization"] != nil || r.ContentLength != length {
						t.Error("the caller's request was changed")
					}
				}
				s.sent(scheme+"+offer", tc.want, tc.want)
				if got := seen[1]; got.Scheme != holdfast.SchemeSession || !bytes.Contains(got.Base, []byte(`tag="pop-session"`)) ||
					!bytes.Contains(got.Base, []byte(`nonce="1"`)) || bytes.Contains(got.Base, []byte("keyid")) {
					t.Errorf("got attempt %s with base\n%s", got.Scheme, got.Base)
				}
			})
		}
	}
}

// A client that sends only what can't be sent again gets its session, too.
func TestTransportSessionOfStreams(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	for range 2 {
		s.post(tr, oneWay(wireRequest(t, "POST", s.URL, "body")), "body")
	}
	s.wait(4*time.Minute + 31*time.Second) // 29 s are left: too little for it
	s.post(tr, oneWay(wireRequest(t, "POST", s.URL, "body")), "body")
	s.sent("DPoP+offer", "PoP-Session+stream", "DPoP")
}

func TestTransportSessionDigestBody(t *testing.T) {
	s := newResource(t)
	tr := s.client("HTTPSig")
	tr.DigestBody = true
	long := strings.Repeat("x", 2<<20)
	for range 2 {
		s.post(tr, wireRequest(t, "POST", s.URL, long), long)
	}
	s.sent("HTTPSig+offer+digest", "PoP-Session+digest")
}

// The caller's own digest covers the body as well as ours does.
func TestTransportSessionCallersDigest(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	s.get(tr)
	r := oneWay(wireRequest(t, "POST", s.URL, "body"))
	r.Header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA512, []byte("body")))
	s.post(tr, r, "body")
	s.sent("DPoP+offer", "PoP-Session+digest")
}

func TestTransportSessionBearer(t *testing.T) {
	s := newResource(t)
	s.restart("a", holdfast.Policy{Bearer: holdfast.InsecureBearerObserved})
	tr := s.client("DPoP")
	tr.Source = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: bearerToken, TokenType: "Bearer"})
	tr.InsecureAllowBearer = true
	s.get(tr)
	s.get(tr)
	s.sent("Bearer", "Bearer")
}

func TestTransportSessionRenewal(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	s.get(tr)
	s.wait(3*time.Minute + 44*time.Second)
	s.get(tr)
	s.wait(time.Second) // three quarters
	s.post(tr, oneWay(wireRequest(t, "POST", s.URL, "body")), "body")
	s.get(tr)
	s.get(tr)
	s.sent("DPoP+offer", "PoP-Session", "PoP-Session+stream", "DPoP+offer", "PoP-Session")

	// A server that gives no more sessions still takes the old one.
	s.wait(3*time.Minute + 45*time.Second)
	tr.Base = dropping("Pop-Session")
	s.get(tr)
	s.get(tr)
	s.wait(65 * time.Second) // 10 s are left
	s.get(tr)
	s.get(tr)
	s.wait(time.Second)
	s.get(tr)
	s.sent("DPoP+offer", "PoP-Session", "DPoP+offer", "PoP-Session", "DPoP")
}

// dropping is an edge that removes a field from answers.
func dropping(name string) http.RoundTripper {
	return roundTrips(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			resp.Header.Del(name)
		}
		return resp, err
	})
}

// Others go on while one request establishes the session.
func TestTransportSessionConcurrent(t *testing.T) {
	const n = 1000
	s := newResource(t)
	tr := s.client("DPoP")
	var offers atomic.Int32
	others := make(chan struct{}, n)
	base := &http.Transport{MaxConnsPerHost: 32}
	t.Cleanup(base.CloseIdleConnections)
	tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		if r.Header["Pop-Session-Offer"] == nil {
			resp, err := base.RoundTrip(r)
			others <- struct{}{}
			return resp, err
		}
		offers.Add(1)
		for range n - 1 {
			<-others
		}
		return base.RoundTrip(r)
	})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp, err := tr.RoundTrip(wireRequest(t, "GET", s.URL, ""))
			if err != nil {
				t.Error(err)
				return
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("got %d, %v", resp.StatusCode, err)
			}
		})
	}
	wg.Wait()
	if got := offers.Load(); got != 1 {
		t.Errorf("got %d offers, want 1", got)
	}
	s.log = nil
	for range 100 {
		wg.Go(func() { s.get(tr) })
	}
	wg.Wait()
	s.sent(slices.Repeat([]string{"PoP-Session"}, 100)...)
}

// A lost answer doesn't end the offers.
func TestTransportSessionOfferLost(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	tr.Base = roundTrips(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
	if _, err := tr.RoundTrip(wireRequest(t, "GET", s.URL, "")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
	tr.Base = nil
	s.get(tr)
	s.get(tr)
	s.sent("DPoP+offer", "PoP-Session")
}

func TestTransportSessionUnknownOffer(t *testing.T) {
	for _, tc := range []struct {
		name string
		base http.RoundTripper
	}{
		{"no answer", dropping("Pop-Session")},
		{"unsigned answer", dropping("Signature")},
		{"malformed answer", roundTrips(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && resp.Header["Pop-Session"] != nil {
				resp.Header.Set("Pop-Session", "ticket=1")
			}
			return resp, err
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			tr := s.client("HTTPSig")
			tr.Base = tc.base
			s.get(tr)
			s.get(tr)
			s.wait(59 * time.Second)
			s.get(tr)
			s.wait(time.Second)
			s.get(tr)
			s.sent("HTTPSig+offer", "HTTPSig", "HTTPSig", "HTTPSig+offer")
		})
	}
}

// An edge that puts its own share into the answer is found out by the resource's key; without it, no MAC holds.
func TestTransportSessionSwappedShare(t *testing.T) {
	for _, tc := range []struct {
		name string
		keys func(*resource) []*keys.Public
		want []string
	}{
		{"known key", func(s *resource) []*keys.Public { return []*keys.Public{s.answers.Public()} }, []string{"DPoP+offer", "DPoP"}},
		{"no key", func(*resource) []*keys.Public { return nil }, []string{"DPoP+offer", "PoP-Session", "DPoP+offer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			tr := s.client("DPoP")
			tr.ResourceKeys = tc.keys(s)
			other, err := popsession.NewOffer()
			if err != nil {
				t.Fatal(err)
			}
			_, share, _ := strings.Cut(other.Field(), "p256=")
			tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
				resp, err := http.DefaultTransport.RoundTrip(r)
				if err != nil || resp.Header["Pop-Session"] == nil {
					return resp, err
				}
				before, rest, _ := strings.Cut(resp.Header.Get("Pop-Session"), "share=")
				_, after, _ := strings.Cut(rest, ";")
				resp.Header.Set("Pop-Session", before+"share="+share+";"+after)
				return resp, nil
			})
			s.get(tr)
			s.get(tr)
			s.sent(tc.want...)
		})
	}
}

func TestTransportResourceKeys(t *testing.T) {
	s := newResource(t)
	other := wireKey(t).Public()
	for _, tc := range []struct {
		name string
		keys []*keys.Public
		want string
	}{
		{"the key", []*keys.Public{s.answers.Public()}, "PoP-Session"},
		{"among others", []*keys.Public{other, s.answers.Public()}, "PoP-Session"},
		{"another key", []*keys.Public{other}, "DPoP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := s.client("DPoP")
			tr.ResourceKeys = tc.keys
			s.get(tr)
			s.get(tr)
			s.sent("DPoP+offer", tc.want)
		})
	}
	tr := s.client("DPoP")
	tr.ResourceKeys = []*keys.Public{nil}
	_, err := tr.RoundTrip(wireRequest(t, "GET", s.URL, ""))
	refusedAs(t, err, holdfast.TransportMisconfigured)
}

// The ticket tells the server how the client's clock went when it proved its key.
func TestTransportSessionClock(t *testing.T) {
	for _, tc := range []struct {
		name   string
		offset time.Duration
		want   []string
	}{
		{"within the skew", -4 * time.Second, []string{"DPoP+offer", "PoP-Session", "PoP-Session"}},
		{"behind", -2 * time.Hour, []string{"DPoP+offer", "DPoP+offer", "PoP-Session", "PoP-Session"}},
		{"ahead", 2 * time.Hour, []string{"DPoP+offer", "DPoP+offer", "PoP-Session", "PoP-Session"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			s.clock.Store(time.Now().UnixNano()) // net/http dates answers by it
			s.restart("a", holdfast.Policy{})
			tr := s.client("DPoP")
			tr.Now = func() time.Time { return s.time().Add(tc.offset) }
			for range 3 {
				s.get(tr)
			}
			s.sent(tc.want...)
		})
	}
}

// A nonce is asked for before the offer is read, so the retry offers again, and the offer is covered there as well.
func TestTransportSessionNonce(t *testing.T) {
	s := newResource(t)
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: bytes.Repeat([]byte("n"), 32), Scope: "rs", Now: s.time})
	if err != nil {
		t.Fatal(err)
	}
	s.config.Nonces = nonces
	s.restart("a", holdfast.Policy{})
	tr := s.client("DPoP")
	s.get(tr)
	s.get(tr)
	s.sent("DPoP+offer", "DPoP+offer", "PoP-Session")
}

// An offer that waits long for its answer doesn't keep others from offering.
func TestTransportSessionSlowAnswer(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	first := true
	tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if first {
			first = false
			s.get(tr)
			s.wait(10*time.Second + 1)
			s.get(tr)
			s.get(tr)
		}
		return resp, err
	})
	s.get(tr)
	s.get(tr)
	s.sent("DPoP+offer", "DPoP", "DPoP+offer", "PoP-Session", "PoP-Session")
}

// net/http may ask for another copy of a framed body.
func TestTransportSessionBodyAgain(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		if r.GetBody != nil {
			again, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			if err := r.Body.Close(); err != nil {
				return nil, err
			}
			r = r.WithContext(r.Context())
			r.Body = again
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	long := strings.Repeat("x", 2<<20)
	s.get(tr)
	s.post(tr, wireRequest(t, "POST", s.URL, long), long)
	s.sent("DPoP+offer", "PoP-Session+stream")
}

// The body that a caller brings is closed in a session, too.
func TestTransportSessionClosesBody(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	s.get(tr)
	body := &closeCounter{Reader: strings.NewReader("body")}
	r := oneWay(wireRequest(t, "POST", s.URL, "body"))
	r.Body = body
	s.post(tr, r, "body")
	if body.closed.Load() == 0 {
		t.Error("the body wasn't closed")
	}
}

func TestTransportWithoutSessions(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	tr.NoSessions = true
	s.get(tr)
	s.get(tr)
	s.sent("DPoP", "DPoP")
	for _, name := range []string{"PoP-Stream", "pop-session-offer"} {
		r := wireRequest(t, "GET", s.URL, "")
		r.Header[name] = []string{"x"}
		_, err := tr.RoundTrip(r)
		refusedAs(t, err, holdfast.TransportHasProof)
	}
	s.sent()
}

// Each token has its session, and of too many the one used least recently ends.
func TestTransportSessionTokens(t *testing.T) {
	s := newResource(t)
	table := s.config.Tokens.(tokenTable)
	for i := range 9 {
		text, token := fmt.Sprint("token", i), *table[boundToken]
		token.Hash = sha256.Sum256([]byte(text))
		table[text] = &token
	}
	token := &oauth2.Token{TokenType: "DPoP"}
	tr := s.client("DPoP")
	tr.Source = tokenFunc(func() (*oauth2.Token, error) { return token, nil })
	for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, 0, 8, 0, 1} {
		token = &oauth2.Token{TokenType: "DPoP", AccessToken: fmt.Sprint("token", i)}
		s.get(tr)
	}
	s.sent(append(slices.Repeat([]string{"DPoP+offer"}, 8), "PoP-Session", "DPoP+offer", "PoP-Session", "DPoP+offer")...)
}

type tokenFunc func() (*oauth2.Token, error)

func (f tokenFunc) Token() (*oauth2.Token, error) { return f() }

// A redirect within the origin stays in the session.
func TestTransportSessionRedirect(t *testing.T) {
	s := newResource(t)
	tr := s.client("DPoP")
	tr.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && r.URL.Path == "/from" {
			resp.StatusCode = http.StatusTemporaryRedirect
			resp.Header.Set("Location", "/to")
		}
		return resp, err
	})
	for range 2 {
		resp, err := (&http.Client{Transport: tr}).Post(s.URL+"/from", "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("got %d, %v", resp.StatusCode, err)
		}
	}
	s.sent("DPoP+offer", "PoP-Session+digest", "PoP-Session+digest", "PoP-Session+digest")
}
