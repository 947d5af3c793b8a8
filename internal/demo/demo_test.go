package demo

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-project/holdfast/popsession"
)

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, a := range attacks {
		if !strings.Contains(out.String(), "\n"+a.name) {
			t.Errorf("no row for %q in\n%s", a.name, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 121 {
			t.Errorf("%d columns, more than 120: %s", len(line)-1, line)
		}
	}
}

// TestReasons: a reason has one number, and all of them fit a terminal.
func TestReasons(t *testing.T) {
	var r reasons
	for range 2 {
		for i := range 20 {
			if got := r.number(strings.Repeat("x", i+10)); got != i+1 {
				t.Errorf("got number %d, want %d", got, i+1)
			}
		}
	}
	var out bytes.Buffer
	r.print(&out)
	for i := range 20 {
		if want := fmt.Sprintf("(%d) %s", i+1, strings.Repeat("x", i+10)); !slices.ContainsFunc(strings.Split(out.String(), "\n"), func(line string) bool {
			return len(line) <= 120 && (strings.Contains(line, want+"  ") || strings.HasSuffix(line, want))
		}) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

// TestUntouched makes sure that attacks on sessions and URLs fail for what they change: unchanged, or with the right secret, they
// would have got in.
func TestUntouched(t *testing.T) {
	s, err := openStage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := func(k kind) *lane {
		return s.lanes[slices.IndexFunc(s.lanes, func(l *lane) bool { return l.kind == k })]
	}
	l := at(onSessions)
	for _, tc := range []struct {
		name    string
		capture func() (*captured, error)
	}{
		{"request", func() (*captured, error) { return s.capture(t.Context(), l, true) }},
		{"signed URL", func() (*captured, error) { return s.capture(t.Context(), at(onURLs), true) }},
		{"stream", func() (*captured, error) { return s.captureStream(t.Context(), l) }},
		{"forged by the fleet's secret", func() (*captured, error) {
			c, err := s.capture(t.Context(), l, true)
			if err != nil {
				return nil, err
			}
			server, err := popsession.NewServer(popsession.ServerConfig{Secrets: []popsession.Secret{s.fleet}})
			if err != nil {
				return nil, err
			}
			opened, err := server.Open(strings.TrimPrefix(c.field("Authorization"), "PoP-Session "), l.origin)
			if err != nil {
				return nil, err
			}
			return c, forge(c, l, opened.Keys.RequestSecret(), 2)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := tc.capture()
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.send(c)
			if err != nil {
				t.Fatal(err)
			}
			if want := (answer{in: true, status: 200}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// TestWrongCellsAreTold makes sure that a broken promise isn't printed over.
func TestWrongCellsAreTold(t *testing.T) {
	tab := &table{lanes: newLanes()[:1], rows: []row{{attack: attacks[0], cells: []cell{{answer: answer{status: 401}, promised: true}}}}}
	if got := tab.wrong(); len(got) != 1 {
		t.Errorf("got %v, want one cell", got)
	}
}
