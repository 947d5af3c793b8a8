package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/sfv"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/popstream"
)

// forge makes the captured request pay somebody else. Digest, counter and MAC are as they should be, if secret is.
func forge(c *captured, l *lane, secret []byte, counter uint64) error {
	c.body = []byte(`{"to":"eve","amount":10,"currency":"EUR"}`)
	sum := sha256.Sum256(c.body)
	c.set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	return resign(c, l, httpsig.SignerConfig{Secret: secret, Nonce: func() string { return strconv.FormatUint(counter, 10) }})
}

// stolenTicket uses a ticket that was seen, with a secret of the thief's.
func stolenTicket(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, false)
	if err != nil {
		return answer{}, err
	}
	if l.kind == onURLs {
		err = stolenTicketURL(c, l)
	} else {
		err = forge(c, l, random32(), 2)
	}
	if err != nil {
		return answer{}, err
	}
	return s.send(c)
}

// otherAudience takes a request that was held back to another gateway, which could open the ticket.
func otherAudience(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, err := s.capture(ctx, l, true)
	if err != nil {
		return answer{}, err
	}
	return s.sendTo(s.second, c)
}

// recordingEdge has every byte from the session's offer on, and tries each thing that it saw as the secret.
func recordingEdge(ctx context.Context, s *stage, l *lane) (answer, error) {
	w := &wire{gateway: s.gateway}
	c, err := s.captureOn(ctx, l, w, false)
	if err != nil {
		return answer{}, err
	}
	secrets, err := w.guesses(c)
	if err != nil {
		return answer{}, err
	}
	var got answer
	for i, secret := range secrets {
		if err := forge(c, l, secret, uint64(i+2)); err != nil {
			return answer{}, err
		}
		if got, err = s.send(c); err != nil || got.in {
			return got, err
		}
	}
	return got, nil
}

// guesses are what the wire saw of a session.
func (w *wire) guesses(c *captured) ([][]byte, error) {
	offer, err := sfv.ParseDictionary(w.offer)
	if err != nil {
		return nil, err
	}
	dict, err := sfv.ParseDictionary(w.answer)
	if err != nil {
		return nil, err
	}
	theirs, share, ticket := offer.Get("p256"), dict.Get("share"), dict.Get("ticket")
	if theirs == nil || share == nil || ticket == nil {
		return nil, errors.New("the recorded session lacks a part")
	}
	_, text, _ := strings.Cut(c.field("Authorization"), " ")
	_, mac, _ := strings.Cut(c.field("Signature"), "=:")
	tag, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(mac, ":"))
	if err != nil {
		return nil, err
	}
	a, b := theirs.Value.Bytes(), share.Value.Bytes()
	out := [][]byte{ticket.Value.Bytes(), []byte(text), tag, a, b}
	for _, shares := range [][]byte{a, b, bytes.Join([][]byte{a, b}, nil), bytes.Join([][]byte{b, a}, nil)} {
		sum := sha256.Sum256(shares)
		out = append(out, sum[:])
	}
	return out, nil
}

// edge ends the client's connection, and answers the offer in the gateway's place. It knows what the gateway knows of
// the session, but for the gateway's share: so it puts its own into the answer. The ticket stays the gateway's.
type edge struct {
	base   http.RoundTripper
	server *popsession.Server
	lane   *lane
	secret []byte // that it has agreed on with the client
	ticket string // the gateway's
}

func newEdge(base http.RoundTripper, l *lane) (*edge, error) {
	server, err := popsession.NewServer(popsession.ServerConfig{Secrets: []popsession.Secret{{ID: "edge", Key: random32()}}, Now: l.clock.now})
	return &edge{base: base, server: server, lane: l}, err
}

// RoundTrip implements http.RoundTripper.
func (e *edge) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := e.base.RoundTrip(r)
	if err != nil || resp.Header["Pop-Session"] == nil {
		return resp, err
	}
	field, err := e.swap(r, resp.Header["Pop-Session"])
	if err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	resp.Header["Pop-Session"] = []string{field}
	return resp, nil
}

// swap returns the gateway's answer with the edge's share and id.
func (e *edge) swap(r *http.Request, lines []string) (string, error) {
	offered, err := popsession.ParseOffer(r.Header["Pop-Session-Offer"])
	if err != nil {
		return "", err
	}
	token, err := e.lane.tokens.Token()
	if err != nil {
		return "", err
	}
	now := e.lane.clock.now()
	field, own, err := e.server.Answer(offered, popsession.Grant{
		Binding: popsession.Binding{
			Thumbprint: e.lane.signer.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte(token.AccessToken)), Audience: e.lane.origin,
		},
		Issuer: "edge", Subject: "edge", Confirmation: "jkt", Scheme: string(e.lane.scheme), Algorithm: string(keys.ES256),
		ProvedAt: now, Until: now.Add(time.Hour),
	})
	if err != nil {
		return "", err
	}
	e.secret = own.Keys.RequestSecret()
	mine, err := sfv.ParseDictionary(field)
	if err != nil {
		return "", err
	}
	theirs, err := sfv.ParseDictionary(lines...)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"ticket", "share", "id"} {
		if theirs.Get(name) == nil || mine.Get(name) == nil {
			return "", errors.New("an answer without " + name)
		}
	}
	e.ticket = base64.RawURLEncoding.EncodeToString(theirs.Get("ticket").Value.Bytes())
	*theirs.Get("share"), *theirs.Get("id") = *mine.Get("share"), *mine.Get("id")
	swapped, err := sfv.AppendDictionary(nil, theirs)
	return string(swapped), err
}

