package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/holdfast-project/holdfast/internal/conformance"
)

type conformanceCommand struct {
	JSON  bool     `name:"json" help:"Print one JSON object a case."`
	Files []string `arg:"" name:"file" help:"Vector files, as vectors/README.md describes them; - is standard input."`
}

// Help implements kong.HelpProvider.
func (*conformanceCommand) Help() string {
	return "Exit code 0 means that every verdict is the expected one. Cases without an expectation are reported only."
}

// Run prints a line a case.
func (c *conformanceCommand) Run(ctx context.Context, std streams) error {
	out := bufio.NewWriter(std.out)
	var total, differ int
	for _, name := range c.Files {
		cases, err := readCases(name, std.in)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", name, err)}
		}
		for i := range cases {
			result, err := conformance.Run(ctx, &cases[i])
			if err != nil {
				return usageError{fmt.Errorf("%s: %w", name, err)}
			}
			total++
			if !result.Agrees() {
				differ++
			}
			if err := c.print(out, result); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%d cases, %d not as expected\n", total, differ)
	if differ > 0 {
		return errReported
	}
	return nil
}

func readCases(name string, in io.Reader) ([]conformance.Case, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return conformance.Read(in)
}

func (c *conformanceCommand) print(out io.Writer, r conformance.Result) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(r)
	}
	agreement := "ok"
	switch {
	case r.Expect == "":
		agreement = "--"
	case !r.Agrees():
		agreement = "NOT AS EXPECTED"
	}
	_, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", agreement, r.ID, r.Verdict, r.Reason, r.Section)
	return err
}
