package webadmin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLoopbackOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.LoopbackOnly = true
	h := b.handler()
	cases := map[string]struct {
		host, origin, site string
		want               int
	}{
		"localhost":                          {host: "localhost:8081", want: 200},
		"localhost without a port":           {host: "localhost", want: 200},
		"localhost in capitals":              {host: "LOCALHOST:8081", want: 200},
		"127.0.0.1":                          {host: "127.0.0.1:8081", want: 200},
		"another loopback address":           {host: "127.9.8.7", want: 200},
		"IPv6":                               {host: "[::1]:8081", want: 200},
		"IPv6 without a port":                {host: "[::1]", want: 200},
		"a rebound name":                     {host: "evil.example:8081", want: 403},
		"a name below localhost":             {host: "evil.localhost:8081", want: 403},
		"a name that begins like localhost":  {host: "localhost.evil.example", want: 403},
		"a name that begins like an address": {host: "127.0.0.1.evil.example:8081", want: 403},
		"the address of a network":           {host: "192.168.1.7:8081", want: 403},
		"the unspecified address":            {host: "0.0.0.0:8081", want: 403},
		"no host":                            {host: "", want: 403},
		"own origin":                         {host: "localhost:8081", origin: "http://localhost:8081", site: "same-origin", want: 200},
		"typed by the user":                  {host: "localhost:8081", site: "none", want: 200},
		"another port's origin":              {host: "localhost:8081", origin: "http://localhost:3000", want: 403},
		"another loopback name's origin":     {host: "localhost:8081", origin: "http://127.0.0.1:8081", want: 403},
		"another scheme's origin":            {host: "localhost:8081", origin: "https://localhost:8081", want: 403},
		"opaque origin":                      {host: "localhost:8081", origin: "null", want: 403},
		"another site":                       {host: "localhost:8081", site: "cross-site", want: 403},
		"another port of this site":          {host: "localhost:8081", site: "same-site", want: 403},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/", "/healthz", "/api/v1/workflow"} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Host = tc.host
				setHeader(r, "Origin", tc.origin)
				setHeader(r, "Sec-Fetch-Site", tc.site)
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				if rec.Code != tc.want {
					t.Errorf("%s: status %d, want %d", path, rec.Code, tc.want)
				}
				if tc.want == 403 && !strings.Contains(rec.Body.String(), "jobnetes dev answers only") {
					t.Errorf("%s: the answer does not say why: %s", path, rec.Body)
				}
			}
		})
	}
}

func setHeader(r *http.Request, name, value string) {
	if value != "" {
		r.Header.Set(name, value)
	}
}

// Without LoopbackOnly webadmin has names of its own, and links to it may be
// followed from anywhere.
func TestAnyHost(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "jobnetes.example"
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	rec := httptest.NewRecorder()
	setup(t).handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		t.Errorf("status %d, want 200", rec.Code)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.Username, b.config.Password = "admin", "s3cret"
	h := b.handler()
	cases := map[string]struct {
		path               string
		username, password string
		want               int
	}{
		"right":              {path: "/", username: "admin", password: "s3cret", want: 200},
		"none":               {path: "/", want: 401},
		"wrong password":     {path: "/", username: "admin", password: "s3cre", want: 401},
		"wrong username":     {path: "/", username: "Admin", password: "s3cret", want: 401},
		"nothing in them":    {path: "/", username: "", password: "", want: 401},
		"API":                {path: "/api/v1/workflow", want: 401},
		"API, right":         {path: "/api/v1/workflow", username: "admin", password: "s3cret", want: 200},
		"unknown path":       {path: "/nothing", want: 401},
		"alive":              {path: "/healthz", want: 200},
		"not asked yet":      {path: "/readyz", want: 503},
		"the style of a 401": {path: "/static/style.css", want: 200},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, tc.path, nil)
			if tc.username+tc.password != "" {
				r.SetBasicAuth(tc.username, tc.password)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code != tc.want {
				t.Errorf("status %d, want %d", rec.Code, tc.want)
			}
			if asks := rec.Header().Get("WWW-Authenticate") != ""; asks != (tc.want == 401) {
				t.Errorf("WWW-Authenticate is %q", rec.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func TestHalfAPassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, cfg := range map[string]Config{"no password": {Username: "admin"}, "no username": {Password: "s3cret"}} {
		if _, err := New(cfg, b.store, b.pods, nil); err == nil || !strings.Contains(err.Error(), "webadmin.password") {
			t.Errorf("%s: error %v, want one that names the settings", name, err)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := setup(t).handler()
	cases := map[string]struct {
		method, origin string
		want           int
	}{
		"GET":                      {http.MethodGet, "", 200},
		"HEAD":                     {http.MethodHead, "", 200},
		"POST":                     {http.MethodPost, "", 405},
		"DELETE":                   {http.MethodDelete, "", 405},
		"OPTIONS":                  {http.MethodOptions, "", 405},
		"POST from another origin": {http.MethodPost, "http://evil.example", 403},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tc.method, "/", nil)
			setHeader(r, "Origin", tc.origin)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code != tc.want {
				t.Errorf("status %d, want %d", rec.Code, tc.want)
			}
			if tc.want == 405 && rec.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow is %q", rec.Header().Get("Allow"))
			}
		})
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	h := setup(t).handler()
	for _, path := range []string{"/", "/executions/7", "/api/v1/workflow", "/healthz", "/static/style.css"} {
		header := get(h, path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin",
			"Cache-Control":           "no-store",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestAssetsAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, ok := b.page("/").Find(`link[rel="stylesheet"]`).Attr("href")
	if !ok {
		t.Fatal("the page links to no style sheet")
	}
	rec := get(b.handler(), url)
	if rec.Code != http.StatusOK || !strings.Contains(rec.Header().Get("Cache-Control"), "immutable") || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/css") {
		t.Errorf("%s: status %d, header %v", url, rec.Code, rec.Header())
	}
	if rec := get(b.handler(), "/static/..%2Fpage.go"); rec.Code != http.StatusNotFound {
		t.Errorf("a file that is no asset: status %d", rec.Code)
	}
}
