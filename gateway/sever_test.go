package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/revocation"
)

// here is what clients call a gateway whose streams they can open with the libraries of the tests.
const here = "http://placeholder.example"

// patience bounds waits for what must happen. It only counts in a test that fails.
const patience = 20 * time.Second

// lasting is a gateway in front of an API whose answers have no end.
type lasting struct {
	*stage
	*front
	set   *revocation.Set
	ended chan bool // the upstream saw the end of an answer
	begin func()    // if set, is called before an answer begins, which is over at once
	last  atomic.Pointer[holdfast.Verdict]
}

// newLasting starts it, with sessions of 30 s.
func newLasting(t *testing.T) *lasting {
	t.Helper()
	set, err := revocation.NewSet(revocation.SetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lasting{stage: newStage(t), set: set, ended: make(chan bool, 100)}
	up := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			return // it begins a session
		}
		if l.begin != nil {
			l.begin()
		}
		switch r.URL.Path {
		case "/socket":
			echoSocket(w, r)
			l.ended <- true
		case "/events":
			events(w, r)
			l.ended <- true
		}
	})
	l.front = l.protect(up, holdfast.Policy{}, func(c *Config) {
		c.Verifier = l.verifier(holdfast.External{Origin: here}, l.withSessions, func(vc *holdfast.Config) {
			vc.Sessions.Lifetime, vc.Revocations, vc.Observers = 30*time.Second, set, append(vc.Observers, l)
		})
	})
	return l
}

