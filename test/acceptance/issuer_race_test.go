package acceptance

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

// raceWindow is the issuer's: how long after its use a refresh token that comes again is only told to wait.
const raceWindow = 2 * time.Second

// TestIssuerRaces sends one code, and one refresh token, many times at once to two nodes, by its own client with all that
// it takes: one request wins. Then what was won falls with the grant, as it is in two hands.
func TestIssuerRaces(t *testing.T) {
	for _, kind := range databaseKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			a := openAuthority(t, kind.dsn(t), 2, olderAccepted)
			for _, id := range []string{"spa", "web"} {
				t.Run("code/"+id, func(t *testing.T) { a.raceCode(t, id) })
				t.Run("refresh token/"+id, func(t *testing.T) { a.raceRefresh(t, id) })
			}
			a.checkDatabase(t)
		})
	}
}

func (a *authority) raceCode(t *testing.T, id string) {
	p := a.newParty(t, id)
	form := redemption(p.code(t, a.nodes[0]))
	counts, won, _ := p.race(t, form)
	want := map[string]int{"200 ": 1, "400 invalid_grant": racers() - 1}
	if diff := cmp.Diff(counts, want); diff != "" {
		t.Fatalf("answers (-got +want):\n%s", diff)
	}
	a.checkRevoked(t, p, won)
}

func (a *authority) raceRefresh(t *testing.T, id string) {
	p := a.newParty(t, id)
	var first, won answer
	var counts map[string]int
	took := raceWindow
	for tries := 0; took >= raceWindow; tries++ { // those that come after it prove nothing
		if tries == 5 {
			t.Fatalf("this machine takes %v for %d requests", took, racers())
		}
		first = p.mustAsk(t, a.nodes[0], redemption(p.code(t, a.nodes[0])), http.StatusOK, "")
		counts, won, took = p.race(t, refreshment(first.Refresh))
	}
	want := map[string]int{"200 ": 1, "503 temporarily_unavailable": racers() - 1}
	if diff := cmp.Diff(counts, want); diff != "" {
		t.Fatalf("answers (-got +want):\n%s", diff)
	}
	// The winner goes on, and then somebody comes with the old token.
	next := p.mustAsk(t, a.nodes[1], refreshment(won.Refresh), http.StatusOK, "")
	if !a.isActive(t, a.nodes[0], next.Access) {
		t.Error("the winner's token isn't active")
	}
	reused, err := p.ask(a.nodes[0], refreshment(first.Refresh))
	for err == nil && reused.status == http.StatusServiceUnavailable && pause(t.Context(), poll) == nil {
		reused, err = p.ask(a.nodes[0], refreshment(first.Refresh))
	}
	if err != nil || reused.String() != "400 invalid_grant" {
		t.Fatalf("reuse: got %s, %v, want 400 invalid_grant", reused, err)
	}
	a.checkRevoked(t, p, next)
}

// checkRevoked checks on both nodes that the tokens of an answer are worth nothing.
func (a *authority) checkRevoked(t *testing.T, p *party, won answer) {
	t.Helper()
	for i, o := range a.nodes {
		if got, err := p.ask(o, refreshment(won.Refresh)); err != nil || got.String() != "400 invalid_grant" {
			t.Errorf("node %d: the winner's refresh token: got %s, %v, want 400 invalid_grant", i, got, err)
		}
		if a.isActive(t, o, won.Access) {
			t.Errorf("node %d: the winner's access token is active", i)
		}
	}
}

func racers() int { return size(50, 200) }

// race sends a form many times at once, each time with a proof of its own, to all nodes in turn. It returns how many of each
// answer there were, one that succeeded, and how long all took.
func (p *party) race(t *testing.T, form url.Values) (counts map[string]int, won answer, took time.Duration) {
	t.Helper()
	p.mustAsk(t, p.a.nodes[0], refreshment("unknown"), http.StatusBadRequest, "invalid_grant") // gets a nonce
	requests := make([]*http.Request, racers())
	for i := range requests {
		r, err := p.request(form)
		if err != nil {
			t.Fatal(err)
		}
		requests[i] = r
	}
	var mu sync.Mutex // guards counts and won
	counts = map[string]int{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, r := range requests {
		wg.Go(func() {
			<-start
			got, err := p.send(p.a.nodes[i%len(p.a.nodes)], r)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				counts[err.Error()]++
				return
			}
			counts[got.String()]++
			if got.status == http.StatusOK {
				won = got
			}
		})
	}
	began := time.Now()
	close(start)
	wg.Wait()
	return counts, won, time.Since(began)
}

// TestIssuerKeeps sends requests that are wrong in one thing, and then the right one to another node: whatever was refused
// has used up neither code nor refresh token.
func TestIssuerKeeps(t *testing.T) {
	for _, kind := range databaseKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			a := openAuthority(t, kind.dsn(t), 2, olderAccepted)
			for _, id := range []string{"spa", "web"} {
				for _, tc := range wrongs {
					p := a.newParty(t, id)
					form := redemption(p.code(t, a.nodes[0]))
					t.Run(fmt.Sprintf("code/%s/%s", id, tc.name), func(t *testing.T) { p.checkKept(t, form, tc) })
					if tc.codeOnly || tc.keyOfCode && id == "web" {
						continue
					}
					first := p.mustAsk(t, a.nodes[0], redemption(p.code(t, a.nodes[0])), http.StatusOK, "")
					t.Run(fmt.Sprintf("refresh token/%s/%s", id, tc.name), func(t *testing.T) { p.checkKept(t, refreshment(first.Refresh), tc) })
				}
			}
			a.checkDatabase(t)
		})
	}
}

