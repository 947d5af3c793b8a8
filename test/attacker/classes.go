package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// class is a kind of attack: the requests to send, each with the server that it goes to.
type class struct {
	name     string
	attempts func(*loot) iter.Seq2[string, request]
}

var classes = []class{
	{"verbatim", verbatim},
	{"elsewhere", elsewhere},
	{"credential alone", credentialAlone},
	{"other scheme", otherScheme},
	{"changed", changed},
	{"recombined", recombined},
	{"ticket and signature", ticketAndSignature},
	{"counter", counter},
	{"share", share},
	{"forged MAC", forgedMAC},
	{"own key", ownKey},
	{"frames", frames},
	{"signed URL", signedURL},
	{"token request", tokenRequest},
}

// each gives what list holds, all to one server.
func each(server string, list []request) iter.Seq2[string, request] {
	return func(yield func(string, request) bool) {
		for _, r := range list {
			if !yield(server, r) {
				return
			}
		}
	}
}

// verbatim sends everything that was sent to a server that can be reached once more, the latest first.
func verbatim(l *loot) iter.Seq2[string, request] {
	return func(yield func(string, request) bool) {
		for _, x := range slices.Backward(l.all) {
			if l.Servers[x.server] != "" && !yield(x.server, x.request) {
				return
			}
		}
	}
}

// elsewhere takes requests to another audience: another gateway of the same fleet, under its name and under the first's.
func elsewhere(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		out = append(out, x.request, x.with("Host", l.Servers["second"]), x.with("X-Forwarded-Host", l.Servers["gateway"]))
	}
	return each("second", out)
}

// credentialAlone sends tokens and tickets without any proof.
func credentialAlone(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		alone := x.without("DPoP", "Signature", "Signature-Input", "PoP-Session-Offer")
		out = append(out, alone, alone.without("Content-Digest", "PoP-Stream"))
	}
	return each("gateway", out)
}

// otherScheme presents each token and ticket under each scheme, at each kind of request: as a bearer token above all.
func otherScheme(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		for _, y := range l.picks {
			_, credential, _ := strings.Cut(y.field("Authorization"), " ")
			for _, scheme := range []string{"Bearer", "DPoP", "HTTPSig", "PoP-Session"} {
				r := x.with("Authorization", scheme+" "+credential)
				out = append(out, r)
				if scheme == "Bearer" {
					out = append(out, r.without("DPoP", "Signature", "Signature-Input", "Content-Digest", "PoP-Stream"))
				}
			}
		}
	}
	return each("gateway", out)
}

// changed changes one thing.
func changed(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "HEAD"} {
			if r := x.request; method != r.method {
				r.method = method
				out = append(out, r)
			}
		}
		for _, other := range l.picks {
			if r := x.request; r.target != other.target {
				r.target = other.target
				out = append(out, r)
			}
		}
		r := x.request
		r.target = strings.Replace(r.target, "account=7", "account=8", 1)
		out = append(out, r, x.with("Idempotency-Key", "another"), x.without("Idempotency-Key"), x.with("Content-Type", "text/plain"))
		if len(x.body) > 0 {
			longer, shorter, other := x.request, x.request, x.request
			longer.body, shorter.body = append(slices.Clone(x.body), ' '), x.body[:len(x.body)-1]
			other.body = bytes.Replace(x.body, []byte("bob"), []byte("eve"), 1)
			out = append(out, longer, shorter, other, other.without("Content-Digest"), other.without("PoP-Stream"))
		}
	}
	return each("gateway", out)
}

// parts are what a request is made of, for recombination.
var parts = [][]string{
	{"Authorization"}, {"DPoP"}, {"Signature-Input", "Signature"}, {"Signature"}, {"Authorization", "DPoP"},
	{"Authorization", "Signature-Input", "Signature"}, {"Content-Digest"}, {"PoP-Stream"}, {"PoP-Session-Offer"},
	{"Authorization", "DPoP", "Signature-Input", "Signature"},
}

// recombined puts parts of one request into another.
func recombined(l *loot) iter.Seq2[string, request] {
	return func(yield func(string, request) bool) {
		for _, names := range parts {
			for _, x := range l.picks {
				for _, y := range l.picks {
					r := x.request
					for _, name := range names {
						r = r.with(name, y.field(name))
					}
					withBody := r
					withBody.body = y.body
					if !yield("gateway", r) || len(y.body) > 0 && !yield("gateway", withBody) {
						return
					}
				}
			}
		}
	}
}

