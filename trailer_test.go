package holdfast_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/popsession"
)

// trailing is a request whose trailer comes with the end of its body.
type trailing struct {
	io.Reader
	r       *http.Request
	trailer http.Header
}

func (b *trailing) Close() error { return nil }

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		for name, values := range b.trailer {
			b.r.Trailer[name] = values
		}
	}
	return n, err
}

// trailed gives r a body and a trailer, announced as net/http has it.
func trailed(r *http.Request, body string, trailer http.Header) {
	r.Trailer = http.Header{}
	for name := range trailer {
		r.Trailer[name] = nil
	}
	r.Body, r.ContentLength = &trailing{strings.NewReader(body), r, trailer}, -1
}

// trailerSigned makes r a request whose signature covers the digest in its trailer. The signature is in the trailer, too, if
// inTrailer is set.
func (w *world) trailerSigned(r *http.Request, cfg httpsig.SignerConfig, body string, inTrailer bool, more ...string) *http.Request {
	w.t.Helper()
	cfg.Components = httpsig.Components(append([]string{"@method", "@target-uri", "authorization", `"content-digest";tr`}, more...)...)
	cfg.Now = func() time.Time { return w.now }
	signer, err := httpsig.NewSigner(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	trailer := http.Header{"Content-Digest": {contentdigest.Sum(contentdigest.SHA512, []byte(body))}, "X-Checked-By": {"a"}}
	m := httpsig.RequestMessage(r, origin+r.RequestURI)
	m.Trailer = trailer
	fields, err := signer.Sign(m)
	if err != nil {
		w.t.Fatal(err)
	}
	if fields.Add(r.Header); inTrailer {
		fields.Add(trailer)
		delete(r.Header, "Signature")
		delete(r.Header, "Signature-Input")
	}
	trailed(r, body, trailer)
	return r
}

// trailerSchemes are requests proved in each way.
var trailerSchemes = map[string]func(w *world, s *popsession.Session, inTrailer bool) *http.Request{
	"HTTPSig": func(w *world, _ *popsession.Session, inTrailer bool) *http.Request {
		r := request("POST", target, "")
		r.Header.Set("Authorization", "HTTPSig "+runtimeToken)
		return w.trailerSigned(r, httpsig.SignerConfig{Key: w.signer, Tag: holdfast.TagHTTPSig}, "the body", inTrailer)
	},
	"DPoP": func(w *world, _ *popsession.Session, inTrailer bool) *http.Request {
		r := w.prove(request("POST", target, ""), boundToken)
		return w.trailerSigned(r, httpsig.SignerConfig{Key: w.signer, Tag: holdfast.TagProof}, "the body", inTrailer, "dpop")
	},
	"session": func(w *world, s *popsession.Session, inTrailer bool) *http.Request {
		r := request("POST", target, "")
		r.Header.Set("Authorization", "PoP-Session "+s.Ticket())
		return w.trailerSigned(r, httpsig.SignerConfig{
			Secret: s.Keys().RequestSecret(), Tag: holdfast.TagSession, Nonce: func() string { return "1" },
		}, "the body", inTrailer)
	},
}

func TestTrailerDigest(t *testing.T) {
	for scheme, make := range trailerSchemes {
		for _, inTrailer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/signature in trailer %t", scheme, inTrailer), func(t *testing.T) {
				w := newWorld(t).withSessions()
				v := w.verifier(holdfast.Policy{CoverBody: true})
				r := make(w, w.session(v), inTrailer)
				got, err := v.Check(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != "the body" || !got.BodyCovered {
					t.Errorf("got %q, %v, covered: %t", body, err, got.BodyCovered)
				}
				if len(r.Trailer) != 1 || r.Trailer.Get("X-Checked-By") != "a" || r.ContentLength != -1 {
					t.Errorf("got trailer %v and length %d, want the other field", r.Trailer, r.ContentLength)
				}
			})
		}
	}
}

// Each differs in one thing from what TestTrailerDigest accepts.
func TestTrailerDigestRefused(t *testing.T) {
	body := func(f func(b *trailing)) func(*http.Request) {
		return func(r *http.Request) { f(r.Body.(*trailing)) }
	}
	for _, tc := range []struct {
		name   string
		change func(r *http.Request)
		reason string
		status int
	}{
		{"body changed", body(func(b *trailing) { b.Reader = strings.NewReader("The body") }), "digest-mismatch", 400},
		{"body cut short", body(func(b *trailing) { b.Reader = strings.NewReader("the bod") }), "digest-mismatch", 400},
		{"digest changed", body(func(b *trailing) {
			b.trailer.Set("Content-Digest", contentdigest.Sum(contentdigest.SHA512, []byte("The body")))
		}), "signature-invalid", 401},
		{"digest left out", body(func(b *trailing) { delete(b.trailer, "Content-Digest") }), "signature-component", 401},
		{"digest in the header", func(r *http.Request) {
			b := r.Body.(*trailing)
			r.Header["Content-Digest"] = b.trailer["Content-Digest"]
			delete(b.trailer, "Content-Digest")
			delete(r.Trailer, "Content-Digest")
		}, "signature-component", 401},
		{"too large", body(func(b *trailing) { b.Reader = strings.NewReader(strings.Repeat("x", 101)) }), "body-too-large", 413},
		{"URL changed", func(r *http.Request) { r.RequestURI += "1" }, "signature-invalid", 401},
	} {
		for _, inTrailer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/signature in trailer %t", tc.name, inTrailer), func(t *testing.T) {
				w := newWorld(t)
				r := trailerSchemes["HTTPSig"](w, nil, inTrailer)
				tc.change(r)
				want := tc.reason
				if inTrailer && tc.name == "digest in the header" {
					want = "signature-missing" // there is no trailer to wait for
				}
				_, err := w.verifier(holdfast.Policy{BodyLimit: 100}).Check(r)
				if got := refusal(t, err, want); got.Status != tc.status {
					t.Errorf("got status %d, want %d", got.Status, tc.status)
				}
			})
		}
	}
}

