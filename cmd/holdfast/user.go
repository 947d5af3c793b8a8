package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/internal/config"
	"github.com/holdfast-project/holdfast/issuer/login"
	"github.com/holdfast-project/holdfast/issuer/store"
)

type userCommand struct {
	issuerDatabase

	Invite  userInvite  `cmd:"" help:"Invite somebody to make a passkey, who is a user from now on."`
	List    userList    `cmd:"" help:"List the users."`
	Disable userDisable `cmd:"" help:"Log a user out everywhere, revoke all that the user granted, and let nobody log in as the user."`
	Enable  userEnable  `cmd:"" help:"Let a disabled user log in again."`
}

// Help implements kong.HelpProvider.
func (*userCommand) Help() string {
	return "Works on issuer.database. Users of outside providers appear with their first login."
}

type userInvite struct {
	Name        string        `arg:"" help:"The user's name, which passkeys show. If there is such a user, the invitation is for another passkey."`
	DisplayName string        `placeholder:"TEXT" help:"What a new user is called on pages. If absent, NAME."`
	Expires     time.Duration `default:"24h" help:"How long the invitation is good."`
}

// Run prints the URL of the invitation: it is the one thing that must be kept secret until it is used.
func (c *userInvite) Run(ctx context.Context, std streams, of *userCommand) (err error) {
	if c.Expires <= 0 {
		return usagef("--expires: must be above 0")
	}
	file, s, err := of.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if !file.Issuer.Login.Passkeys {
		return usageError{&config.Error{Path: "issuer.login.passkeys", Problem: "is off: nobody could use the invitation"}}
	}
	user, err := c.user(ctx, s)
	if err != nil {
		return err
	}
	link, err := login.Invite(ctx, s, file.Issuer.URL, time.Now(), user.ID, c.Expires)
	if hasReason(err, store.Disabled) {
		return fmt.Errorf("user %s: disabled", c.Name)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, link)
	return err
}

// user finds the user, or makes it.
func (c *userInvite) user(ctx context.Context, s *store.Store) (store.User, error) {
	user, err := s.UserByName(ctx, c.Name)
	switch {
	case hasReason(err, store.NotFound):
		user = store.User{ID: rand.Text(), Name: c.Name, DisplayName: c.DisplayName}
		return user, s.CreateUser(ctx, time.Now(), user)
	case err == nil && c.DisplayName != "":
		return user, fmt.Errorf("user %s: there is one already: --display-name is for new ones", c.Name)
	}
	return user, err
}

type userList struct{}

// Run prints one user a line: the id, which is the subject of tokens, the name, what it is called, whether it is disabled.
func (*userList) Run(ctx context.Context, std streams, of *userCommand) (err error) {
	_, s, err := of.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return eachRow(ctx, s.Users, func(u store.User) (string, error) {
		state := "enabled"
		if u.Disabled {
			state = "disabled"
		}
		// Names may be any text: quoted, none can draw on a terminal.
		_, err := fmt.Fprintf(std.out, "%s\t%q\t%q\t%s\n", u.ID, u.Name, u.DisplayName, state)
		return u.ID, err
	})
}

type userDisable struct {
	Name string `arg:"" help:"The user's name, as list prints it."`
}

// Run disables the user.
func (c *userDisable) Run(ctx context.Context, std streams, of *userCommand) error {
	return of.disable(ctx, std, c.Name, true)
}

type userEnable struct {
	Name string `arg:"" help:"The user's name, as list prints it."`
}

// Run enables the user.
func (c *userEnable) Run(ctx context.Context, std streams, of *userCommand) error {
	return of.disable(ctx, std, c.Name, false)
}

func (c *userCommand) disable(ctx context.Context, std streams, name string, disabled bool) (err error) {
	_, s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	user, err := s.UserByName(ctx, name)
	if hasReason(err, store.NotFound) {
		return fmt.Errorf("user %s: there is none", name)
	}
	if err != nil {
		return err
	}
	user.Disabled = disabled
	if err := s.UpdateUser(ctx, time.Now(), user); err != nil {
		return err
	}
	done := "enabled"
	if disabled {
		done = "disabled"
	}
	_, err = fmt.Fprintf(std.out, "%s %s\n", done, name)
	return err
}
