package issuer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/issuer/store"
)

// anybody is a request of somebody who names a client.
func anybody(ctx context.Context) *http.Request {
	return httptest.NewRequestWithContext(ctx, "GET", testIssuer+"/authorize", nil)
}

// register stores a client with the test's secret.
func (f *fixture) register(t testing.TB, id string) {
	t.Helper()
	hash, err := HashSecret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	c := Client{ID: id, AuthMethod: ClientSecretBasic, SecretHash: hash, Scope: []string{"read"}, Audience: []string{testResource}, InsecureAllowUnbound: true}
	text, err := c.Registration()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.CreateClient(t.Context(), testNow, store.Client{ID: id, Registration: text}); err != nil {
		t.Fatal(err)
	}
}

// A client may be registered and removed while the server runs. What was read is used for half a minute.
func TestRegisteredClients(t *testing.T) {
	now := testNow
	f := newFixture(t, func(cfg *Config) { cfg.Now = func() time.Time { return now } })
	want := func(status int) {
		t.Helper()
		if res := f.send(t, request("late")); res.status != status {
			t.Errorf("got status %d (%v), want %d", res.status, res.event.Refusal, status)
		}
	}
	want(http.StatusUnauthorized)
	f.register(t, "late")
	want(http.StatusOK)
	if err := f.store.DeleteClient(t.Context(), now, "late", 1); err != nil {
		t.Fatal(err)
	}
	now = now.Add(clientFresh - time.Second)
	want(http.StatusOK)
	now = now.Add(time.Second)
	want(http.StatusUnauthorized)
}

// The configuration has the last word on its own clients.
func TestConfiguredClientHidesRegistered(t *testing.T) {
	f := newFixture(t, nil)
	f.register(t, "any")
	c, err := f.client(anybody(t.Context()), "any")
	if err != nil {
		t.Fatal(err)
	}
	if c != f.clients["any"] {
		t.Error("got the registered client, want the configured one")
	}
}

// A registration that can't be read is our failure, not an unknown client.
func TestStoredRegistrationIsJudged(t *testing.T) {
	f := newFixture(t, nil)
	for id, text := range map[string]string{
		"unknown-member": `{"client_id":"unknown-member","later":true}`,
		"no-method":      `{"client_id":"no-method","audience":["https://rs.example"]}`,
		"another":        testRegistration,
		"algorithm": `{"client_id":"algorithm","id_token_signed_response_alg":"PS512","token_endpoint_auth_method":"client_secret_basic",` +
			`"client_secret_sha256":"` + testThumbprint + `","audience":["https://rs.example"]}`,
	} {
		t.Run(id, func(t *testing.T) {
			if err := f.store.CreateClient(t.Context(), testNow, store.Client{ID: id, Registration: []byte(text)}); err != nil {
				t.Fatal(err)
			}
			c, err := f.client(anybody(t.Context()), id)
			if c != nil || err == nil || asError(err).Reason != Failed {
				t.Errorf("got client %v and error %v, want reason %s", c, err, Failed)
			}
		})
	}
}

// Ids that no client can have never reach the database, and a database that is away is no unknown client.
func TestClientLookUp(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, id := range []string{"", "a\x00", "ä", string(make([]byte, maxClientID+1))} {
		if c, err := f.client(anybody(ctx), id); c != nil || err != nil {
			t.Errorf("%q: got %v and error %v, want neither", id, c, err)
		}
	}
	if _, err := f.client(anybody(ctx), "late"); err == nil || asError(err).Reason != Unavailable {
		t.Errorf("got error %v, want reason %s", err, Unavailable)
	}
}

func TestClientCacheIsBounded(t *testing.T) {
	var k clientCache
	for i := range 2 * maxFreshClients {
		k.keep(&client{Client: Client{ID: fmt.Sprint(i)}}, testNow)
	}
	if got := len(k.clients); got != maxFreshClients {
		t.Errorf("got %d clients, want %d", got, maxFreshClients)
	}
}
