package gateway

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
)

var schemes = []holdfast.Scheme{holdfast.SchemeDPoP, holdfast.SchemeHTTPSig}

// Hazard 6: the decoded path is checked instead of the path as sent.
func TestHazardDecodedPath(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(string(scheme), func(t *testing.T) {
			s, up := newStage(t), newUpstream(t)
			g := s.protect(up, holdfast.Policy{})
			for _, tc := range []struct {
				name, signed, sent string
				status             int
			}{
				{"as signed", "/files/a%2Fb?x=%zz", "/files/a%2Fb?x=%zz", http.StatusOK},
				{"decoded", "/files/a%2Fb", "/files/a/b", http.StatusUnauthorized},
				{"encoded", "/files/a/b", "/files/a%2Fb", http.StatusUnauthorized},
				{"another path", "/files/a", "/files/b", http.StatusUnauthorized},
			} {
				t.Run(tc.name, func(t *testing.T) {
					res := raw(t, g.address, wire("GET", tc.sent, s.signed(scheme, "GET", audience+tc.signed, ""), "\r\n"))
					if res.StatusCode != tc.status {
						t.Fatalf("status %d (%s), want %d", res.StatusCode, s.observed.last(), tc.status)
					}
					if tc.status != http.StatusOK {
						return
					}
					if got := (<-up.seen).target; got != tc.sent {
						t.Errorf("upstream saw %q, want %q", got, tc.sent)
					}
				})
			}
			if len(up.seen) > 0 {
				t.Errorf("upstream saw %q", (<-up.seen).target)
			}
		})
	}
}

// A lax route mustn't open a strict one of the same upstream.
func TestHazardPathOfAnotherRoute(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{}, func(c *Config) {
		c.Routes = []Route{{Path: "/", Upstream: up.url(t), InsecurePublic: true}, {Path: "/admin", Upstream: up.url(t)}}
	})
	for _, target := range []string{"/%61dmin", "/x/../admin", "/admin%2Fusers", "/Admin", "/x/..%2Fadmin", "/x/%2e%2e/admin",
		"/admin;x", "/x/..;/admin", "/%2561dmin", "//admin", `/x\..\admin`, "/admin%00"} {
		t.Run(target, func(t *testing.T) {
			res := raw(t, g.address, wire("GET", target, nil, "\r\n"))
			if res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnauthorized {
				t.Errorf("status %d, want a refusal", res.StatusCode)
			}
		})
	}
	if len(up.seen) > 0 {
		t.Errorf("upstream saw %q", (<-up.seen).target)
	}
}

// Hazard 7: the body is swapped although its digest is covered. No upstream sees a good end of it, and the client
// learns why.
func TestHazardBodySwapped(t *testing.T) {
	for _, scheme := range schemes {
		for _, size := range []int{1, 100, 1 << 20} {
			for _, chunked := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d bytes/chunked %t", scheme, size, chunked), func(t *testing.T) {
					s, up := newStage(t), newUpstream(t)
					g := s.protect(up, holdfast.Policy{CoverBody: true})
					body := bytes.Repeat([]byte("x"), size)
					s.post(g, up, scheme, body, body, chunked, true)
					changed := bytes.Clone(body)
					changed[size-1] = 'y'
					s.post(g, up, scheme, body, changed, chunked, false)
				})
			}
		}
	}
}

// post sends a body under the digest of another one, and checks what either side sees of it.
func (s *stage) post(g *front, up *upstream, scheme holdfast.Scheme, signed, sent []byte, chunked, good bool) {
	s.t.Helper()
	c := s.caller(g, scheme, func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
		if chunked {
			r.ContentLength = -1
		}
	})
	// DPoP covers the body by a signature beside the proof, which the gateway asks for and the transport then adds.
	res, err := c.Do(request(s.t, "POST", audience+"/", bytes.NewReader(signed)))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if good {
		if res.StatusCode != http.StatusOK {
			s.t.Fatalf("status %d (%s), want 200", res.StatusCode, s.observed.last())
		}
		if got := <-up.seen; got.bodyErr != nil || !bytes.Equal(got.body, sent) {
			s.t.Fatalf("upstream read %d bytes, %v, want all %d", len(got.body), got.bodyErr, len(sent))
		}
		return
	}
	if got := reasonOf(s.t, res); res.StatusCode != http.StatusBadRequest || got != "digest-mismatch" {
		s.t.Errorf("got %d, %s, want 400 and digest-mismatch", res.StatusCode, got)
	}
	if got := s.observed.last(); got != "digest-mismatch" {
		s.t.Errorf("observers were told %q last, want digest-mismatch", got)
	}
	up.Close() // waits for its handlers
	for len(up.seen) > 0 {
		if got := <-up.seen; got.bodyErr == nil {
			s.t.Errorf("upstream saw a good end after %d bytes", len(got.body))
		} else if len(got.body) >= len(sent) {
			s.t.Errorf("upstream got all %d bytes", len(got.body))
		}
	}
}

