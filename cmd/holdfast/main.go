// Command holdfast issues sender-constrained tokens, guards APIs with them, makes requests with proof, and explains
// captured ones. See holdfast --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/holdfast-project/holdfast/internal/bench"
)

// The exit codes, as the help says them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

const description = `Sender-constrained tokens and HTTP message integrity: a stolen token is useless, a changed request is detected.

Secrets are read from files or the environment, never from flags.

Exit codes: 0 all went well, 1 something was refused or failed, 2 the command line or the configuration is wrong.`

// cli is the command line. A command is a struct with its flags and a Run method.
type cli struct {
	Demo        demoCommand        `cmd:"" help:"Play the theft of a token on loopback, attack by attack."`
	Issuer      issuerCommand      `cmd:"" help:"Run the authorization server."`
	Client      clientCommand      `cmd:"" help:"Register clients at the issuer, and remove them."`
	User        userCommand        `cmd:"" help:"Invite users of the issuer, list, disable and enable them."`
	Gateway     gatewayCommand     `cmd:"" help:"Run the reverse proxy that lets only verified requests through."`
	Request     requestCommand     `cmd:"" help:"Make an HTTP request with proof of possession, like curl."`
	Revoke      revokeCommand      `cmd:"" help:"Have a gateway refuse a token, session, key, client or subject from now on."`
	Verify      verifyCommand      `cmd:"" help:"Explain a captured request: every check, and what differs."`
	Key         keyCommand         `cmd:"" help:"Make and show keys."`
	Conformance conformanceCommand `cmd:"" help:"Run vector files through the verifiers."`
	Bench       benchCommand       `cmd:"" help:"Measure what proofs cost on this machine."`

	Version kong.VersionFlag `help:"Print the version."`
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a mistake in the command line or the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends a command that has said why already.
var errReported = errors.New("reported")

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

func run(args []string, std streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	var c cli
	parser, err := kong.New(&c, kong.Name("holdfast"), kong.Description(description),
		kong.Vars{"version": version(), "groups": strings.Join(bench.GroupNames(), ", ")}, kong.Writers(std.out, std.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(std))
	if err != nil {
		return report(std, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		return report(std, usageError{err})
	}
	return report(std, command.Run())
}

// report says what went wrong, and returns the exit code for it.
func report(std streams, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errReported) {
		return exitFailed
	}
	fmt.Fprintf(std.err, "holdfast: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// version is the module's version, or the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return "holdfast " + v + " " + info.GoVersion
}
