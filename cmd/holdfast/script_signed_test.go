package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

func cmdCollector(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := io.Copy(f, r.Body); err != nil {
			w.WriteHeader(http.StatusInternalServerError) // the gateway logs it, and the script finds too few spans
		}
	}))
	ts.Defer(func() { s.Close(); _ = f.Close() })
	ts.Setenv(args[0], s.URL)
}

func cmdFetch(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	resp, err := http.Get(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(errors.Unwrap(err)) // without the URL
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Logf("%s", body)
	if resp.StatusCode != want {
		ts.Fatalf("got %s, want %d", resp.Status, want)
	}
}

func cmdSave(ts *testscript.TestScript, _ bool, args []string) {
	resp, err := http.Get(args[1])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), body, 0o600))
}

func cmdSecretless(ts *testscript.TestScript, _ bool, args []string) {
	u, err := url.Parse(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	var parts []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "pop-") {
			continue
		}
		plain, err := url.QueryUnescape(value)
		ts.Check(err)
		parts = append(parts, value, plain)
		if name == "pop-input" {
			_, nonce, _ := strings.Cut(plain, `nonce="`)
			parts = append(parts, nonce[:22]) // 16 octets in base64url
		}
	}
	if len(parts) != 7 {
		ts.Fatalf("%d parts of a signed URL, want 7", len(parts))
	}
	for _, name := range args[1:] {
		text := []byte(ts.ReadFile(name))
		if len(text) == 0 {
			ts.Fatalf("%s is empty: nothing to look through", name)
		}
		for i, part := range parts {
			if bytes.Contains(text, []byte(part)) {
				ts.Fatalf("%s has part %d of the signed URL", name, i)
			}
		}
	}
}
