package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
	"github.com/holdfast-project/holdfast/signedurl"
)

// withSessions lets clients begin sessions.
func (s *stage) withSessions(cfg *holdfast.Config) {
	s.t.Helper()
	windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true, Now: cfg.Now})
	if err != nil {
		s.t.Fatal(err)
	}
	cfg.Signer = s.issuer
	cfg.Sessions = &holdfast.Sessions{
		Secrets: []popsession.Secret{{ID: "1", Key: bytes.Repeat([]byte{1}, 32)}}, Windows: windows,
	}
}

// resume serves a gateway for https://api.example that knows sessions.
func (s *stage) resume(u *upstream, edit ...func(*Config)) *front {
	s.t.Helper()
	return s.protect(u, holdfast.Policy{}, append([]func(*Config){func(c *Config) {
		c.Verifier = s.verifier(holdfast.External{Origin: audience}, s.withSessions)
	}}, edit...)...)
}

// signURL signs a URL of https://api.example in a new session, and returns its request target.
func (s *stage) signURL(g *front, method, target string) string {
	s.t.Helper()
	signed, err := s.transport(holdfast.SchemeDPoP, edge(g.address)).SignURL(s.t.Context(), method, audience+target, 0)
	if err != nil {
		s.t.Fatalf("%v (%s)", err, s.observed.last())
	}
	return strings.TrimPrefix(signed, audience)
}

// values are the secrets of a signed URL.
func values(t *testing.T, target string) []string {
	t.Helper()
	query := target[strings.IndexByte(target, '?')+1:]
	var out []string
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "pop-") {
			out = append(out, value)
			if plain, err := url.QueryUnescape(value); err == nil && plain != value {
				out = append(out, plain)
			}
		}
	}
	if len(out) < 3 {
		t.Fatalf("%d values in a signed URL", len(out))
	}
	return out
}

// dump is all that a request told.
func dump(s *seen) string {
	var b strings.Builder
	io.WriteString(&b, s.method+" "+s.target+"\n"+s.host+"\n")
	s.header.Write(&b)
	return b.String()
}

// The upstream gets the URL as it was before it was signed, byte for byte, and nothing of its proof.
func TestSignedURLToTheUpstream(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.resume(up, withIdentity(newSigner(t)))
	for _, target := range []string{"/video", "/video?x=1&y=%20", "/a%2Fb?"} {
		t.Run(target, func(t *testing.T) {
			signed := s.signURL(g, "GET", target)
			<-up.seen // the request that began the session
			if res := raw(t, g.address, wire("GET", signed, http.Header{}, "\r\n")); res.StatusCode != http.StatusOK {
				t.Fatalf("status %d (%s)", res.StatusCode, s.observed.last())
			}
			got := <-up.seen
			if got.target != target {
				t.Errorf("got %s, want %s", got.target, target)
			}
			if got.header.Get("X-Holdfast-Scheme") != "signed URL" || got.header.Get("X-Holdfast-Subject") != "alice" {
				t.Errorf("the upstream was told %v", got.header)
			}
			for _, v := range values(t, signed) {
				if strings.Contains(dump(got), v) {
					t.Errorf("the upstream saw a part of the proof in\n%s", signedurl.Redact(dump(got)))
				}
			}
		})
	}
}

// What an edge wrote into its log can't be used by whoever reads that.
func TestSignedURLLeakedAfterUse(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.resume(up)
	signed := s.signURL(g, "GET", "/video")
	var logged string
	middlebox := roundTripper(func(r *http.Request) (*http.Response, error) {
		logged = r.Method + " " + r.URL.RequestURI() + " " + r.Proto
		return edge(g.address).RoundTrip(r)
	})
	if res, _ := do(t, &http.Client{Transport: middlebox}, request(t, "GET", audience+signed, nil)); res.StatusCode != http.StatusOK {
		t.Fatalf("status %d (%s)", res.StatusCode, s.observed.last())
	}
	if !strings.Contains(logged, "pop-sig=") {
		t.Fatal("the middlebox saw no signed URL")
	}
	res := raw(t, g.address, logged+"\r\nHost: api.example\r\n\r\n")
	if got := reasonOf(t, res); res.StatusCode != http.StatusUnauthorized || got != holdfast.ReasonReplayed {
		t.Errorf("got %d %s, want 401 %s", res.StatusCode, got, holdfast.ReasonReplayed)
	}
}

