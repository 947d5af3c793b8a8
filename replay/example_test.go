package replay_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

func Example() {
	// A server leaves InsecureAcceptOlder out: its first clients sign again.
	guard, err := replay.NewMemory(replay.MemoryConfig{InsecureAcceptOlder: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Now()
	claim := replay.Claim{
		Owner: keys.Thumbprint{0x51}, // of the key that signed the proof
		ID:    "e1j3V_bKic8-LAEB",    // its jti
		Made:  now,
		Until: now.Add(time.Minute),
	}
	for range 2 {
		if err := guard.Claim(context.Background(), claim); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("first use")
	}
	// Output:
	// first use
	// replay: seen before
}
