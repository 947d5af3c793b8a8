package issuer

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/holdfast-project/holdfast/dpop"
	"github.com/holdfast-project/holdfast/httpsig"
)

// Only proofs are told what was wrong with them: of client authentication nobody learns that.
func TestReasonsOfProofsAreTold(t *testing.T) {
	old := &dpop.Error{Reason: dpop.TooOld}
	for _, tc := range []struct {
		name string
		err  *Error
		want string
	}{
		{"DPoP", &Error{Reason: DPoPRefused, Err: old}, "dpop-too-old"},
		{"DPoP, wrapped", &Error{Reason: DPoPRefused, Err: fmt.Errorf("verifying: %w", old)}, "dpop-too-old"},
		{"signature", &Error{Reason: SignatureRefused, Err: &httpsig.Error{Reason: httpsig.InFuture}}, "signature-in-future"},
		{"client authentication", &Error{Reason: AssertionRefused, Err: old}, ""},
		{"nothing known", &Error{Reason: DPoPRefused}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			tc.err.write(rec)
			var got struct{ Reason string }
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Reason != tc.want {
				t.Errorf("got %q, want %q", got.Reason, tc.want)
			}
		})
	}
}
