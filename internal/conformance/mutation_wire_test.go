package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

// wireLane is a column of the demo that protects something: an honest client, and the server that it calls.
type wireLane struct {
	name    string
	binding accesstoken.Binding
	token   string // its type, for the client
	policy  holdfast.Policy
}

func wireLanes() []wireLane {
	transfer := []string{"@query", "content-type", "idempotency-key"}
	return []wireLane{
		{name: "DPoP", binding: accesstoken.BoundJKT, token: "DPoP", policy: holdfast.Policy{Schemes: []holdfast.Scheme{holdfast.SchemeDPoP}}},
		{name: "DPoP + signature", binding: accesstoken.BoundJKT, token: "DPoP", policy: holdfast.Policy{
			Schemes: []holdfast.Scheme{holdfast.SchemeDPoP}, Cover: transfer, CoverBody: true, Body: holdfast.BodyBuffered,
		}},
		{name: "HTTPSig", binding: accesstoken.BoundHTSK, token: "httpsig", policy: holdfast.Policy{
			Schemes: []holdfast.Scheme{holdfast.SchemeHTTPSig}, Cover: transfer, CoverBody: true,
		}},
	}
}

// wireEnd is both ends of a lane.
type wireEnd struct {
	config holdfast.Config
	sent   []byte // the honest request
}

const wireToken = "mF_9.B5f-4.1JqM"

var wireTime = time.Unix(vectorTime, 0)

// openLane has the lane's client make its request.
func openLane(t *testing.T, l wireLane) *wireEnd {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	pub := signer.Public()
	now := func() time.Time { return wireTime }
	w := &wireEnd{config: holdfast.Config{
		Tokens: oneToken{Confirmation: accesstoken.Confirmation{
			Binding: l.binding, Thumbprint: pub.Thumbprint(), Key: pub, Algorithm: "ecdsa-p256-sha256",
		}},
		External: holdfast.External{Hosts: []string{"api.example"}}, Policy: l.policy, Now: now,
	}}
	client := &holdfast.Transport{
		Base: w, Signer: signer, Cover: l.policy.Cover, DigestBody: l.policy.CoverBody, Now: now,
		Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: wireToken, TokenType: l.token}),
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "https://api.example/transfers?account=7", strings.NewReader(vectorBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "k-1")
	if _, err := client.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	return w
}

// RoundTrip implements http.RoundTripper: it keeps the bytes that net/http would send.
func (w *wireEnd) RoundTrip(r *http.Request) (*http.Response, error) {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	w.sent = b.Bytes()
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// oneToken knows wireToken.
type oneToken accesstoken.Token

func (o oneToken) Verify(_ context.Context, token string) (*accesstoken.Token, error) {
	if token != wireToken {
		return nil, &accesstoken.Error{Reason: accesstoken.Inactive, Part: "token"}
	}
	out := accesstoken.Token(o)
	return &out, nil
}

// accepts gives bytes to a server that has seen nothing yet, whose handler reads the whole body. The error is about bytes
// that net/http makes no request of.
func (w *wireEnd) accepts(raw string) (bool, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return false, err
	}
	r.TLS = &tls.ConnectionState{}
	guard, err := replay.NewMemory(replay.MemoryConfig{Now: w.config.Now, InsecureAcceptOlder: true})
	if err != nil {
		return false, err
	}
	cfg := w.config
	cfg.Replay = guard
	v, err := holdfast.NewVerifier(cfg)
	if err != nil {
		return false, err
	}
	if _, err := v.Check(r); err != nil {
		return false, nil
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil, nil
}

// wireMutants changes each octet and each line of a request in HTTP/1.1.
func wireMutants(raw string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for how, text := range octetEdits(raw) {
			if !yield(how, text) {
				return
			}
		}
		head, body, _ := strings.Cut(raw, "\r\n\r\n")
		for how, lines := range listEdits(strings.Split(head, "\r\n")) {
			if !yield("line "+how, strings.Join(lines, "\r\n")+"\r\n\r\n"+body) {
				return
			}
		}
	}
}

func mutateWire(t *testing.T, total *tally, l wireLane) {
	w := openLane(t, l)
	sent := string(w.sent)
	c, frame, err := readWire(sent)
	if err != nil {
		t.Fatal(err)
	}
	f, err := readFacts(c)
	if err != nil {
		t.Fatal(err)
	}
	got := tally{classes: map[string]int{}}
	defer total.add(&got)
	if taken, err := w.accepts(sent); err != nil || !taken {
		t.Fatalf("refused without a change (%v)", err)
	}
	for what, raw := range wireMutants(sent) {
		got.mutants++
		taken, err := w.accepts(raw)
		switch {
		case err != nil:
			got.unfit++
			continue
		case !taken:
			got.refused++
			continue
		}
		mutated, after, err := readWire(raw)
		if err != nil {
			t.Errorf("accepted: %s: not HTTP: %v", what, err)
			continue
		}
		names, problem := f.explain(c, mutated)
		if problem != "" {
			t.Errorf("accepted: %s: %s", what, problem)
		}
		if raw != sent && len(names) == 1 && names[0] == identical {
			names = []string{frame.differs(after)}
		}
		got.count(names)
	}
}

// frame is what HTTP/1.1 puts around a message (RFC 9112).
type frame struct{ version, rest string }

func (f frame) differs(after frame) string {
	switch {
	case f.version != after.version:
		return otherVersion
	case f.rest != after.rest:
		return otherRest
	}
	return otherEnding
}

// readWire reads a request as RFC 9112 describes it, without net/http.
func readWire(raw string) (*Case, frame, error) {
	m := &message{}
	line, raw, _ := strings.Cut(raw, "\n")
	words := strings.Split(strings.TrimSuffix(line, "\r"), " ")
	if len(words) != 3 {
		return nil, frame{}, fmt.Errorf("request line %q", line)
	}
	m.Method = words[0]
	for {
		var ok bool
		if line, raw, ok = strings.Cut(raw, "\n"); !ok {
			return nil, frame{}, errors.New("no end of the header")
		}
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, frame{}, fmt.Errorf("field line %q", line)
		}
		// Section 2.2: a carriage return alone stands for a space.
		m.Headers = append(m.Headers, [2]string{name, characters(strings.ReplaceAll(value, "\r", " "))})
	}
	m.URL = "https://" + strings.Join(trimmed(fieldLines(m.Headers, "host")), ",") + words[1]
	length := 0
	if lines := fieldLines(m.Headers, "content-length"); len(lines) > 0 {
		n, err := strconv.Atoi(strings.Trim(lines[0], " \t"))
		if err != nil || n < 0 || n > len(raw) || slices.ContainsFunc(lines, func(s string) bool { return s != lines[0] }) {
			return nil, frame{}, fmt.Errorf("lengths %q of %d octets", lines, len(raw))
		}
		length = n
	}
	m.Body = base64.StdEncoding.EncodeToString([]byte(raw[:length]))
	return &Case{ID: "wire", Endpoint: "resource", Request: m}, frame{words[2], raw[length:]}, nil
}
