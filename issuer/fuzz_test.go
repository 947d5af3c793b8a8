package issuer

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What parses has each parameter once, with a value, and serialises to a form that parses to the same.
func FuzzParseForm(f *testing.F) {
	var vectors struct{ Cases []struct{ Request exchange } }
	readVectors(f, "testdata/oauth-httpsig-draft.json", &vectors)
	if len(vectors.Cases) == 0 {
		f.Fatal("no seed")
	}
	for _, c := range vectors.Cases {
		f.Add(string(c.Request.decode(f)))
	}
	for _, body := range []string{"", "a", "a=", "a=1&a=2", "resource=1&resource=2", "a=1;b=2", "a=%zz", "a=%00", "=x", "&&", "a=b=c", "a+b=%2B"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		values, err := parseForm(body)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != FormRefused && e.Reason != TargetRefused {
				t.Fatalf("got error %v", err)
			}
			return
		}
		encoded := make(url.Values, len(values))
		for name, value := range values {
			if value == "" {
				t.Errorf("parameter %q without a value", name)
			}
			encoded.Set(name, value)
		}
		again, err := parseForm(encoded.Encode())
		if err != nil || len(again) != len(values) {
			t.Fatalf("got %d parameters and %v, want %d", len(again), err, len(values))
		}
		for name, value := range values {
			if again[name] != value {
				t.Errorf("%q: got %q, want %q", name, again[name], value)
			}
		}
	})
}

// No change to an assertion, however it is spelt, makes it another one: it is refused, or it is the same use.
func FuzzAssertion(f *testing.F) {
	fixture := newFixture(f, nil)
	good := fixture.assertion(f, fixture.jwtKey, nil)
	claim := func(name string, value any) string {
		return fixture.assertion(f, fixture.jwtKey, func(_, claims map[string]any) { claims[name] = value })
	}
	for _, token := range []string{
		good, claim("exp", 1e300), claim("exp", -1), claim("jti", nil), claim("aud", []string{testIssuer}), claim("sub", map[string]any{}),
		sealText(f, fixture.jwtKey, `{"alg":"ES256","kid":"jwt-1"}`, `{"sub":"jwt","sub":"jwt"}`), "", "..", "a.b.c",
	} {
		f.Add(token)
	}
	accept := func(token string) (caller, error) {
		return fixture.authenticateAssertion(httptest.NewRequest("POST", testToken, nil), form{values: map[string]string{"client_assertion_type": jwtBearer, "client_assertion": token}})
	}
	want, err := accept(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		got, err := accept(token)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != AssertionRefused && e.Reason != AuthRefused {
				t.Fatalf("got error %v", err)
			}
			return
		}
		if *got.assertion != *want.assertion {
			t.Errorf("got use %+v, want %+v", got.assertion, want.assertion)
		}
	})
}

// The claims of an assertion are whatever its sender likes.
func FuzzAssertionClaims(f *testing.F) {
	for _, claims := range []string{
		`{"iss":"jwt","sub":"jwt","aud":"https://as.example/tenant","jti":"1","iat":1795521600,"exp":1795521660}`,
		`{"exp":1e999}`, `{"exp":-0.5,"iat":253402300800}`, `{"iss":1}`, `{"aud":[]}`, `[]`, ``, `{"iss":"a","iss":"b"}`, `{"jti":"\u0000"}`,
	} {
		f.Add([]byte(claims))
	}
	key := newKey(f, "ES256", "k").Public().Thumbprint()
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := parseAssertion(string(payload))
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != AssertionRefused {
				t.Fatalf("got error %v", err)
			}
			return
		}
		if claims.check(testIssuer, testNow) != nil {
			return
		}
		use := claims.use(key)
		switch {
		case claims.id == "":
			t.Error("accepted without a jti")
		case use.Until.Before(testNow) || use.Until.After(testNow.Add(assertionLife+skew)):
			t.Errorf("remembered until %v", use.Until)
		case use.Made.After(testNow.Add(guardSkew)):
			t.Errorf("made at %v", use.Made)
		}
	})
}

// Every authorization request is refused by a typed error, or is what its client may ask, and stays so when stored.
func FuzzAuthorizationRequest(f *testing.F) {
	seeds := 0
	for _, change := range []url.Values{
		{}, {"prompt": {"login consent"}, "max_age": {"0"}}, {"authorization_details": {`[{"type":"payment","a":[1]}]`}},
		{"state": {"<&\"\\>"}, "nonce": {"n"}, "login_hint": {"é"}}, {"redirect_uri": {"http://127.0.0.1:49152/cb"}}, {"resource": {testResource}},
		{"dpop_jkt": {testChallenge}}, {"redirect_uri": {"http://[::1]:x/cb"}},
	} {
		q := asking("fuzz")
		for name, values := range change {
			q[name] = values
		}
		f.Add(q.Encode())
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seed")
	}
	c := &client{Client: Client{
		ID: "fuzz", Grants: []GrantType{CodeGrant}, RedirectURIs: []string{testRedirect, "http://127.0.0.1/cb", "http://[::1]/cb"},
		Scope: []string{"read", "write"}, Audience: []string{testResource}, AuthorizationDetails: []string{"payment"},
	}}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := parseForm(query)
		if err != nil {
			return
		}
		redirect, err := c.redirectFor(values["redirect_uri"])
		var q authorizationRequest
		if err == nil {
			q, err = parseAuthorization(form{values: values}, c, redirect)
		}
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("got error %v", err)
			}
			return
		}
		if !strings.HasPrefix(redirect, testRedirect) && !strings.HasPrefix(redirect, "http://127.0.0.1") && !strings.HasPrefix(redirect, "http://[::1]") {
			t.Errorf("redirects to %q", redirect)
		}
		stored, err := q.encode()
		if err != nil || len(stored) > 1<<16 {
			t.Fatalf("stored in %d bytes, %v", len(stored), err)
		}
		a := authorization{client: c}
		if err := a.resume(stored); err != nil {
			t.Fatal(err)
		}
		again, err := a.request.encode()
		if err != nil || string(again) != string(stored) {
			t.Errorf("got %s, want %s (%v)", again, stored, err)
		}
	})
}
