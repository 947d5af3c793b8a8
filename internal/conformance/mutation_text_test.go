package conformance

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// What follows reads messages without the verifier's own parsers, by splitting text, so that a mistake in those can't
// excuse itself. It needn't refuse anything: it is asked only about messages that the verifier took.

// canonical returns a structured field in the one form in which RFC 9651, section 4.1, writes it: without the white space
// that parsers skip, byte sequences with their padding, numbers without zeros that say nothing. Everything else stays, a
// parameter that is there twice too.
func canonical(text string) string {
	var out strings.Builder
	var last byte // of out
	emit := func(s string) {
		if s != "" {
			out.WriteString(s)
			last = s[len(s)-1]
		}
	}
	inner := false
	for i := 0; i < len(text); {
		end := tokenEnd(text, i)
		token := text[i:end]
		next := byte(0)
		if end < len(text) {
			next = text[end]
		}
		switch c := token[0]; {
		case c == ' ' || c == '\t':
			emit(gap(token, last, next, inner))
		case c == ':':
			emit(canonicalBytes(token))
		case c == '(' || c == ')':
			inner = c == '('
			emit(token)
		default:
			emit(canonicalNumber(token))
		}
		i = end
	}
	return out.String()
}

// tokenEnd returns where the token that begins at i ends: a string, a byte sequence, white space, a delimiter, or a word.
func tokenEnd(text string, i int) int {
	const delimiters = "()=;, \t\":"
	switch c := text[i]; {
	case c == '"':
		for j := i + 1; j < len(text); j++ {
			if text[j] == '\\' {
				j++
			} else if text[j] == '"' {
				return j + 1
			}
		}
		return len(text)
	case c == ':':
		if n := strings.IndexByte(text[i+1:], ':'); n >= 0 {
			return i + 1 + n + 1
		}
		return len(text)
	case c == ' ' || c == '\t':
		return len(text) - len(strings.TrimLeft(text[i:], " \t"))
	case strings.IndexByte(delimiters, c) >= 0:
		return i + 1
	}
	if n := strings.IndexAny(text[i:], delimiters); n >= 0 {
		return i + n
	}
	return len(text)
}

// gap returns what is left of white space between last and next: nothing where it is optional (around commas, after
// semicolons, inside parentheses, at both ends), one space between the items of an inner list, else all of it.
func gap(space string, last, next byte, inner bool) string {
	switch spaces := strings.Trim(space, " ") == ""; {
	case !inner && (last == ',' || next == ',' || last == 0 || next == 0):
		return ""
	case !spaces:
		return space
	case last == ';', inner && (last == '(' || next == ')'):
		return ""
	case inner:
		return " "
	}
	return space
}

func canonicalBytes(token string) string {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Trim(token, ":"), "="))
	if err != nil {
		return token
	}
	return ":" + base64.StdEncoding.EncodeToString(b) + ":"
}

var number = regexp.MustCompile(`^(-?)0*([0-9]+)(?:\.([0-9]*?)0*)?$`)

func canonicalNumber(token string) string {
	m := number.FindStringSubmatch(token)
	switch {
	case m == nil:
		return token
	case !strings.Contains(token, "."):
		return m[1] + m[2]
	case m[3] == "":
		m[3] = "0"
	}
	return m[1] + m[2] + "." + m[3]
}

// pieces cuts text at each sep that is outside strings, byte sequences and parentheses.
func pieces(text string, sep byte) []string {
	var out []string
	start, depth := 0, 0
	for i := 0; i < len(text); {
		end := tokenEnd(text, i)
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		case sep:
			if depth == 0 {
				out = append(out, text[start:i])
				start, end = i+1, i+1
			}
		}
		i = end
	}
	return append(out, text[start:])
}

// member is one of a dictionary: its text after the key, canonical. It is "" unless the key is there exactly once.
func member(lines []string, key string) string {
	found, count := "", 0
	for _, m := range pieces(canonical(strings.Join(lines, ", ")), ',') {
		if name, value, _ := strings.Cut(m, "="); name == key {
			found, count = "="+value, count+1
		} else if name, _, _ := strings.Cut(m, ";"); name == key {
			found, count = m[len(key):], count+1
		}
	}
	if count != 1 {
		return ""
	}
	return found
}

// trimmed returns field lines without the white space around them (RFC 9110, section 5.5). Folded lines aren't unfolded:
// no accepted vector covers one.
func trimmed(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.Trim(line, " \t")
	}
	return out
}

// uri is a target URI in its parts, as text.
type uri struct {
	scheme, authority, path, query string
	hasQuery                       bool
}

func splitURI(s string) (u uri) {
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		u.scheme, rest = scheme, after
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		u.authority, rest = rest[:i], rest[i:]
	} else {
		u.authority, rest = rest, ""
	}
	u.path, u.query, u.hasQuery = strings.Cut(rest, "?")
	return u
}

// host is the authority in lower case, without the scheme's default port (RFC 9421, section 2.2.3; RFC 3986, section
// 6.2.3).
func (u uri) host() string {
	host := strings.ToLower(u.authority)
	port := ":443"
	if strings.EqualFold(u.scheme, "http") {
		port = ":80"
	}
	return strings.TrimSuffix(strings.TrimSuffix(host, port), ":")
}

func (u uri) slashed() string {
	if u.path == "" {
		return "/"
	}
	return u.path
}

func (u uri) questioned() string {
	if u.hasQuery {
		return "?" + u.query
	}
	return ""
}

var (
	escape  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	plain   = regexp.MustCompile(`^[A-Za-z0-9._~-]$`)
	here    = regexp.MustCompile(`/\.(/|$)`)
	parents = regexp.MustCompile(`/[^/]*/\.\.(/|$)|^/\.\.(/|$)`)
)

func decode(escaped string) byte {
	n := strings.IndexByte("0123456789ABCDEF", strings.ToUpper(escaped)[1])<<4 | strings.IndexByte("0123456789ABCDEF", strings.ToUpper(escaped)[2])
	return byte(n)
}

// normal is the form in which htu and the target URI are compared: RFC 3986, sections 6.2.2 and 6.2.3, without query.
func normal(s string) string {
	u := splitURI(s)
	path := escape.ReplaceAllStringFunc(u.slashed(), func(e string) string {
		if c := string([]byte{decode(e)}); plain.MatchString(c) {
			return c
		}
		return strings.ToUpper(e)
	})
	for here.MatchString(path) {
		path = here.ReplaceAllString(path, "/")
	}
	for {
		at := parents.FindStringIndex(path)
		if at == nil {
			break
		}
		path = path[:at[0]] + "/" + path[at[1]:]
	}
	return strings.ToLower(u.scheme) + "://" + u.host() + path
}

// parameters returns the names and values of a query, decoded (RFC 9421, section 2.2.8).
func parameters(query string) (list [][2]string) {
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			list = append(list, [2]string{formText(name), formText(value)})
		}
	}
	return list
}

func formText(s string) string {
	return escape.ReplaceAllStringFunc(strings.ReplaceAll(s, "+", " "), func(e string) string { return string([]byte{decode(e)}) })
}
