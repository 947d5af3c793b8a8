//go:build race

package conformance

// octetStep leaves three of four octets alone under the race detector, which makes everything seven times slower.
const octetStep = 4
