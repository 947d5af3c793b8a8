package store

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A test that needs another process runs this binary again, with this variable naming what to do and another the DSN.
const (
	childVariable = "HOLDFAST_STORE_CHILD"
	childDSN      = "HOLDFAST_STORE_DSN"
)

// child is what such a process does, instead of running tests.
func child(name string) int {
	ctx := context.Background()
	s, err := Open(ctx, os.Getenv(childDSN))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch name {
	case "race":
		fmt.Println("ready")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		err = childRace(ctx, s)
	case "rotate":
		err = childRotate(ctx, s)
	default:
		err = fmt.Errorf("no child is called %q", name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// childRace prints what came of its rotations of one token.
func childRace(ctx context.Context, s *Store) error {
	counts := race(ctx, []*Store{s}, func(ctx context.Context, s *Store, i int) (string, error) {
		outcome, _, err := s.Rotate(ctx, now, aRotation("r1", fmt.Sprint("r2-", os.Getpid(), "-", i)))
		return string(outcome), err
	})
	return json.NewEncoder(os.Stdout).Encode(counts)
}

func startChild(t *testing.T, name, dsn string) (*exec.Cmd, io.WriteCloser, *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+name, childDSN+"="+dsn)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	ok(t, err)
	stdout, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	return cmd, stdin, bufio.NewReader(stdout)
}

// TestTwoProcesses has two processes rotate one token 200 times each.
func TestTwoProcesses(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		populate(t, s)
		total := map[string]int{}
		var commands []*exec.Cmd
		var inputs []io.WriteCloser
		var outputs []*bufio.Reader
		for range 2 {
			cmd, stdin, stdout := startChild(t, "race", dsn)
			line, err := stdout.ReadString('\n')
			if err != nil || line != "ready\n" {
				t.Fatalf("got %q, %v", line, err)
			}
			commands, inputs, outputs = append(commands, cmd), append(inputs, stdin), append(outputs, stdout)
		}
		for _, stdin := range inputs {
			_, err := io.WriteString(stdin, "go\n")
			ok(t, err)
		}
		for i, cmd := range commands {
			var counts map[string]int
			ok(t, json.NewDecoder(outputs[i]).Decode(&counts))
			ok(t, cmd.Wait())
			for outcome, n := range counts {
				total[outcome] += n
			}
		}
		if diff := cmp.Diff(total, map[string]int{string(Rotated): 1, string(TooSoon): 2*racers - 1}); diff != "" {
			t.Errorf("outcomes (-got +want):\n%s", diff)
		}
		checkFamilies(t, s)
	})
}

// lanes is how many families the process rotates that is killed.
const lanes = 4

func laneToken(lane, generation int) string { return fmt.Sprint("lane ", lane, " token ", generation) }

func laneID(lane int) string { return fmt.Sprint("lane", lane) }

// childRotate rotates the newest token of each lane for ever, and prints each generation once it is committed.
func childRotate(ctx context.Context, s *Store) error {
	var wg sync.WaitGroup
	failed := make(chan error, lanes)
	for lane := range lanes {
		wg.Go(func() {
			for {
				generation, err := newest(ctx, s, lane)
				if err == nil {
					var outcome Outcome
					outcome, _, err = s.Rotate(ctx, now, aRotation(laneToken(lane, generation), laneToken(lane, generation+1)))
					if outcome == TooSoon {
						continue // a rotation of the killed process, which the server has completed just now
					}
					if err == nil && outcome != Rotated {
						err = fmt.Errorf("lane %d: %s", lane, outcome)
					}
				}
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d %d\n", lane, generation+1)
			}
		})
	}
	wg.Wait()
	return <-failed
}

// newest returns the newest generation of a lane.
func newest(ctx context.Context, s *Store, lane int) (generation int, err error) {
	err = queries{s.dialect, s.readers}.row(ctx, "SELECT max(generation) FROM refresh_tokens WHERE grant_id = $1",
		laneID(lane)).Scan(&generation)
	return generation, err
}

// TestKilled kills a process in the middle of rotations, five times. Whatever it said that it had committed is there, at
// most one rotation more in each lane, and no family is broken.
func TestKilled(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		for lane := range lanes {
			first := aToken(laneToken(lane, 1))
			ok(t, s.CreateGrant(t.Context(), now, aGrant(laneID(lane)), &first))
		}
		acknowledged := [lanes]int{}
		for round := range 5 {
			cmd, _, stdout := startChild(t, "rotate", dsn)
			for lines := 0; ; lines++ {
				if lines == 10+7*round {
					ok(t, cmd.Process.Kill())
				}
				line, err := stdout.ReadString('\n')
				if err != nil { // a line cut short tells nothing
					break
				}
				var lane, generation int
				_, err = fmt.Sscan(line, &lane, &generation)
				ok(t, err)
				acknowledged[lane] = generation
			}
			if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("round %d: the process ended with %v, want that it was killed", round, err)
			}
			checkIntegrity(t, s)
			checkFamilies(t, s)
			for lane := range lanes {
				got, err := newest(t.Context(), s, lane)
				ok(t, err)
				if got < acknowledged[lane] || acknowledged[lane] != 0 && got > acknowledged[lane]+1 {
					t.Errorf("round %d, lane %d: generation %d is the newest, but %d was acknowledged", round, lane, got, acknowledged[lane])
				}
			}
		}
		// Another process goes on where it was.
		generation, err := newest(t.Context(), s, 0)
		ok(t, err)
		if generation < 2 {
			t.Error("nothing was rotated before it was killed")
		}
		rotate(t, s, in(time.Second), aRotation(laneToken(0, generation), laneToken(0, generation+1)), Rotated)
	})
}

// checkIntegrity asks SQLite whether its file is whole. PostgreSQL, which wasn't killed, has no such question.
func checkIntegrity(t *testing.T, s *Store) {
	t.Helper()
	if s.dialect != &sqliteDialect {
		return
	}
	var integrity string
	ok(t, s.readers.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&integrity))
	if integrity != "ok" {
		t.Errorf("integrity: %s", integrity)
	}
	var broken int
	ok(t, s.readers.QueryRowContext(t.Context(), "SELECT count(*) FROM pragma_foreign_key_check").Scan(&broken))
	if broken != 0 {
		t.Errorf("%d rows without what they belong to", broken)
	}
}
