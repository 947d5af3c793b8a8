package holdfast_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/replay"
)

// protocols are the servers that responses are tested over.
var protocols = map[string]func(http.Handler) *httptest.Server{
	"HTTP1": httptest.NewServer,
	"HTTP2": func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.EnableHTTP2 = true
		s.StartTLS()
		return s
	},
}

// signedClient is a client that takes signed responses only, and notes how each was signed.
type signedClient struct {
	*holdfast.Transport
	forms []string
}

// signing returns one. between, if set, changes responses on their way, after they were noted.
func (s *resource) signing(scheme string, between func(*http.Response)) *signedClient {
	c := &signedClient{Transport: s.client(scheme)}
	base := s.Client().Transport
	c.RequireSignedResponses = true
	c.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil {
			c.forms = append(c.forms, formOf(resp))
			if between != nil {
				between(resp)
			}
		}
		return resp, err
	})
	return c
}

// formOf tells how a response is signed, by what it covers.
func formOf(resp *http.Response) string {
	form := "unsigned"
	if _, announced := resp.Trailer["Signature-Input"]; announced {
		form = "trailer"
	}
	inputs, _ := httpsig.ParseInputs(resp.Header)
	for _, in := range inputs {
		if in.Tag() != holdfast.TagResponse {
			continue
		}
		form = "header"
		if in.Covers(httpsig.Components("content-digest")[0]) {
			form = "digest"
		} else if in.Covers(httpsig.Components("pop-stream")[0]) {
			form = "frames"
		}
		if in.KeyID() == "" {
			form += ", MAC"
		}
	}
	return form
}

// begin makes a first request, after which a client is in a session, and returns what its response was.
func (c *signedClient) begin(s *resource) {
	s.t.Helper()
	status, body := sendVia(s.t, c, wireRequest(s.t, "GET", s.URL+"/first", ""))
	if status != http.StatusOK || c.forms[0] != "digest" {
		s.t.Fatalf("the first response: got %d, %d bytes, signed by %v", status, len(body), c.forms)
	}
	c.forms = nil
}

const longLength = 200_000

var longText = strings.Repeat("0123456789abcdef", longLength/16)

// answers are handlers, with what they answer and how that is signed outside and inside a session.
var signedAnswers = []struct {
	name     string
	method   string
	handler  http.HandlerFunc
	status   int
	body     string
	outside  string
	inside   string
	typeSent string // Content-Type
}{
	{"short", "GET", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "short") },
		200, "short", "digest", "digest, MAC", "text/plain; charset=utf-8"},
	{"empty", "GET", func(http.ResponseWriter, *http.Request) {}, 200, "", "digest", "digest, MAC", ""},
	{"status and type", "POST", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("Content-Type", "too/late")
		io.WriteString(w, "{}")
	}, 418, "{}", "digest", "digest, MAC", "application/json"},
	{"in pieces", "GET", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			io.WriteString(w, longText[i*100:(i+1)*100])
		}
	}, 200, longText[:10_000], "digest", "digest, MAC", "text/plain; charset=utf-8"},
	{"announced and flushed", "GET", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		w.(http.Flusher).Flush()
		for range 2 {
			io.WriteString(w, "abc")
			w.(http.Flusher).Flush()
		}
	}, 200, "abcabc", "digest", "digest, MAC", "text/plain; charset=utf-8"},
	{"long", "GET", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, longText) },
		200, longText, "trailer", "frames, MAC", "text/plain; charset=utf-8"},
	{"long, announced", "GET", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200000")
		io.Copy(w, strings.NewReader(longText))
	}, 200, longText, "trailer", "frames, MAC", "text/plain; charset=utf-8"},
	{"flushed", "GET", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		for range 3 {
			io.WriteString(w, "event\n")
			http.NewResponseController(w).Flush()
		}
	}, 200, "event\nevent\nevent\n", "trailer", "frames, MAC", ""},
	{"digest of the handler", "GET", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Digest", contentdigest.Sum(contentdigest.SHA512, []byte(longText)))
		io.WriteString(w, longText)
	}, 200, longText, "digest", "digest, MAC", "text/plain; charset=utf-8"},
	{"compressed by the handler", "GET", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		io.WriteString(w, "not guessed")
	}, 200, "not guessed", "digest", "digest, MAC", ""},
	{"none", "DELETE", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
			panic(err)
		}
	}, 204, "", "header", "header, MAC", ""},
	{"not modified", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		304, "", "header", "header, MAC", ""},
	{"HEAD", "HEAD", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "not sent") },
		200, "", "header", "header, MAC", "text/plain; charset=utf-8"},
	{"HEAD of long", "HEAD", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200000")
		io.WriteString(w, longText)
	}, 200, "", "header", "header, MAC", "text/plain; charset=utf-8"},
	{"redirect", "GET", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		302, "<a href=\"/elsewhere\">Found</a>.\n\n", "digest", "digest, MAC", "text/html; charset=utf-8"},
	{"error", "GET", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		404, "404 page not found\n", "digest", "digest, MAC", "text/plain; charset=utf-8"},
	{"after an interim one", "GET", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "final")
	}, 200, "final", "digest", "digest, MAC", "text/plain; charset=utf-8"},
}

