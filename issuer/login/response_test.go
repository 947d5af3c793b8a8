package login

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/issuer"
)

// The endpoints take what the script sends, and no more of it.
func TestPasskeyRequests(t *testing.T) {
	p := newPeople(t, nil)
	b := p.browser(t)
	for _, tc := range []struct {
		name, media, origin, body string
		status                    int
	}{
		{"as it should be", "application/json", "", "{}", http.StatusOK},
		{"a form", "application/x-www-form-urlencoded", "", "{}", http.StatusBadRequest},
		{"text", "text/plain", "", "{}", http.StatusBadRequest},
		{"from another site", "application/json", "https://evil.example", "{}", http.StatusForbidden},
		{"no JSON", "application/json", "", "{", http.StatusBadRequest},
		{"too much", "application/json", "", `{"x":"` + strings.Repeat("x", maxForm) + `"}`, http.StatusRequestEntityTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "POST", p.url+"/login/passkey/begin-login", strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", tc.media)
			r.Header.Set("Origin", p.url)
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			resp, err := b.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tc.status {
				t.Errorf("got %d, want %d", resp.StatusCode, tc.status)
			}
		})
	}
}

// Whatever a browser sends is read as it was sent, or refused.
func FuzzPasskeyResponse(f *testing.F) {
	device := newAuthenticator(f, "http://localhost")
	device.userHandle = []byte("ada")
	var asked options
	asked.PublicKey.Challenge = "AAAA"
	for _, made := range []map[string]any{device.create(f, asked), device.get(f, asked)} {
		text, err := json.Marshal(made)
		if err != nil {
			f.Fatal(err)
		}
		if !checkRead(f, string(text)) {
			f.Fatalf("%s is refused", text)
		}
		f.Add(string(text))
	}
	for _, text := range []string{
		`{"id":"AA","clientDataJSON":"e30","authenticatorData":"AA","signature":"AA","userHandle":"AA","back":""}`,
		`{"id":"AA","clientDataJSON":"e30","attestationObject":"o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YUA"}`, "{}", "", `{"id":1}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkRead(t, text) })
}

// checkRead checks what is read of a text, and returns whether it is taken for one of the two.
func checkRead(t testing.TB, text string) bool {
	t.Helper()
	got := map[string]string{}
	login, back, err := readAssertion(strings.NewReader(text))
	if err == nil {
		r := login.Raw.AssertionResponse
		got = map[string]string{
			"id": base64url.Encode(login.RawID), "clientDataJSON": base64url.Encode(r.ClientDataJSON),
			"authenticatorData": base64url.Encode(r.AuthenticatorData), "signature": base64url.Encode(r.Signature),
			"userHandle": base64url.Encode(r.UserHandle), "back": back,
		}
	} else {
		checkReadRefused(t, err)
	}
	making, err := readAttestation(strings.NewReader(text))
	if err == nil {
		r := making.Raw.AttestationResponse
		got = map[string]string{
			"id": base64url.Encode(making.RawID), "clientDataJSON": base64url.Encode(r.ClientDataJSON),
			"attestationObject": base64url.Encode(r.AttestationObject),
		}
	} else {
		checkReadRefused(t, err)
	}
	if len(got) == 0 {
		return false
	}
	var sent map[string]string
	if err := json.Unmarshal([]byte(text), &sent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, sent); diff != "" {
		t.Fatalf("read (-got +sent):\n%s", diff)
	}
	return true
}

func checkReadRefused(t testing.TB, err error) {
	t.Helper()
	e, ok := errors.AsType[*issuer.Error](err)
	if !ok || e.Reason != issuer.FormRefused && e.Reason != issuer.PasskeyRefused {
		t.Fatalf("got error %v", err)
	}
}
