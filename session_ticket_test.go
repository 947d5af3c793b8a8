package holdfast

import (
	"testing"

	"github.com/holdfast-project/holdfast/popsession"
)

func TestTicketIsFor(t *testing.T) {
	own := &ticket{Ticket: &popsession.Ticket{Grant: popsession.Grant{Binding: popsession.Binding{Audience: "https://api.example"}}}}
	for _, tc := range []struct {
		name, uri string
		want      bool
	}{
		{"path", "https://api.example/a", true},
		{"nothing more", "https://api.example", true},
		{"query alone", "https://api.example?a", true},
		{"letter case", "https://API.example/a", true},
		{"default port", "https://api.example:443/a", true},
		{"other port", "https://api.example:444/a", false},
		{"longer host", "https://api.example.net/a", false},
		{"longer label", "https://api.examples/a", false},
		{"user information", "https://api.example@evil.net/a", false},
		{"other scheme", "http://api.example/a", false},
		{"no URL", "api.example/a", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := own.isFor(tc.uri); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
