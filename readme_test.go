package holdfast_test

import (
	"os"
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