func TestSignedResponse(t *testing.T) {
	for protocol, serve := range protocols {
		for scheme := range sessionTokens {
			for _, tc := range signedAnswers {
				t.Run(protocol+"/"+scheme+"/"+tc.name, func(t *testing.T) {
					s := newResourceOn(t, serve)
					for _, session := range []bool{false, true} {
						want := tc.outside
						c := s.signing(scheme, nil)
						c.NoSessions = !session
						if session {
							c.begin(s)
							want = tc.inside
						}
						s.handler = tc.handler
						resp, err := c.RoundTrip(wireRequest(t, tc.method, s.URL+"/a%2Fb?x=1", ""))
						if err != nil {
							t.Fatal(err)
						}
						body, err := io.ReadAll(resp.Body)
						if err != nil || string(body) != tc.body || resp.StatusCode != tc.status {
							t.Errorf("got %d, %d bytes, %v, want %d and %d bytes", resp.StatusCode, len(body), err, tc.status, len(tc.body))
						}
						if len(c.forms) != 1 || c.forms[0] != want {
							t.Errorf("got signed by %q, want %q", c.forms, want)
						}
						if got := resp.Header.Get("Content-Type"); got != tc.typeSent {
							t.Errorf("got Content-Type %q, want %q", got, tc.typeSent)
						}
						if len(resp.Trailer) != 0 || resp.Header["Pop-Stream"] != nil || resp.Header.Get("Vary") != "*" {
							t.Errorf("got trailer %v and header %v", resp.Trailer, resp.Header)
						}
						if resp.ContentLength >= 0 && tc.method != "HEAD" && tc.status != 304 && resp.ContentLength != int64(len(body)) {
							t.Errorf("got Content-Length %d of %d bytes", resp.ContentLength, len(body))
						}
						s.handler = echo
					}
				})
			}
		}
	}
}

// An observed bearer token's response is bound to the token.
func TestSignedResponseToBearer(t *testing.T) {
	s := newResource(t)
	s.restart("", holdfast.Policy{Bearer: holdfast.InsecureBearerObserved})
	c := s.signing("DPoP", nil)
	c.Source, c.InsecureAllowBearer = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: bearerToken, TokenType: "Bearer"}), true
	s.get(c)
	if !slices.Equal(c.forms, []string{"digest"}) {
		t.Errorf("got %q", c.forms)
	}
	// The request has no proof that is its own. An answer to another one has another nonce.
	base := c.Base
	c.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
		again := r.Clone(r.Context())
		again.Header.Set("Accept-Signature", strings.Replace(r.Header.Get("Accept-Signature"), `nonce="`, `nonce="A`, 1))
		return base.RoundTrip(again)
	})
	if _, end := receive(t, c, wireRequest(t, "GET", s.URL+"/a?x=1", "")); end == nil || end.Reason != mismatchReason || end.Part != "signature" {
		t.Errorf("got %v", end)
	}
}

