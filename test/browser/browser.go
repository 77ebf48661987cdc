// Package browser gives tests a real browser: headless Chromium that opens
// pages of servers on loopback, and tells what a page shows, what it asks for
// and which errors it has. Screenshots go to the folder test/out of the module,
// which git ignores.
//
// It needs the command chromium; Debian's package of that name is installed if
// it is missing, which needs root. Every name but localhost fails to resolve in
// it, so no test depends on another host.
package browser

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/jobnetes/jobnetes/test/machine"
)

const timeout = time.Minute // of a start or a step, on a machine whose cores are all in use

// Browser is a running Chromium with a profile of its own.
type Browser struct {
	ctx context.Context // chromedp's, of the browser
}

// New starts a browser, which takes about a second. It ends with the test.
func New(t testing.TB) *Browser {
	t.Helper()
	machine.Slow(t)
	path, err := machine.Require(t.Context(), "chromium", "chromium")
	if err != nil {
		t.Fatalf("start a browser: %v", err)
	}
	profile, err := machine.NewFolder("browser")
	if err != nil {
		t.Fatalf("start a browser: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], // headless, and nothing in the background
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile.Path),
		chromedp.NoSandbox, // as root there is none; the pages are our own
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
	)
	// Not the test's context: that ends before the clean-up, which is to close
	// the browser in order.
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		cancel()
		free()
		if err := profile.Remove(); err != nil {
			t.Error(err)
		}
	})
	// The browser lives as long as the context of the first call, so that one
	// takes no timeout; chromedp has its own for starting.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start a browser: %s: %v", path, err)
	}
	return &Browser{ctx: ctx}
}

// Screenshot opens a page at width by height pixels, light or dark, keeps the
// whole of it as a PNG in the folder test/out, and gives the file's path.
func (b *Browser) Screenshot(t testing.TB, url string, width, height int, dark bool, file string) string {
	t.Helper()
	return b.Open(t, url, View{Width: width, Height: height, Dark: dark}).Screenshot(file)
}
