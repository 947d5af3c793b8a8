package holdfast_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// receive makes a request and returns how the response ended: nil, or the reason of the refusal and its part.
func receive(t *testing.T, rt http.RoundTripper, r *http.Request) (released string, end *holdfast.TransportError) {
	t.Helper()
	resp, err := rt.RoundTrip(r)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(resp.Body)
		released = string(body)
		resp.Body.Close()
	}
	if err == nil {
		return released, nil
	}
	if !errors.As(err, &end) {
		t.Fatalf("got %T (%v), want a *TransportError", err, err)
	}
	return released, end
}

func replaceBody(change func(string) string) func(*http.Response) {
	return func(resp *http.Response) {
		old := resp.Body
		resp.Body = &lazyBody{open: func() io.Reader {
			body, err := io.ReadAll(old)
			return io.MultiReader(strings.NewReader(change(string(body))), errorReader{err})
		}, Closer: old}
	}
}

// lazyBody is a body that is changed when it is read.
type lazyBody struct {
	open func() io.Reader
	r    io.Reader
	io.Closer
}

func (b *lazyBody) Read(p []byte) (int, error) {
	if b.r == nil {
		b.r = b.open()
	}
	return b.r.Read(p)
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}

func setField(name string, values ...string) func(*http.Response) {
	return func(resp *http.Response) {
		if resp.Header[name] = values; values == nil {
			delete(resp.Header, name)
		}
	}
}

// editField changes a field that is there.
func editField(name, old, new string) func(*http.Response) {
	return func(resp *http.Response) {
		for i, v := range resp.Header[name] {
			if !strings.Contains(v, old) {
				panic("no " + old + " in " + v)
			}
			resp.Header[name][i] = strings.Replace(v, old, new, 1)
		}
	}
}

// tampering is one change of a response on its way, and what the client makes of it.
type tampering struct {
	name   string
	change func(*http.Response)
	reason holdfast.TransportReason
	part   string
}

const (
	unsignedReason = holdfast.TransportResponseUnsigned
	mismatchReason = holdfast.TransportResponseMismatch
	coverageReason = holdfast.TransportResponseCoverage
)

// inHeader are changes of any response that is signed in its header.
var inHeader = []tampering{
	{"nothing", func(*http.Response) {}, "", ""},
	{"further field", setField("X-Other", "x"), "", ""},
	{"signature removed", func(resp *http.Response) {
		delete(resp.Header, "Signature")
		delete(resp.Header, "Signature-Input")
	}, unsignedReason, "signature"},
	{"signature's octets removed", setField("Signature"), mismatchReason, "signature"},
	{"signature changed", editField("Signature", "pop-response=:", "pop-response=:AAAA"), mismatchReason, "signature"},
	{"time changed", editField("Signature-Input", ";created=18", ";created=17"), mismatchReason, "signature"},
	{"time removed", editField("Signature-Input", ";created=1800000000", ""), mismatchReason, "signature"},
	{"another tag", editField("Signature-Input", `;tag="pop-response"`, `;tag="pop-session-answer"`), unsignedReason, "signature"},
	{"second signature", func(resp *http.Response) {
		in, sig := resp.Header.Get("Signature-Input"), resp.Header.Get("Signature")
		resp.Header.Add("Signature-Input", strings.Replace(in, "pop-response=", "other=", 1))
		resp.Header.Add("Signature", strings.Replace(sig, "pop-response=", "other=", 1))
	}, mismatchReason, "signature"},
	{"malformed beside it", func(resp *http.Response) { resp.Header.Add("Signature-Input", "?") }, mismatchReason, "signature"},
	{"status changed", func(resp *http.Response) { resp.StatusCode = http.StatusCreated }, mismatchReason, "signature"},
	{"type changed", setField("Content-Type", "text/html"), mismatchReason, "signature"},
	{"type removed", setField("Content-Type"), mismatchReason, "signature"},
	{"encoding added", setField("Content-Encoding", "gzip"), coverageReason, "content-encoding"},
	{"location added", setField("Location", "https://evil.example/"), coverageReason, "location"},
}

