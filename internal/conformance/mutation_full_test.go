//go:build !race

package conformance

// octetStep says that every octet is changed.
const octetStep = 1
