//go:build race

package conformance

const (
	// octetStep leaves most octets alone under the race detector, which makes everything seven times slower: all of them have
	// their turn without it, in the same `make test`.
	octetStep  = 16
	minMutants = 40_000
)
