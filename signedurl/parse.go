package signedurl

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/internal/base64url"
)

// URL is a signed URL, taken apart and not yet verified. It prints without its secrets.
type URL struct {
	target    string
	clean     int // length of the target without the three parameters
	signed    int // length of the target up to pop-sig
	ticket    string
	input     string // decoded
	signature []byte
	nonce     string
	created   int64
	expires   int64
}

// Parse reads the target of a request: its external URI, absolute and as it was sent. A raw request target can be parsed,
// too, but not verified. The second result tells whether it has any of the three parameters, under any spelling of their
// names; if it has, the request is signed by its URL or refused. There is no URL with an error. Errors are *Error: Malformed
// or TooLong.
func Parse(target string) (*URL, bool, error) {
	mark := strings.IndexByte(target, '?')
	if mark < 0 {
		return nil, false, nil
	}
	switch n := count(target[mark+1:]); {
	case n == 0:
		return nil, false, nil
	case len(target) > maxLength:
		return nil, true, tooLong()
	case n != 3:
		return nil, true, malformed("query", "each parameter once")
	}
	u, err := parse(target, mark+1)
	return u, true, err
}

// parse reads a target whose query starts at query and has three of the parameters.
func parse(target string, query int) (*URL, error) {
	u := &URL{target: target}
	rest := target
	var sig, input string
	var err error
	if rest, sig, err = cutLast(rest, query, sigName); err != nil {
		return nil, err
	}
	u.signed = len(rest)
	if rest, input, err = cutLast(rest, query, inputName); err != nil {
		return nil, err
	}
	if rest, u.ticket, err = cutLast(rest, query, ticketName); err != nil {
		return nil, err
	}
	u.clean = len(rest)
	if !isTicket(u.ticket) {
		return nil, malformed(ticketName, "base64url")
	}
	if u.signature, err = base64url.Decode(sig); err != nil || len(u.signature) != signatureSize {
		return nil, malformed(sigName, "32 octets in base64url")
	}
	if err := u.parseInput(input); err != nil {
		return nil, err
	}
	return u, nil
}

// cutLast cuts the last parameter off target, whose query starts at query, with what separates it from the rest.
func cutLast(target string, query int, name string) (rest, value string, err error) {
	start := max(strings.LastIndexByte(target, '&')+1, query)
	if start > len(target) {
		return "", "", malformed(name, "at its place at the end")
	}
	value, ok := strings.CutPrefix(target[start:], name+"=")
	if !ok {
		return "", "", malformed(name, "at its place at the end")
	}
	return target[:start-1], value, nil
}

// parseInput reads pop-input, which has one spelling: the one that is made from its values.
func (u *URL) parseInput(escaped string) error {
	decoded := make([]byte, 0, len(escaped))
	for rest := escaped; rest != ""; {
		c, n := unescape(rest)
		decoded = append(decoded, c)
		rest = rest[n:]
	}
	list, err := httpsig.ParseInputs(http.Header{"Signature-Input": {"sig1=" + string(decoded)}})
	if err != nil || len(list) != 1 {
		return malformed(inputName, "one inner list")
	}
	in := list[0]
	u.nonce, u.created, u.expires = in.Nonce(), in.Created().Unix(), in.Expires().Unix()
	if raw, err := base64url.Decode(u.nonce); err != nil || len(raw) != nonceSize {
		return malformed(inputName, "a nonce of 16 octets in base64url")
	}
	u.input = input(u.created, u.expires, u.nonce)
	if string(appendEscaped(nil, u.input)) != escaped {
		return malformed(inputName, "the one spelling of its values")
	}
	return nil
}

// input returns the text of pop-input.
func input(created, expires int64, nonce string) string {
	return fmt.Sprintf(`("@method" "@target-uri");created=%d;expires=%d;nonce="%s";tag="%s"`, created, expires, nonce, tag)
}

// count returns how often query has one of the three parameters, whatever the spelling of its name. It stops beyond 3.
func count(query string) int {
	n := 0
	for param := range strings.SplitSeq(query, "&") {
		if param == "" || param[0] != 'p' && param[0] != '%' {
			continue
		}
		name, _, _ := strings.Cut(param, "=")
		if decodesTo(name, ticketName) || decodesTo(name, inputName) || decodesTo(name, sigName) {
			if n++; n > 3 {
				break
			}
		}
	}
	return n
}

// decodesTo tells whether the percent-encoded s stands for want.
func decodesTo(s, want string) bool {
	for i := range len(want) {
		if s == "" {
			return false
		}
		c, n := unescape(s)
		if c != want[i] {
			return false
		}
		s = s[n:]
	}
	return s == ""
}

// Ticket returns the session's ticket, as the Authorization field of other requests holds it.
func (u *URL) Ticket() string { return u.ticket }

// Clean returns the target without the three parameters, otherwise octet by octet as it was sent.
func (u *URL) Clean() string { return u.target[:u.clean] }

// Nonce returns what makes the URL good for one use: 16 octets in base64url, in their one spelling.
func (u *URL) Nonce() string { return u.nonce }

// Created returns when the URL says that it was signed.
func (u *URL) Created() time.Time { return time.Unix(u.created, 0) }

// Expires returns until when the URL says that it is good.
func (u *URL) Expires() time.Time { return time.Unix(u.expires, 0) }

// Until returns until when Verify could accept the URL: how long its nonce must be remembered.
func (u *URL) Until() time.Time { return u.Expires().Add(skew + time.Second) }

// Format writes the URL redacted, whatever the verb.
func (u URL) Format(w fmt.State, _ rune) { io.WriteString(w, Redact(u.target)) }
