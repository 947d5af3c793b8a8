package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere are the shipped files that hold no messages: keys, framed bodies, URLs. Their own packages run them.
var elsewhere = []string{
	"../../vectors/popsession/key-schedule.json", "../../vectors/popstream/frames.json", "../../vectors/signedurl/urls.json",
}

// vectorFiles lists every shipped file of messages.
func vectorFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../vectors/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(file string) bool { return slices.Contains(elsewhere, file) })
	if len(files) == 0 {
		t.Fatal("no vector files found")
	}
	return files
}

func readCases(t testing.TB, file string) []Case {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cases, err := Read(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return cases
}

func TestShippedVectors(t *testing.T) {
	for _, file := range vectorFiles(t) {
		t.Run(strings.TrimPrefix(file, "../../vectors/"), func(t *testing.T) {
			for _, c := range readCases(t, file) {
				if c.Expect == "" {
					t.Errorf("%s: no expectation", c.ID)
				}
				got, err := Run(t.Context(), &c)
				if err != nil {
					t.Errorf("%s: %v", c.ID, err)
					continue
				}
				if !got.Agrees() {
					t.Errorf("%s: got %s (%s), want %s", c.ID, got.Verdict, got.Detail, c.Expect)
				}
				if got.Verdict == reject && (got.Reason == "" || got.Reason == "error") {
					t.Errorf("%s: rejected without a reason: %s", c.ID, got.Detail)
				}
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct{ name, file string }{
		{"empty", ``},
		{"no cases", `{"cases": []}`},
		{"case without id", `[{"request": {"method": "GET", "url": "https://a/"}}]`},
		{"case without message", `[{"id": "x"}]`},
		{"unknown expectation", `[{"id": "x", "request": {"method": "GET", "url": "https://a/"}, "expect": "pass"}]`},
		{"unknown endpoint", `[{"id": "x", "request": {"method": "GET", "url": "https://a/"}, "endpoint": "par"}]`},
		{"body not in base64", `[{"id": "x", "request": {"method": "GET", "url": "https://a/", "body_b64": "%"}}]`},
		{"not JSON", `{`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(tc.file)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestRunRefusesUnknownPolicy(t *testing.T) {
	for _, endpoint := range []string{"", "resource"} {
		c := Case{ID: "x", Endpoint: endpoint, Request: &message{Method: "GET", URL: "https://a/"}, Policy: []byte(`{"max_age": 1, "no_such_rule": true}`)}
		if _, err := Run(t.Context(), &c); err == nil {
			t.Errorf("endpoint %q: a policy that isn't known was ignored", endpoint)
		}
	}
}
