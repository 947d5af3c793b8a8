//go:build !race

package conformance

const (
	// octetStep says that every octet is changed.
	octetStep = 1
	// minMutants is how many the promise of docs/mutations.md is about.
	minMutants = 400_000
)
