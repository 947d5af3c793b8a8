package holdfast_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast"
)

// A handler that doesn't come to its end gives no response that passes for a whole one, signed in whichever way.
func TestSignedResponseAborted(t *testing.T) {
	for protocol, serve := range protocols {
		for name, abort := range map[string]func(w http.ResponseWriter){
			"before all": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			"after some": func(w http.ResponseWriter) {
				io.WriteString(w, "some")
				panic(http.ErrAbortHandler)
			},
			"after a flush": func(w http.ResponseWriter) {
				io.WriteString(w, "some")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			},
			"after much": func(w http.ResponseWriter) {
				io.WriteString(w, longText)
				panic(http.ErrAbortHandler)
			},
			"shorter than announced": func(w http.ResponseWriter) {
				w.Header().Set("Content-Length", "5")
				io.WriteString(w, "some")
			},
			"shorter than announced, long": func(w http.ResponseWriter) {
				w.Header().Set("Content-Length", "200001")
				io.WriteString(w, longText)
			},
		} {
			for _, session := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/session %t", protocol, name, session), func(t *testing.T) {
					s := newResourceOn(t, serve)
					c := s.signing("DPoP", nil)
					if c.NoSessions = !session; session {
						c.begin(s)
					}
					s.handler = func(w http.ResponseWriter, _ *http.Request) { abort(w) }
					resp, err := c.RoundTrip(wireRequest(t, "GET", s.URL, ""))
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						resp.Body.Close()
					}
					if err == nil {
						t.Error("a good end")
					}
				})
			}
		}
	}
}

// To the handler, the writer is like net/http's own.
func TestSignedResponseWriter(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler func(t *testing.T, w http.ResponseWriter, r *http.Request)
		want    string
	}{
		{"second status", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			w.WriteHeader(http.StatusTeapot)
		}, "202 "},
		{"status after content", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			w.WriteHeader(http.StatusTeapot)
		}, "200 x"},
		{"no status", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			defer func() {
				if recover() == nil {
					t.Error("status 1 was taken")
				}
			}()
			w.WriteHeader(1)
		}, "200 "},
		{"more than announced", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			if n, err := io.WriteString(w, "abc"); n != 0 || err != http.ErrContentLength {
				t.Errorf("got %d, %v", n, err)
			}
			io.WriteString(w, "ab")
		}, "200 ab"},
		{"deadline", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}, "200 "},
		{"push", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			if err := w.(http.Pusher).Push("/style.css", nil); err != http.ErrNotSupported {
				t.Errorf("got %v", err)
			}
		}, "200 "},
		{"io.Copy", func(t *testing.T, w http.ResponseWriter, _ *http.Request) {
			if n, err := io.Copy(w, strings.NewReader("copied")); n != 6 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
		}, "200 copied"},
		{"changed request", func(_ *testing.T, w http.ResponseWriter, r *http.Request) {
			clear(r.Header)
			r.Method, r.Host, r.RequestURI = "HEAD", "evil.example", "/"
			r.URL.Path = "/"
			io.WriteString(w, "x")
		}, "200 x"},
		{"upstream's location", func(_ *testing.T, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/caf\u00e9")
			w.Header().Set("X-Secret", "x")
			w.WriteHeader(http.StatusFound)
			io.WriteString(w, "x")
		}, "unsigned 500"},
	} {
		for _, session := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/session %t", tc.name, session), func(t *testing.T) {
				s := newResource(t)
				s.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
				c := s.signing("DPoP", nil)
				if c.NoSessions = !session; session {
					c.begin(s)
				}
				s.handler = func(w http.ResponseWriter, r *http.Request) { tc.handler(t, w, r) }
				got := ""
				resp, err := c.RoundTrip(wireRequest(t, "GET", s.URL, ""))
				if e, ok := errors.AsType[*holdfast.TransportError](err); ok {
					got = fmt.Sprintf("unsigned %d", e.Status)
				} else if err != nil {
					t.Fatal(err)
				} else {
					body, err := io.ReadAll(resp.Body)
					if got = fmt.Sprintf("%d %s", resp.StatusCode, body); err != nil {
						t.Error(err)
					}
				}
				if got != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			})
		}
	}
}

