package config

import (
	"context"
	"net/http"

	"github.com/holdfast-project/holdfast/revocation"
)

// Revocations lets operators refuse tokens, sessions, keys, clients and subjects before their time.
type Revocations struct {
	Secret  Secret `yaml:"secret" help:"The operators' secret for POST /revocations at admin.listen, where holdfast revoke sends it: 32 random bytes or more, as written by holdfast key secret. If empty, nothing can be revoked here."`
	Entries int    `yaml:"entries" default:"100000" help:"How many live revocations this node remembers; when full, new ones are refused. A restart forgets them all."`
}

// Revocations returns what the gateway asks about revocations, and the handler of POST /revocations. Both are nil if there is
// no secret for it.
func (f *File) Revocations(observe func(context.Context, revocation.Entry, error)) (revocation.List, http.Handler, error) {
	b, s := &builder{file: f}, f.Gateway.Revocations
	if !s.Secret.set() {
		return nil, nil, nil
	}
	const path = "gateway.revocations.secret_file"
	secret := b.secret(path, s.Secret)
	if f.Admin.Listen == "" {
		b.fail("admin.listen", "required with gateway.revocations.secret_file, which is for that listener")
	}
	set, err := revocation.NewSet(revocation.SetConfig{Entries: s.Entries})
	if err != nil {
		b.fail("gateway.revocations.entries", "%w", err)
	}
	if err := b.err(); err != nil {
		return nil, nil, err
	}
	handler, err := revocation.NewHandler(revocation.HandlerConfig{Revoke: set.Revoke, Secret: secret, Observe: observe})
	if err != nil {
		b.fail(path, "%w", err)
	}
	return set, handler, b.err()
}
