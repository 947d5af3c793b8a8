package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-project/holdfast/internal/config"
	"github.com/holdfast-project/holdfast/internal/explain"
	"github.com/holdfast-project/holdfast/keys"
)

type verifyCommand struct {
	URL            string `placeholder:"ORIGIN" help:"External origin that the client called, with a path prefix that a gateway strips. Default: https and the Host field."`
	Now            string `placeholder:"TIME" help:"Time to judge by, RFC 3339 or Unix seconds. Default: now."`
	Key            string `placeholder:"FILE" help:"JWK of a signature's key."`
	JWKS           string `name:"jwks" placeholder:"FILE" help:"JWK Set with signatures' keys."`
	SecretFile     string `placeholder:"FILE" help:"Secret of hmac-sha256 signatures."`
	IssuerJWKS     string `name:"issuer-jwks" placeholder:"FILE" help:"JWK Set of the token's issuer."`
	Issuer         string `placeholder:"URL" help:"What the token must name in iss."`
	Audience       string `placeholder:"URI" help:"What the token must name in aud."`
	Base           string `placeholder:"FILE" help:"Signature base that the client says it signed: the first line that differs is shown."`
	JSON           bool   `name:"json" help:"Print the report as JSON."`
	AllowUnchecked bool   `help:"Checks for which an input is missing don't count as failed."`
	File           string `arg:"" default:"-" help:"Raw HTTP/1.1 request, with LF or CRLF, at most 1 MiB; - is standard input."`
}

// Help implements kong.HelpProvider.
func (*verifyCommand) Help() string {
	return "Exit code 0 means that every check holds that one request allows for. The report shows the signature base as it is, the token included where it is signed."
}

// Run prints the report.
func (c *verifyCommand) Run(ctx context.Context, std streams) error {
	in, err := c.input()
	if err != nil {
		return usageError{err}
	}
	raw, err := readFile(c.File, std.in, explain.MaxRequest)
	if err != nil {
		return usageError{err}
	}
	report, err := explain.Explain(ctx, raw, in)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(std.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = report.WriteText(std.out)
	}
	if err != nil {
		return err
	}
	if report.Result == explain.Holds || report.Result == explain.Undecided && c.AllowUnchecked {
		return nil
	}
	return errReported
}

// input reads the files that the flags name.
func (c *verifyCommand) input() (explain.Input, error) {
	in := explain.Input{Origin: c.URL, Issuer: c.Issuer, Audience: c.Audience}
	var err error
	if in.Now, err = parseTime(c.Now); err != nil {
		return in, err
	}
	if c.Key != "" {
		key, err := readPublic(c.Key, nil)
		if err != nil {
			return in, err
		}
		in.Keys = []*keys.Public{key}
	}
	if c.JWKS != "" {
		set, err := config.ReadJWKSFile(c.JWKS)
		if err != nil {
			return in, err
		}
		in.Keys = append(in.Keys, set...)
	}
	if c.IssuerJWKS != "" {
		if in.IssuerKeys, err = config.ReadJWKSFile(c.IssuerJWKS); err != nil {
			return in, err
		}
	}
	if c.SecretFile != "" {
		if in.Secret, err = config.ReadSecretFile(c.SecretFile); err != nil {
			return in, err
		}
	}
	if c.Base != "" {
		in.Base, err = readFile(c.Base, nil, explain.MaxRequest)
	}
	return in, err
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(sec, 0), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("--now %q is neither RFC 3339 nor Unix seconds", s)
	}
	return t, nil
}