// swappedShare agrees on a secret with the client in the gateway's place. Clients that know the gateway's key notice, and
// the gateway doesn't know the secret.
func swappedShare(ctx context.Context, s *stage, l *lane) (answer, error) {
	c, _, err := s.behindEdge(ctx, l, l.resource)
	if err != nil {
		return answer{}, err
	}
	if c.kind() == onSessions {
		return answer{}, errors.New("a client that knows the gateway's key took the edge's answer")
	}
	// One that doesn't know it takes the answer, which shows that the edge did all that it could.
	c, e, err := s.behindEdge(ctx, l, nil)
	if err != nil {
		return answer{}, err
	}
	if c.kind() != onSessions || c.field("Authorization") != "PoP-Session "+e.ticket {
		return answer{}, errors.New("the edge's answer is no good")
	}
	if err := holds(ctx, c, l, e.secret); err != nil {
		return answer{}, fmt.Errorf("the edge's secret isn't the client's: %w", err)
	}
	if err := forge(c, l, e.secret, 2); err != nil {
		return answer{}, err
	}
	return s.send(c)
}

// holds checks the MAC of a captured request.
func holds(ctx context.Context, c *captured, l *lane, secret []byte) error {
	key, err := httpsig.NewHMACKey(secret)
	if err != nil {
		return err
	}
	v, err := httpsig.NewVerifier(httpsig.Config{
		Tag: holdfast.TagSession, One: true, Required: httpsig.Components("@method", "@target-uri"), RequiredParams: []string{"created"},
		Algorithms: []httpsig.Algorithm{httpsig.HMACSHA256}, Now: l.clock.now,
	})
	if err != nil {
		return err
	}
	_, err = v.Verify(ctx, &httpsig.Message{Method: c.method, TargetURI: l.origin + c.target, Header: c.header()},
		func(context.Context, *httpsig.Input) (*httpsig.Key, error) { return key, nil })
	return err
}

// behindEdge returns the second request of a client behind an edge, held back.
func (s *stage) behindEdge(ctx context.Context, l *lane, resource []*keys.Public) (*captured, *edge, error) {
	w := &wire{gateway: s.gateway}
	e, err := newEdge(w, l)
	if err != nil {
		return nil, nil, err
	}
	t := l.transport(e, l.signer)
	t.ResourceKeys = resource
	c, err := s.observe(ctx, l, w, &http.Client{Transport: t}, true)
	return c, e, err
}

// reframed keeps a streamed request from arriving and sends it with other frames. The API must not see the end.
func reframed(edit func(frames [][]byte) [][]byte) func(context.Context, *stage, *lane) (answer, error) {
	return func(ctx context.Context, s *stage, l *lane) (answer, error) {
		c, err := s.captureStream(ctx, l)
		if err != nil {
			return answer{}, err
		}
		frames, err := split(c.body)
		if err != nil {
			return answer{}, err
		}
		if len(frames) <= 3 {
			return answer{}, fmt.Errorf("a stream of %d chunks, too few", len(frames))
		}
		c.body = bytes.Join(edit(frames), nil)
		return s.send(c)
	}
}

// captureStream has a client stream transfers of which it doesn't know how many will come, and holds them back.
func (s *stage) captureStream(ctx context.Context, l *lane) (*captured, error) {
	r, err := s.transfer(ctx, l, "stream")
	if err != nil {
		return nil, err
	}
	r.Body, r.GetBody, r.ContentLength = io.NopCloser(transfers()), nil, -1
	w := &wire{gateway: s.gateway}
	t := l.transport(w, l.signer)
	t.DigestBody = false
	// A look-up without a body begins the session: once a server wanted a digest, clients read short bodies beforehand.
	first, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	c, err := w.observe(&http.Client{Transport: t}, first, r, true)
	if err == nil && (c.kind() != onSessions || c.field(popstream.Header) == "") {
		err = errors.New("the captured request isn't a session's stream")
	}
	return c, err
}

// transfers are several in one body. A read doesn't reach past one of them, so that each becomes a chunk.
func transfers() io.Reader {
	var each []io.Reader
	for _, to := range []string{"ann", "bob", "cat", "dan", "eva"} {
		each = append(each, strings.NewReader(`{"to":"`+to+`","amount":10,"currency":"EUR"}`+"\n"))
	}
	return io.MultiReader(each...)
}

// split takes a framed body apart.
func split(body []byte) ([][]byte, error) {
	const last, head, tag = 1 << 31, 4, sha256.Size
	var frames [][]byte
	for len(body) > 0 {
		if len(body) < head {
			return nil, io.ErrUnexpectedEOF
		}
		n := head + int(binary.BigEndian.Uint32(body)&^last) + tag
		if len(body) < n {
			return nil, io.ErrUnexpectedEOF
		}
		frames, body = append(frames, body[:n:n]), body[n:]
	}
	return frames, nil
}
