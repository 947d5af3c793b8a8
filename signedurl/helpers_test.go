package signedurl

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

const (
	testTicket = "dGlja2V0IG9mIHRoZSBzZXNzaW9u"
	testNonce  = "AAECAwQFBgcICQoLDA0ODw"
	testNow    = 1_800_000_000
	testURL    = "https://app.example/images/7.png?size=large"
)

func at(unix int64) func() time.Time { return func() time.Time { return time.Unix(unix, 0) } }

// draft is a signed URL in the making. It is made as the package comment describes it, sharing nothing with the package.
type draft struct {
	method, url, ticket, input string
	secret                     []byte
}

func newDraft() draft {
	return draft{method: "GET", url: testURL, ticket: testTicket, input: draftInput(testNow, testNow+30, testNonce), secret: testSecret}
}

func draftInput(created, expires int64, nonce string) string {
	return fmt.Sprintf(`("@method" "@target-uri");created=%d;expires=%d;nonce="%s";tag="pop-signed-url"`, created, expires, nonce)
}

// inputEscapes is all that the text of an input has beyond unreserved characters.
var inputEscapes = strings.NewReplacer(`(`, "%28", `)`, "%29", `"`, "%22", `@`, "%40", ` `, "%20", `;`, "%3B", `=`, "%3D", `,`, "%2C")

// query returns the first two parameters, with what separates them from the URL.
func (d draft) query() string {
	separator := "?"
	if strings.Contains(d.url, "?") {
		separator = "&"
	}
	return separator + "pop-ticket=" + d.ticket + "&pop-input=" + inputEscapes.Replace(d.input)
}

// base returns the signature base.
func (d draft) base() string {
	target := strings.Replace(d.url, "wss://", "https://", 1) + d.query()
	return fmt.Sprintf("\"@method\": %s\n\"@target-uri\": %s\n\"@signature-params\": %s", d.method, target, d.input)
}

func (d draft) signature() []byte {
	h := hmac.New(sha256.New, d.secret)
	h.Write([]byte(d.base()))
	return h.Sum(nil)
}

func (d draft) signed() string {
	return d.url + d.query() + "&pop-sig=" + base64.RawURLEncoding.EncodeToString(d.signature())
}

// with returns the signed URL of a draft that differs from the usual one in what change does.
func with(change func(*draft)) string {
	d := newDraft()
	change(&d)
	return d.signed()
}

// verdict is "accept", "unsigned", or the reason of the refusal.
func verdict(t testing.TB, target, method string, secret []byte, now int64) string {
	t.Helper()
	u, signed, err := Parse(target)
	if !signed {
		if u != nil || err != nil {
			t.Errorf("unsigned, with %v, %v", u, err)
		}
		return "unsigned"
	}
	if err == nil {
		err = u.Verify(method, secret, at(now))
	}
	if err == nil {
		return "accept"
	}
	return string(reasonOf(t, err))
}

func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %T (%v), want *Error", err, err)
	}
	return e.Reason
}
