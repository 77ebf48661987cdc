package browser

import (
	"fmt"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const home = `<!doctype html><html lang="en"><head><title>home</title>
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"></head>
<body><h1>no script</h1><script src="/script.js"></script></body></html>`

const style = `h1 { margin: 0 } body { margin: 0; height: 2000px; background: #fff } @media (prefers-color-scheme: dark) { body { background: #000 } }`

const broken = `<!doctype html><title>broken</title><link rel="icon" href="data:,">
<img src="/missing.png" alt=""><img src="http://elsewhere.example/logo.png" alt="">
<script>console.error("went wrong", 7); throw new Error("uncaught")</script>`

func serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path, contentType, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = fmt.Fprint(w, body)
		})
	}
	page("/{$}", "text/html", home)
	page("/style.css", "text/css", style)
	page("/script.js", "text/javascript", `document.querySelector("h1").textContent = "script"`)
	page("/broken", "text/html", broken)
	mux.HandleFunc("GET /secret", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "admin" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, "<p>hello "+user+"</p>")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestPage(t *testing.T) {
	t.Parallel()
	url := serve(t)
	b := New(t)
	cases := map[string]struct {
		view       View
		wantText   string
		wantWidth  int
		wantDark   bool
		wantColour color.Color
	}{
		"wide and light":     {view: View{}, wantText: "script", wantWidth: 1280, wantColour: color.White},
		"phone and dark":     {view: View{Width: 390, Height: 844, Dark: true}, wantText: "script", wantWidth: 390, wantDark: true, wantColour: color.Black},
		"without JavaScript": {view: View{Width: 800, Height: 600, NoScript: true}, wantText: "no script", wantWidth: 800, wantColour: color.White},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := b.Open(t, url, tc.view)
			if got := p.Text("h1"); got != tc.wantText {
				t.Errorf("got h1 %q, want %q", got, tc.wantText)
			}
			var got struct {
				Width int
				Dark  bool
			}
			p.Evaluate(`({width: innerWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches})`, &got)
			if got.Width != tc.wantWidth || got.Dark != tc.wantDark {
				t.Errorf("got width %d and dark %t, want %d and %t", got.Width, got.Dark, tc.wantWidth, tc.wantDark)
			}
			if errs := p.Errors(); len(errs) != 0 {
				t.Errorf("got errors %q, want none", errs)
			}
			checkImage(t, p.Screenshot("browser_test.png"), tc.wantWidth, 2000, tc.wantColour)
		})
	}
}

func TestScreenshot(t *testing.T) {
	t.Parallel()
	path := New(t).Screenshot(t, serve(t), 640, 480, true, "browser_test_dark.png")
	if want := filepath.Join("test", "out", "browser_test_dark.png"); !strings.HasSuffix(path, want) {
		t.Errorf("got path %s, want it to end in %s", path, want)
	}
	checkImage(t, path, 640, 2000, color.Black)
}

func TestRequests(t *testing.T) {
	t.Parallel()
	url := serve(t)
	got := New(t).Open(t, url, View{}).Requests()
	slices.Sort(got)
	want := []string{url + "/", url + "/script.js", url + "/style.css"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	p := New(t).Open(t, serve(t)+"/broken", View{})
	got := strings.Join(p.Errors(), "\n")
	for _, want := range []string{`console.error: "went wrong" 7`, "Error: uncaught", "/missing.png", "elsewhere.example/logo.png"} {
		if !strings.Contains(got, want) {
			t.Errorf("got errors\n%s\nwant %q among them", got, want)
		}
	}
	if !slices.Contains(p.Requests(), "http://elsewhere.example/logo.png") {
		t.Errorf("got requests %q, want the one to another host among them", p.Requests())
	}
}

func TestPasswordInURL(t *testing.T) {
	t.Parallel()
	url := strings.Replace(serve(t), "http://", "http://admin:s3cret@", 1)
	if got := New(t).Open(t, url+"/secret", View{}).Text("p"); got != "hello admin" {
		t.Errorf("got %q, want the page behind the password", got)
	}
}

// checkImage checks the size of a PNG and the colour of its lower right corner.
func checkImage(t *testing.T, path string, width, height int, want color.Color) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	img, err := png.Decode(file)
	if err != nil {
		t.Fatalf("decode %s: %v", path, err)
	}
	if size := img.Bounds().Size(); size.X != width || size.Y != height {
		t.Errorf("%s is %d by %d pixels, want %d by %d", path, size.X, size.Y, width, height)
	}
	got := color.RGBAModel.Convert(img.At(width-1, height-1))
	if got != color.RGBAModel.Convert(want) {
		t.Errorf("%s has colour %v in its corner, want %v", path, got, want)
	}
}
