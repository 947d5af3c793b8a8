//go:build !unix

package bench

import "time"

// clock is the name of the clock that work in one process is timed by.
const clock = clockWall

// began is when the clock began.
var began = time.Now()

// processorTime isn't told by the system: this is the time that passes.
func processorTime() time.Duration { return time.Since(began) }
