package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// attack is a row.
type attack struct {
	name    string
	content bool // it changes only what DPoP doesn't sign
	fields  bool // it changes header fields alone
	on      kind // where there is something like it; everywhere, if zero
	run     func(ctx context.Context, s *stage, l *lane) (answer, error)
}

// kind is how the requests of a lane are proved.
type kind int

const (
	onHeaders  kind = 1 << iota // each by a proof in its header
	onSessions                  // by the MAC of a session
	onURLs                      // by the URL itself, which a session signed
)

// attacks in the order of the table. The last one puts the clock forward.
var attacks = []attack{
	{name: "token alone", run: tokenAlone},
	{name: "token with own key", run: ownKey},
	{name: "replayed request", run: replayed},
	{name: "other method", run: changed(func(c *captured) { c.method = http.MethodDelete })},
	{name: "other path", run: changed(func(c *captured) { c.target = strings.Replace(c.target, "/transfers", "/accounts", 1) })},
	{name: "other query", content: true, run: changed(func(c *captured) { c.target = strings.Replace(c.target, "account=7", "account=8", 1) })},
	{name: "changed body", content: true, run: changed(changeBody)},
	{name: "changed header", content: true, fields: true, run: changed(func(c *captured) { c.set("Idempotency-Key", "another") })},
	{name: "truncated body", content: true, on: onHeaders | onSessions, run: changed(func(c *captured) { c.body = c.body[:len(c.body)/2] })},
	{name: "downgrade to Bearer", run: downgraded},
	{name: "captured nonce, own key", on: onHeaders | onSessions, run: capturedNonce},
	{name: "stolen ticket", on: onSessions | onURLs, run: stolenTicket},
	{name: "ticket at another audience", on: onSessions | onURLs, run: otherAudience},
	{name: "edge that recorded everything", on: onSessions, run: recordingEdge},
	{name: "swapped share", on: onSessions, run: swappedShare},
	{name: "moved chunk", on: onSessions, run: reframed(func(f [][]byte) [][]byte { f[1], f[2] = f[2], f[1]; return f })},
	{name: "truncated stream", on: onSessions, run: reframed(func(f [][]byte) [][]byte { return f[:3] })},
	{name: "URL used twice", on: onURLs, run: usedTwice},
	{name: "kept until it expired", run: expired},
}

// capture has the lane's honest client make a request and returns its bytes. If held, it never arrived.
func (s *stage) capture(ctx context.Context, l *lane, held bool) (*captured, error) {
	return s.captureOn(ctx, l, &wire{gateway: s.gateway}, held)
}

// captureOn captures on a wire that the attack looks at.
func (s *stage) captureOn(ctx context.Context, l *lane, w *wire, held bool) (*captured, error) {
	c, err := s.observe(ctx, l, w, l.client(w), held)
	if err == nil && c.kind() != l.kind {
		err = errors.New("the captured request is of another scheme")
	}
	return c, err
}

// observe has a client of w's ask for a transfer and then for the one to be captured. The first brings the nonce or
// begins the session, as it would in a client that has been up for a while.
func (s *stage) observe(ctx context.Context, l *lane, w *wire, client *http.Client, held bool) (*captured, error) {
	var both [2]*http.Request
	for i := range both {
		r, err := s.transfer(ctx, l, fmt.Sprintf("captured-%d", i))
		if err != nil {
			return nil, err
		}
		both[i] = r
	}
	return w.observe(client, both[0], both[1], held)
}

// tokenAlone sends the token, or the ticket that stands for it, as the thief of a log or a cache would: without any proof.
func tokenAlone(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, true)
	if err != nil {
		return answer{}, err
	}
	c.drop("DPoP", "Signature", "Signature-Input", "Content-Digest")
	c.target, _, _ = strings.Cut(c.target, "&pop-input=")
	return s.send(c)
}

// ownKey uses the token with a client as good as ours, and a key of the attacker's.
func ownKey(ctx context.Context, s *stage, l *lane) (answer, error) {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		return answer{}, err
	}
	thief := &http.Client{Transport: l.transport(&wire{gateway: s.gateway}, signer)}
	r, err := s.transfer(ctx, l, "thief")
	if err != nil {
		return answer{}, err
	}
	return s.watch(func() (*http.Response, error) {
		resp, err := thief.Do(r)
		if err == nil && resp.Header["Pop-Session"] != nil {
			return nil, errors.Join(errors.New("the thief was given a session"), resp.Body.Close())
		}
		return resp, err
	})
}

