//go:build race

package acceptance

// raceFlag builds the processes as the tests were built.
const raceFlag = "-race"
