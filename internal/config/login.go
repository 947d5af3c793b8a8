package config

import (
	"context"
	"time"

	"github.com/holdfast-project/holdfast/issuer"
	"github.com/holdfast-project/holdfast/issuer/login"
)

// Login is how users log in.
type Login struct {
	Passkeys                bool          `yaml:"passkeys" default:"false" help:"Users log in by passkeys, of which each gets the first by an invitation (holdfast user invite)."`
	PasskeyDomain           string        `yaml:"passkey_domain" help:"The domain that passkeys are for: the host of issuer.url, or a domain above it. If empty, the host. It can't be changed later: passkeys are no good for another."`
	Providers               []Provider    `yaml:"providers" help:"Outside OpenID providers that users log in by."`
	InsecureDevelopmentUser string        `yaml:"insecure_development_user" help:"The name of a user as whom anybody can log in, by pressing a button: for development only."`
	SessionLifetime         time.Duration `yaml:"session_lifetime" default:"12h" help:"How long a login lasts in one browser."`
}

// Provider is an outside OpenID provider.
type Provider struct {
	Name         string   `yaml:"name" required:"true" help:"Part of the redirect URI that the provider must have for us, URL/login/provider/NAME/callback: letters a to z, digits and hyphens."`
	Label        string   `yaml:"label" help:"What users know it by. If empty, its name."`
	URL          string   `yaml:"url" required:"true" help:"Its identifier, as in iss: an https URL whose OpenID metadata is there."`
	ClientID     string   `yaml:"client_id" required:"true" help:"Ours at the provider."`
	ClientSecret Secret   `yaml:"client_secret" help:"Ours at the provider. If empty, we are a public client."`
	Scopes       []string `yaml:"scopes" help:"What is asked for besides openid. If empty, profile."`
	CAFile       string   `yaml:"ca_file" help:"Certificates, PEM, that its server must chain to. If empty, the system's."`

	InsecureAssumeAuthTime bool `yaml:"insecure_assume_auth_time" default:"false" help:"For providers that don't tell when a user authenticated (auth_time): take the time of the login here. Clients that want a recent login then may get an old one."`
}

func (b *builder) provider(path string, p Provider) login.Provider {
	out := login.Provider{
		Name: p.Name, Label: p.Label, Issuer: p.URL, ClientID: p.ClientID, Scopes: p.Scopes,
		InsecureAssumeAuthTime: p.InsecureAssumeAuthTime, HTTP: b.httpClient(path+".ca_file", p.CAFile),
	}
	if p.ClientSecret.set() {
		out.ClientSecret = string(b.secret(path+".client_secret_file", p.ClientSecret))
	}
	return out
}

// open makes what logs users in, or nil if there is no way to: there is no authorization endpoint then.
func (l Login) open(cfg issuer.Config, providers []login.Provider, observe func(context.Context, issuer.Event)) (issuer.Login, error) {
	if l.InsecureDevelopmentUser == "" && len(providers) == 0 && !l.Passkeys && l.PasskeyDomain == "" {
		return nil, nil
	}
	return login.New(login.Config{
		Issuer: cfg.Issuer, Store: cfg.Store, InsecureDevelopmentUser: l.InsecureDevelopmentUser, Providers: providers,
		Passkeys: l.Passkeys, PasskeyDomain: l.PasskeyDomain,
		SessionLifetime: l.SessionLifetime, Observer: observe,
	})
}
