// Package signedurl makes and verifies URLs that carry their own proof, for requests that can't carry headers: images,
// downloads, EventSource, WebSocket.
//
// A client that has a session makes one with [Sign]. A server calls [Parse], finds the session's key by [URL.Ticket], calls
// [URL.Verify], and then claims [URL.Nonce] until [URL.Until] in a replay.Guard: that makes the URL good for one use, and
// is the caller's. What it passes on, it passes on as [URL.Clean], and what it logs goes through [Redact].
//
// A signed URL is the URL and, at its very end, three query parameters in this order:
//
//	pop-ticket=T&pop-input=I&pop-sig=S
//
// behind "?" if the URL has none, else behind "&". T is the session's ticket in base64url. I is the text
//
//	("@method" "@target-uri");created=1800000000;expires=1800000030;nonce="16 octets in base64url";tag="pop-signed-url"
//
// in which each octet that isn't unreserved (RFC 3986, section 2.3) is percent-encoded in upper case. S is the base64url of
// the 32 octets of a message signature (RFC 9421) with that input, algorithm hmac-sha256 and the session's request key.
// Its "@target-uri" is the URL up to and without "&pop-sig=", as it is sent. No base64url is padded.
//
// What is checked: that the three are there once, in their place and in this one spelling; the method, which is GET or
// HEAD, as the signature covers no body, and the one that was signed; the time; the MAC. A HEAD request with a URL signed
// for GET is refused. What is not checked: that the ticket is one, that the URL wasn't used before, and that the request has
// no body.
//
// Limits: 16 KiB of URL, 60 seconds of life.
package signedurl

import (
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/base64url"
)

// The parameters, in their order.
const (
	ticketName = "pop-ticket"
	inputName  = "pop-input"
	sigName    = "pop-sig"
)

const (
	tag             = "pop-signed-url"
	maxLength       = 16 << 10 // of a signed URL
	defaultLifetime = 30 * time.Second
	maxLifetime     = 60 * time.Second
	skew            = 5 * time.Second // of the client's clock against ours
	nonceSize       = 16
	signatureSize   = 32
)

// covered is what a signature covers: exactly this, in this order.
var covered = httpsig.Components("@method", "@target-uri")

// checkMethod refuses the methods that have a body or an effect: the signature covers neither.
func checkMethod(method string) error {
	if method != "GET" && method != "HEAD" {
		return &Error{Reason: BadMethod, Part: "@method", Expected: "GET or HEAD"}
	}
	return nil
}

// isTicket tells whether s is base64url in its one spelling.
func isTicket(s string) bool {
	_, err := base64url.Decode(s)
	return err == nil && s != ""
}

// appendEscaped appends s with everything but the unreserved characters percent-encoded (RFC 3986, section 2.1).
func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; isUnreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// unescape decodes the percent-encoded octet that s starts with, if it does so, and returns how long it was. A percent
// sign that encodes nothing stands for itself.
func unescape(s string) (c byte, n int) {
	if s[0] == '%' && len(s) >= 3 {
		high, low := unhex(s[1]), unhex(s[2])
		if high >= 0 && low >= 0 {
			return byte(high<<4 | low), 3
		}
	}
	return s[0], 1
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Redact returns target with the values of all parameters whose names begin with "pop-" replaced, for logs. It takes any
// text, a URL or not, in linear time, and also finds names that are percent-encoded or in other letters. It doesn't look
// into URLs that are encoded inside a parameter.
func Redact(target string) string {
	var b strings.Builder
	copied := 0
	for i := 0; i < len(target); i++ {
		if name := nameLength(target[i:]); name > 0 {
			b.WriteString(target[copied : i+name])
			b.WriteString("=redacted")
			// Up to the next parameter, also past what no value holds: better a word too many than one too few.
			next := strings.IndexByte(target[i+name:], '&')
			if next < 0 {
				return b.String()
			}
			i += name + next
			copied = i
		}
		for i < len(target) && !isSeparator(target[i]) {
			i++
		}
	}
	if copied == 0 {
		return target
	}
	b.WriteString(target[copied:])
	return b.String()
}

// isSeparator tells whether a parameter's name may follow, wherever the text comes from.
func isSeparator(c byte) bool { return c == '?' || c == '&' || c == ';' || c == '#' }

// nameLength returns the length of a name in "pop-" that s starts with and that has a value, or 0. Letters count in both
// cases; that a carriage return counts as the hyphen is no harm.
func nameLength(s string) int {
	i := 0
	for _, want := range []byte("pop-") {
		if i == len(s) {
			return 0
		}
		c, n := unescape(s[i:])
		if c|0x20 != want|0x20 {
			return 0
		}
		i += n
	}
	for i < len(s) && s[i] != '=' && !isSeparator(s[i]) {
		i++
	}
	if i == len(s) || s[i] != '=' {
		return 0
	}
	return i
}
