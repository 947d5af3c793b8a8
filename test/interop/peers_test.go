// Package interop holds tests of holdfast against implementations that have nothing in common with it: npm packages,
// run by Node.js as peers of real servers on the loopback interface, and a Go library. docs/interop.md says which, and
// what they disagree about.
//
// It is a module of its own, so that nobody who imports holdfast downloads the peers. Run it with `make interop`.
package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// missing is what tests say without the peers. They never skip: a run that tested nothing would look like success.
const missing = "the npm packages aren't here: `make test` installs them (in test/interop, `npm ci`)"

// runNode runs a script with config on its standard input, and reads its result. One that hangs is killed.
func runNode[Result any](t *testing.T, script string, config any) Result {
	t.Helper()
	if _, err := os.Stat("node_modules"); err != nil {
		t.Fatal(missing)
	}
	input, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, stderr.Bytes())
	}
	var result Result
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	if err := d.Decode(&result); err != nil {
		t.Fatalf("node %s: its result: %v", script, err)
	}
	return result
}

// What is installed must be what package.json and docs/interop.md name.
func TestPeers(t *testing.T) {
	doc, err := os.ReadFile("../../docs/interop.md")
	if err != nil {
		t.Fatal(err)
	}
	var wanted struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	readJSON(t, "package.json", &wanted)
	if len(wanted.Dependencies) == 0 {
		t.Fatal("package.json names no peer")
	}
	for name, version := range wanted.Dependencies {
		var installed struct {
			Version string `json:"version"`
		}
		readJSON(t, filepath.Join("node_modules", name, "package.json"), &installed)
		if installed.Version != version {
			t.Errorf("%s: got version %s installed, want %s: run `make test`", name, installed.Version, version)
		}
		if row := fmt.Sprintf("| npm `%s` %s |", name, version); !strings.Contains(string(doc), row) {
			t.Errorf("docs/interop.md has no row %q", row)
		}
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	const goPeer = "github.com/yaronf/httpsign"
	_, after, _ := strings.Cut(string(mod), goPeer+" ")
	version, _, _ := strings.Cut(after, "\n")
	if row := fmt.Sprintf("| Go `%s` %s |", goPeer, version); !strings.Contains(string(doc), row) {
		t.Errorf("docs/interop.md has no row %q", row)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s: %s", path, missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