// An upstream over HTTP/2 sees a reset stream.
func TestHazardBodySwappedHTTP2(t *testing.T) {
	s := newStage(t)
	up := &upstream{seen: make(chan *seen, 10)}
	up.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		up.seen <- &seen{body: body, bodyErr: err}
	}))
	up.Config.Protocols = new(http.Protocols)
	up.Config.Protocols.SetUnencryptedHTTP2(true)
	up.Start()
	t.Cleanup(up.Close)
	g := s.protect(up, holdfast.Policy{CoverBody: true}, func(c *Config) { c.Routes[0].Upstream.Scheme = "h2c" })
	body := bytes.Repeat([]byte("x"), 100_000)
	changed := bytes.Clone(body)
	changed[0] = 'y'
	s.post(g, up, holdfast.SchemeHTTPSig, body, body, false, true)
	s.post(g, up, holdfast.SchemeHTTPSig, body, changed, false, false)
}

// A body that was taken away is a changed one too.
func TestHazardBodyRemoved(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{})
	h := s.signed(holdfast.SchemeHTTPSig, "POST", audience+"/", "pay")
	res := raw(t, g.address, wire("POST", "/", h, "Content-Length: 0\r\n\r\n"))
	if got := reasonOf(t, res); got != "digest-mismatch" || res.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d, %s, want 400 and digest-mismatch", res.StatusCode, got)
	}
	if len(up.seen) > 0 {
		t.Error("upstream was asked")
	}
}

// A client that leaves in the middle of its body is no client that ended it.
func TestHazardBodyCutShort(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{})
	body := strings.Repeat("x", 100_000)
	h := s.signed(holdfast.SchemeHTTPSig, "POST", audience+"/", body)
	res := raw(t, g.address, wire("POST", "/", h, "Transfer-Encoding: chunked\r\n\r\n1000\r\n"+body[:0x1000]+"\r\nzz\r\n"))
	if got := reasonOf(t, res); got != ReasonBody {
		t.Errorf("got %s, want %s", got, ReasonBody)
	}
	up.Close()
	for len(up.seen) > 0 {
		if got := <-up.seen; got.bodyErr == nil {
			t.Errorf("upstream saw a good end after %d bytes", len(got.body))
		}
	}
}

// Hazard 11: a bound token as Bearer, under a scheme in other letters, or no credential at all.
func TestHazardBoundTokenAsBearer(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{})
	token := s.token(holdfast.SchemeDPoP, time.Minute)
	good := func() http.Header { return s.signed(holdfast.SchemeDPoP, "GET", audience+"/", "") }
	for _, tc := range []struct {
		name   string
		header func() http.Header
		reason string
	}{
		{"none", func() http.Header { return nil }, holdfast.ReasonCredentialMissing},
		{"Bearer", func() http.Header { return http.Header{"Authorization": {"Bearer " + token}} }, holdfast.ReasonDowngrade},
		{"bEARER", func() http.Header { return http.Header{"Authorization": {"bEARER " + token}} }, holdfast.ReasonDowngrade},
		{"Bearer with a proof", func() http.Header {
			h := good()
			h.Set("Authorization", strings.Replace(h.Get("Authorization"), "DPoP ", "Bearer ", 1))
			return h
		}, holdfast.ReasonDowngrade},
		{"no proof", func() http.Header { return http.Header{"Authorization": {"DPoP " + token}} }, "dpop-field-count"},
		{"unbound", func() http.Header {
			return http.Header{"Authorization": {"Bearer " + s.token(holdfast.SchemeBearer, time.Minute)}}
		}, holdfast.ReasonUnbound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := raw(t, g.address, wire("GET", "/", tc.header(), "\r\n"))
			if got := reasonOf(t, res); got != tc.reason || res.StatusCode != http.StatusUnauthorized {
				t.Errorf("got %d, %s, want 401 and %s", res.StatusCode, got, tc.reason)
			}
		})
	}
	if res := raw(t, g.address, wire("GET", "/", good(), "\r\n")); res.StatusCode != http.StatusOK {
		t.Errorf("the good request: status %d", res.StatusCode)
	}
	if len(up.seen) != 1 {
		t.Errorf("upstream was asked %d times, want once", len(up.seen))
	}
}

