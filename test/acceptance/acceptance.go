// Package acceptance tests holdfast as it is run: issuer and gateways as processes of their own, built from cmd/holdfast
// and started with configuration files, behind balancers that know nothing of proofs, with honest clients in front and
// somebody in the middle who isn't; and issuers that share a database, which are raced against each other and killed.
//
// `go test` runs everything at a size that fits into a build, with the race detector in the processes too if the tests
// have it. `make acceptance` runs it at full size.
package acceptance
