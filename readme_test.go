package holdfast_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeShowsCodeThatCompiles: the programs in README.md are parts of examples/.
func TestReadmeShowsCodeThatCompiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"examples/client/main.go", "examples/server/main.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(source), "// begin readme\n")
		shown, _, end := strings.Cut(rest, "\n// end readme\n")
		if !ok || !end {
			t.Fatalf("%s: no marked part", file)
		}
		if !strings.Contains(string(readme), "```go\n"+strings.TrimSpace(shown)+"\n```") {
			t.Errorf("README.md doesn't show the marked part of %s as it is", file)
		}
	}
}

// TestThreatsNameTests: what docs/threats.md says is shown by a test is shown by one.
func TestThreatsNameTests(t *testing.T) {
	threats, err := os.ReadFile("docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range declaration.FindAllSubmatch(source, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(threats, -1)
	if len(named) == 0 {
		t.Fatal("no test is named")
	}
	for _, m := range named {
		if name := string(m[1]); !defined[name] {
			t.Errorf("docs/threats.md names %s, which isn't there", name)
		}
	}
}
