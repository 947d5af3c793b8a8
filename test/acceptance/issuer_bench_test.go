package acceptance

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	// issuersCore is the one processor that the servers have between them; they take turns. `make bench-issuer` runs this
	// program, which is the client, on another one.
	issuersCore = "0"
	// callersAtOnce have a kept connection each, with one request under way.
	callersAtOnce = 8
	// benchKeys is how many keys the client proves in turn: a replay guard grants each key only a share of its memory.
	benchKeys = 8

	// interop is where npm's packages are installed.
	interop = "../interop"
)

// contender is an authorization server of which tokens are asked.
type contender struct {
	token  string // endpoint
	http   *http.Client
	secret string // of the client "service"
	keys   []*keys.Signer
	nonce  string
	pid    int

	// Of all runs:
	latencies []time.Duration
	rates     []float64     // tokens/s
	processor time.Duration // that the server used
}

// BenchmarkIssuerTokens asks this issuer and oidc-provider in turn for access tokens: client_credentials with
// client_secret_basic, DPoP proofs of ES256 with a nonce, each good once, for JWTs of ES256. Requests are made before each slice.
// Then it compares the last tenth of 200,000 tokens with the first, which another process of this issuer gives.
func BenchmarkIssuerTokens(b *testing.B) {
	if !*full {
		b.Skip("takes minutes, and npm's packages: `make bench-issuer`")
	}
	ours, theirs, fresh := openOurs(b), openOIDCProvider(b), openOurs(b)
	for b.Loop() {
		for _, c := range []*contender{theirs, ours, fresh} { // until they are warm
			c.run(b, warmUp)
			c.latencies, c.rates, c.processor = nil, nil, 0
		}
		b.ReportMetric(takeTurns(b, ours, theirs), "ratio")
		ours.report(b, "")
		theirs.report(b, "-oidc")
		for range 8 { // and what came before
			ours.run(b, slice*rounds)
		}
		b.ReportMetric(takeTurns(b, ours, fresh), "last/first")
	}
	b.ReportMetric(0, "ns/op") // of everything together
}

// Both of a comparison are asked for slice tokens in each round: few, so that what else the machine does is shared evenly.
const (
	slice  = 250
	rounds = 80
	warmUp = 2000
)

// takeTurns asks both, and returns the median over rounds of the ratio of their rates.
func takeTurns(b *testing.B, one, other *contender) float64 {
	b.Helper()
	var ratios []float64
	for range rounds {
		ratios = append(ratios, one.run(b, slice)/other.run(b, slice))
	}
	return median(ratios)
}

// report tells what the runs came to. Processor time is what other programs don't take from a server.
func (c *contender) report(b *testing.B, whose string) {
	b.ReportMetric(median(c.rates), "tokens/s"+whose)
	b.ReportMetric(float64(len(c.latencies))/c.processor.Seconds(), "tokens/cpu-s"+whose)
	slices.Sort(c.latencies)
	for _, p := range []int{50, 99} {
		at := c.latencies[len(c.latencies)*p/100]
		b.ReportMetric(float64(at.Microseconds()), fmt.Sprint("p", p, "-µs", whose))
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// openOurs starts this issuer, whose audit log goes to a file.
func openOurs(b *testing.B) *contender {
	a := newAuthority(b, databaseKinds[0].dsn(b), olderAccepted)
	dir := b.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	ready := filepath.Join(dir, "ready")
	cmd := onCore(a.binary, "issuer", "-c", a.config, "--ready-file", ready)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			b.Error(err)
		}
	})
	var addresses []byte
	tick, late := time.Tick(poll), time.After(time.Minute)
	for len(addresses) == 0 {
		select {
		case <-tick:
			addresses, _ = os.ReadFile(ready) // isn't there until it listens
		case <-late:
			said, _ := os.ReadFile(log.Name())
			b.Fatalf("the issuer doesn't listen: %s", said)
		}
	}
	address, _, _ := strings.Cut(string(addresses), "\n")
	o := newOffice(b)
	o.address.Store(address)
	return newContender(b, tokenURL, a.secret, cmd.Process.Pid, o.http)
}

