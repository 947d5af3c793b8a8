package config

import (
	"context"
	"time"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/login"
)

// Login is how users log in.
type Login struct {
	InsecureDevelopmentUser string        `yaml:"insecure_development_user" help:"The name of a user as whom anybody can log in, by pressing a button: for development only."`
	SessionLifetime         time.Duration `yaml:"session_lifetime" default:"12h" help:"How long a login lasts in one browser."`
}

// open makes what logs users in, or nil if there is no way to: there is no authorization endpoint then.
func (l Login) open(cfg issuer.Config, observe func(context.Context, issuer.Event)) (issuer.Login, error) {
	if l.InsecureDevelopmentUser == "" {
		return nil, nil
	}
	return login.New(login.Config{
		Issuer: cfg.Issuer, Store: cfg.Store, InsecureDevelopmentUser: l.InsecureDevelopmentUser,
		SessionLifetime: l.SessionLifetime, Observer: observe,
	})
}