var ofDigest = append([]tampering{
	{"digest changed", setField("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte("x"))), mismatchReason, "signature"},
	{"digest removed", setField("Content-Digest"), mismatchReason, "signature"},
	{"content changed", replaceBody(func(s string) string { return strings.Replace(s, "alice", "mally", 1) }), mismatchReason, "content"},
	{"content cut short", replaceBody(func(s string) string { return s[:len(s)-1] }), mismatchReason, "content"},
	{"content longer", replaceBody(func(s string) string { return s + "x" }), mismatchReason, "content"},
	{"content removed", func(resp *http.Response) { resp.Body, resp.ContentLength = http.NoBody, 0 }, mismatchReason, "content"},
}, inHeader...)

// intoTrailer moves a signature from the header into the trailer.
func intoTrailer(resp *http.Response) {
	resp.Trailer = http.Header{}
	for _, name := range []string{"Signature", "Signature-Input", "Content-Digest"} {
		resp.Trailer[name] = resp.Header[name]
		delete(resp.Header, name)
	}
}

var ofFrames = append([]tampering{
	{"frames undone", func(resp *http.Response) {
		setField("Pop-Stream")(resp)
		replaceBody(func(s string) string { return s[4 : 4+64<<10] })(resp)
	}, mismatchReason, "signature"},
	{"field changed", setField("Pop-Stream", "v=1, chunk=65537"), mismatchReason, "signature"},
	{"octet changed", replaceBody(func(s string) string { return s[:100] + "!" + s[101:] }), mismatchReason, "content"},
	{"last octet changed", replaceBody(func(s string) string { return s[:len(s)-1] + "!" }), mismatchReason, "content"},
	{"first chunk removed", replaceBody(func(s string) string { return s[36+64<<10:] }), mismatchReason, "content"},
	{"last chunk removed", replaceBody(func(s string) string { return s[:3*(36+64<<10)] }), mismatchReason, "content"},
	{"content removed", func(resp *http.Response) { resp.Body, resp.ContentLength = http.NoBody, 0 }, mismatchReason, "content"},
	{"content longer", replaceBody(func(s string) string { return s + "x" }), mismatchReason, "content"},
}, inHeader...)

// inTrailer are changes of a response that is signed in its trailer, which is there when its body has ended.
var inTrailer = []tampering{
	{"nothing", func(*http.Response) {}, "", ""},
	{"not announced", func(resp *http.Response) { resp.Trailer = nil }, unsignedReason, "signature"},
	{"trailer dropped", atEnd(func(resp *http.Response) { clear(resp.Trailer) }), mismatchReason, "signature in the trailer"},
	{"digest dropped", atEnd(func(resp *http.Response) { delete(resp.Trailer, "Content-Digest") }), mismatchReason, "signature in the trailer"},
	{"digest changed", atEnd(func(resp *http.Response) {
		resp.Trailer.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte("x")))
	}), mismatchReason, "signature in the trailer"},
	{"digest in the header", func(resp *http.Response) {
		resp.Header.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte("x")))
		replaceBody(func(string) string { return "x" })(resp)
	}, mismatchReason, "content"},
	{"status changed", func(resp *http.Response) { resp.StatusCode = http.StatusCreated }, mismatchReason, "signature in the trailer"},
	{"type changed", setField("Content-Type", "text/html"), mismatchReason, "signature in the trailer"},
	{"encoding added", setField("Content-Encoding", "gzip"), coverageReason, "content-encoding"},
	{"content changed", replaceBody(func(s string) string { return "!" + s[1:] }), mismatchReason, "content"},
	{"content cut short", replaceBody(func(s string) string { return s[:len(s)-1] }), mismatchReason, "content"},
	{"content longer", replaceBody(func(s string) string { return s + "!" }), mismatchReason, "content"},
	{"a signature in the header", func(resp *http.Response) {
		resp.Header.Set("Signature-Input", `pop-response=("@status");created=1800000000;tag="pop-response"`)
		resp.Header.Set("Signature", "pop-response=:AAAA:")
	}, mismatchReason, "signature"},
}

// atEnd changes a response when its body has ended.
func atEnd(change func(*http.Response)) func(*http.Response) {
	return func(resp *http.Response) {
		replaceBody(func(s string) string { change(resp); return s })(resp)
	}
}

