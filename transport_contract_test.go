package holdfast_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/keys"
)

// snapshot is what a caller can see of its request.
type snapshot struct {
	Method, Host, URL, RawQuery, RawPath, Opaque string
	Header                                       http.Header
	Length                                       int64
	Body                                         io.ReadCloser
	GetBody                                      bool
}

func snap(r *http.Request) snapshot {
	return snapshot{
		Method: r.Method, Host: r.Host, URL: r.URL.String(), RawQuery: r.URL.RawQuery, RawPath: r.URL.RawPath, Opaque: r.URL.Opaque,
		Header: r.Header.Clone(), Length: r.ContentLength, Body: r.Body, GetBody: r.GetBody != nil,
	}
}

// Signing must leave the caller's request alone: existing libraries delete the query from its URL (hazard 14).
func TestHazardCallersURLUntouched(t *testing.T) {
	for _, kind := range []string{"DPoP", "httpsig"} {
		for _, oneway := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/one-way %t", kind, oneway), func(t *testing.T) {
				s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, _ *http.Request) {
					if n == 0 {
						wireChallenge(w, kind+` error="invalid_signature"`, "Accept-Signature", `sig1=("content-digest" "x-a")`)
					}
				})
				tr := &holdfast.Transport{Source: tokenSource(kind), Signer: wireKey(t), Cover: []string{"@query"}, DigestBody: true}
				r := wireRequest(t, "POST", strings.Replace(s.URL, "http:", "HTTP:", 1)+"/a%2Fb?x=1&y=%2F#f", "body")
				r.Header.Set("X-A", "1")
				if oneway {
					oneWay(r)
				}
				before, u := snap(r), r.URL
				sendVia(t, tr, r)
				if all := s.received(t, 2); all[1].body != "body" || all[1].r.RequestURI != "/a%2Fb?x=1&y=%2F" {
					t.Errorf("got %q with body %q", all[1].r.RequestURI, all[1].body)
				}
				same := cmp.Comparer(func(a, b io.ReadCloser) bool { return a == b })
				if diff := cmp.Diff(before, snap(r), same); diff != "" || r.URL != u {
					t.Errorf("the caller's request was changed (-before +after)\n%s", diff)
				}
			})
		}
	}
}

// A proof's key needs crv, or other implementations refuse it (hazard 15).
func TestHazardProofKeyHasCrv(t *testing.T) {
	for alg, crv := range map[keys.Algorithm]string{keys.ES256: "P-256", keys.ES384: "P-384", keys.Ed25519: "Ed25519"} {
		t.Run(string(alg), func(t *testing.T) {
			key, err := keys.Generate(alg)
			if err != nil {
				t.Fatal(err)
			}
			s := newWireServer(t, httptest.NewServer, nil)
			sendVia(t, &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}, wireRequest(t, "GET", s.URL, ""))
			encoded, _, _ := strings.Cut(s.received(t, 1)[0].r.Header.Get("DPoP"), ".")
			header, err := base64.RawURLEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				JWK map[string]any `json:"jwk"`
			}
			if err := json.Unmarshal(header, &got); err != nil {
				t.Fatal(err)
			}
			if got.JWK["crv"] != crv {
				t.Errorf("got crv %v, want %q in %s", got.JWK["crv"], crv, header)
			}
		})
	}
}

// closeCounter is a body that knows whether it was closed.
type closeCounter struct {
	io.Reader
	closed atomic.Int32
}

