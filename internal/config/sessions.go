package config

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/popsession"
	"github.com/holdfast-project/holdfast/replay"
)

// Sessions lets clients prove their key once and authenticate later requests by a MAC.
type Sessions struct {
	Secrets  []FleetSecret `yaml:"secrets" help:"The fleet's secrets, the same on every node; read again at SIGHUP. If empty, there are no sessions."`
	Lifetime time.Duration `yaml:"lifetime" default:"5m" help:"How long a session lasts, at most 10m."`
	Windows  int           `yaml:"windows" default:"100000" help:"How many live sessions' counters this node remembers; when full, new ones are refused."`
	Tickets  int           `yaml:"tickets" default:"10000" zero:"true" help:"How many opened tickets are remembered, as a speed-up; 0 means none."`
}

// FleetSecret is one of the fleet's secrets. To rotate, add one to all nodes with a later not_before, and take the old one
// away ten minutes after that. holdfast gateway reads them again at SIGHUP.
type FleetSecret struct {
	ID        string `yaml:"id" required:"true" help:"1 to 16 ASCII characters; it travels in tickets."`
	Secret    Secret `yaml:"secret" help:"32 random bytes or more, as written by holdfast key secret. Whoever has it can make sessions of anybody."`
	NotBefore string `yaml:"not_before" help:"When nodes begin to use it, as 2026-01-02T15:04:05Z. They accept it before. If empty, at once."`
}

// sessions makes the sessions' part of the verifier, and tells when the memory of counters has begun.
func (b *builder) sessions(path string, s Sessions, skew time.Duration) (*holdfast.Sessions, func(context.Context) error) {
	out := &holdfast.Sessions{Lifetime: s.Lifetime, Tickets: s.Tickets}
	if s.Tickets == 0 {
		out.Tickets = -1
	}
	out.Secrets = b.fleetSecrets(path+".secrets", s.Secrets)
	windows, err := replay.NewMemoryWindows(replay.MemoryWindowsConfig{Sessions: s.Windows, Skew: exact(skew)})
	if err != nil {
		b.fail(path+".windows", "%w", err)
		return out, nil
	}
	out.Windows = windows
	return out, begins(windows.Begins())
}

func (b *builder) fleetSecrets(path string, list []FleetSecret) []popsession.Secret {
	var out []popsession.Secret
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		out = append(out, popsession.Secret{
			ID: s.ID, Key: b.secret(at+".secret_file", s.Secret), NotBefore: b.instant(at+".not_before", s.NotBefore),
		})
	}
	return out
}

// FleetSecrets returns the gateway's secrets of sessions, for a program that runs already. No secret at all is an error:
// sessions aren't switched off that way.
func (f *File) FleetSecrets() ([]popsession.Secret, error) {
	b := &builder{file: f}
	if err := b.required("gateway", f.Gateway); err != nil {
		return nil, err
	}
	if len(f.Gateway.Sessions.Secrets) == 0 {
		b.fail("gateway.sessions.secrets", "none, where there were some")
	}
	return b.fleetSecrets("gateway.sessions.secrets", f.Gateway.Sessions.Secrets), b.err()
}

func (b *builder) instant(path, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		b.fail(path, "want a time such as 2026-01-02T15:04:05Z, got %q", text)
	}
	return t
}

// begins is ready once a memory that begins then can refuse no honest client's fresh proof any more for having been made
// before it began.
func begins(t time.Time) func(context.Context) error {
	return func(context.Context) error {
		if wait := time.Until(t.Add(time.Second)); wait > 0 {
			return fmt.Errorf("the memory of proofs begins in %s", wait.Round(time.Second))
		}
		return nil
	}
}

// both is ready when both are.
func both(a, b func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return errors.Join(a(ctx), b(ctx)) }
}
