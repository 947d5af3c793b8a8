package popstream_test

import (
	"bytes"
	"fmt"
	"io"

	"github.com/holdfast-project/holdfast/popstream"
)

// A body that was cut short on the way ends in an error, not in a clean end.
func Example() {
	secret := []byte("the session's key, 32 octets ...")
	signature := []byte("the octets of the request's signature")
	p := popstream.Params{Chunk: 8}

	var sent bytes.Buffer
	w := popstream.NewWriter(&sent, popstream.BodyKey(secret, signature), p)
	io.WriteString(w, "transfer 100 to bob, and not more")
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}

	for _, came := range [][]byte{sent.Bytes(), sent.Bytes()[:100]} {
		body := io.NopCloser(bytes.NewReader(came))
		text, err := io.ReadAll(popstream.NewReader(body, popstream.BodyKey(secret, signature), p))
		fmt.Printf("%s: %v\n", text, err)
	}
	// Output:
	// transfer 100 to bob, and not more: <nil>
	// transfer 100 to : popstream: stream-truncated at chunk 2
}
