package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-project/holdfast/internal/postgrestest"
)

var full = flag.Bool("full", false, "run at full size")

// size returns a number for this run.
func size(sample, whole int) int {
	if *full {
		return whole
	}
	return sample
}

// binaries are the commands under test: one as the tests were built, and one without the race detector, whose memory
// would be counted as the command's.
var binaries struct {
	dir          string
	asTests      func() (string, error)
	withoutRaces func() (string, error)
}

// postgres is the server of all tests that need one, once the first has started it.
var postgres struct {
	server  func() (*postgrestest.Server, error)
	started *postgrestest.Server
}

func TestMain(m *testing.M) {
	flag.Parse()
	if !*full {
		flag.Set("test.parallel", "8") // most of the time somebody waits for a node to start or to drain
	}
	dir, err := os.MkdirTemp("", "holdfast-acceptance")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	const module = "github.com/holdfast-project/holdfast/"
	binaries.asTests = sync.OnceValues(func() (string, error) { return build(dir, "holdfast", module+"cmd/holdfast", raceFlag) })
	binaries.withoutRaces = sync.OnceValues(func() (string, error) { return build(dir, "holdfast-plain", module+"cmd/holdfast", "") })
	postgres.server = sync.OnceValues(func() (s *postgrestest.Server, err error) {
		postgres.started, err = postgrestest.Start()
		return postgres.started, err
	})
	code := m.Run()
	if postgres.started != nil {
		if err := postgres.started.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir, name, pkg, race string) (string, error) {
	file := filepath.Join(dir, name)
	args := []string{"build", "-o", file}
	if race != "" {
		args = append(args, race)
	}
	out, err := exec.Command("go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return file, nil
}

// process is a server, and what its log said.
type process struct {
	name string
	cmd  *exec.Cmd

	mu       sync.Mutex
	said     map[string]int    // message, or "refused " and the reason → how often. Guarded by mu, as all below.
	address  map[string]string // server → host:port
	rest     bytes.Buffer      // what wasn't a line of the log, such as a report of a race
	ended    bool
	changed  *sync.Cond
	released chan struct{} // closed when the log has ended
}

// start starts `holdfast name -c config` and waits until it listens. Its caller stops it.
func start(t testing.TB, binary, name, config string) *process {
	t.Helper()
	p := &process{name: name, said: map[string]int{}, address: map[string]string{}, released: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	p.cmd = exec.Command(binary, name, "-c", config)
	p.cmd.Env = []string{"HOLDFAST_LOG_FORMAT=json"}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(log)
	p.await(t, "serving", 2) // itself and its admin listener
	return p
}

func (p *process) read(log io.Reader) {
	defer close(p.released)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.note(lines.Bytes())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.changed.Broadcast()
}

func (p *process) note(line []byte) {
	if bytes.Contains(line, []byte(`"msg":"request"`)) || bytes.Contains(line, []byte(`"msg":"granted"`)) {
		return // many, and nothing that is looked at here
	}
	var l struct{ Msg, Reason, Server, Address string }
	p.mu.Lock()
	defer p.mu.Unlock()
	if json.Unmarshal(line, &l) != nil {
		p.rest.Write(append(line, '\n'))
		return
	}
	switch l.Msg {
	case "serving":
		p.address[l.Server] = l.Address
	case "refused":
		l.Msg += " " + l.Reason
	case "not reloaded; everything stays as it was", "fleet secrets reloaded", "draining", "not ready":
	default:
		p.rest.Write(append(line, '\n'))
	}
	p.said[l.Msg]++
	p.changed.Broadcast()
}

// await waits until the log has said something n times.
func (p *process) await(t testing.TB, message string, n int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.said[message] < n {
		if p.ended {
			t.Fatalf("%s ended: %s", p.name, p.rest.Bytes())
		}
		p.changed.Wait()
	}
}

// refusals returns what was refused, by reason.
func (p *process) refusals() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]int{}
	for said, n := range p.said {
		if reason, ok := bytes.CutPrefix([]byte(said), []byte("refused ")); ok {
			out[string(reason)] = n
		}
	}
	return out
}

func (p *process) at(server string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address[server]
}

// hangup has the process read its secrets again, and waits until it said what came of it.
func (p *process) hangup(t *testing.T, want string) {
	t.Helper()
	p.mu.Lock()
	n := p.said[want]
	p.mu.Unlock()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await(t, want, n+1)
}

// stop ends the process as an operator would, and waits for it.
func (p *process) stop(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stopping %s: %v", p.name, err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.released
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", p.name, err, p.rest.Bytes())
	}
	if bytes.Contains(p.rest.Bytes(), []byte("DATA RACE")) {
		t.Errorf("%s: %s", p.name, p.rest.Bytes())
	}
}
