package certbound

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"testing"
	"time"
)

var now = time.Unix(1_800_000_000, 0)

// certificate is one with this DER: what Verify looks at, and no more.
func certificate(der string) *x509.Certificate {
	return &x509.Certificate{Raw: []byte(der), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
}

func presented(certs ...*x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: certs}
}

func TestVerify(t *testing.T) {
	leaf, other := certificate("leaf"), certificate("other")
	want := ThumbprintOf(leaf)
	early := presented(leaf)
	early.HandshakeComplete = false
	tests := []struct {
		name   string
		conn   *tls.ConnectionState
		want   Thumbprint
		now    time.Time
		reason Reason // "" for accepted
	}{
		{"the certificate", presented(leaf), want, now, ""},
		{"with its chain", presented(leaf, other), want, now, ""},
		{"in its first second", presented(leaf), want, leaf.NotBefore, ""},
		{"in its last second", presented(leaf), want, leaf.NotAfter, ""},
		{"no TLS", nil, want, now, Missing},
		{"handshake not complete", early, want, now, Missing},
		{"no certificate", presented(), want, now, Missing},
		{"another certificate", presented(other), want, now, Mismatch},
		{"as an issuer only", presented(other, leaf), want, now, Mismatch},
		{"no thumbprint", presented(leaf), Thumbprint{}, now, Mismatch},
		{"expired", presented(leaf), want, leaf.NotAfter.Add(1), Expired},
		{"not yet valid", presented(leaf), want, leaf.NotBefore.Add(-1), NotYetValid},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Verify(tc.conn, tc.want, tc.now)
			if tc.reason == "" {
				if err != nil || got != leaf {
					t.Errorf("got %v, %v; want the leaf", got, err)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Reason != tc.reason || e.Section == "" || e.Part == "" || e.Expected == "" || e.Got == "" {
				t.Errorf("got %v, want %s with all that differs", err, tc.reason)
			}
			if got != nil {
				t.Error("a certificate was returned with the error")
			}
		})
	}
}

// The thumbprint is of the DER, in base64url without padding.
func TestThumbprint(t *testing.T) {
	sum := sha256.Sum256([]byte("leaf"))
	if got, want := ThumbprintOf(certificate("leaf")).String(), base64.RawURLEncoding.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestErrorText(t *testing.T) {
	_, err := Verify(nil, Thumbprint{1}, now)
	const want = "certbound: certificate-missing: connection: expected TLS up to this server, got none (RFC 8705, section 3)"
	if err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
}
