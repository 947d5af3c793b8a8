package signedurl

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/httpsig"
)

// Verify checks the URL for a request with method: secret is the request key of the session that the ticket belongs to,
// and now gives the time; if nil, time.Now. Errors are *Error, but for a secret that is too short. That the nonce wasn't
// used before is for the caller to check, and only then.
func (u *URL) Verify(method string, secret []byte, now func() time.Time) error {
	if err := checkMethod(method); err != nil {
		return err
	}
	if lifetime := u.expires - u.created; lifetime < 1 || lifetime > int64(maxLifetime/time.Second) {
		return &Error{Reason: BadLifetime, Part: inputName, Expected: "1 to 60 s from created to expires"}
	}
	key, err := httpsig.NewHMACKey(secret)
	if err != nil {
		return fmt.Errorf("signedurl: %w", err)
	}
	v, err := httpsig.NewVerifier(httpsig.Config{
		Tag:            tag,
		One:            true,
		Required:       covered,
		RequiredParams: []string{"created", "expires", "nonce", "tag"},
		RefusedParams:  []string{"alg", "keyid", "pub"},
		Skew:           skew,
		Now:            now,
	})
	if err != nil {
		return fmt.Errorf("signedurl: %w", err)
	}
	source := func(context.Context, *httpsig.Input) (*httpsig.Key, error) { return key, nil }
	_, err = v.Verify(context.Background(), u.message(method), source)
	return refusal(err)
}

// message returns the request as it was signed.
func (u *URL) message(method string) *httpsig.Message {
	return &httpsig.Message{
		Method:    method,
		TargetURI: u.target[:u.signed],
		Header: http.Header{
			"Signature-Input": {"sig1=" + u.input},
			"Signature":       {"sig1=:" + base64.StdEncoding.EncodeToString(u.signature) + ":"},
		},
	}
}

// refusal turns an error of the verifier into one of ours.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	out := &Error{Reason: Malformed, Part: inputName, Err: err}
	if e, ok := errors.AsType[*httpsig.Error](err); ok {
		switch e.Reason {
		case httpsig.InFuture:
			out.Reason = InFuture
		case httpsig.Expired:
			out.Reason = Expired
		case httpsig.ComponentInvalid:
			out.Reason, out.Part = BadTarget, "@target-uri"
		case httpsig.BadSignature:
			out.Reason, out.Part = BadSignature, sigName
		}
	}
	return out
}
