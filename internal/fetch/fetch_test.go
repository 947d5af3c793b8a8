package fetch

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEndpoint(t *testing.T) {
	for raw, want := range map[string]bool{
		"https://a.example/jwks":     true,
		"https://a.example/jwks?v=1": true,
		"http://127.0.0.1:80/":       true,
		"http://127.8.0.1/":          true,
		"http://[::1]/":              true,
		"http://localhost:80/":       true,
		"http://a.example/":          false,
		"http://10.0.0.1/":           false,
		"http://0.0.0.0/":            false,
		"http://localhost.a.example": false,
		"http://127.0.0.1.a.example": false,
		"http://localhost@a.example": false,
		"https://u:p@a.example/":     false,
		"https://a.example/#x":       false,
		"https://a.example/#":        false,
		"https://":                   false,
		"https://:443":               false,
		"https:a.example":            false,
		"//a.example/jwks":           false,
		"/jwks":                      false,
		"":                           false,
		"ftp://a.example/jwks":       false,
		"file:///etc/jwks":           false,
		"https://a.example/\n":       false,
	} {
		if _, err := Endpoint(raw); (err == nil) != want {
			t.Errorf("%q: got %v, want accepted %v", raw, err, want)
		}
	}
}

// The caller's client keeps its own rules, isn't changed, and gets ours where it has none.
func TestClient(t *testing.T) {
	if c := Client(nil); c.Timeout != timeout || c.CheckRedirect == nil {
		t.Errorf("got %+v", c)
	}
	mine := errors.New("mine")
	own := &http.Client{Timeout: time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return mine }}
	if c := Client(own); c == own || c.Timeout != time.Second || !errors.Is(c.CheckRedirect(nil, nil), mine) {
		t.Errorf("got %+v", c)
	}
	bare := &http.Client{}
	if c := Client(bare); bare.Timeout != 0 || bare.CheckRedirect != nil || c.Timeout == 0 {
		t.Errorf("got %+v of %+v", c, bare)
	}
}

func TestDocument(t *testing.T) {
	for _, tc := range []struct {
		name string
		code int
		size int
		want string // a part of the error, or "" for none
	}{
		{"a document", 200, 100, ""},
		{"the longest", 200, MaxDocument, ""},
		{"one byte more", 200, MaxDocument + 1, "more than"},
		{"another status", 404, 100, "404"},
		{"a redirect", 302, 0, "302"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(strings.Repeat("x", tc.size))) // the client may have gone
			}))
			t.Cleanup(s.Close)
			got, err := Document(t.Context(), Client(nil), s.URL)
			if tc.want == "" {
				if err != nil || len(got) != tc.size {
					t.Errorf("got %d bytes, %v; want %d", len(got), err, tc.size)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || got != nil {
				t.Errorf("got %d bytes, %v; want an error that says %s", len(got), err, tc.want)
			}
			if _, ok := errors.AsType[StatusError](err); ok != (tc.code != 200) {
				t.Errorf("got %T, want a StatusError: %t", err, tc.code != 200)
			}
		})
	}
}

func TestBounded(t *testing.T) {
	for _, tc := range []struct {
		name string
		size int
		good bool
	}{{"as much as may be", MaxDocument, true}, {"one more", MaxDocument + 1, false}} {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", tc.size)) }))
			defer s.Close()
			resp, err := Bounded(nil).Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadAll(resp.Body); (err == nil) != tc.good {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestShort(t *testing.T) {
	if err := Short(nil); err != nil {
		t.Errorf("got %v", err)
	}
	for _, tc := range []struct {
		name, text, want string
	}{
		{"short", strings.Repeat("x", maxErrorText), strings.Repeat("x", maxErrorText)},
		{"one more", strings.Repeat("x", maxErrorText+1), strings.Repeat("x", maxErrorText-3) + "..."},
		{"cut in a character", strings.Repeat("x", maxErrorText-4) + "\u20acuro", strings.Repeat("x", maxErrorText-4) + "..."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := errors.New(tc.text)
			if got := Short(err); got.Error() != tc.want || !errors.Is(got, err) {
				t.Errorf("got %q", got)
			}
		})
	}
}
