package revocation_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/revocation"
)

// A verifier asks with all the names of a request; a stream that the request began watches them.
func Example() {
	set, err := revocation.NewSet(revocation.SetConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	names := []revocation.Name{
		revocation.Token("https://as.example", "token-7"), revocation.Client("https://as.example", "shop"),
	}
	stop := set.Watch(names, func(n revocation.Name) { fmt.Println("ends:", n) })
	defer stop()

	ctx := context.Background()
	err = set.Revoke(ctx, revocation.Entry{Name: revocation.Client("https://as.example", "shop"), Until: time.Now().Add(time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}
	n, found, err := set.Find(ctx, names)
	fmt.Println(n, found, err)
	// Output:
	// ends: client "shop" of "https://as.example"
	// client "shop" of "https://as.example" true <nil>
}