// ticketAndSignature tries each ticket with each signature, at the request of the one and of the other.
func ticketAndSignature(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		for _, y := range l.picks {
			if strings.HasPrefix(x.field("Authorization"), "PoP-Session ") && y.field("Signature") != "" {
				out = append(out,
					x.with("Signature-Input", y.field("Signature-Input")).with("Signature", y.field("Signature")),
					y.with("Authorization", x.field("Authorization")))
			}
		}
	}
	return each("gateway", out)
}

// counter gives a session's requests other counters and times, under the MAC that they have. The first is as it was.
func counter(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		input := x.field("Signature-Input")
		if !strings.HasPrefix(x.field("Authorization"), "PoP-Session ") {
			continue
		}
		out = append(out, x.request)
		for n := range 40 {
			out = append(out, x.with("Signature-Input", remade(input, fmt.Sprint(n+1))),
				x.with("Signature-Input", nonceParam.ReplaceAllLiteralString(input, fmt.Sprintf(`;nonce="%d"`, n+1000))))
		}
		for _, odd := range []string{"0", "01", "-1", "9007199254740992", "1e3", "+5", ""} {
			out = append(out, x.with("Signature-Input", remade(input, odd)))
		}
	}
	return each("gateway", out)
}

// share offers sessions in requests that were seen: with other requests' offers, and with the server's share for the
// client's.
func share(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, begun := range l.begun() {
		field := begun.field("PoP-Session-Offer")
		_, swapped, _ := strings.Cut(get(begun.answer, "PoP-Session"), "share=")
		swapped, _, _ = strings.Cut(swapped, ";")
		for _, x := range l.picks {
			out = append(out, x.with("PoP-Session-Offer", field), x.with("PoP-Session-Offer", "p256="+swapped))
		}
	}
	return each("gateway", out)
}

// begun lists the exchanges that began sessions.
func (l *loot) begun() []exchange {
	return slices.DeleteFunc(slices.Clone(l.all), func(x exchange) bool {
		return x.server != "gateway" || get(x.answer, "PoP-Session") == ""
	})
}

// forgedMAC makes requests of recorded sessions with secrets that the recording suggests, and counters to come.
func forgedMAC(l *loot) iter.Seq2[string, request] {
	return func(yield func(string, request) bool) {
		for _, begun := range slices.Backward(l.begun()) {
			secrets := l.guesses(&begun)
			if l.Secret != nil {
				secrets = append(secrets, l.Secret)
			}
			ticket := b64.EncodeToString(octets(get(begun.answer, "PoP-Session"))["ticket"])
			for _, x := range l.picks {
				if x.field("Authorization") != "PoP-Session "+ticket {
					continue
				}
				for i, secret := range secrets {
					if !yield("gateway", maced(x.request, "http://"+l.Servers["gateway"], secret, 500+i)) {
						return
					}
				}
				for _, tag := range octets(x.field("Signature")) {
					if !yield("gateway", maced(x.request, "http://"+l.Servers["gateway"], tag, 600)) {
						return
					}
				}
			}
		}
	}
}

// ownKey proves possession of another key, with each recorded nonce.
func ownKey(l *loot) iter.Seq2[string, request] {
	return func(yield func(string, request) bool) {
		key, err := l.key()
		if err != nil {
			return
		}
		nonces := []string{""}
		for _, x := range slices.Backward(l.all) {
			if n := get(x.answer, "DPoP-Nonce"); x.server == "gateway" && n != "" && len(nonces) < 4 && !slices.Contains(nonces, n) {
				nonces = append(nonces, n)
			}
		}
		for _, x := range l.picks {
			scheme, token, _ := strings.Cut(x.field("Authorization"), " ")
			for _, nonce := range nonces {
				p, err := proof(key, x.method, "http://"+l.Servers["gateway"]+x.target, token, nonce)
				if err != nil {
					return
				}
				r := x.without("Signature", "Signature-Input").with("DPoP", p)
				if !yield("gateway", r) || scheme != "DPoP" && !yield("gateway", r.with("Authorization", "DPoP "+token)) {
					return
				}
			}
		}
	}
}

