package popstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

var answerKey = BodyKey([]byte("the key of the answers, K_res..."), []byte("signature of the answer"))

// TestBothDirections talks through net/http, line by line in both directions of one exchange.
func TestBothDirections(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		p, err := ParseParams(r.Header.Values(Header))
		if err != nil {
			t.Error(err)
			return
		}
		out := NewWriter(w, answerKey, p)
		lines := bufio.NewScanner(NewReader(r.Body, testKey, p))
		for lines.Scan() {
			fmt.Fprintf(out, "you said %s\n", lines.Text())
			if err := errors.Join(out.Flush(), control.Flush()); err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(lines.Err(), out.Close()); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()

	body, say := io.Pipe()
	req, err := http.NewRequest("POST", server.URL, NewFramer(body, testKey, Params{}))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(Header, Params{}.Field())
	go fmt.Fprintln(say, "0") // net/http waits for a first octet of an unknown body
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	heard := bufio.NewReader(NewReader(res.Body, answerKey, Params{}))
	for i := range 5 {
		if line, err := heard.ReadString('\n'); err != nil || line != fmt.Sprintf("you said %d\n", i) {
			t.Fatalf("got %q, %v", line, err)
		}
		fmt.Fprintln(say, i+1)
	}
	say.Close()
	if rest, err := io.ReadAll(heard); err != nil || string(rest) != "you said 5\n" {
		t.Errorf("got %q, %v", rest, err)
	}
}

// TestUploadHasLength sends a body of known length, whose Content-Length is the framed one.
func TestUploadHasLength(t *testing.T) {
	payload := numbered(200_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(NewReader(r.Body, testKey, Params{}))
		if err != nil || !bytes.Equal(got, payload) {
			t.Errorf("got %d octets, %v", len(got), err)
		}
		if r.ContentLength != FramedLength(int64(len(payload)), 0) {
			t.Errorf("got Content-Length %d", r.ContentLength)
		}
	}))
	defer server.Close()
	n := int64(len(payload))
	req, err := http.NewRequest("PUT", server.URL, NewSizedFramer(bytes.NewReader(payload), n, testKey, Params{}))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = FramedLength(n, 0)
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("got %s", res.Status)
	}
}