func TestSignedResponseRefused(t *testing.T) {
	for _, form := range []struct {
		name    string
		session bool
		body    string
		cases   []tampering
	}{
		{"digest", false, "alice has 7", append(slices.Clip(ofDigest), tampering{"moved", intoTrailer, mismatchReason, "signature in the trailer"})},
		{"digest, MAC", true, "alice has 7", append(slices.Clip(ofDigest), tampering{"moved", intoTrailer, unsignedReason, "signature"})},
		{"frames, MAC", true, longText, ofFrames},
		{"trailer", false, longText, inTrailer},
	} {
		for _, tc := range form.cases {
			t.Run(form.name+"/"+tc.name, func(t *testing.T) {
				s := newResource(t)
				armed, closed := false, false
				c := s.signing("DPoP", func(resp *http.Response) {
					if armed {
						tc.change(resp)
						resp.Body = &closeWatch{resp.Body, &closed}
					}
				})
				if form.session {
					c.begin(s)
				} else {
					c.NoSessions = true
				}
				armed = true
				s.handler = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, form.body) }
				released, end := receive(t, c, wireRequest(t, "GET", s.URL+"/balance", ""))
				if got := c.forms[len(c.forms)-1]; got != form.name {
					t.Fatalf("signed by %q", got)
				}
				if !closed {
					t.Error("the body wasn't closed")
				}
				if tc.reason == "" {
					if end != nil || released != form.body {
						t.Errorf("got %v, %d bytes", end, len(released))
					}
					return
				}
				if end == nil || end.Reason != tc.reason || end.Part != tc.part {
					t.Fatalf("got %v, want %s: %s", end, tc.reason, tc.part)
				}
				if added := tc.name == "content longer"; released == form.body && !added {
					t.Error("the whole was handed out")
				}
				if form.name == "frames, MAC" && !strings.HasPrefix(form.body, released) {
					t.Error("unverified octets were handed out")
				}
			})
		}
	}
}

// closeWatch notes that a body was closed.
type closeWatch struct {
	io.ReadCloser
	closed *bool
}

func (c *closeWatch) Close() error {
	*c.closed = true
	return c.ReadCloser.Close()
}

// A trailer is no way round the frames that a session's client asks for.
func TestSignedResponseTrailerInSession(t *testing.T) {
	s := newResource(t)
	c := s.signing("DPoP", nil)
	c.begin(s)
	s.before = func(h http.Header) { // an edge that drops the second wish
		h.Set("Accept-Signature", strings.Split(h.Get("Accept-Signature"), ", ")[0])
	}
	s.handler = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, longText) }
	_, end := receive(t, c, wireRequest(t, "GET", s.URL, ""))
	if end == nil || end.Reason != unsignedReason || !slices.Equal(c.forms, []string{"trailer"}) {
		t.Errorf("got %v, signed by %q", end, c.forms)
	}
}

// A response answers one request, by the request's own signature or proof.
func TestSignedResponseToAnotherRequest(t *testing.T) {
	for scheme := range sessionTokens {
		for _, session := range []bool{false, true} {
			s := newResource(t)
			var kept *http.Response
			var content []byte
			c := s.signing(scheme, func(resp *http.Response) {
				if kept != nil {
					*resp = *kept
					resp.Body = io.NopCloser(bytes.NewReader(content))
				}
			})
			if c.NoSessions = !session; session {
				c.begin(s)
			}
			base := c.Base
			c.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(r)
				if kept == nil && err == nil {
					content, err = io.ReadAll(resp.Body)
					kept = resp
					kept.Body = io.NopCloser(bytes.NewReader(content))
				}
				return resp, err
			})
			s.get(c)
			if _, end := receive(t, c, wireRequest(t, "GET", s.URL+"/a?x=1", "")); end == nil || end.Reason != mismatchReason || end.Part != "signature" {
				t.Errorf("%s, session %t: got %v", scheme, session, end)
			}
		}
	}
}

func TestSignedResponseByAnotherKey(t *testing.T) {
	s := newResource(t)
	for name, tc := range map[string]struct {
		keys []*keys.Public
		good bool
	}{
		"the key":       {[]*keys.Public{s.answers.Public()}, true},
		"among others":  {[]*keys.Public{wireKey(t).Public(), s.answers.Public()}, true},
		"another":       {[]*keys.Public{wireKey(t).Public()}, false},
		"by no kid":     {[]*keys.Public{renamed(t, s.answers.Public(), "")}, true},
		"by its name":   {[]*keys.Public{renamed(t, wireKey(t).Public(), s.answers.Public().KeyID())}, false},
		"another's kid": {[]*keys.Public{renamed(t, s.answers.Public(), "other")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.signing("DPoP", nil)
			c.NoSessions, c.ResourceKeys = true, tc.keys
			_, end := receive(t, c, wireRequest(t, "GET", s.URL, ""))
			if (end == nil) != tc.good || end != nil && (end.Reason != mismatchReason || end.Part != "signature") {
				t.Errorf("got %v", end)
			}
		})
	}
}

