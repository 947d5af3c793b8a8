package explain

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/httpsig"
	"github.com/holdfast-project/holdfast/keys"
)

// errNoKey says that there is no key to check a signature with; signature.noKey says why.
var errNoKey = errors.New("explain: no key")

// key finds the key of a signature: where its tag says that it must be, else among those given. It is an
// httpsig.KeySource.
func (s *signature) key(_ context.Context, in *httpsig.Input) (*httpsig.Key, error) {
	s.noKey = ""
	switch in.Tag() {
	case holdfast.TagHTTPSig:
		return s.keyOfToken()
	case holdfast.TagProof:
		if s.proof.key == nil {
			return s.missing("it is made with the key of the DPoP proof, which doesn't hold")
		}
		return httpsig.NewJOSEKey(s.proof.key)
	case holdfast.TagHTTPSigToken:
		if in.PublicKey() != nil {
			pub, err := accesstoken.ParseRuntimeKey(in.Alg(), in.PublicKey())
			if err != nil {
				return nil, err
			}
			return httpsig.NewKey(pub, httpsig.Algorithm(in.Alg()))
		}
	}
	return s.given(in)
}

func (s *signature) missing(why string) (*httpsig.Key, error) {
	s.noKey = why
	return nil, errNoKey
}

// keyOfToken is the key in the token's confirmation.
func (s *signature) keyOfToken() (*httpsig.Key, error) {
	switch b := s.cred.binding; {
	case b == nil:
		return s.missing("it is made with the token's key, and the token doesn't tell it here")
	case b.Binding == accesstoken.BoundHTSK:
		return httpsig.NewKey(b.Key, httpsig.Algorithm(b.Algorithm))
	case b.Binding == accesstoken.BoundJWK:
		return httpsig.NewJOSEKey(b.Key)
	}
	return s.missing("it is made with the token's key, and the token has none for message signatures (cnf.jwk or cnf.htsk)")
}

// given picks from the keys that the caller has: by key id or thumbprint, or the only one.
func (s *signature) given(in *httpsig.Input) (*httpsig.Key, error) {
	if s.in.Secret != nil && (in.Alg() == string(httpsig.HMACSHA256) || in.Alg() == "" && len(s.in.Keys) == 0) {
		return httpsig.NewHMACKey(s.in.Secret)
	}
	i := slices.IndexFunc(s.in.Keys, func(k *keys.Public) bool {
		return in.KeyID() != "" && (k.KeyID() == in.KeyID() || k.Thumbprint().String() == in.KeyID())
	})
	switch {
	case i < 0 && len(s.in.Keys) == 1 && (in.KeyID() == "" || s.in.Keys[0].KeyID() == ""):
		i = 0
	case i < 0 && len(s.in.Keys) == 0:
		return s.missing("no key given")
	case i < 0:
		return s.missing("none of the keys given is the one that keyid names")
	}
	if in.Alg() != "" {
		return httpsig.NewKey(s.in.Keys[i], httpsig.Algorithm(in.Alg()))
	}
	return httpsig.NewJOSEKey(s.in.Keys[i])
}