// Before the token, and a DPoP proof, hold, nothing of the body is read.
func TestTrailerDigestReadsNothingUnproved(t *testing.T) {
	for scheme, spoil := range map[string]func(*http.Request){
		"HTTPSig": func(r *http.Request) { r.Header.Set("Authorization", "HTTPSig unknown") },
		"DPoP":    func(r *http.Request) { r.Method = "PUT" },
		"session": func(r *http.Request) { r.Header.Set("Authorization", "PoP-Session AAAA") },
	} {
		w := newWorld(t).withSessions()
		v := w.verifier(holdfast.Policy{})
		r := trailerSchemes[scheme](w, w.session(v), true)
		spoil(r)
		body := strings.NewReader("the body")
		r.Body.(*trailing).Reader = body
		if _, err := v.Check(r); err == nil || body.Len() != len("the body") {
			t.Errorf("%s: got %v with %d bytes left", scheme, err, body.Len())
		}
	}
}

// Both digests count where both are covered.
func TestTrailerDigestBesideHeader(t *testing.T) {
	for body, want := range map[string]string{"the body": "", "another": "digest-mismatch"} {
		w := newWorld(t)
		r := request("POST", target, "")
		r.Header.Set("Authorization", "HTTPSig "+runtimeToken)
		digested(r, body)
		w.trailerSigned(r, httpsig.SignerConfig{Key: w.signer, Tag: holdfast.TagHTTPSig}, "the body", false, "content-digest")
		_, err := w.verifier(holdfast.Policy{Body: holdfast.BodyBuffered}).Check(r)
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		refusal(t, err, want)
	}
}

// Over the wire, with a response that is bound to the signature in the trailer.
func TestTrailerDigestOverHTTP(t *testing.T) {
	for protocol, serve := range protocols {
		for _, inTrailer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/signature in trailer %t", protocol, inTrailer), func(t *testing.T) {
				s := newResourceOn(t, serve)
				s.config.External = holdfast.External{Origin: origin}
				s.restart("", holdfast.Policy{CoverBody: true, SignResponses: true})
				made := request("POST", "/a?x=1", "")
				made.Header.Set("Authorization", "HTTPSig "+runtimeToken)
				s.now = start
				s.trailerSigned(made, httpsig.SignerConfig{Key: s.signer, Tag: holdfast.TagHTTPSig}, "the body", inTrailer)
				r := wireRequest(t, "POST", s.URL+"/a?x=1", "the body")
				r.Header, r.Trailer, r.ContentLength, r.GetBody = made.Header, made.Body.(*trailing).trailer, -1, nil
				resp, err := s.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "alice: the body" {
					t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
				}
				component := `"signature";req;key="sig1"`
				if inTrailer {
					component = `"signature";req;tr;key="sig1"`
				}
				inputs, err := httpsig.ParseInputs(resp.Header)
				if err != nil || len(inputs) != 1 || !inputs[0].Covers(httpsig.Components(component)[0]) {
					t.Errorf("got %v, %v, want %s covered", resp.Header["Signature-Input"], err, component)
				}
			})
		}
	}
}

// slowly is a body that takes some time to read.
type slowly struct {
	io.ReadCloser
	pass func()
}

func (b *slowly) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.pass()
	}
	return n, err
}

// TestTrailerAge: a signature that covers the trailer is judged by when the trailer is there.
func TestTrailerAge(t *testing.T) {
	for _, tc := range []struct {
		name      string
		inTrailer bool
		signed    time.Duration // after the request began
		took      time.Duration
		reason    string
	}{
		{"made at the end", true, 40 * time.Second, 40 * time.Second, ""},
		{"made at the beginning", false, 0, 40 * time.Second, ""},
		{"made at the beginning of a long body", false, 0, 70 * time.Second, "signature-too-old"},
		{"made after the end", true, 50 * time.Second, 40 * time.Second, "signature-in-future"},
	} {
		for _, scheme := range []string{"HTTPSig", "session"} {
			t.Run(scheme+"/"+tc.name, func(t *testing.T) {
				w := newWorld(t).withSessions()
				v := w.verifier(holdfast.Policy{CoverBody: true})
				s := w.session(v)
				began := w.now
				w.now = began.Add(tc.signed)
				r := trailerSchemes[scheme](w, s, tc.inTrailer)
				w.now = began
				r.Body = &slowly{r.Body, func() { w.now = began.Add(tc.took) }}
				_, err := v.Check(r)
				var reason string
				if refusal, ok := errors.AsType[*holdfast.Refusal](err); ok {
					reason = refusal.Reason
				}
				if reason != tc.reason {
					t.Errorf("got %q, want %q", reason, tc.reason)
				}
			})
		}
	}
}
