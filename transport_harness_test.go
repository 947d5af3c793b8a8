package holdfast_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// wireSent is one request as a server received it.
type wireSent struct {
	scheme string
	r      *http.Request // its body was read
	body   string
}

func (s wireSent) target() string {
	switch {
	case s.r.RequestURI == "*":
		return s.scheme + "://" + s.r.Host
	case strings.HasPrefix(s.r.RequestURI, s.scheme):
		return s.r.RequestURI // in absolute form
	}
	return s.scheme + "://" + s.r.Host + s.r.RequestURI
}

// wireServer records what it is sent and answers as it is told.
type wireServer struct {
	*httptest.Server
	mu   sync.Mutex
	list []wireSent // guarded by mu
}

// wireAnswer answers the nth request (from 0). Without one, the answer is 200.
type wireAnswer func(n int, w http.ResponseWriter, r *http.Request)

func newWireServer(t testing.TB, start func(http.Handler) *httptest.Server, answer wireAnswer) *wireServer {
	t.Helper()
	s := new(wireServer)
	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("server: reading the body: %v", err)
		}
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		s.mu.Lock() // answers come one at a time, so that they may share variables
		defer s.mu.Unlock()
		s.list = append(s.list, wireSent{scheme, r, string(body)})
		if answer != nil {
			answer(len(s.list)-1, w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// received returns what was sent so far, which must be want requests.
func (s *wireServer) received(t *testing.T, want int) []wireSent {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) != want {
		t.Fatalf("got %d requests, want %d", len(s.list), want)
	}
	return s.list
}

const wireToken = "mF_9.B5f-4.1JqM"

func tokenSource(kind string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: wireToken, TokenType: kind})
}

func wireKey(t testing.TB) *keys.Signer {
	t.Helper()
	s, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wireRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, content)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// oneWay hides what would let a body be sent again.
func oneWay(r *http.Request) *http.Request {
	r.GetBody = nil
	r.ContentLength = -1
	return r
}

// sendVia sends r through tr and returns status and body of the answer.
func sendVia(t testing.TB, tr http.RoundTripper, r *http.Request) (int, string) {
	t.Helper()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// refusedAs checks that err is a TransportError with this reason.
func refusedAs(t testing.TB, err error, want holdfast.TransportReason) {
	t.Helper()
	e, ok := errors.AsType[*holdfast.TransportError](err)
	if !ok || e.Reason != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	if strings.Contains(err.Error(), wireToken) {
		t.Errorf("the token is in the error: %v", err)
	}
}

// checkDPoP verifies the proof of a received request. token is "" at a token endpoint.
func checkDPoP(t testing.TB, s wireSent, key *keys.Signer, token string, now func() time.Time) *dpop.Proof {
	t.Helper()
	v, err := dpop.NewVerifier(dpop.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := v.Verify(dpop.Request{
		Fields: s.r.Header["Dpop"], Method: s.r.Method, TargetURI: s.target(), Token: token,
		Thumbprint: key.Public().Thumbprint(),
	})
	if err != nil {
		t.Fatalf("proof: %v", err)
	}
	if token != "" {
		if got, want := s.r.Header["Authorization"], "DPoP "+token; len(got) != 1 || got[0] != want {
			t.Errorf("got Authorization %q, want %q", got, want)
		}
	}
	return proof
}

// checkSignature verifies the one signature of a received request, which must cover exactly these components.
func checkSignature(t testing.TB, s wireSent, key *keys.Signer, tag string, components ...string) *httpsig.Input {
	t.Helper()
	v, err := httpsig.NewVerifier(httpsig.Config{
		Tag: tag, One: true, RequiredParams: []string{"created", "nonce", "tag"}, MaxAge: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	k, err := httpsig.NewJOSEKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sigs, err := v.Verify(t.Context(), httpsig.RequestMessage(s.r, s.target()), func(_ context.Context, in *httpsig.Input) (*httpsig.Key, error) {
		if in.Alg() == "" {
			return k, nil
		}
		return httpsig.NewKey(key.Public(), httpsig.Algorithm(in.Alg()))
	})
	if err != nil {
		t.Fatalf("signature: %v", err)
	}
	in := sigs[0].Input()
	var got []string
	for _, c := range in.Components() {
		got = append(got, c.String())
	}
	if g, w := strings.Join(got, " "), strings.Join(components, " "); g != w {
		t.Errorf("covered\n got %s\nwant %s", g, w)
	}
	return in
}

// wireChallenge answers 401 with a WWW-Authenticate field and further ones, as pairs.
func wireChallenge(w http.ResponseWriter, value string, fields ...string) {
	w.Header().Set("WWW-Authenticate", value)
	for i := 0; i < len(fields); i += 2 {
		w.Header().Set(fields[i], fields[i+1])
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// roundTrips is an http.RoundTripper from a function.
type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