func renamed(t *testing.T, pub *keys.Public, kid string) *keys.Public {
	t.Helper()
	out, err := keys.NewPublic(pub.Key(), kid, pub.Algorithm())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A resource that signs too little is refused, by what is missing.
func TestSignedResponseCoverage(t *testing.T) {
	full := []string{`"@status"`, `"content-digest"`, `"@method";req`, `"@target-uri";req`, `"dpop";req`, `"content-type"`, `"location"`}
	without := func(c string) []string {
		return slices.DeleteFunc(slices.Clone(full), func(s string) bool { return s == c })
	}
	for _, tc := range []struct {
		name   string
		cfg    httpsig.SignerConfig
		covers []string
		reason holdfast.TransportReason
		part   string
	}{
		{"everything", httpsig.SignerConfig{}, full, "", ""},
		{"the status", httpsig.SignerConfig{}, without(`"@status"`), mismatchReason, "signature"},
		{"the method", httpsig.SignerConfig{}, without(`"@method";req`), mismatchReason, "signature"},
		{"the URL", httpsig.SignerConfig{}, without(`"@target-uri";req`), mismatchReason, "signature"},
		{"the proof", httpsig.SignerConfig{}, without(`"dpop";req`), mismatchReason, "signature"},
		{"the content", httpsig.SignerConfig{}, without(`"content-digest"`), coverageReason, "content"},
		{"the type", httpsig.SignerConfig{}, without(`"content-type"`), coverageReason, "content-type"},
		{"the location", httpsig.SignerConfig{}, without(`"location"`), coverageReason, "location"},
		{"frames outside a session", httpsig.SignerConfig{}, append(without(`"content-digest"`), `"pop-stream"`), coverageReason, "content"},
		{"frames and digest", httpsig.SignerConfig{}, append(full, `"pop-stream"`), coverageReason, "content"},
		{"a nonce", httpsig.SignerConfig{Nonce: func() string { return "n" }}, full, mismatchReason, "signature"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			cfg := tc.cfg
			cfg.Key, cfg.KeyID, cfg.Tag, cfg.Now = s.answers, s.answers.Public().KeyID(), holdfast.TagResponse, s.time
			cfg.Components = httpsig.Components(tc.covers...)
			if cfg.Nonce == nil {
				cfg.Nonce = httpsig.NoNonce
			}
			signer, err := httpsig.NewSigner(cfg)
			if err != nil {
				t.Fatal(err)
			}
			c := s.signing("DPoP", nil)
			c.NoSessions = true
			c.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
				resp := &http.Response{StatusCode: 201, Request: r, ContentLength: -1, Body: io.NopCloser(strings.NewReader("body")), Header: http.Header{
					"Content-Type": {"text/plain"}, "Location": {"/new"}, "Pop-Stream": {"v=1, chunk=1"},
					"Content-Digest": {contentdigest.Sum(contentdigest.SHA512, []byte("body"))},
				}}
				fields, err := signer.Sign(&httpsig.Message{Status: 201, Header: resp.Header, Request: httpsig.RequestMessage(r, r.URL.String())})
				if err != nil {
					t.Fatal(err)
				}
				fields.Add(resp.Header)
				return resp, nil
			})
			_, end := receive(t, c, wireRequest(t, "GET", s.URL+"/x", ""))
			switch {
			case tc.reason == "" && end != nil:
				t.Errorf("got %v", end)
			case tc.reason != "" && (end == nil || end.Reason != tc.reason || end.Part != tc.part):
				t.Errorf("got %v, want %s: %s", end, tc.reason, tc.part)
			}
		})
	}
}

