package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast": main})
}

// TestScripts runs testdata/*.txt. Beside testscript's own commands there are
//
//	front NAME...     sets $NAME to host:port of a relay, so that a server's URL is known before the server listens
//	ready NAME FIFO   waits until a server has written its address to the FIFO, and points $NAME's relay at it; sets
//	                  $NAME_ADMIN to its admin listener's, if there is one
//	upstream NAME     sets $NAME to the URL of an API that says what reached it
//	fifo FILE...      makes FIFOs, for --ready-file
//	servers [K=V...]  starts issuer, gateway and upstream with testdata/servers/holdfast.yaml and the variables, in
//	                  which UPSTREAM stands for the upstream's URL, ISSUERHOST and GATEWAYHOST for the servers' host
//	                  and port; sets $ISSUER, $GATEWAY and $UPSTREAM
//	collector NAME F  sets $NAME to the URL of a collector of traces that keeps what it is sent in the file
//	fetch STATUS F    requests the URL in the file, without any credential, and expects this status
//	save F URL        puts what is at a URL into the file
//	secretless F G... checks that no part of the signed URL in the file F stands in the files G
//	certificate NAME  writes NAME.crt and NAME.key for 127.0.0.1
//	boundtoken FILE CERTIFICATE
//	                  writes a token of the issuer's that is bound to the certificate
//	stop              ends them; what they logged is then in issuer.log and gateway.log
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command ends with a second of waiting for late races
			env.Values[relaysKey{}] = map[string]*relay{}
			env.Values[processesKey{}] = &processes{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"front": cmdFront, "ready": cmdReady, "upstream": cmdUpstream, "fifo": cmdFifo,
			"servers": cmdServers, "stop": cmdStop, "certificate": cmdCertificate, "boundtoken": cmdBoundToken,
			"collector": cmdCollector, "fetch": cmdFetch, "save": cmdSave, "secretless": cmdSecretless,
		},
	})
}

type relaysKey struct{}

func cmdFifo(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Check(syscall.Mkfifo(ts.MkAbs(name), 0o600))
	}
}

func cmdFront(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		r, err := newRelay()
		ts.Check(err)
		ts.Defer(r.close)
		ts.Value(relaysKey{}).(map[string]*relay)[name] = r
		ts.Setenv(name, r.listener.Addr().String())
	}
}

