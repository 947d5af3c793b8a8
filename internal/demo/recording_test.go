package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/popsession"
)

// tape records every byte of every connection to the stage's servers, in both directions.
type tape struct {
	mu          sync.Mutex
	connections []*recorded // guarded by mu
}

// recorded is one connection.
type recorded struct {
	net.Conn
	server string

	mu             sync.Mutex
	sent, received bytes.Buffer // by the client; guarded by mu
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent.Write(p[:n])
	return n, err
}

func (c *recorded) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.received.Write(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// tapped is a listener whose connections are recorded.
type tapped struct {
	net.Listener
	server string
	tape   *tape
}

func (l tapped) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r := &recorded{Conn: c, server: l.server}
	l.tape.mu.Lock()
	defer l.tape.mu.Unlock()
	l.tape.connections = append(l.tape.connections, r)
	return r, nil
}

// loot is what the attacker reads: test/attacker has the type.
type loot struct {
	Servers     map[string]string
	Connections []map[string]any
	Classes     []string
	Secret      []byte          `json:",omitempty"`
	Key         json.RawMessage `json:",omitempty"`
}

// recordDemo plays the honest part of the demo on a tape. The attackers of the demo hold requests back: whoever does
// that can deliver them once, which is no attack.
func recordDemo(t *testing.T, lanes []*lane) (*stage, *loot) {
	t.Helper()
	var rec tape
	s, err := openStageWith(t.Context(), lanes, func(server string, l net.Listener) net.Listener { return tapped{l, server, &rec} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, l := range s.lanes {
		base := &http.Transport{}
		if err := s.live(t.Context(), l, base); err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		base.CloseIdleConnections()
	}
	in := &loot{Servers: map[string]string{"gateway": s.gateway, "second": s.second, "issuer": strings.TrimPrefix(s.issuerURL, "http://")}}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, c := range rec.connections {
		c.mu.Lock()
		in.Connections = append(in.Connections, map[string]any{
			"Server": c.server, "Sent": bytes.Clone(c.sent.Bytes()), "Received": bytes.Clone(c.received.Bytes()),
		})
		c.mu.Unlock()
	}
	return s, in
}

// live is a lane's client going about its business: look-ups, transfers and, in sessions, streams and signed URLs.
func (s *stage) live(ctx context.Context, l *lane, base http.RoundTripper) error {
	transport := l.transport(base, l.signer)
	transport.DigestBody = l.policy.CoverBody && l.kind == onHeaders
	client := &http.Client{Transport: transport}
	lookUp, err := http.NewRequestWithContext(ctx, http.MethodGet, l.origin+l.prefix+"/transfers?account=7", nil)
	if err != nil {
		return err
	}
	requests := []*http.Request{lookUp}
	for i := range 4 {
		r, err := s.transfer(ctx, l, fmt.Sprintf("recorded-%d", i))
		if err != nil {
			return err
		}
		requests = append(requests, r, lookUp.Clone(ctx))
	}
	for i := range 2 {
		if l.kind == onHeaders {
			break
		}
		r, err := s.transfer(ctx, l, fmt.Sprintf("streamed-%d", i))
		if err != nil {
			return err
		}
		r.Body, r.GetBody, r.ContentLength = io.NopCloser(transfers()), nil, -1
		requests = append(requests, r)
	}
	for _, r := range requests {
		if err := done(client.Do(r)); err != nil {
			return err
		}
	}
	for range 2 {
		if l.kind == onHeaders {
			break
		}
		signed, err := transport.SignURL(ctx, http.MethodGet, lookUp.URL.String(), 0)
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, signed, nil)
		if err != nil {
			return err
		}
		if err := done((&http.Client{Transport: base}).Do(r)); err != nil {
			return fmt.Errorf("a signed URL: %w", err)
		}
	}
	return nil
}

func done(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// attacker builds test/attacker, and returns what runs it: a process that has nothing but its input.
func attacker(t *testing.T) func(*loot) (report struct {
	Recorded, Attempts, Answers map[string]int
}) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "attacker")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/holdfast-project/holdfast/test/attacker").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(in *loot) (report struct {
		Recorded, Attempts, Answers map[string]int
	}) {
		t.Helper()
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Stdin, cmd.Env = bytes.NewReader(text), []string{}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr.Bytes())
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatal(err)
		}
		return report
	}
}

