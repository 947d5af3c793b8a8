package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// TestLoad sends a few requests along every way.
func TestLoad(t *testing.T) {
	rounds := 0
	results, err := Load(t.Context(), 3, 2, time.Millisecond, func(int) { rounds++ })
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 5 || rounds != 2 {
		t.Fatalf("got %d ways in %d rounds, want 5 in 2", len(results), rounds)
	}
	for _, r := range results {
		if r.Connections != 3 || r.PerSecond <= 0 || r.P50 <= 0 || r.P90 < r.P50 || r.P99 < r.P90 || r.Ratio <= 0 || r.P50Ratio <= 0 {
			t.Errorf("got %+v", r)
		}
		if r.Way == wayProxy && (r.Ratio != 1 || r.P50Ratio != 1) {
			t.Errorf("the base beside itself: %+v", r)
		}
	}
}

// A way on which requests fail must not be measured as a fast one.
func TestExchangeRefuses(t *testing.T) {
	for _, tc := range []struct{ name, answer, want string }{
		{"good", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""},
		{"another status", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno", `answer "HTTP/1.1 401 Unauthorized": no`},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "an answer without a length"},
		{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "EOF"},
		{"cut off in the header", "HTTP/1.1 200 OK\r\nContent-", "EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				defer far.Close()
				if _, err := io.ReadFull(far, make([]byte, 1)); err == nil {
					io.WriteString(far, tc.answer)
				}
			})
			err := (&connection{near, bufio.NewReader(near)}).exchange([]byte("x"))
			if got := fmt.Sprint(err); (tc.want == "") != (err == nil) || tc.want != "" && got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