// Whoever takes the connection over can have the header signed that it writes.
func TestSignedResponseHijacked(t *testing.T) {
	s := newResource(t)
	c := s.signing("DPoP", nil)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		verdict, _ := holdfast.FromContext(r.Context())
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(w, "x"); err != http.ErrHijacked {
			t.Errorf("got %v", err)
		}
		h := http.Header{"Upgrade": {"echo"}, "Connection": {"Upgrade"}}
		if err := verdict.SignUpgrade(h); err != nil {
			t.Error(err)
		}
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\n")
		h.Write(rw)
		fmt.Fprint(rw, "\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, strings.ToUpper(line))
		rw.Flush()
	}
	for range 2 {
		r := wireRequest(t, "GET", s.URL, "")
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		resp, err := c.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		conn := resp.Body.(io.ReadWriteCloser)
		fmt.Fprint(conn, "hello\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HELLO\n" || err != nil {
			t.Errorf("got %q, %v", line, err)
		}
		conn.Close()
	}
}

// The handler's own trailers go with each form. They are as little verified as other fields.
func TestSignedResponseTrailers(t *testing.T) {
	for protocol, serve := range protocols {
		for _, body := range []string{"short", longText} {
			for _, session := range []bool{false, true} {
				s := newResourceOn(t, serve)
				c := s.signing("DPoP", nil)
				if c.NoSessions = !session; session {
					c.begin(s)
				}
				s.handler = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Trailer", "X-Sum, Signature")
					io.WriteString(w, body)
					w.Header().Set("X-Sum", "7")
					w.Header().Set(http.TrailerPrefix+"X-Late", "8")
				}
				resp, err := c.RoundTrip(wireRequest(t, "GET", s.URL, ""))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(resp.Body); string(got) != body || err != nil {
					t.Errorf("%s, session %t: got %d bytes, %v", protocol, session, len(got), err)
				}
				if resp.Trailer.Get("X-Sum") != "7" || resp.Trailer.Get("X-Late") != "8" {
					t.Errorf("%s, session %t: got trailer %v", protocol, session, resp.Trailer)
				}
				resp.Body.Close()
			}
		}
	}
}

// HTTP/1.0 has no trailers: what is too long for a digest goes unsigned, unless it is framed.
func TestSignedResponseHTTP10(t *testing.T) {
	w := newWorld(t)
	w.config.Signer = w.signer
	v := w.verifier(holdfast.Policy{SignResponses: true, ResponseBuffer: 10})
	for body, want := range map[string]string{"short": "digest", "longer than ten": "unsigned"} {
		r := w.prove(request("GET", target, ""), boundToken)
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
		rec := httptest.NewRecorder()
		v.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })).ServeHTTP(rec, r)
		if resp := rec.Result(); formOf(resp) != want || rec.Body.String() != body {
			t.Errorf("%q: got %q, signed by %q", body, rec.Body, formOf(resp))
		}
	}
}

// FuzzAcceptSignature: whatever is asked for, the response is what the handler answered, and signed once or not at all.
func FuzzAcceptSignature(f *testing.F) {
	for _, seed := range []string{
		`a=("content-digest");created;tag="pop-response"`, `a=("pop-stream" "x-a");nonce="n";tag="pop-response", b=();tag="pop-response"`,
		`a=("@status" "set-cookie";bs "x";req "y";tr "z";key="k" "w";sf);tag="pop-response"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		w := newWorld(t)
		w.config.Signer = w.signer
		r := w.prove(request("GET", target, ""), boundToken)
		r.Header.Set("Accept-Signature", field)
		rec := httptest.NewRecorder()
		w.verifier(holdfast.Policy{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, name := range []string{"X-A", "X", "Y", "Z", "W", "Set-Cookie"} {
				w.Header().Set(name, "a=b")
			}
			io.WriteString(w, "body")
		})).ServeHTTP(rec, r)
		resp := rec.Result()
		if form := formOf(resp); resp.StatusCode != http.StatusOK || !bytes.Equal(rec.Body.Bytes(), []byte("body")) || form != "unsigned" && form != "digest" {
			t.Errorf("got %d %q, signed by %q", resp.StatusCode, rec.Body, form)
		}
	})
}
