package config

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/accesstoken"
)

// tokens verifies the tokens of all issuers.
type tokens struct {
	verifier accesstoken.Verifier
	ready    func(context.Context) error
}

func (b *builder) tokens(ctx context.Context, path string, s Gateway) tokens {
	all := &byIssuer{jwt: map[string]accesstoken.Verifier{}}
	var waits []func(context.Context) error
	for i, is := range s.Issuers {
		p := fmt.Sprintf("%s.issuers[%d]", path, i)
		if _, ok := all.jwt[is.URL]; ok {
			b.fail(p+".url", "issuer appears twice")
			continue
		}
		if is.Introspection.Endpoint != "" {
			if all.opaque != nil {
				b.fail(p+".introspection", "one issuer of opaque tokens is what can be told apart; there are two")
			}
			all.opaque = b.introspector(p, is, s.Audience)
			all.jwt[is.URL] = all.opaque
			continue
		}
		v, wait := b.jwtVerifier(ctx, p, is, s.Audience)
		all.jwt[is.URL] = v
		if wait != nil {
			waits = append(waits, wait)
		}
	}
	var verifier accesstoken.Verifier = all
	if s.TokenCache.MaxAge > 0 {
		verifier = accesstoken.NewCache(all, accesstoken.CacheConfig{Entries: s.TokenCache.Entries, MaxAge: s.TokenCache.MaxAge})
	}
	return tokens{verifier: verifier, ready: func(ctx context.Context) error {
		for _, wait := range waits {
			if err := wait(ctx); err != nil {
				return err
			}
		}
		return nil
	}}
}

func (b *builder) introspector(path string, is TokenIssuer, audience string) accesstoken.Verifier {
	in := is.Introspection
	if is.JWKSURL != "" || is.JWKSFile != "" {
		b.fail(path+".introspection", "an issuer is asked, or its keys are used: not both")
	}
	secret := b.secret(path+".introspection.secret_file", in.Secret)
	if secret == nil {
		return nil
	}
	cfg := accesstoken.IntrospectionConfig{
		Issuer: is.URL, Endpoint: in.Endpoint, Audience: audience, ClientID: in.ClientID,
		Secret: string(secret), Client: b.client5s(path, is.CAFile), Skew: exact(is.Skew),
	}
	v, err := accesstoken.NewIntrospector(cfg)
	if err != nil {
		b.fail(path+".introspection", "%w", err)
	}
	return v
}

// jwtVerifier verifies an issuer's JWTs. wait, if not nil, fetches the keys if there are none yet.
func (b *builder) jwtVerifier(ctx context.Context, path string, is TokenIssuer, audience string) (v accesstoken.Verifier, wait func(context.Context) error) {
	cfg := accesstoken.JWTConfig{Issuer: is.URL, Audience: audience, Skew: exact(is.Skew), InsecureAnyType: is.InsecureAnyType}
	if is.JWKSFile != "" {
		if is.JWKSURL != "" {
			b.fail(path+".jwks_file", "give jwks_file or jwks_url, not both")
		}
		cfg.Keys = accesstoken.StaticKeys(b.jwks(path+".jwks_file", is.JWKSFile))
	} else {
		jc := accesstoken.JWKSConfig{Issuer: is.URL, Client: b.client5s(path, is.CAFile)}
		if is.JWKSURL != "" {
			jc.Issuer, jc.URL = "", is.JWKSURL
		}
		set, err := accesstoken.OpenJWKS(ctx, jc)
		if err != nil {
			b.fail(path, "%w", err)
			return nil, nil
		}
		cfg.Keys, wait = set, set.Ready
	}
	v, err := accesstoken.NewJWTVerifier(cfg)
	if err != nil {
		b.fail(path, "%w", err)
	}
	return v, wait
}

// client5s is accesstoken's own client, with other roots. Without a file it is nil: the package's default.
func (b *builder) client5s(path, caFile string) *http.Client {
	if caFile == "" {
		return nil
	}
	tr := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: b.roots(path+".ca_file", caFile), ForceAttemptHTTP2: true}
	return &http.Client{Timeout: 5 * time.Second, Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// byIssuer picks the verifier for a token. What it reads is unverified: it only chooses who verifies, and every
// verifier compares the issuer itself.
type byIssuer struct {
	jwt    map[string]accesstoken.Verifier // by iss
	opaque accesstoken.Verifier            // for tokens that aren't JWTs; nil if no issuer is introspected
}

// Verify implements accesstoken.Verifier.
func (b *byIssuer) Verify(ctx context.Context, token string) (*accesstoken.Token, error) {
	iss, ok := unverifiedIssuer(token)
	if !ok && b.opaque != nil {
		return b.opaque.Verify(ctx, token)
	}
	if !ok {
		return nil, &accesstoken.Error{Reason: accesstoken.Malformed, Section: "RFC 9068, section 2", Part: "token", Expected: "a JWT"}
	}
	if v, ok := b.jwt[iss]; ok {
		return v.Verify(ctx, token)
	}
	return nil, &accesstoken.Error{Reason: accesstoken.IssuerMismatch, Section: "RFC 9068, section 4", Part: "iss", Expected: "one of the configured issuers"}
}

func unverifiedIssuer(token string) (string, bool) {
	_, rest, ok := strings.Cut(token, ".")
	if !ok {
		return "", false
	}
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	return claims.Issuer, json.Unmarshal(text, &claims) == nil
}