func cmdReady(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: ready NAME FIFO")
	}
	// Read and write, so that opening doesn't wait; the deadline then bounds the wait for a server that failed.
	f, err := os.OpenFile(ts.MkAbs(args[1]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	ts.Check(f.SetReadDeadline(time.Now().Add(time.Minute)))
	// One write of the server's, so one read.
	text := make([]byte, 1024)
	n, err := f.Read(text)
	ts.Check(err)
	addresses := strings.Fields(string(text[:n]))
	ts.Value(relaysKey{}).(map[string]*relay)[args[0]].to(addresses[0])
	if len(addresses) > 1 {
		ts.Setenv(args[0]+"_ADMIN", addresses[1])
	}
}

func cmdUpstream(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the gateway cut it off
		}
		if strings.HasPrefix(r.URL.Path, "/status/") {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
		for _, name := range []string{"Authorization", "Dpop", "Signature", "X-Holdfast-Client", "X-Holdfast-Scheme", "Content-Type"} {
			if v := r.Header.Get(name); v != "" {
				fmt.Fprintf(w, "%s: %s\n", name, v)
			}
		}
		fmt.Fprintf(w, "body: %s\n", body)
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

type processesKey struct{}

// processes are the servers that a script has started.
type processes struct {
	stop []func() error
}

func (p *processes) end() error {
	var err error
	for _, stop := range p.stop {
		err = errors.Join(err, stop())
	}
	p.stop = nil
	return err
}

func cmdServers(ts *testscript.TestScript, _ bool, args []string) {
	cmdFront(ts, false, []string{"ISSUER", "GATEWAY"})
	cmdUpstream(ts, false, []string{"UPSTREAM"})
	cmdFifo(ts, false, []string{"issuer.ready", "gateway.ready"})
	for _, f := range []string{"resource.jwk", "client.jwk", "outside.jwk"} {
		inProcess(ts, "key", "new", ts.MkAbs(f))
	}
	for _, f := range []string{"nonce.secret", "client.secret"} {
		inProcess(ts, "key", "secret", ts.MkAbs(f))
	}
	for _, name := range []string{"client", "outside"} {
		set := inProcess(ts, "key", "show", "--jwks", ts.MkAbs(name+".jwk"))
		ts.Check(os.WriteFile(ts.MkAbs(name+".jwks"), set, 0o600))
	}
	env := []string{
		"HOLDFAST_ISSUER_URL=http://" + ts.Getenv("ISSUER"),
		"HOLDFAST_GATEWAY_EXTERNAL_ORIGIN=http://" + ts.Getenv("GATEWAY"),
		"HOLDFAST_GATEWAY_ISSUERS=[{url: 'http://" + ts.Getenv("ISSUER") + "'}]",
		"HOLDFAST_GATEWAY_ROUTES=[{path: /, upstream: UPSTREAM}]",
	}
	env = append(env, args...)
	for i, v := range env {
		env[i] = strings.NewReplacer("UPSTREAM", ts.Getenv("UPSTREAM"), "ISSUERHOST", ts.Getenv("ISSUER"), "GATEWAYHOST", ts.Getenv("GATEWAY")).Replace(v)
	}
	p := ts.Value(processesKey{}).(*processes)
	ts.Defer(func() { _ = p.end() }) // a script that cares says stop
	for _, name := range []string{"issuer", "gateway"} {
		start(ts, p, name, env)
		cmdReady(ts, false, []string{strings.ToUpper(name), name + ".ready"})
	}
}

// inProcess runs a short command in this process, which is much faster than a new one under the race detector.
func inProcess(ts *testscript.TestScript, args ...string) []byte {
	var out, errs bytes.Buffer
	if code := run(args, streams{in: strings.NewReader(""), out: &out, err: &errs}); code != exitOK {
		ts.Fatalf("holdfast %s: exit code %d: %s", strings.Join(args, " "), code, errs.Bytes())
	}
	return out.Bytes()
}

// start runs a server. The repository's test binary is in PATH under the command's name.
func start(ts *testscript.TestScript, p *processes, name string, env []string) {
	binary := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if f := filepath.Join(dir, "holdfast"); binary == "" {
			if _, err := os.Stat(f); err == nil {
				binary = f
			}
		}
	}
	config, err := filepath.Abs("testdata/servers/holdfast.yaml")
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(name + ".log"))
	ts.Check(err)
	cmd := exec.Command(binary, name, "-c", config, "--ready-file", name+".ready")
	cmd.Dir, cmd.Env, cmd.Stderr = ts.MkAbs("."), env, log
	ts.Check(cmd.Start())
	p.stop = append(p.stop, func() error {
		return errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait(), log.Close())
	})
}

func cmdStop(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value(processesKey{}).(*processes).end())
}

func cmdCertificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	name := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	ts.Check(os.WriteFile(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

// relay passes TCP connections on to a server that may come later.
type relay struct {
	listener net.Listener
	known    chan struct{} // closed when addr is set
	addr     string
	once     sync.Once
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // guarded by mu; nil after close
	done  bool       // guarded by mu
}

func newRelay() (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, known: make(chan struct{})}
	r.wg.Go(r.accept)
	return r, nil
}

func (r *relay) to(addr string) {
	r.once.Do(func() { r.addr = addr; close(r.known) })
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		if !r.keep(c) {
			return
		}
		r.wg.Go(func() { r.pass(c) })
	}
}

// keep remembers a connection for close, or closes it if that has been.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		c.Close()
		return false
	}
	r.conns = append(r.conns, c)
	return true
}

func (r *relay) pass(c net.Conn) {
	defer c.Close()
	<-r.known
	s, err := net.Dial("tcp", r.addr)
	if err != nil || !r.keep(s) {
		return
	}
	defer s.Close()
	ended := make(chan error, 2)
	go func() { _, err := io.Copy(s, c); ended <- errors.Join(err, s.(*net.TCPConn).CloseWrite()) }()
	go func() { _, err := io.Copy(c, s); ended <- errors.Join(err, c.(*net.TCPConn).CloseWrite()) }()
	<-ended
	<-ended
}

func (r *relay) close() {
	r.to("")
	r.listener.Close()
	r.mu.Lock()
	r.done = true
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
