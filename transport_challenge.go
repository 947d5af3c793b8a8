package holdfast

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
)

// learn takes over what an answer teaches, and returns why the request should be sent again, or "".
func (c *call) learn(resp *http.Response) (because string) {
	if c.scheme == SchemeBearer {
		return ""
	}
	nonce := c.origin.learnNonce(resp.Header)
	if c.session.in != nil {
		return c.learnSession(resp)
	}
	if c.scheme == SchemeMTLS {
		return "" // the same request again would be refused again
	}
	refused := resp.StatusCode == http.StatusUnauthorized || (c.token == "" && resp.StatusCode == http.StatusBadRequest)
	if !refused {
		return ""
	}
	said := c.refusalOf(resp)
	// Coverage is learned even if another reason is answered first: both can be met by the next attempt.
	covers := c.token != "" && c.origin.learnCoverage(c.t, resp.Header["Accept-Signature"], c.tag)
	switch {
	case said.code == codeUseNonce && nonce && c.scheme == SchemeDPoP:
		return "use_dpop_nonce"
	case said.reason == ReasonRestarted && c.correctClock(resp, said):
		return "clock" // a clock that is behind dates proofs to before the start for as long
	case said.reason == ReasonReplayed, said.reason == ReasonRestarted:
		return "replayed"
	case said.wrongTime() && c.correctClock(resp, said):
		return "clock"
	case covers:
		return "coverage"
	}
	return ""
}

// serverRefusal is what the server said about the proof that was sent.
type serverRefusal struct{ code, reason string }

// refusalOf reads the challenge of the scheme that was tried, or at a token endpoint the error response of
// RFC 6749, section 5.2.
func (c *call) refusalOf(resp *http.Response) serverRefusal {
	for _, ch := range parseChallenges(resp.Header["Www-Authenticate"]) {
		if strings.EqualFold(ch.scheme, string(c.scheme)) && ch.params["error"] != "" {
			return serverRefusal{ch.params["error"], ch.params["reason"]}
		}
	}
	if c.token == "" {
		return peekError(resp)
	}
	return serverRefusal{}
}

// peekError returns what a JSON error response says and leaves the body as it was.
func peekError(resp *http.Response) serverRefusal {
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return serverRefusal{}
	}
	const most = 64 << 10
	head, err := io.ReadAll(io.LimitReader(resp.Body, most))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failedReader{err}
	}
	resp.Body = &joinedBody{Reader: io.MultiReader(bytes.NewReader(head), rest), Closer: resp.Body}
	var answer struct {
		Error  string `json:"error"`
		Reason string `json:"reason"`
	}
	if json.Unmarshal(head, &answer) != nil {
		return serverRefusal{} // not an error response: the caller sees what it is
	}
	return serverRefusal{answer.Error, answer.Reason}
}

// failedReader repeats an error to the reader that it was meant for.
type failedReader struct{ err error }

func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

func (s serverRefusal) wrongTime() bool { return s.tooOld() || s.inFuture() }

func (s serverRefusal) tooOld() bool {
	return s.reason == string(dpop.TooOld) || s.reason == string(httpsig.TooOld)
}

func (s serverRefusal) inFuture() bool {
	return s.reason == string(dpop.InFuture) || s.reason == string(httpsig.InFuture)
}

// correctClock believes the Date of an authentic answer, and tells whether a new proof has a chance: it has a new time,
// or the last one grew old on its way.
func (c *call) correctClock(resp *http.Response, said serverRefusal) bool {
	corrected := c.target.origin.authentic() && c.origin.learnClock(resp.Header, c.t.now())
	return corrected || said.tooOld()
}

// The bounds of a WWW-Authenticate field.
const (
	maxChallengeBytes  = 8 << 10
	maxChallenges      = 16
	maxChallengeParams = 16
)

// authChallenge is one challenge (RFC 9110, section 11.6.1).
type authChallenge struct {
	scheme string
	params map[string]string // by lower-case name; the first of a name counts
}

// parseChallenges reads WWW-Authenticate fields as far as they are well-formed and bounded. They are advice to a client:
// what can't be read is not acted on.
func parseChallenges(lines []string) []authChallenge {
	var out []authChallenge
	left := maxChallengeBytes
	for _, line := range lines {
		if left -= len(line); left < 0 {
			break
		}
		p := challengeParser{rest: line}
		for p.next(&out) && len(out) <= maxChallenges {
		}
	}
	return out[:min(len(out), maxChallenges)]
}

// challengeParser reads one field line.
type challengeParser struct {
	rest string
	open bool // a challenge of this line takes parameters
}

// next reads a scheme or a parameter and tells whether to go on.
func (p *challengeParser) next(out *[]authChallenge) bool {
	p.skip(", \t")
	word := p.token()
	if word == "" {
		return false
	}
	spaced := p.skip(" \t")
	if strings.HasPrefix(p.rest, "=") {
		p.rest = p.rest[1:]
		return p.open && p.param(word, (*out)[len(*out)-1].params)
	}
	*out = append(*out, authChallenge{scheme: word, params: map[string]string{}})
	p.open = true
	if spaced {
		p.skipToken68()
	}
	return p.rest != ""
}

// param reads a parameter's value: a token or a quoted-string.
func (p *challengeParser) param(name string, params map[string]string) bool {
	p.skip(" \t")
	var value string
	if strings.HasPrefix(p.rest, `"`) {
		var ok bool
		if value, ok = p.quoted(); !ok {
			return false
		}
	} else if value = p.token(); value == "" {
		return false
	}
	name = strings.ToLower(name)
	if _, taken := params[name]; !taken && len(params) < maxChallengeParams {
		params[name] = value
	}
	p.skip(" \t")
	return strings.HasPrefix(p.rest, ",")
}

// skip drops leading bytes of set and tells whether there were any.
func (p *challengeParser) skip(set string) bool {
	before := len(p.rest)
	p.rest = strings.TrimLeft(p.rest, set)
	return len(p.rest) < before
}

// skipToken68 drops a token68 after a scheme: the only thing there that isn't followed by "=" and a value.
func (p *challengeParser) skipToken68() {
	end := strings.IndexByte(p.rest, ',')
	if end < 0 {
		end = len(p.rest)
	}
	if word := strings.TrimRight(p.rest[:end], " \t"); isToken68(word) {
		p.rest, p.open = p.rest[end:], false
	}
}

// token reads a token (RFC 9110, section 5.6.2).
func (p *challengeParser) token() string {
	end := 0
	for end < len(p.rest) && isTokenByte(p.rest[end]) {
		end++
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// quoted reads a quoted-string (RFC 9110, section 5.6.4).
func (p *challengeParser) quoted() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(p.rest) {
				return "", false
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
