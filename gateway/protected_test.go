package gateway

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

// withIdentity adds both ways of telling who called.
func withIdentity(signer *keys.Signer) func(*Config) {
	return func(c *Config) {
		c.Identity = &Identity{Signer: signer, Issuer: "https://gateway.example"}
		c.PlainHeaders = true
	}
}

func TestFieldsOfAVerifiedRequest(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{}, withIdentity(newSigner(t)))
	r := request(t, "POST", audience+"/a?b", strings.NewReader("hello"))
	r.Header = http.Header{
		"Accept": {"*/*"}, "User-Agent": {"u"}, "Accept-Encoding": {"br"}, "X-Holdfast-Subject": {"admin"},
		"X_Holdfast_Client": {"admin"}, "Holdfast_Identity": {"forged"}, "Holdfast-Identity": {"forged"}, "Pop-Anything": {"x"},
	}
	res, _ := do(t, s.caller(g, holdfast.SchemeHTTPSig), r)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d (%s)", res.StatusCode, s.observed.last())
	}
	got := (<-up.seen).header
	want := http.Header{
		"Accept": {"*/*"}, "User-Agent": {"u"}, "Accept-Encoding": {"br"}, "Content-Length": {"5"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"api.example"}, "X-Forwarded-Proto": {"https"},
		"X-Holdfast-Subject": {"alice"}, "X-Holdfast-Client": {"shop"}, "X-Holdfast-Issuer": {issuerURL},
		"X-Holdfast-Scope": {"read write"}, "X-Holdfast-Scheme": {"HTTPSig"}, "X-Holdfast-Key": {s.client.Public().Thumbprint().String()},
		"X-Holdfast-Body": {"covered"},
	}
	ours := cmpopts.IgnoreMapEntries(func(name string, values []string) bool {
		return slices.Contains([]string{"Holdfast-Identity", "Content-Digest", "X-Holdfast-Covered"}, name) && len(values) == 1
	})
	if diff := cmp.Diff(got, want, ours); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}

func TestIdentity(t *testing.T) {
	s, up, signer := newStage(t), newUpstream(t), newSigner(t)
	other := newSigner(t)
	g := s.protect(up, holdfast.Policy{}, withIdentity(signer), func(c *Config) { c.Identity.Others = []*keys.Public{other.Public()} })
	do(t, s.caller(g, holdfast.SchemeDPoP), request(t, "GET", audience+"/a?secret", nil))
	token := (<-up.seen).header.Get("Holdfast-Identity")

	c, err := jws.Parse(token, 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	res, body := do(t, http.DefaultClient, request(t, "GET", g.url+"/.well-known/holdfast-gateway-jwks.json", nil))
	if got := res.Header.Get("Content-Type"); got != "application/jwk-set+json" {
		t.Errorf("type %q", got)
	}
	set, err := keys.ParseSet([]byte(body))
	if err != nil || len(set) != 2 {
		t.Fatalf("got %d keys, %v, want 2", len(set), err)
	}
	i := slices.IndexFunc(set, func(k *keys.Public) bool { return k.KeyID() == c.Header.KeyID })
	if i < 0 {
		t.Fatalf("no published key %q", c.Header.KeyID)
	}
	if err := c.Verify(set[i]); err != nil || c.Header.Typ != "holdfast-identity+jwt" {
		t.Errorf("signature: %v, typ %q", err, c.Header.Typ)
	}
	var got statement
	if err := json.Unmarshal([]byte(c.Payload), &got); err != nil {
		t.Fatal(err)
	}
	if got.Expires-got.IssuedAt != 60 || got.ID == "" {
		t.Errorf("got lifetime %d and id %q", got.Expires-got.IssuedAt, got.ID)
	}
	got.Expires, got.IssuedAt, got.ID = 0, 0, ""
	want := statement{
		Issuer: "https://gateway.example", Subject: "alice", Audience: up.URL, ClientID: "shop", Scope: "read write",
		TokenIssuer: issuerURL, Scheme: "DPoP", Confirm: map[string]string{"jkt": s.client.Public().Thumbprint().String()},
		Covered: []string{"@method", "@scheme", "@authority", "@path"}, Method: "GET", URL: audience + "/a",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}

func TestIdentityKeysMethod(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{}, withIdentity(newSigner(t)))
	res, _ := do(t, http.DefaultClient, request(t, "POST", g.url+"/.well-known/holdfast-gateway-jwks.json", nil))
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %d, want 405", res.StatusCode)
	}
}

