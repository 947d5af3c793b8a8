package main

import (
	"context"

	"github.com/holdfast-project/holdfast/internal/demo"
)

type demoCommand struct {
	Keep bool `help:"Stay up after the table, and print what to try."`
}

// Help implements kong.HelpProvider.
func (*demoCommand) Help() string {
	return "Starts an issuer, a gateway and an API on loopback, and plays an attacker who holds a copy of every byte. Exit code 0 means that each attack ended as promised."
}

// Run plays the attacks.
func (c *demoCommand) Run(ctx context.Context, std streams) error {
	return demo.Run(ctx, demo.Options{Out: std.out, Keep: c.Keep})
}