// A refusal by the server is unsigned; the error says what it was.
func TestSignedResponseServerRefuses(t *testing.T) {
	s := newResource(t)
	s.restart("a", holdfast.Policy{Scope: []string{"write"}})
	_, end := receive(t, s.signing("DPoP", nil), wireRequest(t, "GET", s.URL, ""))
	if end == nil || end.Reason != unsignedReason || end.Status != http.StatusForbidden || end.Problem != holdfast.ReasonScope {
		t.Errorf("got %+v", end)
	}
	if want := "holdfast: response-unsigned: signature: status 403, insufficient-scope"; end.Error() != want {
		t.Errorf("got %q, want %q", end, want)
	}
}

// What an unsigned response says is bounded and has no strange characters.
func TestSignedResponseProblem(t *testing.T) {
	for _, tc := range []struct{ name, kind, body, want string }{
		{"a reason", "application/problem+json", `{"reason":"replayed"}`, "replayed"},
		{"another type", "application/json", `{"reason":"replayed"}`, ""},
		{"no JSON", "application/problem+json", `{"reason":`, ""},
		{"too long", "application/problem+json", `{"x":"` + strings.Repeat("x", 5000) + `","reason":"replayed"}`, ""},
		{"a long reason", "application/problem+json", `{"reason":"` + strings.Repeat("x", 65) + `"}`, ""},
		{"strange", "application/problem+json", `{"reason":"a\u001b[1m"}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newResource(t)
			c := s.signing("DPoP", nil)
			c.Base = roundTrips(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 400, Request: r, Header: http.Header{"Content-Type": {tc.kind}}, Body: io.NopCloser(strings.NewReader(tc.body))}, nil
			})
			_, end := receive(t, c, wireRequest(t, "GET", s.URL, ""))
			if end == nil || end.Status != 400 || end.Problem != tc.want {
				t.Errorf("got %+v, want %q", end, tc.want)
			}
		})
	}
}

// Challenges are answered as without signatures.
func TestSignedResponseRetries(t *testing.T) {
	s := newResource(t)
	c := s.signing("HTTPSig", nil)
	c.begin(s)
	s.restart("b", holdfast.Policy{Cover: []string{"x-a"}}) // knows neither the session nor what the first policy was
	r := wireRequest(t, "GET", s.URL+"/a?x=1", "")
	r.Header.Set("X-A", "a")
	s.post(c, r, "")
	s.post(c, r, "")
	if want := []string{"unsigned", "unsigned", "digest", "digest, MAC"}; !slices.Equal(c.forms, want) {
		t.Errorf("got %q, want %q", c.forms, want)
	}
}

func TestRequireSignedResponsesConfigRefused(t *testing.T) {
	s := newResource(t)
	for name, edit := range map[string]func(*holdfast.Transport){
		"no keys":   func(tr *holdfast.Transport) { tr.ResourceKeys = nil },
		"no source": func(tr *holdfast.Transport) { tr.Source = nil },
	} {
		tr := s.signing("DPoP", nil).Transport
		edit(tr)
		if _, end := receive(t, tr, wireRequest(t, "GET", s.URL, "")); end == nil || end.Reason != holdfast.TransportMisconfigured {
			t.Errorf("%s: got %v", name, end)
		}
	}
	r := wireRequest(t, "GET", s.URL, "")
	r.Header.Set("Accept-Signature", "x")
	if _, end := receive(t, s.signing("DPoP", nil), r); end == nil || end.Reason != holdfast.TransportHasProof {
		t.Errorf("got %v", end)
	}
}

// The request asks for what can be verified, and leaves what the caller asked for.
func TestSignedResponseEncoding(t *testing.T) {
	s := newResource(t)
	s.handler = func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Accept-Encoding")) }
	c := s.signing("DPoP", nil)
	for _, tc := range []struct{ set, want string }{{"", "identity"}, {"br", "br"}} {
		r := wireRequest(t, "GET", s.URL, "")
		if tc.set != "" {
			r.Header.Set("Accept-Encoding", tc.set)
		}
		if got, end := receive(t, c, r); got != tc.want || end != nil {
			t.Errorf("got %q, %v, want %q", got, end, tc.want)
		}
	}
}

// A response may take its time: it answers a request that was just made, so its own age says nothing.
func TestSignedResponseTakesTime(t *testing.T) {
	s := newResource(t)
	c := s.signing("DPoP", nil)
	s.handler = func(w http.ResponseWriter, _ *http.Request) { s.wait(10 * time.Minute) }
	if _, end := receive(t, c, wireRequest(t, "GET", s.URL, "")); end != nil {
		t.Error(end)
	}
}