// Observe keeps the last verdict.
func (l *lasting) Observe(_ context.Context, _ *http.Request, v *holdfast.Verdict, _ *holdfast.Refusal) {
	if v != nil {
		l.last.Store(v)
	}
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	io.WriteString(w, "data: 1\n\n")
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// ways of opening a stream: by a full proof, in a session, and by a signed URL.
var ways = map[string]func(l *lasting, path string) (client *http.Client, url string){
	"full proof": func(l *lasting, path string) (*http.Client, string) {
		return l.sender(true), here + path
	},
	"session": func(l *lasting, path string) (*http.Client, string) {
		client := l.sender(false)
		do(l.t, client, request(l.t, "HEAD", here+"/", nil))
		return client, here + path
	},
	"signed URL": func(l *lasting, path string) (*http.Client, string) {
		signed, err := l.transport(holdfast.SchemeDPoP, edge(l.address)).SignURL(l.t.Context(), "GET", here+path, 0)
		if err != nil {
			l.t.Fatalf("%v (%s)", err, l.observed.last())
		}
		return &http.Client{Transport: edge(l.address)}, signed
	},
}

func (l *lasting) sender(noSessions bool) *http.Client {
	t := l.transport(holdfast.SchemeDPoP, edge(l.address))
	t.NoSessions = noSessions
	return &http.Client{Transport: t}
}

// stream is an answer under way.
type stream struct {
	rest  func() error // waits for the end, and tells how it came
	close func()
}

// kinds of streams that have no end of their own.
var kinds = map[string]func(l *lasting, client func(path string) (*http.Client, string)) (*stream, error){
	"WebSocket": func(l *lasting, client func(string) (*http.Client, string)) (*stream, error) {
		c, url := client("/socket")
		conn, _, err := websocket.Dial(l.t.Context(), url, &websocket.DialOptions{HTTPClient: c})
		if err != nil {
			return nil, err
		}
		if l.begin == nil {
			echo(l.t.(*testing.T), conn)
		}
		return &stream{
			rest:  func() error { _, _, err := conn.Read(l.t.Context()); return err },
			close: func() { conn.CloseNow() },
		}, nil
	},
	"EventSource": func(l *lasting, client func(string) (*http.Client, string)) (*stream, error) {
		c, url := client("/events")
		res, err := c.Do(request(l.t, "GET", url, nil))
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK {
			// Where nothing came back, net/http asks once more, and what is over isn't let in again.
			res.Body.Close()
			return nil, errors.New(res.Status)
		}
		in := bufio.NewReader(res.Body)
		if line, err := in.ReadString('\n'); l.begin == nil && line != "data: 1\n" {
			return nil, fmt.Errorf("got %q for the first event: %w", line, err)
		}
		return &stream{
			rest:  func() error { _, err := io.Copy(io.Discard, in); return err },
			close: func() { res.Body.Close() },
		}, nil
	},
}

// soon waits for what must happen.
func soon(t *testing.T, what string, happened <-chan bool) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

// ends checks that the stream ends at both sides. At the client's it may do so before it is open.
func (l *lasting) ends(t *testing.T, s *stream) {
	t.Helper()
	over := make(chan bool)
	go func() {
		defer close(over)
		if err := s.rest(); err == nil {
			t.Error("the client saw a good end of a stream that was cut off")
		}
	}()
	soon(t, "the end at the client", over)
	soon(t, "the end at the upstream", l.ended)
}

// each plays a test for each kind of stream, opened in each way.
func each(t *testing.T, test func(t *testing.T, open func(l *lasting) *stream)) {
	for kind, open := range kinds {
		for way, client := range ways {
			t.Run(kind+" by "+way, func(t *testing.T) {
				test(t, func(l *lasting) *stream {
					s, err := open(l, func(path string) (*http.Client, string) { return client(l, path) })
					if err != nil && l.begin == nil {
						t.Fatalf("%v (%s)", err, l.observed.last())
					}
					if err != nil {
						return &stream{rest: func() error { return err }}
					}
					t.Cleanup(s.close)
					return s
				})
			})
		}
	}
}

// TestStreamsEndWithRevocation: whatever of a stream's verdict is revoked, and nothing else, ends it.
func TestStreamsEndWithRevocation(t *testing.T) {
	each(t, func(t *testing.T, open func(l *lasting) *stream) {
		for name, revoked := range map[string]func(v *holdfast.Verdict) revocation.Name{
			"token":      func(v *holdfast.Verdict) revocation.Name { return revocation.Token(issuerURL, v.Token.ID) },
			"token hash": func(v *holdfast.Verdict) revocation.Name { return revocation.TokenHash(v.Token.Hash) },
			"session": func(v *holdfast.Verdict) revocation.Name {
				if v.Session == nil {
					return revocation.Name{}
				}
				return revocation.Session(v.Session.ID)
			},
			"key":     func(v *holdfast.Verdict) revocation.Name { return revocation.Key(v.Key) },
			"client":  func(*holdfast.Verdict) revocation.Name { return revocation.Client(issuerURL, "shop") },
			"subject": func(*holdfast.Verdict) revocation.Name { return revocation.Subject(issuerURL, "alice") },
		} {
			t.Run(name, func(t *testing.T) {
				l := newLasting(t)
				s := open(l)
				l.revoke(t, revocation.Subject(issuerURL, "bob"))
				l.revoke(t, revocation.Session(popsession.ID{1}))
				select {
				case <-l.ended:
					t.Fatal("the stream ended for what doesn't concern it")
				default:
				}
				n := revoked(l.last.Load())
				if n == (revocation.Name{}) {
					return // there is no session
				}
				l.revoke(t, n)
				l.ends(t, s)
				want := holdfast.ReasonTokenRevoked
				if n.Kind() == revocation.KindSession {
					want = holdfast.ReasonSessionRevoked
				}
				if got := l.observed.last(); got != want {
					t.Errorf("observers were told %q last, want %s", got, want)
				}
			})
		}
	})
}

func (l *lasting) revoke(t *testing.T, n revocation.Name) {
	t.Helper()
	if err := l.set.Revoke(t.Context(), revocation.Entry{Name: n, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
}

// TestStreamsEndInTime: a stream that begins when its token or session is over ends at once. Timers are tested with the
// verdict's Watch.
func TestStreamsEndInTime(t *testing.T) {
	each(t, func(t *testing.T, open func(l *lasting) *stream) {
		l := newLasting(t)
		after := 40 * time.Second // the session is over
		if strings.Contains(t.Name(), "full_proof") {
			after = 2 * time.Minute // the token is
		}
		l.begin = func() { l.ahead.Store(int64(after)) }
		l.ends(t, open(l))
	})
}

// An answer with an end of its own isn't cut off.
func TestDownloadOutlivesTheToken(t *testing.T) {
	s := newStage(t)
	up := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		s.ahead.Store(int64(2 * time.Minute))
		io.WriteString(w, "ok")
	})
	_, client := s.direct(t, up)
	if _, body := do(t, client, request(t, "GET", here+"/file", nil)); body != "ok" {
		t.Errorf("got %q", body)
	}
}

// flood answers with head and then as much as goes, tells when nothing more goes, and waits for the end.
func flood(head string, stalled, ended chan<- bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, head)
		part := bytes.Repeat([]byte("data: 1\n\n"), 7000)
		for err == nil {
			conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			_, err = conn.Write(part)
		}
		stalled <- true
		io.Copy(io.Discard, conn)
		ended <- true
	}
}

// A client that neither reads nor writes can't hold on to what was revoked.
func TestStalledStreamsEnd(t *testing.T) {
	for _, tc := range []struct{ name, head, fields string }{
		{"WebSocket", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
		{"EventSource", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, err := revocation.NewSet(revocation.SetConfig{})
			if err != nil {
				t.Fatal(err)
			}
			stalled, ended, returned := make(chan bool, 1), make(chan bool, 1), make(chan bool)
			s := newStage(t)
			up := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					flood(tc.head, stalled, ended)(w, r)
				}
			})
			g := s.protect(up, holdfast.Policy{}, func(c *Config) {
				c.Verifier = s.verifier(holdfast.External{Origin: audience}, s.withSessions, func(vc *holdfast.Config) { vc.Revocations = set })
			})
			signed := s.signURL(g, "GET", "/stream")
			inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(returned)
				g.ServeHTTP(w, r)
			}))
			t.Cleanup(inner.Close)
			conn, err := net.Dial("tcp", inner.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			io.WriteString(conn, "GET "+signed+" HTTP/1.1\r\nHost: api.example\r\n"+tc.fields+"\r\n")
			soon(t, "the stall", stalled)
			if err := set.Revoke(t.Context(), revocation.Entry{Name: revocation.Subject(issuerURL, "alice"), Until: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			soon(t, "the end at the upstream", ended)
			soon(t, "the end of the handler", returned)
		})
	}
}
