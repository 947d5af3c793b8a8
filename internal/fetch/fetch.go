// Package fetch reads documents that are trusted because of where they are: metadata, key sets, answers of an issuer.
//
// [Endpoint] tells which URLs may be, [Client] makes a client that follows nothing, and [Document] reads. [Bounded] is for
// libraries that read by themselves.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const timeout = 5 * time.Second

// MaxDocument bounds metadata and key sets, in bytes: 64 RSA-4096 keys with their certificates fit.
const MaxDocument = 256 << 10

// StatusError is an answer with a status other than 200.
type StatusError int

// Error names the status.
func (e StatusError) Error() string { return fmt.Sprintf("HTTP status %d", int(e)) }

// Endpoint reads the URL of something that is trusted because of where it is: https, or http that doesn't leave this
// machine, without user information and fragment.
func Endpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Hostname() == "" || u.Opaque != "" || u.User != nil:
		return nil, errors.New("not an absolute URL without user information")
	case strings.Contains(raw, "#"):
		return nil, errors.New("a fragment in the URL")
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("neither https nor http on a loopback address")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// Client returns a client like c that has a timeout and refuses redirects, unless c has its own rules: what a
// redirect leads to isn't what was configured, and would see what is sent.
func Client(c *http.Client) *http.Client {
	var own http.Client
	if c != nil {
		own = *c
	}
	if own.Timeout == 0 {
		own.Timeout = timeout
	}
	if own.CheckRedirect == nil {
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &own
}

// Bounded returns a client as Client does, whose answers fail after MaxDocument bytes.
func Bounded(c *http.Client) *http.Client {
	own := Client(c)
	own.Transport = boundedTransport{cmp.Or[http.RoundTripper](own.Transport, http.DefaultTransport)}
	return own
}

type boundedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, MaxDocument)
	}
	return resp, err
}

// maxErrorText is how much of an error is of use in a log, in bytes.
const maxErrorText = 256

// Short returns err with a text of at most 256 bytes: libraries put whole answers into theirs. nil stays nil.
func Short(err error) error {
	if err == nil || len(err.Error()) <= maxErrorText {
		return err
	}
	return shortError{err}
}

type shortError struct{ error }

// Error returns the beginning of the text.
func (e shortError) Error() string {
	return strings.ToValidUTF8(e.error.Error()[:maxErrorText-3], "") + "..."
}

// Unwrap returns the error that was shortened.
func (e shortError) Unwrap() error { return e.error }

// Document reads a JSON document of at most MaxDocument bytes. An answer with another status than 200 is a StatusError.
func Document(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	return Do(client, req, MaxDocument)
}

// Do returns the body of a 200 answer of at most limit bytes.
func Do(client *http.Client, req *http.Request, limit int64) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, StatusError(resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("an answer of more than %d bytes", limit)
	}
	return body, nil
}