// openOIDCProvider starts the other one.
func openOIDCProvider(b *testing.B) *contender {
	node, err := filepath.Abs(filepath.Join(interop, "node_modules", "node-linux-"+map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH], "bin/node"))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(node); err != nil {
		b.Fatal("npm's packages aren't here: `make bench-issuer` installs them")
	}
	secret := base64.RawURLEncoding.EncodeToString(random(33))
	config, err := json.Marshal(map[string]any{
		"resource": "https://api.example", "scope": "read", "nonces": true,
		"clients": []map[string]any{{"client_id": "service", "client_secret": secret, "grant_types": []string{"client_credentials"},
			"redirect_uris": []string{}, "response_types": []string{}, "dpop_bound_access_tokens": true}},
	})
	if err != nil {
		b.Fatal(err)
	}
	cmd := onCore(node, "oidc-provider.mjs")
	cmd.Dir, cmd.Stderr, cmd.Env = interop, os.Stderr, append(os.Environ(), "NODE_ENV=production")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil { // it ends with its input
			b.Error(err)
		}
	})
	if _, err := fmt.Fprintf(stdin, "%s\n", config); err != nil {
		b.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		b.Fatal(err)
	}
	var said struct{ Issuer string }
	if err := json.Unmarshal(line, &said); err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: callersAtOnce}
	b.Cleanup(transport.CloseIdleConnections)
	return newContender(b, said.Issuer+"/token", secret, cmd.Process.Pid, &http.Client{Transport: transport})
}

// onCore is a command on the servers' core: started there, it has as many threads as that is good for.
func onCore(command ...string) *exec.Cmd {
	return exec.Command("taskset", append([]string{"-c", issuersCore}, command...)...)
}

func newContender(b *testing.B, token, secret string, pid int, client *http.Client) *contender {
	c := &contender{token: token, secret: secret, pid: pid, http: client}
	for range benchKeys {
		signer, err := keys.Generate(keys.ES256)
		if err != nil {
			b.Fatal(err)
		}
		c.keys = append(c.keys, signer)
	}
	return c
}

// request makes a token request.
func (c *contender) request(i int) (*http.Request, error) {
	proof, err := dpop.Sign(c.keys[i%len(c.keys)], dpop.Params{Method: http.MethodPost, TargetURI: c.token, Nonce: c.nonce})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, c.token, strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", proof)
	r.SetBasicAuth("service", c.secret)
	return r, nil
}

// send returns the nonce that came with the answer, if any.
func (c *contender) send(r *http.Request) (nonce string, err error) {
	res, err := c.http.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return res.Header.Get("DPoP-Nonce"), err
}

// run makes n requests, then sends them, and returns how many were answered a second.
func (c *contender) run(b *testing.B, n int) float64 {
	b.Helper()
	first, err := c.request(0)
	if err != nil {
		b.Fatal(err)
	}
	switch nonce, err := c.send(first); {
	case nonce != "": // with a refusal, perhaps, because the one before is too old
		c.nonce = nonce
	case err != nil:
		b.Fatal(err)
	}
	requests := make([]*http.Request, n)
	for i := range requests {
		if requests[i], err = c.request(i); err != nil {
			b.Fatal(err)
		}
	}
	latencies := make([]time.Duration, n)
	used, began := processorTime(b, c.pid), time.Now()
	err = each(n, callersAtOnce, func(i int) error {
		sent := time.Now()
		_, err := c.send(requests[i])
		latencies[i] = time.Since(sent)
		return err
	})
	rate := float64(n) / time.Since(began).Seconds()
	if err != nil {
		b.Fatal(err)
	}
	c.latencies, c.rates = append(c.latencies, latencies...), append(c.rates, rate)
	c.processor += processorTime(b, c.pid) - used
	return rate
}

// each calls f for 0 to n-1 from some callers at once, and returns an error of each caller that had one.
func each(n, callers int, f func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for errs[caller] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[caller] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// processorTime is what a process has used of the processors: fields 14 and 15 of its stat, in hundredths of a second.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // from the third on
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkIssuerRefresh has clients refresh, each its own chain of tokens, one request at a time.
func BenchmarkIssuerRefresh(b *testing.B) {
	for _, kind := range databaseKinds {
		b.Run(kind.name, func(b *testing.B) {
			a := openAuthority(b, kind.dsn(b), 1, olderAccepted)
			for _, callers := range []int{1, 16} {
				chains := make(chan *chain, callers)
				for range callers {
					chains <- a.newChain(b, "spa")
				}
				b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
					err := each(b.N, callers, func(int) error {
						c := <-chains
						defer func() { chains <- c }()
						return c.refresh(context.Background())
					})
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refreshes/s")
				})
			}
		})
	}
}