func TestIdentityRefused(t *testing.T) {
	signer := newSigner(t)
	for _, tc := range []struct {
		name string
		edit func(*Identity)
	}{
		{"no signer", func(i *Identity) { i.Signer = nil }},
		{"no issuer", func(i *Identity) { i.Issuer = "" }},
		{"negative lifetime", func(i *Identity) { i.Lifetime = -1 }},
		{"path that isn't plain", func(i *Identity) { i.KeysPath = "/a/../b" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := &Identity{Signer: signer, Issuer: "g"}
			if _, err := newIdentity(id, time.Now); err != nil {
				t.Fatalf("the good identity: %v", err)
			}
			tc.edit(id)
			if _, err := newIdentity(id, time.Now); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// A public route tells nobody's identity, whatever the client says.
func TestPublicRouteHasNoIdentity(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{}, withIdentity(newSigner(t)), func(c *Config) { c.Routes[0].InsecurePublic = true })
	r := request(t, "GET", g.url+"/", nil)
	r.Header.Set("Holdfast-Identity", "forged")
	do(t, http.DefaultClient, r)
	if got := (<-up.seen).header.Values("Holdfast-Identity"); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// answering starts an upstream that answers by h.
func answering(t *testing.T, h http.HandlerFunc) *upstream {
	t.Helper()
	up := &upstream{Server: httptest.NewServer(h)}
	t.Cleanup(up.Close)
	return up
}

// The verifier's nonce stays, the upstream's own doesn't pass for it, and its challenges are its own.
func TestFieldsOfAnAnswer(t *testing.T) {
	s := newStage(t)
	nonces, err := dpop.NewNonces(dpop.NoncesConfig{Secret: []byte(strings.Repeat("s", 32))})
	if err != nil {
		t.Fatal(err)
	}
	up := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", "the upstream's")
		w.Header().Set("PoP-Session", "the upstream's")
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	})
	g := s.protect(up, holdfast.Policy{}, func(c *Config) {
		c.Verifier = s.verifier(holdfast.External{Origin: audience}, func(vc *holdfast.Config) { vc.Nonces = nonces })
	})
	res, _ := do(t, s.caller(g, holdfast.SchemeDPoP), request(t, "GET", audience+"/", nil))
	if got := res.Header.Values("WWW-Authenticate"); !slices.Equal(got, []string{"Basic"}) {
		t.Errorf("got challenges %q", got)
	}
	if got := res.Header.Values("DPoP-Nonce"); len(got) != 1 || got[0] == "the upstream's" {
		t.Errorf("got nonces %q, want the verifier's", got)
	}
	if got := res.Header.Values("PoP-Session"); len(got) != 0 {
		t.Errorf("got PoP-Session %q", got)
	}
}

func TestProofWorksOnce(t *testing.T) {
	for _, tc := range []struct {
		name   string
		level  holdfast.ReplayLevel
		status int
	}{
		{"per node", holdfast.ReplayNode, http.StatusUnauthorized},
		{"off", holdfast.InsecureReplayOff, http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, up := newStage(t), newUpstream(t)
			g := s.protect(up, holdfast.Policy{Replay: tc.level})
			text := wire("GET", "/", s.signed(holdfast.SchemeDPoP, "GET", audience+"/", ""), "\r\n")
			if res := raw(t, g.address, text); res.StatusCode != http.StatusOK {
				t.Fatalf("status %d (%s)", res.StatusCode, s.observed.last())
			}
			if res := raw(t, g.address, text); res.StatusCode != tc.status {
				t.Errorf("again: status %d, want %d", res.StatusCode, tc.status)
			}
		})
	}
}

func TestBearerObserved(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{Bearer: holdfast.InsecureBearerObserved}, withIdentity(newSigner(t)))
	r := request(t, "GET", g.url+"/", nil)
	r.Header.Set("Authorization", "Bearer "+s.token(holdfast.SchemeBearer, time.Minute))
	if res, _ := do(t, http.DefaultClient, r); res.StatusCode != http.StatusOK {
		t.Fatalf("status %d (%s)", res.StatusCode, s.observed.last())
	}
	h := (<-up.seen).header
	if h.Get("X-Holdfast-Scheme") != "Bearer" || h.Get("X-Holdfast-Key") != "" || h.Get("Authorization") != "" {
		t.Errorf("upstream was told %v", h)
	}
}