// A policy can sign what nobody asked for. Frames are for those who said that they take them.
func TestSignResponses(t *testing.T) {
	s := newResource(t)
	s.restart("a", holdfast.Policy{SignResponses: true, CoverResponse: []string{"x-balance", `"set-cookie";bs`}})
	s.handler = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Balance", "7")
		io.WriteString(w, longText)
	}
	c := s.signing("DPoP", nil)
	c.RequireSignedResponses = false
	for range 2 {
		if status, body := sendVia(t, c, wireRequest(t, "GET", s.URL, "")); status != http.StatusOK || body != longText {
			t.Errorf("got %d and %d bytes", status, len(body))
		}
	}
	if want := []string{"trailer", "trailer"}; !slices.Equal(c.forms, want) {
		t.Errorf("got %q, want %q", c.forms, want)
	}
	// Refusals aren't signed.
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if form := formOf(resp); resp.StatusCode != http.StatusUnauthorized || form != "unsigned" {
		t.Errorf("got %d, signed by %q", resp.StatusCode, form)
	}
}

func TestSignResponsesConfigRefused(t *testing.T) {
	w := newWorld(t)
	if _, err := holdfast.NewVerifier(w.config); err != nil {
		t.Fatal(err)
	}
	w.config.Policy.SignResponses = true
	if _, err := holdfast.NewVerifier(w.config); err == nil {
		t.Error("accepted without a key")
	}
	w.config.Signer = w.signer
	if _, err := holdfast.NewVerifier(w.config); err != nil {
		t.Error(err)
	}
	for _, p := range []holdfast.Policy{
		{ResponseBuffer: -1}, {CoverResponse: []string{"@status"}}, {CoverResponse: []string{`"x";tr`}}, {CoverResponse: []string{`"x";req`}},
		{CoverResponse: []string{"content-length"}}, {CoverResponse: []string{"content-digest"}}, {CoverResponse: []string{"x y"}},
	} {
		w.config.Policy = p
		if _, err := holdfast.NewVerifier(w.config); err == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
}

// What the request asks for is fulfilled where that can be done, and else left.
func TestAcceptSignatureOfResponses(t *testing.T) {
	base := `"@status" "content-digest" "@method";req "@target-uri";req "dpop";req "content-type"`
	for _, tc := range []struct{ name, field, want string }{
		{"the digest", `a=("content-digest");created;tag="pop-response"`, base},
		{"further fields", `a=("x-a" "x-absent" "content-type" "set-cookie";bs);created;tag="pop-response"`, base + ` "x-a" "set-cookie";bs`},
		{"what isn't for responses", `a=("@authority" "x-a";req "content-length" "x-a";tr);tag="pop-response"`, base},
		{"frames outside a session", `a=("pop-stream");tag="pop-response"`, base},
		{"another tag", `a=("content-digest");created;tag="other"`, ""},
		{"no tag", `a=("content-digest");created`, ""},
		{"another key", `a=("content-digest");keyid="k";tag="pop-response"`, ""},
		{"a nonce", `a=("content-digest");nonce="k";tag="pop-response"`, base},
		{"a nonce of its own", `a=("content-digest");nonce;tag="pop-response"`, ""},
		{"a long nonce", `a=("content-digest");nonce="` + strings.Repeat("k", 1025) + `";tag="pop-response"`, ""},
		{"an alternative", `a=("content-digest");expires;tag="pop-response", b=("x-a");tag="pop-response"`, base + ` "x-a"`},
		{"malformed", `a=("content-digest");tag="pop-response", b`, ""},
		{"too long", `a=("content-digest");tag="pop-response", b=("` + strings.Repeat("x", 20_000) + `")`, ""},
		{"empty", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.config.Signer = w.signer
			r := w.prove(request("GET", target, ""), boundToken)
			r.Header.Set("Accept-Signature", tc.field)
			rec := httptest.NewRecorder()
			w.verifier(holdfast.Policy{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-A", "a")
				w.Header().Set("Set-Cookie", "a=b")
				io.WriteString(w, "body")
			})).ServeHTTP(rec, r)
			if rec.Code != http.StatusOK {
				t.Fatalf("got %d %s", rec.Code, rec.Body)
			}
			inputs, err := httpsig.ParseInputs(rec.Header())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, in := range inputs {
				for _, c := range in.Components() {
					got = append(got, c.String())
				}
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), tc.want)
			}
		})
	}
}

