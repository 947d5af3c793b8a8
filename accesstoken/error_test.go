package accesstoken

import (
	"errors"
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	cause := errors.New("no route to host")
	tests := []struct {
		name string
		err  *Error
		want string
	}{
		{"reason only", &Error{Reason: Inactive}, "accesstoken: token-inactive"},
		{"all of a refusal", &Error{Reason: AudienceMismatch, Section: "RFC 9068, section 4", Part: "aud", Expected: `"a"`, Got: `"b"`},
			`accesstoken: token-audience-mismatch: aud: expected "a", got "b" (RFC 9068, section 4)`},
		{"a failure", unavailable("jwks", cause), "accesstoken: issuer-unavailable: jwks: no route to host"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.err.Error(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if !errors.Is(unavailable("jwks", cause), cause) {
		t.Error("the cause can't be found")
	}
}

// What a peer wrote stays on one line and short.
func TestQuote(t *testing.T) {
	if got, want := quote("a\n\x1b[31m\u202eé"), `"a\n\x1b[31m\u202e\u00e9"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := quote(strings.Repeat("é", 1000)); len(got) > 1000 || !strings.HasSuffix(got, "…") {
		t.Errorf("got %d bytes: %s", len(got), got)
	}
}