// Hazard 12: a client's X-Forwarded-Host decides what a proof is compared with.
func TestHazardForwardedHostByClient(t *testing.T) {
	forge := func(h http.Header) http.Header {
		h.Set("X-Forwarded-Host", "other.example")
		h.Set("X-Forwarded-Proto", "https")
		return h
	}
	for _, scheme := range schemes {
		t.Run(string(scheme), func(t *testing.T) {
			s, up := newStage(t), newUpstream(t)
			g := s.protect(up, holdfast.Policy{}, func(c *Config) {
				c.Verifier = s.verifier(holdfast.External{Hosts: []string{"api.example", "other.example"}})
			})
			res := raw(t, g.address, wire("GET", "/", forge(s.signed(scheme, "GET", "https://other.example/", "")), "\r\n"))
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("relayed from another host: status %d, want 401", res.StatusCode)
			}
			res = raw(t, g.address, wire("GET", "/", forge(s.signed(scheme, "GET", "http://api.example/", "")), "\r\n"))
			if res.StatusCode != http.StatusOK {
				t.Fatalf("honest: status %d (%s)", res.StatusCode, s.observed.last())
			}
			h := (<-up.seen).header
			if host, proto := h.Get("X-Forwarded-Host"), h.Get("X-Forwarded-Proto"); host != "api.example" || proto != "http" {
				t.Errorf("upstream was told %s and %s, want what was verified", host, proto)
			}
		})
	}
}

// A trusted edge that forwards for one host mustn't open the route of another.
func TestHazardVerifiedForAnotherHost(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{}, func(c *Config) {
		c.Routes = []Route{
			{Host: "lax.example", Path: "/", Upstream: up.url(t)},
			{Host: "api.example", Path: "/", Upstream: up.url(t), Policy: holdfast.Policy{Scope: []string{"admin"}}},
		}
		c.Verifier = s.verifier(holdfast.External{
			Hosts: []string{"api.example", "lax.example"}, TrustedPeers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		})
	})
	h := s.signed(holdfast.SchemeDPoP, "GET", audience+"/", "")
	h.Set("X-Forwarded-Proto", "https")
	h.Set("X-Forwarded-Host", "api.example")
	text := strings.Replace(wire("GET", "/", h, "\r\n"), "Host: api.example", "Host: lax.example", 1)
	res := raw(t, g.address, text)
	if got := reasonOf(t, res); got != ReasonHost || res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("got %d, %s, want 421 and %s", res.StatusCode, got, ReasonHost)
	}
	if len(up.seen) > 0 {
		t.Error("upstream was asked")
	}
}

// Hazard 14: behind TLS offload, or with a query in the URL, an honest proof is refused, or the URL is rewritten.
func TestHazardTLSOffloadWithQuery(t *testing.T) {
	for _, tc := range []struct {
		name     string
		external holdfast.External
		edit     func(*http.Request)
	}{
		{"fixed origin", holdfast.External{Origin: audience}, func(*http.Request) {}},
		{"trusted edge", holdfast.External{Hosts: []string{"api.example"}, TrustedPeers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
			func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }},
	} {
		for _, scheme := range schemes {
			t.Run(tc.name+"/"+string(scheme), func(t *testing.T) {
				s, up := newStage(t), newUpstream(t)
				g := s.protect(up, holdfast.Policy{Cover: []string{"@query"}}, func(c *Config) { c.Verifier = s.verifier(tc.external) })
				const target = "/search?q=a%20b&&empty=&q=%zz"
				r := request(t, "GET", audience+target, nil)
				res, body := do(t, s.caller(g, scheme, tc.edit), r)
				if res.StatusCode != http.StatusOK {
					t.Fatalf("status %d: %s", res.StatusCode, body)
				}
				got := <-up.seen
				if got.target != target || r.URL.String() != audience+target {
					t.Errorf("upstream saw %q, the caller's URL is %q, want %q in both", got.target, r.URL, target)
				}
				if host, proto := got.header.Get("X-Forwarded-Host"), got.header.Get("X-Forwarded-Proto"); host != "api.example" || proto != "https" {
					t.Errorf("upstream was told %s and %s", host, proto)
				}
			})
		}
	}
}

// Hazard 22: a large body is read before any key is looked at. The client here announces one and sends none of it, so
// whoever waits for a byte of it doesn't answer.
func TestHazardUnsignedBodyRead(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{CoverBody: true, Body: holdfast.BodyBuffered, BodyLimit: 64 << 20})
	length := "Content-Length: " + strconv.Itoa(64<<20) + "\r\n\r\n"
	stolen := s.signed(holdfast.SchemeHTTPSig, "POST", audience+"/other", rand.Text())
	for _, tc := range []struct {
		name   string
		header http.Header
	}{
		{"unsigned", http.Header{}},
		{"token alone", http.Header{"Authorization": stolen["Authorization"]}},
		{"badly signed", stolen},
	} {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			t.Run(tc.name+" "+strings.TrimSpace(expect), func(t *testing.T) {
				res := raw(t, g.address, wire("POST", "/", tc.header, expect+length))
				if res.StatusCode != http.StatusUnauthorized {
					t.Errorf("status %d, want 401", res.StatusCode)
				}
			})
		}
	}
	if len(up.seen) > 0 {
		t.Error("upstream was asked")
	}
}