// replayed sends a request that arrived once more, byte for byte.
func replayed(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, false)
	if err != nil {
		return answer{}, err
	}
	return s.send(c)
}

// changed keeps a request from arriving and sends a changed one in its place.
func changed(edit func(*captured)) func(context.Context, *stage, *lane) (answer, error) {
	return func(ctx context.Context, s *stage, l *lane) (answer, error) {
		c, err := s.capture(ctx, l, true)
		if err != nil {
			return answer{}, err
		}
		before := string(c.bytes())
		edit(c)
		if string(c.bytes()) == before {
			return answer{}, errors.New("the attack changed nothing")
		}
		return s.send(c)
	}
}

// changeBody pays somebody else, or adds a body to a request without one.
func changeBody(c *captured) {
	if len(c.body) == 0 {
		c.body = []byte(`{"to":"eve","amount":10,"currency":"EUR"}`)
		return
	}
	c.body = bytes.Replace(c.body, []byte("bob"), []byte("eve"), 1)
}

// downgraded presents the token as the bearer token that it would be elsewhere.
func downgraded(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, true)
	if err != nil {
		return answer{}, err
	}
	token, err := l.tokens.Token()
	if err != nil {
		return answer{}, err
	}
	c.set("Authorization", "Bearer "+token.AccessToken)
	return s.send(c)
}

// capturedNonce makes a fresh proof with the attacker's key around a nonce that the victim was given.
func capturedNonce(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, true)
	if err != nil {
		return answer{}, err
	}
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		return answer{}, err
	}
	if proof := c.field("DPoP"); proof != "" {
		err = reproof(c, l, signer, proof)
	}
	switch {
	case err != nil:
	case l.kind == onSessions:
		err = resign(c, l, httpsig.SignerConfig{Secret: random32()})
	case c.field("Signature-Input") != "":
		err = resign(c, l, httpsig.SignerConfig{Key: signer})
	}
	if err != nil {
		return answer{}, err
	}
	return s.send(c)
}

// reproof replaces the DPoP proof by one of signer's with the same nonce.
func reproof(c *captured, l *lane, signer *keys.Signer, proof string) error {
	parts := strings.Split(proof, ".")
	if len(parts) != 3 {
		return errors.New("the captured proof is no JWT")
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var theirs struct{ Nonce string }
	if err := json.Unmarshal(claims, &theirs); err != nil {
		return err
	}
	if theirs.Nonce == "" {
		return errors.New("the captured proof has no nonce")
	}
	_, token, _ := strings.Cut(c.field("Authorization"), " ")
	own, err := dpop.Sign(signer, dpop.Params{Method: c.method, TargetURI: l.origin + c.target, Token: token, Nonce: theirs.Nonce, Now: l.clock.now()})
	if err != nil {
		return err
	}
	c.set("DPoP", own)
	return nil
}

// resign replaces the message signature by one with the key or secret in cfg over the same components, with the same tag
// and, unless cfg has another, the same nonce.
func resign(c *captured, l *lane, cfg httpsig.SignerConfig) error {
	h := c.header()
	inputs, err := httpsig.ParseInputs(h)
	if err != nil {
		return err
	}
	theirs := inputs[0]
	h.Del("Signature-Input")
	h.Del("Signature")
	cfg.Label, cfg.Components, cfg.Tag, cfg.Now = theirs.Label(), theirs.Components(), theirs.Tag(), l.clock.now
	if cfg.Nonce == nil {
		cfg.Nonce = theirs.Nonce
	}
	own, err := httpsig.NewSigner(cfg)
	if err != nil {
		return err
	}
	fields, err := own.Sign(&httpsig.Message{Method: c.method, TargetURI: l.origin + c.target, Header: h})
	if err != nil {
		return err
	}
	c.set("Signature-Input", fields.SignatureInput)
	c.set("Signature", fields.Signature)
	return nil
}

// expired holds a request back until its proof is too old. The token is still good.
func expired(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, true)
	if err != nil {
		return answer{}, err
	}
	s.clock.advance(70 * time.Second)
	return s.send(c)
}
