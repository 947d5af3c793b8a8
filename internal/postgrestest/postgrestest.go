//go:build unix

// Package postgrestest runs a private PostgreSQL server for tests: from Debian's package, in a directory of its own, as
// an unprivileged user, reachable through a Unix socket by nobody else.
//
// [Start] one in TestMain and give each test a [Server.Database]. A test that needs PostgreSQL fails where it isn't
// installed; it doesn't skip, or nobody would notice that it never runs.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// role is the superuser of the server, who needs no password.
const role = "holdfast"

// startTime bounds how long we wait for the server, on a machine with much else to do.
const startTime = 2 * time.Minute

// Server is a running server.
type Server struct {
	dir      string
	cmd      *exec.Cmd
	guardian *os.File // what the guardian reads; the kernel closes it if this process dies
	done     chan struct{}
}

// guarded becomes the server, and leaves a guardian behind that stops it by its process id and removes its directory if
// the tests end without having done so.
const guarded = `dir=$1; shift
exec 3<&0
(
	read -r stopped <&3
	[ "$stopped" ] && exit
	kill -INT $$
	while kill -0 $$; do sleep 0.1; done
	rm -rf "$dir"
) 2>/dev/null &
exec "$@" 3<&- </dev/null >"$dir/log" 2>&1`

// Start makes an empty server and starts it. Settings are those of postgresql.conf, as "fsync=off" where durability isn't
// what is tested. The caller stops it.
func Start(settings ...string) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "holdfast-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, done: make(chan struct{})}
	if err := s.start(bin, credential, settings); err != nil {
		return nil, errors.Join(fmt.Errorf("postgrestest: %w", err), os.RemoveAll(dir))
	}
	if err := s.wait(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("postgrestest: %w\n%s", err, log), s.Stop())
	}
	return s, nil
}

// findBinaries returns the directory of the newest version: Debian keeps several beside each other, outside of PATH.
func findBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", errors.New("postgrestest: PostgreSQL is not installed: `make deps`, or `apt-get install postgresql`")
		}
		return filepath.Dir(path), nil
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

// version is that of a path like /usr/lib/postgresql/15/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // an odd name sorts first
	return n
}

// unprivileged returns whom to run as, if we are root, whom PostgreSQL refuses; else nil.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("postgrestest: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("postgrestest: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("postgrestest: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) start(bin string, credential *syscall.Credential, settings []string) error {
	if credential != nil {
		if err := os.Chown(s.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	// A locale that sorts as people do, so that an order by bytes is one that the schema asked for.
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
		"--locale-provider=icu", "--icu-locale=en-US", "--username="+role, "--pgdata="+data)
	initdb.Dir, initdb.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := []string{"-c", guarded, "guarded", s.dir, filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-h", "",
		"-c", "max_connections=200"}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.Command("sh", args...)
	// A group of its own: an interrupt from the terminal is for us, and we stop the server.
	s.cmd.Dir, s.cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: credential, Setpgid: true}
	stdin, guardian, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	s.cmd.Stdin, s.guardian = stdin, guardian
	if err := s.cmd.Start(); err != nil {
		return errors.Join(err, guardian.Close())
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is in its log
		close(s.done)
	}()
	return nil
}

// wait returns once the server answers.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-s.done:
			return errors.New("the server ended")
		case <-tick.C:
		}
	}
}

// Stop stops the server, whoever may be connected to it, and removes its directory.
func (s *Server) Stop() error {
	err := s.cmd.Process.Signal(os.Interrupt)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.done
	_, told := s.guardian.WriteString("stopped\n")
	return errors.Join(err, told, s.guardian.Close(), os.RemoveAll(s.dir))
}

// Database makes an empty database, which goes with the test, and returns its URL.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.exec(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The test's context has ended; sessions that a test left open end with the database.
		if err := s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Error(err)
		}
	})
	return s.url(name)
}

func (s *Server) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return u.String()
}

// exec runs one statement in the database that every server has.
func (s *Server) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
