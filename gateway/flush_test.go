package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// An answer with an announced length isn't held up either: the client gets the header, and each piece, while the
// upstream waits for it to have got them.
func TestSlowAnswerOfKnownLength(t *testing.T) {
	got := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		rc := http.NewResponseController(w)
		if err := rc.Flush(); err != nil {
			t.Error(err)
		}
		for _, piece := range []string{"o", "k"} {
			select {
			case <-got:
			case <-r.Context().Done():
				return
			}
			io.WriteString(w, piece)
			rc.Flush()
		}
	}))
	t.Cleanup(up.Close)
	g := serve(t, Config{Routes: public(parseURL(t, up.URL))})
	for name, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": h2c(t)} {
		t.Run(name, func(t *testing.T) {
			res, err := client.Do(request(t, "GET", g.url+"/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			for _, want := range []string{"o", "k"} {
				got <- struct{}{}
				piece := make([]byte, 1)
				if _, err := io.ReadFull(res.Body, piece); err != nil || string(piece) != want {
					t.Fatalf("got %q, %v, want %q", piece, err, want)
				}
			}
		})
	}
}