// The route with the longer path has its own policy.
func TestPolicyOfTheRoute(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	g := s.protect(up, holdfast.Policy{}, func(c *Config) {
		c.Routes = append(c.Routes, Route{Path: "/admin", Upstream: up.url(t), Policy: holdfast.Policy{Scope: []string{"admin"}}})
	})
	c := s.caller(g, holdfast.SchemeDPoP)
	for _, tc := range []struct {
		path   string
		status int
	}{{"/a", http.StatusOK}, {"/admin", http.StatusForbidden}, {"/admin/x", http.StatusForbidden}} {
		if res, _ := do(t, c, request(t, "GET", audience+tc.path, nil)); res.StatusCode != tc.status {
			t.Errorf("%s: status %d, want %d", tc.path, res.StatusCode, tc.status)
		}
	}
}

// direct serves a gateway for http://placeholder.example, for clients that take http URLs alone.
func (s *stage) direct(t *testing.T, up *upstream, edit ...func(*Config)) (*front, *http.Client) {
	t.Helper()
	g := s.protect(up, holdfast.Policy{}, append([]func(*Config){func(c *Config) {
		c.Verifier = s.verifier(holdfast.External{Origin: "http://placeholder.example"})
	}}, edit...)...)
	return g, &http.Client{Transport: s.transport(holdfast.SchemeDPoP, edge(g.address))}
}

func TestWebSocketAfterAProof(t *testing.T) {
	s, up := newStage(t), answering(t, echoSocket)
	g, client := s.direct(t, up)
	if _, _, err := websocket.Dial(t.Context(), "ws://"+g.address+"/socket", nil); err == nil {
		t.Fatal("a socket without a proof")
	}
	c, _, err := websocket.Dial(t.Context(), "http://placeholder.example/socket", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatalf("%v (%s)", err, s.observed.last())
	}
	defer c.CloseNow()
	echo(t, c)
}

// An upstream that answers before the body's end can't make a changed body look accepted: the answer is cut off.
func TestAnswerBeforeAChangedBodyEnds(t *testing.T) {
	s := newStage(t)
	up := answering(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		io.ReadFull(r.Body, make([]byte, 3)) // the fourth waits for the end
		io.WriteString(w, "got it")
		rc.Flush()
		io.Copy(io.Discard, r.Body)
	})
	g := s.protect(up, holdfast.Policy{})
	pr, pw := io.Pipe()
	c := s.caller(g, holdfast.SchemeHTTPSig, func(r *http.Request) { r.Body, r.ContentLength = pr, -1 })
	go io.WriteString(pw, "body")
	res, err := c.Do(request(t, "POST", audience+"/", strings.NewReader("body that was signed")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	if _, err := in.Peek(6); err != nil {
		t.Fatalf("the answer's start: %v", err)
	}
	pw.Close() // too early
	if _, err := io.ReadAll(in); err == nil {
		t.Error("a good end of the answer to a changed body")
	}
	if got := s.observed.last(); got != "digest-mismatch" {
		t.Errorf("observers were told %q last, want digest-mismatch", got)
	}
}

func TestUpstreamURLIsCopied(t *testing.T) {
	s, up := newStage(t), newUpstream(t)
	u := up.url(t)
	g := s.protect(up, holdfast.Policy{}, func(c *Config) { c.Routes[0].Upstream = u })
	*u = url.URL{}
	if res, _ := do(t, s.caller(g, holdfast.SchemeDPoP), request(t, "GET", audience+"/", nil)); res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
}

// An upstream that has seen enough may answer before the body's end. That is no fault of the client's.
func TestAnswerBeforeTheBodyEnds(t *testing.T) {
	s := newStage(t)
	up := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	g := s.protect(up, holdfast.Policy{})
	pr, pw := io.Pipe()
	defer pw.Close()
	c := s.caller(g, holdfast.SchemeHTTPSig, func(r *http.Request) { r.Body, r.ContentLength = pr, -1 })
	go io.WriteString(pw, "the first part")
	res, body := do(t, c, request(t, "POST", audience+"/", strings.NewReader("the first part and more")))
	if res.StatusCode != http.StatusRequestEntityTooLarge || body != "too much\n" {
		t.Errorf("got %d %q, want the upstream's answer", res.StatusCode, body)
	}
	if !res.Close {
		t.Error("the connection goes on, with what is left of the body before the next request")
	}
	if got := s.observed.last(); got != "" {
		t.Errorf("observers were told %q last, want the verdict alone", got)
	}
}
