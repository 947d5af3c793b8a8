package demo

import (
	"bytes"
	"strings"
	"testing"
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
}

// TestWrongCellsAreTold makes sure that a broken promise isn't printed over.
func TestWrongCellsAreTold(t *testing.T) {
	tab := &table{lanes: newLanes()[:1], rows: []row{{attack: attacks[0], cells: []cell{{answer: answer{status: 401}, promised: true}}}}}
	if got := tab.wrong(); len(got) != 1 {
		t.Errorf("got %v, want one cell", got)
	}
}