func (c *closeCounter) Close() error { c.closed.Add(1); return nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A RoundTripper closes the body on every path, errors before anything is sent included.
func TestTransportClosesBody(t *testing.T) {
	key := wireKey(t)
	refuse := func(_ int, w http.ResponseWriter, _ *http.Request) { wireChallenge(w, useNonce, "DPoP-Nonce", "n") }
	long := strings.Repeat("x", 1<<20+1)
	for _, tc := range []struct {
		name   string
		tr     *holdfast.Transport
		body   io.Reader
		change func(*http.Request)
		answer wireAnswer
		want   holdfast.TransportReason
	}{
		{name: "sent", tr: &holdfast.Transport{Source: tokenSource("DPoP")}, body: strings.NewReader("body")},
		{name: "buffered", tr: &holdfast.Transport{Source: tokenSource("DPoP"), DigestBody: true}, body: strings.NewReader("body")},
		{name: "refused, one-way", tr: &holdfast.Transport{Source: tokenSource("DPoP")}, body: strings.NewReader("body"), answer: refuse},
		{name: "refused, sent again", tr: &holdfast.Transport{Source: tokenSource("DPoP")}, body: strings.NewReader("body"), answer: refuse,
			change: func(r *http.Request) {
				r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("body")), nil }
			}},
		{name: "brings a proof", tr: &holdfast.Transport{}, body: strings.NewReader("body"),
			change: func(r *http.Request) { r.Header.Set("DPoP", "x") }, want: holdfast.TransportHasProof},
		{name: "bad target", tr: &holdfast.Transport{}, body: strings.NewReader("body"),
			change: func(r *http.Request) { r.URL.Scheme = "ftp" }, want: holdfast.TransportTargetUnusable},
		{name: "no token", tr: &holdfast.Transport{Source: sourceFunc(func() (*oauth2.Token, error) { return nil, io.EOF })},
			body: strings.NewReader("body"), want: holdfast.TransportNoToken},
		{name: "bearer", tr: &holdfast.Transport{Source: tokenSource("Bearer")}, body: strings.NewReader("body"), want: holdfast.TransportBearerRefused},
		{name: "too long to digest", tr: &holdfast.Transport{Source: tokenSource("DPoP"), DigestBody: true}, body: strings.NewReader(long),
			want: holdfast.TransportBodyUnusable},
		{name: "known to be too long to digest", tr: &holdfast.Transport{Source: tokenSource("DPoP"), DigestBody: true}, body: strings.NewReader(long),
			change: func(r *http.Request) { r.ContentLength = int64(len(long)) }, want: holdfast.TransportBodyUnusable},
		{name: "unreadable", tr: &holdfast.Transport{Source: tokenSource("DPoP"), DigestBody: true}, body: failing{}, want: holdfast.TransportBodyUnusable},
		{name: "GetBody fails", tr: &holdfast.Transport{Source: tokenSource("DPoP"), DigestBody: true}, body: strings.NewReader("body"),
			change: func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, io.EOF } }, want: holdfast.TransportBodyUnusable},
		{name: "GetBody unreadable", tr: &holdfast.Transport{Source: tokenSource("DPoP"), DigestBody: true}, body: strings.NewReader("body"),
			change: func(r *http.Request) {
				r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(failing{}), nil }
			}, want: holdfast.TransportBodyUnusable},
		{name: "GetBody fails later", tr: &holdfast.Transport{Source: tokenSource("DPoP")}, body: strings.NewReader("body"), answer: refuse,
			change: func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, io.EOF } }, want: holdfast.TransportBodyUnusable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, tc.answer)
			tc.tr.Signer = key
			body := &closeCounter{Reader: tc.body}
			r := wireRequest(t, "POST", s.URL, "")
			r.Body = body
			r.ContentLength = -1
			if tc.change != nil {
				tc.change(r)
			}
			resp, err := tc.tr.RoundTrip(r)
			if tc.want != "" {
				refusedAs(t, err, tc.want)
			} else if err != nil {
				t.Fatal(err)
			} else if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if body.closed.Load() == 0 {
				t.Error("the body wasn't closed")
			}
		})
	}
}

// The body of a challenge is closed, and drained as far as that is cheap, before the next attempt.
func TestTransportClosesChallenges(t *testing.T) {
	body := &closeCounter{Reader: io.LimitReader(endless{}, 1<<30)}
	n := 0
	tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: wireKey(t), Base: roundTrips(func(r *http.Request) (*http.Response, error) {
		if n++; n > 1 {
			if body.closed.Load() == 0 {
				t.Error("sent again while the challenge was open")
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}
		h := http.Header{"Www-Authenticate": {useNonce}, "Dpop-Nonce": {"n"}}
		return &http.Response{StatusCode: 401, Header: h, Body: body}, nil
	})}
	sendVia(t, tr, wireRequest(t, "GET", "https://api.example/", ""))
	if read := 1<<30 - body.Reader.(*io.LimitedReader).N; n != 2 || read > 128<<10 {
		t.Errorf("got %d requests, %d bytes read", n, read)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestTransportRedirects(t *testing.T) {
	key := wireKey(t)
	other := newWireServer(t, httptest.NewServer, nil)
	for _, tc := range []struct {
		name, to string
		status   int
		follows  bool
	}{
		{"same origin", "/b?x=1", http.StatusFound, true},
		{"same origin, with body", "/b", http.StatusTemporaryRedirect, true},
		{"same origin, absolute", "SELF/b", http.StatusFound, true},
		{"other host", other.URL + "/b", http.StatusFound, false},
		{"other scheme", "HTTPS/b", http.StatusFound, false},
		{"other host with body", other.URL + "/b", http.StatusPermanentRedirect, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s *wireServer
			s = newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 0 {
					to := strings.Replace(tc.to, "SELF", s.URL, 1)
					to = strings.Replace(to, "HTTPS", strings.Replace(s.URL, "http:", "https:", 1), 1)
					http.Redirect(w, r, to, tc.status)
				}
			})
			client := &http.Client{Transport: &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}}
			resp, err := client.Do(wireRequest(t, "POST", s.URL+"/a", "body"))
			if !tc.follows {
				refusedAs(t, err, holdfast.TransportCrossOrigin)
				s.received(t, 1)
				other.received(t, 0)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			all := s.received(t, 2)
			if a, b := checkDPoP(t, all[0], key, wireToken, nil), checkDPoP(t, all[1], key, wireToken, nil); a.ID() == b.ID() {
				t.Error("the redirected request has the same proof")
			}
		})
	}
	t.Run("two hops", func(t *testing.T) {
		s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, r *http.Request) {
			to := []string{"/b", other.URL}
			http.Redirect(w, r, to[n], http.StatusFound)
		})
		client := &http.Client{Transport: &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}}
		_, err := client.Do(wireRequest(t, "GET", s.URL+"/a", ""))
		refusedAs(t, err, holdfast.TransportCrossOrigin)
		s.received(t, 2)
	})
	t.Run("inherited proof", func(t *testing.T) {
		s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				http.Redirect(w, r, "/b", http.StatusFound)
			}
		})
		client := &http.Client{
			Transport: &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				for _, f := range []string{"Authorization", "DPoP", "Signature", "Signature-Input"} {
					r.Header.Set(f, "stale")
				}
				return nil
			},
		}
		resp, err := client.Do(wireRequest(t, "GET", s.URL+"/a", ""))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		got := s.received(t, 2)[1]
		checkDPoP(t, got, key, wireToken, nil)
		if f := got.r.Header["Signature-Input"]; f != nil {
			t.Errorf("got Signature-Input %q", f)
		}
	})
	t.Run("base that doesn't say what it sent", func(t *testing.T) {
		s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 0 {
				http.Redirect(w, r, "/b", http.StatusFound)
			}
		})
		forgetful := roundTrips(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil {
				resp.Request = nil
			}
			return resp, err
		})
		client := &http.Client{Transport: &holdfast.Transport{Base: forgetful, Source: tokenSource("DPoP"), Signer: key}}
		resp, err := client.Do(wireRequest(t, "GET", s.URL+"/a", ""))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		s.received(t, 2)
	})
	t.Run("unknown origin", func(t *testing.T) {
		r := wireRequest(t, "GET", other.URL, "")
		r.Response = new(http.Response)
		_, err := (&holdfast.Transport{Source: tokenSource("DPoP"), Signer: key}).RoundTrip(r)
		refusedAs(t, err, holdfast.TransportCrossOrigin)
	})
}