// A shared cache would serve the second use of a URL, and a page would hand it on in Referer: whatever the upstream says.
func TestAnswerToASignedURL(t *testing.T) {
	s := newStage(t)
	up := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Referrer-Policy", "unsafe-url")
		io.WriteString(w, "ok")
	})
	g := s.resume(up)
	res := raw(t, g.address, wire("GET", s.signURL(g, "GET", "/page"), http.Header{}, "\r\n"))
	if got := res.Header.Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
	if got := res.Header.Values("Referrer-Policy"); len(got) != 1 || got[0] != "no-referrer" {
		t.Errorf("got Referrer-Policy %q, want no-referrer", got)
	}
	// Other answers are the upstream's.
	ordinary, _ := do(t, s.caller(g, holdfast.SchemeHTTPSig), request(t, "GET", audience+"/page", nil))
	if ordinary.Header.Get("Referrer-Policy") != "unsafe-url" {
		t.Errorf("an ordinary answer has Referrer-Policy %q", ordinary.Header.Get("Referrer-Policy"))
	}
}

// No refusal holds anything of the URL, whatever was changed.
func TestSignedURLRefusals(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	told := new(refusals)
	g := s.resume(up, func(c *Config) {
		c.Verifier = s.verifier(holdfast.External{Origin: audience}, s.withSessions, func(vc *holdfast.Config) { vc.Observers = []holdfast.Observer{told} })
		c.Observers = []holdfast.Observer{told}
	})
	replace := func(old, with string) func(string) string {
		return func(line string) string { return strings.Replace(line, old, with, 1) }
	}
	for _, tc := range []struct {
		name   string
		change func(line string) string
		fields string
		reason string
	}{
		{"other path", replace("/video", "/audio"), "", string(signedurl.BadSignature)},
		{"other query", replace("x=1", "x=2"), "", string(signedurl.BadSignature)},
		{"other method", replace("GET ", "HEAD "), "", ""},
		{"method with a body", replace("GET ", "POST "), "", string(signedurl.BadMethod)},
		{"parameter behind", replace(" HTTP/1.1", "&y=1 HTTP/1.1"), "", string(signedurl.Malformed)},
		{"twice", replace("?x=1", "?pop-sig=a&x=1"), "", string(signedurl.Malformed)},
		{"ticket changed", replace("pop-ticket=", "pop-ticket=AAAA"), "", string(popsession.UnknownTicket)},
		{"dot segment", replace("/video", "/../video"), "", ReasonPath},
		{"absolute form of another kind", replace("GET /", "GET HTTP://api.example/"), "", ReasonPath},
		{"token beside it", replace("", ""), "Authorization: Bearer x\r\n", holdfast.ReasonCredentialAmbiguous},
		{"body beside it", replace("", ""), "Transfer-Encoding: chunked\r\n", holdfast.ReasonCoverage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			signed := s.signURL(g, "GET", "/video?x=1")
			<-up.seen
			body := ""
			if strings.HasPrefix(tc.fields, "Transfer") {
				body = "0\r\n\r\n"
			}
			told.clear()
			res := raw(t, g.address, tc.change("GET "+signed+" HTTP/1.1")+"\r\nHost: api.example\r\n"+tc.fields+"\r\n"+body)
			if res.StatusCode < 400 {
				t.Fatalf("status %d", res.StatusCode)
			}
			if tc.reason != "" {
				if got := reasonOf(t, res); got != tc.reason {
					t.Errorf("got %s, want %s", got, tc.reason)
				}
			}
			for _, v := range values(t, signed) {
				if strings.Contains(told.String(), v) {
					t.Errorf("observers were told a part of the proof: %s", told)
				}
			}
		})
	}
	if len(up.seen) > 0 {
		t.Errorf("the upstream saw %s", (<-up.seen).target)
	}
}

// refusals collects all that observers are told of refusals.
type refusals struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (o *refusals) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

func (o *refusals) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *refusals) Observe(_ context.Context, _ *http.Request, _ *holdfast.Verdict, r *holdfast.Refusal) {
	if r == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintln(&o.text, r, r.Err)
}
