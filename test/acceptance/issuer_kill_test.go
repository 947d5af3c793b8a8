package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestIssuerKilled kills an issuer again and again while clients refresh, each its own chain of tokens. After each restart
// they send their last request again, until it is answered: nobody is locked out. What the clients were given is what the
// database has, and a token that was used before the kill is known to have been.
func TestIssuerKilled(t *testing.T) {
	for _, kind := range databaseKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			a := openAuthority(t, kind.dsn(t), 1, "")
			var chains []*chain
			for _, id := range []string{"spa", "web", "spa", "web", "spa", "web", "spa", "web"} {
				chains = append(chains, a.newChain(t, id))
			}
			rotations := a.killWhile(t, chains, size(2, 20), size(200, 1000))
			for _, c := range chains {
				rotations += len(c.tokens) - 1
			}
			a.checkRotations(t, rotations)
			for _, c := range chains {
				c.checkStolen(t)
			}
			a.checkDatabase(t)
		})
	}
}

// killWhile has the chains go on until this many refreshes were answered, and kills and restarts the node as often, evenly
// among them. It returns how many refreshes others than the chains have made.
func (a *authority) killWhile(t *testing.T, chains []*chain, kills, refreshes int) (others int) {
	t.Helper()
	answered := make(chan error, 1<<16) // nobody waits for who counts them
	ctx, abort := context.WithCancel(t.Context())
	enough := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer abort()
	for _, c := range chains {
		wg.Go(func() { c.run(ctx, enough, answered) })
	}
	for range kills {
		victim := a.newChain(t, "spa")
		for range 2 {
			if err := victim.refresh(ctx); err != nil {
				t.Fatal(err)
			}
			others++
		}
		await(t, answered, refreshes/(kills+1))
		a.nodes[0].process.kill(t)
		a.start(t, a.nodes[0])
		a.checkDatabase(t)
		if !a.isActive(t, a.nodes[0], victim.access) {
			t.Error("an access token isn't active after the restart")
		}
		victim.checkStolen(t)
	}
	await(t, answered, refreshes/(kills+1))
	close(enough)
	wg.Wait()
	interrupted := 0
	for _, c := range chains {
		interrupted += c.interrupted
	}
	if interrupted == 0 {
		t.Error("no request was interrupted")
	}
	t.Logf("%d requests had no answer", interrupted)
	return others
}

// await waits for n answers.
func await(t *testing.T, answered <-chan error, n int) {
	t.Helper()
	for range n {
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
	}
}

// checkRotations compares how many tokens the database says were used with how many refreshes were answered.
func (a *authority) checkRotations(t *testing.T, want int) {
	t.Helper()
	db := a.openDatabase(t)
	got, err := count(t.Context(), db, "SELECT count(*) FROM refresh_tokens WHERE used IS NOT NULL")
	if err != nil || got != want {
		t.Errorf("the database has %d refreshes, %v; clients were given %d", got, err, want)
	}
	repeated, err := count(t.Context(), db, "SELECT sum(repeats) FROM refresh_tokens")
	if err != nil {
		t.Error(err)
	}
	t.Logf("of %d refreshes, %d had an answer that was lost and asked for again", got, repeated)
}

// chain is a client and the refresh tokens that it was given, the newest last.
type chain struct {
	*party
	tokens      []string
	access      string
	interrupted int
}

func (a *authority) newChain(t testing.TB, id string) *chain {
	t.Helper()
	c := &chain{party: a.newParty(t, id)}
	if err := c.extend(t.Context(), redemption(c.code(t, a.nodes[0]))); err != nil {
		t.Fatal(err)
	}
	return c
}

// run refreshes until it is enough.
func (c *chain) run(ctx context.Context, enough <-chan struct{}, answered chan<- error) {
	for {
		select {
		case <-enough:
			return
		default:
		}
		err := c.refresh(ctx)
		answered <- err
		if err != nil {
			return
		}
	}
}

func (c *chain) refresh(ctx context.Context) error {
	return c.extend(ctx, refreshment(c.tokens[len(c.tokens)-1]))
}

// extend adds the refresh token that a form is answered with.
func (c *chain) extend(ctx context.Context, form url.Values) error {
	got, err := c.persist(ctx, form)
	if err != nil {
		return err
	}
	if got.status != http.StatusOK || got.Refresh == "" {
		return fmt.Errorf("%s is locked out: %s", c.id, got)
	}
	c.tokens, c.access = append(c.tokens, got.Refresh), got.Access
	return nil
}

// persist repeats a request, with a fresh proof each time, until it has an answer other than to try again.
func (c *chain) persist(ctx context.Context, form url.Values) (answer, error) {
	for {
		got, err := c.ask(c.a.nodes[0], form)
		wait := poll
		switch {
		case err != nil:
			c.interrupted++
		case got.status == http.StatusServiceUnavailable:
			seconds, err := strconv.Atoi(got.retryAfter)
			if err != nil {
				return answer{}, err
			}
			wait = time.Duration(seconds) * time.Second
		default:
			return got, nil
		}
		if err := pause(ctx, wait); err != nil {
			return answer{}, err
		}
	}
}

// checkStolen has somebody, with the client's key and secret, use a token whose successor was used: nobody gets anything
// any more.
func (c *chain) checkStolen(t *testing.T) {
	t.Helper()
	for _, token := range []string{c.tokens[len(c.tokens)-3], c.tokens[len(c.tokens)-1]} {
		if got, err := c.persist(t.Context(), refreshment(token)); err != nil || got.String() != "400 invalid_grant" {
			t.Errorf("a token that was used, or belongs to one: got %s, %v, want 400 invalid_grant", got, err)
		}
	}
	if c.a.isActive(t, c.a.nodes[0], c.access) {
		t.Error("the access token is active though a token of its grant was used twice")
	}
}

// kill ends the process as a power cut would, but for what the kernel still writes.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Errorf("killing %s: %v", p.name, err)
	}
	<-p.released
	if err := p.cmd.Wait(); err == nil {
		t.Errorf("%s ended well, want that it was killed", p.name)
	}
	if bytes.Contains(p.rest.Bytes(), []byte("DATA RACE")) {
		t.Errorf("%s: %s", p.name, p.rest.Bytes())
	}
}
