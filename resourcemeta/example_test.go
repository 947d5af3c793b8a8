package resourcemeta_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/holdfast-project/holdfast"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/resourcemeta"
)

// A resource publishes its key, and a client takes it for its Transport.
func ExampleFetch() {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	api := httptest.NewServer(mux)
	defer api.Close()
	handlers, err := resourcemeta.Handlers(resourcemeta.Metadata{Resource: api.URL, Name: "Orders"}, []*keys.Public{signer.Public()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for path, h := range handlers {
		mux.Handle(path, h)
	}

	m, set, err := resourcemeta.Fetch(context.Background(), nil, api.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	t := &holdfast.Transport{ResourceKeys: set} // and Source and Signer
	fmt.Println(m.Name, len(t.ResourceKeys))
	// Output: Orders 1
}
