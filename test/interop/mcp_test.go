package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const harness = "node_modules/@modelcontextprotocol/conformance/dist/index.js"

// harnessNode is a Node.js that the harness runs on, from npm: it wants a newer one than Debian has.
func harnessNode(t *testing.T) string {
	t.Helper()
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	node := fmt.Sprintf("node_modules/node-%s-%s/bin/node", runtime.GOOS, arch)
	if _, err := os.Stat(node); err != nil {
		t.Fatal(missing)
	}
	return node
}

// harnessCheck is one of the harness's verdicts.
type harnessCheck struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Error  string `json:"errorMessage"`
}

// checksBelow reads the verdicts that a run of the harness has written, and returns them as "id: status".
func checksBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "checks.json" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("the harness has written nothing below %s, %v", dir, err)
	}
	var got []string
	for _, file := range files {
		var checks []harnessCheck
		readJSON(t, file, &checks)
		for _, c := range checks {
			if c.Status != "INFO" {
				got = append(got, c.ID+": "+c.Status)
			}
			if c.Error != "" {
				t.Logf("%s: %s", c.ID, c.Error)
			}
		}
	}
	slices.Sort(got)
	return slices.Compact(got)
}

// The MCP conformance harness looks at the issuer's metadata, and gets a token by a code, as a browser's user goes along.
func TestMCPAuthorizationServer(t *testing.T) {
	for _, tc := range []struct {
		name, resource string
		want           []string
	}{
		{"as it should be", audience, []string{
			"authorization-code-grant: SUCCESS", "authorization-server-metadata-cimd: SUCCESS", "authorization-server-metadata: SUCCESS",
		}},
		// It can say no: that the other run passes means something.
		{"a resource that isn't the client's", "https://other.example", []string{
			"authorization-code-grant: FAILURE", "authorization-server-metadata-cimd: SUCCESS", "authorization-server-metadata: SUCCESS",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, "ES256")
			l := listen(t)
			_, port, _ := strings.Cut(l.Addr().String(), ":")
			l.Close()
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, harnessNode(t), harness, "authorization", "--url", s.issuer, "--client-id", "mcp",
				"--resource", tc.resource, "--port", port, "-o", dir)
			cmd.WaitDelay = 5 * time.Second
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said := goAlong(t, out)
			// Its exit code says what the checks say in detail.
			if err := cmd.Wait(); ctx.Err() != nil {
				t.Fatalf("the harness hung: %v\n%s", err, said)
			}
			slices.Sort(tc.want)
			if d := cmp.Diff(checksBelow(t, dir), tc.want); d != "" {
				t.Errorf("-got +want\n%s\n%s", d, said)
			}
		})
	}
}

// goAlong reads what the harness says, and visits the URL that it asks a user to visit.
func goAlong(t *testing.T, out io.Reader) string {
	t.Helper()
	var said bytes.Buffer
	visited := false
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		link := authorizationURL.FindString(said.String())
		if link != "" && !visited && strings.Contains(said.String(), "Callback server started") { // it says the link before
			visited = true
			walk(t, strings.TrimSpace(link), nil)
		}
		if err != nil {
			return said.String()
		}
	}
}

var authorizationURL = regexp.MustCompile(`(?m)^http://\S+/authorize\?\S+\s`)

// A client on Transport passes the harness's scenarios for DPoP; one that leaves a proof out, or signs another URL, doesn't.
func TestMCPClient(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	without := []string{"sep-1932-client-dpop-auth-scheme: SUCCESS", "sep-1932-client-fresh-proof: SUCCESS", "sep-1932-client-token-request-proof: SUCCESS"}
	for _, tc := range []struct {
		scenario, client string
		fails            []string
	}{
		{"auth/dpop", mcpGood, nil},
		{"auth/dpop-nonce", mcpGood, nil},
		{"auth/dpop", mcpBearer, []string{"sep-1932-client-dpop-auth-scheme", "sep-1932-client-fresh-proof"}},
		{"auth/dpop", mcpElsewhere, []string{"sep-1932-client-fresh-proof"}},
		// It then gets a bearer token, which Transport doesn't send.
		{"auth/dpop", mcpUnproven, []string{"sep-1932-client-dpop-auth-scheme", "sep-1932-client-fresh-proof", "sep-1932-client-token-request-proof"}},
	} {
		t.Run(tc.scenario+"/"+tc.client, func(t *testing.T) {
			want := slices.Clone(without)
			if tc.scenario == "auth/dpop-nonce" {
				want = append(want, "sep-1932-client-as-nonce: SUCCESS", "sep-1932-client-rs-nonce: SUCCESS")
			}
			for i, check := range want {
				if id, _, _ := strings.Cut(check, ":"); slices.Contains(tc.fails, id) {
					want[i] = id + ": FAILURE"
				}
			}
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, harnessNode(t), harness, "client", "--command", self, "--scenario", tc.scenario, "-o", dir)
			cmd.Env, cmd.WaitDelay = append(os.Environ(), mcpVariable+"="+tc.client), 5*time.Second
			said, err := cmd.CombinedOutput()
			if ctx.Err() != nil {
				t.Fatalf("the harness hung: %v\n%s", err, said)
			}
			got := slices.DeleteFunc(checksBelow(t, dir), func(s string) bool { return !strings.HasPrefix(s, "sep-1932-") })
			slices.Sort(want)
			if d := cmp.Diff(got, want); d != "" || (err == nil) != (tc.fails == nil) {
				t.Errorf("%v, -got +want\n%s\n%s", err, d, said)
			}
		})
	}
}
