package holdfast

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/popstream"
)

func TestTransportSessionsBounded(t *testing.T) {
	var s originState
	now := time.Unix(1_800_000_000, 0)
	for i := range 3 * transportMaxPaths {
		s.proveEach(fmt.Sprint("/", i))
		if _, offer := s.session(sessionWish{token: "kept", path: "/"}, now); (offer != nil) != (i == 0) {
			t.Fatalf("after %d others a token in use was forgotten", i)
		}
		s.session(sessionWish{token: fmt.Sprint(i), path: "/"}, now)
	}
	if got := len(s.sessions.paths); got != transportMaxPaths {
		t.Errorf("got %d paths, want %d", got, transportMaxPaths)
	}
	if got := len(s.sessions.slots); got != transportMaxSlots {
		t.Errorf("got %d tokens, want %d", got, transportMaxSlots)
	}
}

// What was dropped or ended may have been replaced meanwhile: that stays.
func TestTransportSessionsReplaced(t *testing.T) {
	var s originState
	now := time.Unix(1_800_000_000, 0)
	w := sessionWish{token: "t", path: "/"}
	_, first := s.session(w, now)
	now = now.Add(transportOfferWait + 1)
	_, second := s.session(w, now)
	if first == nil || second == nil || first == second {
		t.Fatalf("got offers %p and %p", first, second)
	}
	s.withdraw(first)
	if _, third := s.session(w, now); third != nil {
		t.Error("a late end of the first offer ended the second")
	}
	old := &transportSession{ends: now.Add(time.Minute), renew: now.Add(time.Minute)}
	kept := &transportSession{ends: now.Add(time.Minute), renew: now.Add(time.Minute)}
	s.settle(second, old, now)
	s.settle(first, kept, now)
	s.drop("t", old)
	if got, offer := s.session(w, now); got != kept || offer != nil {
		t.Error("the old session's end ended the new one")
	}
	if got, offer := s.session(sessionWish{token: "t", path: "/", prove: true}, now); got != nil || offer != nil {
		t.Error("a call that a session refused was put into another, or offered while there is one")
	}
}

// Without a nonce of the server's, the frames of another response to the same request could be among them.
func TestSignedFramesNeedNonce(t *testing.T) {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte{7}, 32)
	key, err := httpsig.NewHMACKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	transport := &Transport{RequireSignedResponses: true, Source: oauth2.StaticTokenSource(nil), ResourceKeys: []*keys.Public{signer.Public()}}
	if err := transport.checkResponseRules(); err != nil {
		t.Fatal(err)
	}
	const uri = "https://api.example/events"
	for _, tc := range []struct {
		name  string
		nonce func() string
		want  string
	}{
		{"with one", nil, ""},
		{"without", httpsig.NoNonce, "nonce"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := httptest.NewRequest("GET", uri, nil)
			out.Header = http.Header{"Signature-Input": {`sig1=();nonce="1"`}, "Signature": {"sig1=:AAAA:"}}
			signing, err := httpsig.NewSigner(httpsig.SignerConfig{
				Secret: secret, Tag: TagResponse, Nonce: tc.nonce, Components: append(httpsig.Components(
					`"@status"`, `"pop-stream"`, `"signature";req;key="sig1"`), requestComponents...),
			})
			if err != nil {
				t.Fatal(err)
			}
			resp := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{"Pop-Stream": {popstream.Params{}.Field()}}}
			fields, err := signing.Sign(&httpsig.Message{Status: resp.StatusCode, Header: resp.Header, Request: httpsig.RequestMessage(out, uri)})
			if err != nil {
				t.Fatal(err)
			}
			fields.Add(resp.Header)
			c := &call{t: transport, target: clientTarget{uri: uri}, scheme: SchemeDPoP, session: callSession{
				in: &transportSession{responseKey: key, responseSecret: secret},
			}}
			err = c.verifyResponse(out, resp)
			if tc.want == "" && err != nil {
				t.Fatalf("got %v", err)
			}
			if e, ok := errors.AsType[*TransportError](err); tc.want != "" && (!ok || e.Reason != TransportResponseCoverage || e.Part != tc.want) {
				t.Errorf("got %v, want %s: %s", err, TransportResponseCoverage, tc.want)
			}
		})
	}
}
