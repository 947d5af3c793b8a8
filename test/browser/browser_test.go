// Package browser holds tests of the issuer's pages in a real browser: Chromium without a window, with an authenticator that
// is part of it, driven over the DevTools protocol. axe-core looks for what keeps people from using a page.
//
// It is a module of its own, so that nobody who imports holdfast downloads what it needs. Run it with `make browser`.
package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the pictures of docs/users.md")

const (
	// patience bounds each step in the browser, on a machine with much else to do.
	patience = 30 * time.Second
	// startTime bounds how long we wait for the browser.
	startTime = 2 * time.Minute
	// maxPicture bounds a picture, in bytes: all who clone the repository get it.
	maxPicture = 60 << 10
)

// chromium starts a browser that lives as long as the test. Contexts made from the one that it returns are tabs.
func chromium(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: `make deps` installs it", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.Flag("lang", "en"))
	if os.Geteuid() == 0 { // who can't have Chromium's sandbox
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		bounded, release := context.WithTimeout(ctx, patience)
		defer release()
		if err := chromedp.Cancel(bounded); err != nil {
			t.Errorf("ending the browser: %v", err)
		}
		cancel()
	})
	timer := time.AfterFunc(startTime, cancel) // the first call's context is the browser's life
	defer timer.Stop()
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is a tab with cookies of its own.
type tab struct {
	ctx           context.Context
	axe           string // the program
	authenticator webauthn.AuthenticatorID
	problems      chan string // what the browser found wrong with the pages; as many as there is room for
}

// newTab opens a tab with an authenticator, which says that its user is there and verified. The test fails if the browser
// reports a problem with any page.
func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := openTab(t, browser)
	t.Cleanup(func() {
		b.do(t, chromedp.Evaluate[chromedp.Void]("0")) // what was reported before the answer is here with it
		for len(b.problems) > 0 {
			t.Errorf("the browser reports: %s", <-b.problems)
		}
	})
	call(t, b, webauthn.Enable, webauthn.EnableParams{})
	b.connectAuthenticator(t)
	return b
}

// connectAuthenticator gives the tab an authenticator that is part of the device and keeps passkeys.
func (b *tab) connectAuthenticator(t *testing.T) {
	t.Helper()
	options := &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}
	b.authenticator = call(t, b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: options}).AuthenticatorID
}

// openTab opens a tab and listens to what the browser reports.
func openTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	program, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatal("axe-core isn't here: `make browser` installs it (in test/browser, `npm ci`)")
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{ctx: ctx, axe: string(program), problems: make(chan string, 100)}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	call(t, b, log.Enable, cdp.Empty{})
	call(t, b, audits.Enable, cdp.Empty{})
	b.do(t, chromedp.EmulateViewport(560, 360))
	return b
}

// hear notes what the browser reports of scripts and of the pages' policy. That an answer was a refusal isn't one of these.
func (b *tab) hear(event any) {
	problem := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		problem = fmt.Sprintf("console.%s", e.Type)
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork {
			problem = fmt.Sprintf("%s %s: %s", e.Entry.Source, e.Entry.Level, e.Entry.Text)
		}
	case *audits.EventIssueAdded:
		if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			problem = "policy: " + e.Issue.Details.ContentSecurityPolicyIssueDetails.ViolatedDirective
		}
	}
	if problem == "" {
		return
	}
	select {
	case b.problems <- problem:
	default:
	}
}

// call sends a command of the protocol.
func call[P, R any](t *testing.T, b *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

func (b *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	run(t, b, chromedp.Steps(steps...))
}

func run[T any](t *testing.T, b *tab, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("%v; the page is %s", err, b.text())
	}
	return result
}

// text is what the page says, as far as it can be had.
func (b *tab) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *tab) visit(t *testing.T, url string) {
	t.Helper()
	b.do(t, chromedp.Navigate(url))
}

// see waits for a page by its heading, and checks that everybody can use it.
func (b *tab) see(t *testing.T, heading string) {
	t.Helper()
	b.do(t, chromedp.WaitVisible(fmt.Sprintf(`//h1[normalize-space()="%s"]`, heading)))
	b.checkAccessible(t)
}

// read waits for a text in an element.
func (b *tab) read(t *testing.T, element, text string) {
	t.Helper()
	b.do(t, chromedp.WaitVisible(fmt.Sprintf(`//%s[contains(normalize-space(), "%s")]`, element, text)))
}

func (b *tab) press(t *testing.T, button string) {
	t.Helper()
	b.do(t, chromedp.Click(fmt.Sprintf(`//button[normalize-space()="%s"]`, button)))
}

// checkAccessible has axe look at the page, and once more at its colours by night. The browser runs it, not the page, whose
// policy wouldn't.
func (b *tab) checkAccessible(t *testing.T) {
	t.Helper()
	b.do(t, chromedp.Evaluate[chromedp.Void](b.axe))
	b.checkRules(t, "axe.run({preload: false})", 10)
	night := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: night})
	b.checkRules(t, "axe.run({preload: false, runOnly: ['color-contrast']})", 1)
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
}

// checkRules wants no violation, and as many rules that hold as the page has something for.
func (b *tab) checkRules(t *testing.T, program string, atLeast int) {
	t.Helper()
	result := b.rules(t, program)
	if result.Passes < atLeast {
		t.Errorf("%s: %d rules hold, want %d", program, result.Passes, atLeast)
	}
	for _, violation := range result.Violations {
		t.Errorf("%s: %s\n%s", program, violation, b.text())
	}
}

// axeResult is what axe says of a page.
type axeResult struct {
	Passes     int      `json:"passes"` // rules that hold
	Violations []string `json:"violations"`
}

func (b *tab) rules(t *testing.T, program string) axeResult {
	t.Helper()
	return run(t, b, chromedp.Evaluate[axeResult](program+`.then(({passes, violations}) => ({
		passes: passes.length,
		violations: violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html).join(" ")),
	}))`, chromedp.EvalAwaitPromise))
}

// picture writes what the tab shows for docs/users.md, if asked to.
func (b *tab) picture(t *testing.T, name string) {
	t.Helper()
	if !*update {
		return
	}
	png := run(t, b, chromedp.FullScreenshot(100))
	if len(png) > maxPicture {
		t.Fatalf("%s has %d bytes, want %d at most", name, len(png), maxPicture)
	}
	if err := os.WriteFile(filepath.Join("../../docs", name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
