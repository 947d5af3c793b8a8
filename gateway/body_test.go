package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

var errChanged = errors.New("changed")

// lastError reads like r but fails where r ends.
type lastError struct{ io.Reader }

func (l lastError) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err == io.EOF {
		err = errChanged
	}
	return n, err
}

func TestHeldBody(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole":            func(r io.Reader) io.Reader { return r },
		"one byte":         iotest.OneByteReader,
		"half":             iotest.HalfReader,
		"end with data":    iotest.DataErrReader,
		"one byte and end": func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
	}
	for how, wrap := range readers {
		for _, size := range []int{0, 1, 2, 3, 100} {
			for _, chunk := range []int{1, 2, 3, 64, 200} {
				t.Run(fmt.Sprintf("%s/%d bytes by %d", how, size, chunk), func(t *testing.T) {
					data := bytes.Repeat([]byte("0123456789"), 10)[:size]
					checkHeld(t, wrap(bytes.NewReader(data)), data, chunk)
				})
			}
		}
	}
}

func checkHeld(t *testing.T, r io.Reader, data []byte, chunk int) {
	t.Helper()
	ends := 0
	body := &heldBody{ReadCloser: io.NopCloser(r), hold: true, done: func(error) { ends++ }}
	got := readBy(body, chunk, func(got []byte, err error) {
		if err == nil && len(got) >= len(data) && len(data) > 0 && body.err != io.EOF {
			t.Errorf("all %d bytes were released before the end", len(got))
		}
	})
	if !bytes.Equal(got, data) || body.err != io.EOF || ends != 1 {
		t.Errorf("got %q, %v, ended %d times, want %q and EOF once", got, body.err, ends, data)
	}
}

// readBy reads to the end by chunks and shows each step.
func readBy(r io.Reader, chunk int, step func([]byte, error)) []byte {
	var got []byte
	p := make([]byte, chunk)
	for {
		n, err := r.Read(p)
		got = append(got, p[:n]...)
		step(got, err)
		if err != nil {
			return got
		}
	}
}

func TestHeldBodyChanged(t *testing.T) {
	for _, size := range []int{0, 1, 2, 100} {
		for _, chunk := range []int{1, 2, 64, 200} {
			t.Run(fmt.Sprintf("%d bytes by %d", size, chunk), func(t *testing.T) {
				data := bytes.Repeat([]byte("x"), size)
				var failed error
				body := &heldBody{
					ReadCloser: io.NopCloser(lastError{bytes.NewReader(data)}), hold: true,
					done: func(err error) { failed = err },
				}
				var last error
				got := readBy(body, chunk, func(_ []byte, err error) { last = err })
				if last != errChanged || failed != errChanged {
					t.Errorf("got %v and %v, want %v", last, failed, errChanged)
				}
				if len(got) > max(size-1, 0) {
					t.Errorf("%d of %d bytes were released", len(got), size)
				}
				if n, err := body.Read(make([]byte, 10)); n != 0 || err != errChanged {
					t.Errorf("a further read gave %d bytes, %v", n, err)
				}
			})
		}
	}
}

func TestBodyWithoutHold(t *testing.T) {
	body := &heldBody{ReadCloser: io.NopCloser(bytes.NewReader([]byte("ab"))), done: func(error) {}}
	p := make([]byte, 2)
	if n, err := body.Read(p); n != 2 || err != nil {
		t.Errorf("got %d bytes, %v, want all at once", n, err)
	}
}
