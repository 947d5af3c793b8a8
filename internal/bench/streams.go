package bench

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/holdfast-project/holdfast/contentdigest"
	"github.com/holdfast-project/holdfast/popstream"
)

const bodySize = 4 << 20

// streamCases read a body as a handler would. Both sides of a case hash the same octets in the same pieces; one also
// verifies.
func streamCases() ([]Case, error) {
	body := make([]byte, bodySize)
	rand.Read(body)
	var out []Case
	for _, chunk := range []int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20} {
		c, err := streamCase(body, chunk)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	digest, err := digestCase(body)
	return append(out, digest), err
}

func streamCase(body []byte, chunk int) (Case, error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	key, p := popstream.BodyKey(secret, secret), popstream.Params{Chunk: chunk}
	framed, err := io.ReadAll(popstream.NewSizedFramer(&octets{body}, bodySize, key, p))
	if err != nil {
		return Case{}, err
	}
	mac, buf := hmac.New(sha256.New, secret), make([]byte, chunk)
	return Case{
		Name: fmt.Sprintf("stream verify, chunks of %d KiB", chunk>>10), Bare: "HMAC-SHA-256", Bytes: bodySize,
		Work: func() error {
			_, err := io.Copy(io.Discard, popstream.NewReader(io.NopCloser(&octets{framed}), key, p))
			return err
		},
		Base: func() error {
			mac.Reset()
			_, err := io.CopyBuffer(onlyWriter{mac}, &octets{body}, buf)
			mac.Sum(nil)
			return err
		},
	}, nil
}

func digestCase(body []byte) (Case, error) {
	sum := sha256.Sum256(body)
	digests, err := contentdigest.Parse([]string{"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"})
	buf := make([]byte, 64<<10)
	hash := sha256.New()
	return Case{
		Name: "Content-Digest verify, read by 64 KiB", Bare: "SHA-256", Bytes: bodySize,
		Work: func() error {
			_, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{contentdigest.NewReader(io.NopCloser(&octets{body}), digests)}, buf)
			return err
		},
		Base: func() error {
			hash.Reset()
			_, err := io.CopyBuffer(onlyWriter{hash}, &octets{body}, buf)
			return err
		},
	}, err
}

// octets is a body in memory that is read only as it would be from a network: by copying.
type octets struct{ left []byte }

func (o *octets) Read(p []byte) (int, error) {
	if len(o.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.left)
	o.left = o.left[n:]
	return n, nil
}

// onlyReader and onlyWriter hide what else the other can do, so that both sides copy in the same way.
type onlyReader struct{ io.Reader }

type onlyWriter struct{ io.Writer }
