package contentdigest_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-project/holdfast/contentdigest"
)

func ExampleNewReader() {
	field := contentdigest.Sum(contentdigest.SHA256, []byte(`{"to": "bob"}`))
	digests, err := contentdigest.Parse([]string{field})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sent := range []string{`{"to": "bob"}`, `{"to": "eve"}`} {
		body := contentdigest.NewReader(io.NopCloser(strings.NewReader(sent)), digests)
		if _, err := io.Copy(io.Discard, body); err != nil {
			fmt.Println("refused:", err)
			continue
		}
		fmt.Println("verified")
	}
	// Output:
	// verified
	// refused: contentdigest: digest-mismatch (sha-256): sha-256=:X7xUKr7Szoa1UGChSxQUkRyO/dOWW+qVItzf28p5KJs=: for a body of 13 bytes
}
