package bench

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// sessionCases are whole passes of requests in a session, with tickets remembered and without.
func sessionCases() ([]Case, error) {
	var out []Case
	for _, c := range []struct {
		name    string
		tickets int
	}{{"Verifier pass, session", 0}, {"Verifier pass, session, ticket opened each time", -1}} {
		v, s, err := newSession(c.tickets)
		if err != nil {
			return nil, err
		}
		requests, base, err := macStock(s)
		if err != nil {
			return nil, err
		}
		secret, used := s.Keys().RequestSecret(), 0
		work := func() error {
			r := requests[used%len(requests)]
			used++
			_, err := v.Check(r)
			return err
		}
		bare := func() error {
			h := hmac.New(sha256.New, secret)
			h.Write(base)
			h.Sum(nil)
			return nil
		}
		out = append(out, Case{Name: c.name, Bare: "HMAC-SHA-256", Work: work, Base: bare})
	}
	return out, nil
}

// newSession begins a session by DPoP.
func newSession(tickets int) (*holdfast.Verifier, *popsession.Session, error) {
	prims, err := newPrimitives()
	if err != nil {
		return nil, nil, err
	}
	signer := prims[0].signer
	token, tokens, err := boundToken(signer)
	if err != nil {
		return nil, nil, err
	}
	v, err := sessionVerifier(tokens, tickets)
	if err != nil {
		return nil, nil, err
	}
	offer, err := popsession.NewOffer()
	if err != nil {
		return nil, nil, err
	}
	hash := sha256.Sum256([]byte(offer.Field()))
	proof, err := dpop.Sign(signer, dpop.Params{
		Method: http.MethodGet, TargetURI: origin + target, Token: token, Claims: map[string]any{"pso": base64.RawURLEncoding.EncodeToString(hash[:])},
	})
	if err != nil {
		return nil, nil, err
	}
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}, "Pop-Session-Offer": {offer.Field()}}
	answer := httptest.NewRecorder()
	v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, r)
	s, err := offer.Accept(answer.Header()["Pop-Session"], popsession.Binding{
		Thumbprint: signer.Public().Thumbprint(), TokenHash: sha256.Sum256([]byte(token)), Audience: origin,
	}, time.Now())
	return v, s, err
}

func sessionVerifier(tokens accesstoken.Verifier, tickets int) (*holdfast.Verifier, error) {
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
	if err != nil {
		return nil, err
	}
	windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{InsecureAcceptOlder: true})
	if err != nil {
		return nil, err
	}
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	return holdfast.NewVerifier(holdfast.Config{
		Tokens: tokens, Replay: guard, External: holdfast.External{Origin: origin}, Freshness: 5 * time.Minute, Signer: signer,
		Sessions: &holdfast.Sessions{
			Secrets: []popsession.Secret{{ID: "bench", Key: secret}}, Windows: windows, Lifetime: 10 * time.Minute, Tickets: tickets,
		},
	})
}

// macStock makes more requests of the session than a measurement uses, and returns the base that their MACs are over.
func macStock(s *popsession.Session) ([]*http.Request, []byte, error) {
	u, err := url.Parse(origin + target)
	if err != nil {
		return nil, nil, err
	}
	var counter uint64
	signer, err := httpsig.NewSigner(httpsig.SignerConfig{
		Secret: s.Keys().RequestSecret(), Tag: holdfast.TagSession, Components: httpsig.Components("@method", "@target-uri", "authorization"),
		Nonce: func() string { return strconv.FormatUint(counter, 10) },
	})
	if err != nil {
		return nil, nil, err
	}
	requests := make([]*http.Request, 300_000)
	for i := range requests {
		if counter, err = s.NextCounter(); err != nil {
			return nil, nil, err
		}
		r := &http.Request{
			Method: http.MethodGet, URL: u, RequestURI: target, Host: "api.example.com", Body: http.NoBody,
			Header: http.Header{"Authorization": {"PoP-Session " + s.Ticket()}},
		}
		fields, err := signer.Sign(httpsig.RequestMessage(r, origin+target))
		if err != nil {
			return nil, nil, err
		}
		fields.Add(r.Header)
		requests[i] = r
	}
	inputs, err := httpsig.ParseInputs(requests[0].Header)
	if err != nil || len(inputs) != 1 {
		return nil, nil, errors.Join(errBare, err)
	}
	base, err := httpsig.Base(httpsig.RequestMessage(requests[0], origin+target), inputs[0], nil)
	return requests, base, err
}