// A signed URL is for those who can't verify.
func TestSignedURLResponseIsUnsigned(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{SignResponses: true})
	s := w.session(v)
	r := w.signedRequest(s, "GET", "/video/7")
	rec := httptest.NewRecorder()
	v.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "body") })).ServeHTTP(rec, r)
	if rec.Code != http.StatusOK || rec.Header().Get("Signature") != "" {
		t.Errorf("got %d %v", rec.Code, rec.Header())
	}
}

// Chunks are answered as they come, in both directions, each verified before anybody sees it.
func TestSignedFullDuplex(t *testing.T) {
	s := newResourceOn(t, protocols["HTTP2"])
	c := s.signing("DPoP", nil)
	c.begin(s)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(bytes.ToUpper(buf[:n]))
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	}
	pr, pw := io.Pipe()
	r := wireRequest(t, "POST", s.URL+"/echo", "")
	r.Body, r.ContentLength = pr, -1
	resp, err := c.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 100)
	for _, word := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(pw, word); err != nil {
			t.Fatal(err)
		}
		n, err := io.ReadAtLeast(resp.Body, buf, len(word))
		if err != nil || string(buf[:n]) != strings.ToUpper(word) {
			t.Fatalf("got %q, %v, want %q before more is sent", buf[:n], err, strings.ToUpper(word))
		}
	}
	pw.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v, want a good end", rest, err)
	}
	s.sent("DPoP+offer", "PoP-Session+stream")
	if !slices.Equal(c.forms, []string{"frames, MAC"}) {
		t.Errorf("got %q", c.forms)
	}
}

// One request may be answered by two nodes. Their frames have keys of their own, or an edge could make one body of both.
func TestFramesOfTwoNodes(t *testing.T) {
	w := newWorld(t).withSessions()
	first := w.verifier(holdfast.Policy{})
	w.config.Sessions.Windows = w.newWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
	second := w.verifier(holdfast.Policy{})
	r := request("GET", target, "")
	r.Header.Set("Accept-Signature", `a=("pop-stream");created;tag="pop-response"`)
	r = w.mac(r, w.session(first))
	var signatures, bodies []string
	for _, node := range []*holdfast.Verifier{first, second} {
		rec := httptest.NewRecorder()
		node.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, longText)
		})).ServeHTTP(rec, r.Clone(t.Context()))
		if rec.Code != http.StatusOK || formOf(rec.Result()) != "frames, MAC" {
			t.Fatalf("got %d, signed by %s", rec.Code, formOf(rec.Result()))
		}
		signatures = append(signatures, rec.Header().Get("Signature"))
		bodies = append(bodies, rec.Body.String())
	}
	if signatures[0] == signatures[1] || bodies[0] == bodies[1] {
		t.Error("two responses have one key")
	}
}

// A client's own nonce may come twice, and so may the key of frames with it.
func TestFramesHaveNoNonceOfTheClient(t *testing.T) {
	w := newWorld(t).withSessions()
	v := w.verifier(holdfast.Policy{})
	r := request("GET", target, "")
	r.Header.Set("Accept-Signature", `a=("pop-stream");created;nonce="mine";tag="pop-response"`)
	rec := httptest.NewRecorder()
	v.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, longText)
	})).ServeHTTP(rec, w.mac(r, w.session(v)))
	if got := formOf(rec.Result()); rec.Code != http.StatusOK || got != "trailer" {
		t.Errorf("got %d, signed by %s", rec.Code, got)
	}
}