func TestTransportTrace(t *testing.T) {
	key := wireKey(t)
	for _, kind := range []string{"DPoP", "httpsig"} {
		t.Run(kind, func(t *testing.T) {
			s := newWireServer(t, httptest.NewServer, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 0 {
					wireChallenge(w, kind+` error="invalid_signature"`, "Accept-Signature", `sig1=("x-a")`)
				}
			})
			var seen []*holdfast.Attempt
			tr := &holdfast.Transport{Source: tokenSource(kind), Signer: key, Trace: func(a *holdfast.Attempt) { seen = append(seen, a) }}
			r := wireRequest(t, "GET", s.URL+"/a", "")
			r.Header.Set("X-A", "1")
			sendVia(t, tr, r)
			if s.received(t, 2); len(seen) != 2 || seen[0].Because != "" || seen[1].Because != "coverage" {
				t.Fatalf("got %d attempts", len(seen))
			}
			want := []string{`"@method": GET`, `"x-a": 1`}
			base := seen[1].Base
			if kind == "DPoP" {
				var claims map[string]any
				if err := json.Unmarshal(seen[1].Base, &claims); err != nil || claims["htu"] != s.URL+"/a" {
					t.Errorf("got claims %s, %v", seen[1].Base, err)
				}
				base = seen[1].Beside
			}
			for _, line := range want {
				if !strings.Contains(string(base), line+"\n") {
					t.Errorf("got base\n%s\nwithout %s", base, line)
				}
			}
		})
	}
}

// One Transport serves any number of goroutines and origins, while servers keep teaching it.
func TestTransportConcurrent(t *testing.T) {
	key := wireKey(t)
	var mu sync.Mutex
	seen := map[string]bool{} // proof → seen; guarded by mu
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proof := r.Header.Get("DPoP") + r.Header.Get("Signature")
		mu.Lock()
		again := seen[proof]
		seen[proof] = true
		n := len(seen)
		mu.Unlock()
		if again {
			t.Error("a proof came twice")
		}
		w.Header().Set("DPoP-Nonce", fmt.Sprint("n", n))
		if n%7 == 0 {
			wireChallenge(w, useNonce, "Accept-Signature", fmt.Sprintf(`a=("x-%d")`, n%20))
		}
	})
	var urls []string
	for range 3 {
		s := httptest.NewServer(handler)
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	tr := &holdfast.Transport{Source: tokenSource("DPoP"), Signer: key, DigestBody: true}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			r := wireRequest(t, "POST", urls[i%len(urls)], "body")
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTransportError(t *testing.T) {
	cause := errors.New("cause")
	err := &holdfast.TransportError{Reason: holdfast.TransportNoToken, Detail: "detail", Err: cause}
	if got, want := err.Error(), "holdfast: transport-no-token: detail: cause"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause isn't wrapped")
	}
}