// classes are the kinds of attack of test/attacker.
var classes = []string{
	"changed", "counter", "credential alone", "elsewhere", "forged MAC", "frames", "other scheme", "own key", "recombined",
	"share", "signed URL", "ticket and signature", "token request", "verbatim",
}

// TestRecording hands every byte of the demo to an attacker. Even where unbound bearer tokens are let in, nothing that
// bound clients sent is of any use.
func TestRecording(t *testing.T) {
	lanes := newLanes()
	lanes[0].scheme = holdfast.SchemeDPoP // a bound client on the route that takes bearer tokens
	s, in := recordDemo(t, lanes)
	run := attacker(t)
	before := s.api.acted.Load()
	report := run(in)
	if got := s.api.acted.Load() - before; got != 0 {
		t.Errorf("the API acted on %d requests of the attacker's: %v", got, report.Answers)
	}
	total := 0
	for _, c := range classes {
		if total += report.Attempts[c]; report.Attempts[c] == 0 {
			t.Errorf("nothing was tried of %q", c)
		}
	}
	t.Logf("recorded %v; tried %d: %v; answered %v", report.Recorded, total, report.Attempts, report.Answers)
	if len(report.Attempts) != len(classes) || total < 2000 || report.Answers["none"] > total/100 {
		t.Errorf("the attacker hardly tried: %v, %v", report.Attempts, report.Answers)
	}
}

// TestAttackerGetsIn shows that each class of attack works where nothing stops it: with bearer tokens, without a memory of
// proofs, or with the one secret that isn't in the recording.
func TestAttackerGetsIn(t *testing.T) {
	run := attacker(t)
	for _, tc := range []struct {
		name string
		open func(*testing.T) (*stage, *loot)
		want []string
	}{
		{"bearer tokens", func(t *testing.T) (*stage, *loot) { return recordDemo(t, newLanes()[:1]) },
			[]string{"changed", "credential alone", "elsewhere", "other scheme", "own key", "recombined", "token request", "verbatim"}},
		{"no memory of proofs, and the secrets", withSecrets,
			[]string{"changed", "counter", "credential alone", "forged MAC", "frames", "other scheme", "own key", "recombined", "share", "signed URL",
				"ticket and signature", "verbatim"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, in := tc.open(t)
			var got []string
			for _, c := range classes {
				before := s.api.acted.Load()
				in.Classes = []string{c}
				run(in)
				if s.api.acted.Load() > before {
					got = append(got, c)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("classes that got in (-want +got):\n%s", diff)
			}
		})
	}
}

// withSecrets records bound clients of gateways that remember no proofs, and adds a client's key and a session's secret.
func withSecrets(t *testing.T) (*stage, *loot) {
	t.Helper()
	lanes := newLanes()[1:]
	for _, l := range lanes {
		l.policy.Replay = holdfast.InsecureReplayOff
	}
	s, in := recordDemo(t, lanes)
	var err error
	if in.Key, err = lanes[0].signer.MarshalPrivateJWK(); err != nil {
		t.Fatal(err)
	}
	server, err := popsession.NewServer(popsession.ServerConfig{Secrets: []popsession.Secret{s.fleet}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Backward(in.Connections) {
		m := regexp.MustCompile(`Authorization: PoP-Session (\S+)`).FindSubmatch(c["Sent"].([]byte))
		if m == nil {
			continue
		}
		ticket, err := server.Open(string(m[1]), "http://"+s.gateway)
		if err != nil {
			t.Fatal(err)
		}
		in.Secret = ticket.Keys.RequestSecret()
		return s, in
	}
	t.Fatal("no session was recorded")
	return nil, nil
}