// frames takes streams apart and puts them together in other ways. The first is as it was.
func frames(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		f, ok := split(x.body)
		if x.field("PoP-Stream") == "" || !ok || len(f) < 3 {
			continue
		}
		add := func(edit func(f [][]byte) [][]byte) {
			r := x.request
			r.body = bytes.Join(edit(slices.Clone(f)), nil)
			out = append(out, r)
		}
		add(func(f [][]byte) [][]byte { return f })
		add(func(f [][]byte) [][]byte { f[0], f[1] = f[1], f[0]; return f })
		for i := range f {
			add(func(f [][]byte) [][]byte { return slices.Delete(f, i, i+1) })
			add(func(f [][]byte) [][]byte { return slices.Insert(f, i, f[i]) })
			add(func(f [][]byte) [][]byte { return f[:i] })
			for _, at := range []int{0, 3, 4, len(f[i]) - 1} {
				add(func(f [][]byte) [][]byte { f[i] = slices.Clone(f[i]); f[i][at] ^= 1; return f })
			}
			add(func(f [][]byte) [][]byte { f[i] = slices.Clone(f[i]); f[i][0] ^= 0x80; return f })
			for _, y := range l.picks {
				if g, ok := split(y.body); ok && y.field("PoP-Stream") != "" && len(g) > i {
					add(func(f [][]byte) [][]byte { f[i] = g[i]; return f })
				}
			}
		}
	}
	return each("gateway", out)
}

// split takes a framed body apart (docs/protocol.md, section 6).
func split(body []byte) (frames [][]byte, ok bool) {
	for len(body) >= 4 {
		n := 4 + (int(body[0]&0x7f)<<24 | int(body[1])<<16 | int(body[2])<<8 | int(body[3])) + 32
		if len(body) < n {
			return nil, false
		}
		frames, body = append(frames, body[:n:n]), body[n:]
	}
	return frames, len(body) == 0 && len(frames) > 0
}

// signedURL changes URLs that were signed, and takes them apart.
func signedURL(l *loot) iter.Seq2[string, request] {
	var out []request
	for _, x := range l.picks {
		if !x.signedURL() {
			continue
		}
		target := func(t string) { r := x.request; r.target = t; out = append(out, r) }
		target(x.target)
		target(strings.Replace(x.target, "account=7", "account=8", 1))
		target(strings.Replace(x.target, "pop-ticket=", "a=b&pop-ticket=", 1))
		target(x.target + "&a=b")
		for _, method := range []string{"HEAD", "POST", "DELETE"} {
			r := x.request
			r.method = method
			out = append(out, r)
		}
		for _, y := range l.picks {
			if y.signedURL() {
				before, _, _ := strings.Cut(x.target, "&pop-sig=")
				_, sig, _ := strings.Cut(y.target, "&pop-sig=")
				target(before + "&pop-sig=" + sig)
				path, _, _ := strings.Cut(x.target, "?")
				_, query, _ := strings.Cut(y.target, "?")
				target(path + "?" + query)
			}
			_, rest, _ := strings.Cut(x.target, "pop-ticket=")
			ticket, rest, _ := strings.Cut(rest, "&")
			out = append(out, y.with("Authorization", "PoP-Session "+ticket))
			if own, ok := strings.CutPrefix(y.field("Authorization"), "PoP-Session "); ok {
				before, _, _ := strings.Cut(x.target, "pop-ticket=")
				target(before + "pop-ticket=" + own + "&" + rest)
			}
		}
	}
	return each("gateway", out)
}

// tokenRequest asks the issuer for a token as the recorded clients did, unchanged and with a key of its own, and uses
// what it is given.
func tokenRequest(l *loot) iter.Seq2[string, request] {
	return func(yield func(string, request) bool) {
		key, err := l.key()
		if err != nil {
			return
		}
		for _, x := range l.all {
			if x.server != "issuer" || x.method != "POST" {
				continue
			}
			own, err := proof(key, "POST", "http://"+l.Servers["issuer"]+x.target, "", get(x.answer, "DPoP-Nonce"))
			if err != nil {
				return
			}
			for _, r := range []request{x.request, x.with("DPoP", own), x.without("DPoP"), x.without("Signature", "Signature-Input").with("DPoP", own)} {
				_, _, body := l.ask("issuer", r)
				var granted struct {
					Token string `json:"access_token"`
				}
				if json.Unmarshal(body, &granted) != nil || granted.Token == "" {
					if !yield("issuer", r) { // counted as an attempt
						return
					}
					continue
				}
				for _, y := range l.picks {
					p, err := proof(key, y.method, "http://"+l.Servers["gateway"]+y.target, granted.Token, "")
					if err != nil {
						return
					}
					if !yield("gateway", y.with("Authorization", "Bearer "+granted.Token)) ||
						!yield("gateway", y.without("Signature", "Signature-Input").with("Authorization", "DPoP "+granted.Token).with("DPoP", p)) {
						return
					}
				}
			}
		}
	}
}
