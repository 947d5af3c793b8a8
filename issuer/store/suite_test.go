package store

import (
	"testing"
)

// TestSuite runs every test of behaviour on each database, each on a database of its own that populate has filled.
func TestSuite(t *testing.T) {
	kinds := append([]backend{{"memory", func(testing.TB) string { return "sqlite::memory:" }}}, backends...)
	for _, b := range kinds {
		t.Run(b.name, func(t *testing.T) {
			suite(t, func(t *testing.T) *Store {
				s := open(t, b.dsn(t))
				populate(t, s)
				return s
			})
		})
	}
}

func suite(t *testing.T, open func(t *testing.T) *Store) {
	for _, tc := range []struct {
		name string
		test func(t *testing.T, s *Store)
	}{
		{"everything comes back as it was stored", testRoundTrip},
		{"clients", testClients},
		{"pushed requests", testPushedRequests},
		{"interactions", testInteractions},
		{"authorizations", testAuthorizations},
		{"redeeming codes", testRedeem},
		{"rotation", testRotation},
		{"rotations refused", testRotationRefused},
		{"a family of tokens", testFamily},
		{"revocation", testRevocation},
		{"revoking many grants", testRevokeGrants},
		{"single-use ids", testClaims},
		{"signing keys", testSigningKeys},
		{"users", testUsers},
		{"passkeys", testPasskeys},
		{"logging in by passkey", testPasskeyLogins},
		{"disabling a user", testDisabling},
		{"invitations", testInvitations},
		{"login sessions", testSessions},
		{"consents", testConsents},
		{"lists", testLists},
		{"values that no database should see", testInvalid},
		{"names that nothing can have", testOddNames},
		{"pruning", testPrune},
		{"pruning by parts", testPruneLimit},
		{"contexts that end", testContext},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, open(t)) })
	}
}
