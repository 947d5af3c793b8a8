package signedurl

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/base64url"
)

// Params say how to sign a URL. They print as [redacted].
type Params struct {
	// Method is that of the request, GET or HEAD. If empty, GET.
	Method string
	// Ticket of the session, in base64url.
	Ticket string
	// Secret is the session's request key.
	Secret []byte
	// Lifetime in whole seconds, at most 60 s. If zero, 30 s.
	Lifetime time.Duration
	// Now gives the time. If nil, time.Now.
	Now func() time.Time
}

// Format writes [redacted], whatever the verb: Secret is one.
func (Params) Format(w fmt.State, _ rune) { io.WriteString(w, "[redacted]") }

func (p *Params) method() string {
	if p.Method == "" {
		return http.MethodGet
	}
	return p.Method
}

func (p *Params) lifetime() time.Duration {
	if p.Lifetime == 0 {
		return defaultLifetime
	}
	return p.Lifetime
}

func (p *Params) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

// Sign returns rawURL with the parameters of one request. rawURL is absolute, without any of the three parameters, and in
// the form in which browsers send it, or its signature would never hold: scheme and host in lower case, no default port, no
// user, no dot segments, everything percent-encoded that they would encode. A URL with the scheme wss or ws is signed as the
// https or http URL of its handshake (RFC 6455, section 4.1). A fragment is dropped.
//
// The result is a credential for one use: it doesn't belong into logs or links.
func Sign(rawURL string, p Params) (string, error) {
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	return p.sign(rawURL, base64url.Encode(nonce[:]))
}

// Check tells whether Sign would sign rawURL, for callers that need a session first: Ticket and Secret aren't looked at.
// Its errors are those of Sign.
func Check(rawURL string, p Params) error {
	_, err := p.prepare(rawURL)
	return err
}

// prepare returns rawURL up to where the parameters go.
func (p *Params) prepare(rawURL string) (string, error) {
	if err := checkMethod(p.method()); err != nil {
		return "", err
	}
	if l := p.lifetime(); l < time.Second || l > maxLifetime || l%time.Second != 0 {
		return "", errors.New("signedurl: Lifetime isn't a number of seconds from 1 to 60")
	}
	rawURL, _, _ = strings.Cut(rawURL, "#")
	if err := checkTarget(rawURL); err != nil {
		return "", err
	}
	_, query, ok := strings.Cut(rawURL, "?")
	switch {
	case !ok:
		return rawURL + "?", nil
	case count(query) > 0:
		return "", badTarget("query", "a URL that isn't signed yet")
	}
	return rawURL + "&", nil
}

func (p *Params) sign(rawURL, nonce string) (string, error) {
	target, err := p.prepare(rawURL)
	if err != nil {
		return "", err
	}
	if !isTicket(p.Ticket) {
		return "", errors.New("signedurl: the ticket isn't base64url")
	}
	created := time.Unix(p.now().Unix(), 0)
	input := input(created.Unix(), created.Add(p.lifetime()).Unix(), nonce)
	target += ticketName + "=" + p.Ticket + "&" + inputName + "="
	target = string(appendEscaped([]byte(target), input))
	signature, err := p.signature(target, input, created, nonce)
	if err != nil {
		return "", err
	}
	target += "&" + sigName + "=" + base64url.Encode(signature)
	if len(target) > maxLength {
		return "", tooLong()
	}
	return target, nil
}

// signature signs target, which holds input.
func (p *Params) signature(target, input string, created time.Time, nonce string) ([]byte, error) {
	signer, err := httpsig.NewSigner(httpsig.SignerConfig{
		Secret:     p.Secret,
		Components: covered,
		Tag:        tag,
		Lifetime:   p.lifetime(),
		Nonce:      func() string { return nonce },
		Now:        func() time.Time { return created },
	})
	if err != nil {
		return nil, fmt.Errorf("signedurl: %w", err)
	}
	fields, err := signer.Sign(&httpsig.Message{Method: p.method(), TargetURI: Handshake(target)})
	if err != nil {
		return nil, fmt.Errorf("signedurl: %w", err)
	}
	if fields.SignatureInput != "sig1="+input {
		return nil, errors.New("signedurl: another input was signed than the URL holds")
	}
	text := strings.TrimSuffix(strings.TrimPrefix(fields.Signature, "sig1=:"), ":")
	return base64.StdEncoding.DecodeString(text)
}

// Handshake returns the URL of the request that a client sends for target: a WebSocket's begins with one (RFC 6455, section
// 4.1), any other target is its own.
func Handshake(target string) string {
	if rest, ok := strings.CutPrefix(target, "ws"); ok {
		return "http" + rest
	}
	return target
}

// checkTarget refuses a URL that wouldn't be sent as it is written.
func checkTarget(raw string) error {
	scheme, rest, _ := strings.Cut(raw, "://")
	var port string
	switch scheme {
	case "https", "wss":
		port = "443"
	case "http", "ws":
		port = "80"
	default:
		return badTarget("scheme", "https, http, wss or ws")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if u, err := url.Parse(raw); err != nil || u.Host != rest[:end] {
		return badTarget("url", "a URL")
	}
	if err := checkHost(rest[:end], port); err != nil {
		return err
	}
	path, query, _ := strings.Cut(rest[end:], "?")
	if !isSent(path) || hasDotSegment(path) {
		return badTarget("path", "a path that is sent as it is written")
	}
	if !isSent(query) || strings.IndexByte(query, '\'') >= 0 {
		return badTarget("query", "a query that is sent as it is written")
	}
	return nil
}

func checkHost(authority, defaultPort string) error {
	if authority == "" || strings.IndexByte(authority, '%') >= 0 || !isSent(authority) || strings.ToLower(authority) != authority {
		return badTarget("host", "a host in lower case")
	}
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		if port := authority[i+1:]; port == "" || port == defaultPort || port[0] == '0' {
			return badTarget("host", "no default port")
		}
	}
	return nil
}

// isSent reports whether s has only characters that browsers and net/http send as they are.
func isSent(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return false
		}
		if c == '%' {
			if _, n := unescape(s[i:]); n == 1 {
				return false
			}
		}
	}
	return true
}

// hasDotSegment reports whether path has a segment that means this or the one above, which is resolved before sending
// (RFC 3986, section 5.2.4), also where the dots are encoded (WHATWG URL).
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if decodesTo(segment, ".") || decodesTo(segment, "..") {
			return true
		}
	}
	return false
}
