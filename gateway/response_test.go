package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// signing serves a gateway with a resource key and sessions in front of h, and a client that takes signed responses only.
func (s *stage) signing(t *testing.T, origin string, h http.HandlerFunc) (*front, *holdfast.Transport) {
	t.Helper()
	resource := newSigner(t)
	windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
	if err != nil {
		t.Fatal(err)
	}
	g := s.protect(answering(t, h), holdfast.Policy{}, func(c *Config) {
		c.Verifier = s.verifier(holdfast.External{Origin: origin}, func(vc *holdfast.Config) {
			vc.Signer = resource
			vc.Sessions = &holdfast.Sessions{Secrets: []popsession.Secret{{ID: "one", Key: bytes.Repeat([]byte{1}, 32)}}, Windows: windows}
		})
	})
	tr := s.transport(holdfast.SchemeDPoP, edge(g.address))
	tr.RequireSignedResponses, tr.ResourceKeys = true, []*keys.Public{resource.Public()}
	return g, tr
}

// What upstreams answer reaches the client as it was, and signed.
func TestSignedResponse(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 10_000)
	for _, tc := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"short", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "short") }, "short"},
		{"of unknown length", func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "short")
		}, "short"},
		{"long", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, long) }, long},
		{"events", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 3 {
				io.WriteString(w, "data: x\n\n")
				w.(http.Flusher).Flush()
			}
		}, "data: x\n\ndata: x\n\ndata: x\n\n"},
		{"none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, ""},
		{"with its own stream", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("PoP-Stream", "v=1, chunk=1")
			io.WriteString(w, "short")
		}, "short"},
		{"with trailers of its own signature", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Signature, Signature-Input, Content-Digest")
			io.WriteString(w, long)
			w.Header().Set("Signature", "x=:AAAA:")
			w.Header().Set("Signature-Input", `x=("@status");tag="pop-response"`)
			w.Header().Set("Content-Digest", contentdigest.Sum(contentdigest.SHA512, []byte(long)))
		}, long},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			_, tr := s.signing(t, audience, tc.h)
			for range 2 { // outside and inside a session
				if _, got := do(t, &http.Client{Transport: tr}, request(t, "GET", audience+"/a?x=1", nil)); got != tc.want {
					t.Errorf("got %d bytes, want %d", len(got), len(tc.want))
				}
			}
		})
	}
}

// An upstream's own signature stays where it can't be taken for the gateway's, and goes otherwise.
func TestSignedResponseOfSigningUpstream(t *testing.T) {
	for _, tc := range []struct {
		name             string
		input, signature string
		want             []string // labels
	}{
		{"its own", `up=("content-digest");tag="upstream"`, "up=:AAAA:", []string{"up", "pop-response"}},
		{"our tag", `up=("content-digest");tag="pop-response"`, "up=:AAAA:", []string{"pop-response"}},
		{"our label", `pop-response=("content-digest");tag="upstream"`, "pop-response=:AAAA:", []string{"pop-response"}},
		{"our label in one field", `up=("content-digest");tag="upstream"`, "pop-response=:AAAA:", []string{"pop-response"}},
		{"malformed", `up=("content-digest"`, "up=:AAAA:", []string{"pop-response"}},
		{"malformed octets", `up=("content-digest")`, "up=:A", []string{"pop-response"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			digest := contentdigest.Sum(contentdigest.SHA512, []byte("body"))
			s := newStage(t)
			_, tr := s.signing(t, audience, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Signature-Input", tc.input)
				w.Header().Set("Signature", tc.signature)
				w.Header().Set("Content-Digest", digest)
				io.WriteString(w, "body")
			})
			tr.NoSessions = true
			res, body := do(t, &http.Client{Transport: tr}, request(t, "GET", audience+"/", nil))
			inputs, err := httpsig.ParseInputs(res.Header)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, in := range inputs {
				got = append(got, in.Label())
			}
			if !slices.Equal(got, tc.want) || body != "body" || res.Header.Get("Content-Digest") != digest {
				t.Errorf("got signatures %q, digest %s, %q", got, res.Header.Get("Content-Digest"), body)
			}
		})
	}
}

// An upstream whose digest doesn't hold, or that stops in the middle, gives no whole response.
func TestSignedResponseCutOff(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"wrong digest": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Digest", contentdigest.Sum(contentdigest.SHA256, []byte("other")))
			io.WriteString(w, "body")
		},
		"short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "body")
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "body")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			_, tr := s.signing(t, audience, h)
			for _, sessions := range []bool{false, true} {
				tr.NoSessions = !sessions
				res, err := tr.RoundTrip(request(t, "GET", audience+"/", nil))
				if err == nil {
					_, err = io.ReadAll(res.Body)
					res.Body.Close()
				}
				if err == nil {
					t.Errorf("sessions %t: a good end", sessions)
				}
			}
		})
	}
}

// A switched protocol's response is signed; what follows is the protocol's.
func TestSignedWebSocket(t *testing.T) {
	s := newStage(t)
	const origin = "http://placeholder.example"
	_, tr := s.signing(t, origin, echoSocket)
	for range 2 { // outside and inside a session
		c, res, err := websocket.Dial(t.Context(), origin+"/socket", &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
		if err != nil {
			t.Fatalf("%v (%s)", err, s.observed.last())
		}
		if !strings.Contains(res.Header.Get("Signature-Input")+res.Header.Values("Signature-Input")[len(res.Header["Signature-Input"])-1], `tag="pop-response"`) {
			t.Errorf("got header %v", res.Header)
		}
		echo(t, c)
		c.CloseNow()
	}
	base := tr.Base
	tr.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
		res, err := base.RoundTrip(r)
		if err == nil {
			delete(res.Header, "Signature")
			delete(res.Header, "Signature-Input")
		}
		return res, err
	})
	_, _, err := websocket.Dial(t.Context(), origin+"/socket", &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	if e, ok := errors.AsType[*holdfast.TransportError](err); !ok || e.Reason != holdfast.TransportResponseUnsigned {
		t.Errorf("got %v", err)
	}
}
