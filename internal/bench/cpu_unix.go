//go:build unix

package bench

import (
	"syscall"
	"time"
)

// clock is the name of the clock that work in one process is timed by. Processor time leaves out other processes, and
// counts the garbage collector wherever it runs.
const clock = clockProcessor

// processorTime is what this process has used of the machine's processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // only for arguments that aren't these
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