// checkKept sends a form in a wrong way and then in the right one.
func (p *party) checkKept(t *testing.T, form url.Values, tc wrong) {
	p.mustAsk(t, p.a.nodes[0], refreshment("unknown"), http.StatusBadRequest, "invalid_grant") // gets a nonce
	r, err := tc.request(t, p, maps.Clone(form))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.send(p.a.nodes[0], r); err != nil || got.Error != tc.want {
		t.Errorf("got %s, %v, want %s", got, err, tc.want)
	}
	if got, err := p.ask(p.a.nodes[1], form); err != nil || got.status != http.StatusOK || got.Refresh == "" {
		t.Errorf("the right request afterwards: got %s, %v, want 200", got, err)
	}
}

// wrong is a way to ask that is refused.
type wrong struct {
	name      string
	codeOnly  bool // what only codes have
	keyOfCode bool // a confidential client may refresh with another key (RFC 9449, section 5)
	request   func(t *testing.T, p *party, form url.Values) (*http.Request, error)
	want      string
}

var wrongs = []wrong{
	{name: "no proof", want: "invalid_request", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		return p.post(tokenURL, form, "")
	}},
	{name: "no nonce", want: "use_dpop_nonce", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		return p.proving(form, func(q *dpop.Params) { q.Nonce = "" })
	}},
	{name: "a nonce of nobody's", want: "use_dpop_nonce", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		return p.proving(form, func(q *dpop.Params) { q.Nonce = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" })
	}},
	{name: "a proof for another URL", want: "invalid_dpop_proof", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		return p.proving(form, func(q *dpop.Params) { q.TargetURI += "/other" })
	}},
	{name: "an old proof", want: "invalid_dpop_proof", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		return p.proving(form, func(q *dpop.Params) { q.Now = time.Now().Add(-time.Hour) })
	}},
	{name: "a proof that was used", want: "invalid_dpop_proof", request: func(t *testing.T, p *party, form url.Values) (*http.Request, error) {
		id := rand.Text()
		again := func(q *dpop.Params) { q.ID = id }
		first, err := p.proving(redemption(p.code(t, p.a.nodes[0])), again)
		if err != nil {
			return nil, err
		}
		got, err := p.send(p.a.nodes[0], first)
		if err != nil {
			return nil, err
		}
		if got.status != http.StatusOK {
			return nil, fmt.Errorf("the first use: got %s", got)
		}
		return p.proving(form, again)
	}},
	{name: "another proof's signature", want: "invalid_dpop_proof", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		r, err := p.request(form)
		if err != nil {
			return nil, err
		}
		other, err := p.request(form)
		if err != nil {
			return nil, err
		}
		proof, foreign := r.Header.Get("DPoP"), other.Header.Get("DPoP")
		r.Header.Set("DPoP", proof[:strings.LastIndexByte(proof, '.')]+foreign[strings.LastIndexByte(foreign, '.'):])
		return r, nil
	}},
	{name: "another key", keyOfCode: true, want: "invalid_grant", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		other, err := keys.Generate(keys.ES256)
		if err != nil {
			return nil, err
		}
		thief := &party{a: p.a, id: p.id, secret: p.secret, signer: other}
		thief.nonce.Store(p.nonce.Load())
		return thief.request(form)
	}},
	{name: "another client", want: "invalid_grant", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		thief := &party{a: p.a, id: "other-" + p.id, secret: p.secret, signer: p.signer}
		thief.nonce.Store(p.nonce.Load())
		return thief.request(form)
	}},
	{name: "a wrong secret", want: "invalid_client", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		r, err := p.request(form)
		if err == nil {
			r.SetBasicAuth(p.id, "another-secret-of-some-length")
		}
		return r, err
	}},
	{name: "another verifier", codeOnly: true, want: "invalid_grant", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		form.Set("code_verifier", verifier+"-")
		return p.request(form)
	}},
	{name: "no verifier", codeOnly: true, want: "invalid_request", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		form.Del("code_verifier")
		return p.request(form)
	}},
	{name: "another redirect_uri", codeOnly: true, want: "invalid_grant", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		form.Set("redirect_uri", callback+"/")
		return p.request(form)
	}},
	{name: "another resource", want: "invalid_target", request: func(_ *testing.T, p *party, form url.Values) (*http.Request, error) {
		form.Set("resource", "https://other.example")
		return p.request(form)
	}},
}

// proving makes a request whose proof says something else.
func (p *party) proving(form url.Values, change func(*dpop.Params)) (*http.Request, error) {
	q := dpop.Params{Method: http.MethodPost, TargetURI: tokenURL, Nonce: p.nonce.Load().(string)}
	change(&q)
	proof, err := dpop.Sign(p.signer, q)
	if err != nil {
		return nil, err
	}
	return p.post(tokenURL, form, proof)
}
