package browser

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/jobnetes/jobnetes/test/machine"
)

// phone is the width, in pixels, below which a view is a phone's: it touches,
// and heeds the page's viewport.
const phone = 600

// View is how a page is looked at. The zero View is 1280 by 800 pixels, light,
// with JavaScript.
type View struct {
	Width, Height int // pixels; narrower than 600 is a phone
	Dark          bool
	NoScript      bool // JavaScript of the page does not run
}

// Page is an open page. Its methods fail the test that opened it.
type Page struct {
	t   testing.TB
	ctx context.Context // chromedp's, of the tab
	log *record
}

// Open opens a page in a tab with cookies and cache of its own and waits until
// it has loaded. A user and password in the URL answer basic authentication.
func (b *Browser) Open(t testing.TB, url string, view View) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // without a timeout: the tab lives as long as this context
		t.Fatalf("open a tab: %v", err)
	}
	p := &Page{t: t, ctx: ctx, log: &record{}}
	if err := chromedp.Listen(ctx, p.log.add); err != nil {
		t.Fatalf("listen to a tab: %v", err)
	}
	p.Do("look at "+url, view.apply)
	p.Do("open "+url, chromedp.Navigate(url))
	return p
}

// apply makes a tab look as the view says.
func (v View) apply(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
	if v.Width == 0 {
		v.Width, v.Height = 1280, 800
	}
	var options []chromedp.EmulateViewportOption
	if v.Width < phone {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	if _, err := chromedp.EmulateViewport(int64(v.Width), int64(v.Height), options...)(ctx, target); err != nil {
		return chromedp.Void{}, err
	}
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, media); err != nil {
		return chromedp.Void{}, err
	}
	_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript})
	return chromedp.Void{}, err
}

// Do runs steps of chromedp's, such as chromedp.Click, on the page. What names
// them in an error.
func (p *Page) Do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// Text gives the visible text of the first element that a CSS selector matches,
// and waits until there is one.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return run(p, "read the text of "+selector, chromedp.Text(chromedp.CSS(selector)))
}

// Evaluate evaluates a JavaScript expression in the page, even if the page's own
// JavaScript is off, and stores its value in result, as json.Unmarshal does.
func (p *Page) Evaluate(expression string, result any) {
	p.t.Helper()
	value := run(p, "evaluate "+expression, chromedp.Evaluate[[]byte](expression))
	if err := json.Unmarshal(value, result); err != nil {
		p.t.Fatalf("evaluate %s: decode %s: %v", expression, value, err)
	}
}

// Screenshot keeps the whole page, beyond the view's height, as a PNG in the
// folder test/out, and gives the file's path.
func (p *Page) Screenshot(file string) string {
	p.t.Helper()
	const png = 100 // the quality that makes chromedp choose PNG
	image := run(p, "take screenshot "+file, chromedp.FullScreenshot(png))
	dir, err := machine.Output()
	if err != nil {
		p.t.Fatalf("keep screenshot %s: %v", file, err)
	}
	path := filepath.Join(dir, file)
	if err := os.WriteFile(path, image, 0o644); err != nil {
		p.t.Fatalf("keep screenshot %s: %v", file, err)
	}
	return path
}

// Requests gives the URLs that the page has asked for so far, in order: itself,
// its assets, redirects, and what its scripts fetched.
func (p *Page) Requests() []string { return p.log.requested() }

// Errors gives the errors that the page has had so far: uncaught exceptions,
// what its scripts logged as errors, and what the browser did, such as an asset
// that failed to load.
func (p *Page) Errors() []string { return p.log.failed() }

// run runs an action on the page and gives its value.
func run[T any](p *Page, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	return value
}
