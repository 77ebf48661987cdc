package webadmin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// page is what layout.html gets.
type page struct {
	Title string
	// Nav is the entry of the navigation that the page belongs to.
	Nav string
	// Refresh is after how many seconds the browser loads the page again; 0: never.
	Refresh int
	Body    any

	Version string // set by render
}

// render writes a page. It goes through a buffer: a template that fails half
// way becomes an error page, not half a page.
func (s *Server) render(w http.ResponseWriter, status int, name string, p page) error {
	p.Version = s.cfg.Version
	var buf bytes.Buffer
	if err := s.templates[name].ExecuteTemplate(&buf, "layout.html", p); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return write(w, status, buf.Bytes())
}

// shared are the templates that every page may use.
var shared = []string{"layout.html", "icons.html", "parts.html", "graph.html"}

// parseTemplates returns one set of templates for each page.
func (s *Server) parseTemplates() (map[string]*template.Template, error) {
	files, err := fs.Sub(templateFiles, "templates")
	if err != nil {
		return nil, err
	}
	base, err := template.New("").Funcs(template.FuncMap{
		"asset": s.assets.url,
		"time":  newTimeView,
		"size":  formatSize,
		"pill":  newPill,
	}).ParseFS(files, shared...)
	if err != nil {
		return nil, err
	}
	sets := map[string]*template.Template{}
	for _, name := range []string{"executions.html", "execution.html", "task.html", "workflows.html", "workflow.html", "error.html"} {
		set, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if sets[name], err = set.ParseFS(files, name); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// assets are the files under static/, by name.
type assets struct {
	files  map[string][]byte
	hashes map[string]string
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string][]byte{}, hashes: map[string]string{}}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := staticFiles.ReadFile(path.Join("static", e.Name()))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		a.files[e.Name()], a.hashes[e.Name()] = data, hex.EncodeToString(sum[:6])
	}
	return a, nil
}

// url returns the address of an asset; it changes with the content, so that
// browsers may keep what they have.
func (a *assets) url(name string) (string, error) {
	hash, ok := a.hashes[name]
	if !ok {
		return "", fmt.Errorf("there is no static/%s", name)
	}
	return "/static/" + name + "?v=" + hash, nil
}

func (s *Server) static(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	data, ok := s.assets.files[name]
	if !ok {
		return s.noPage(w, r)
	}
	if r.URL.Query().Get("v") == s.assets.hashes[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	return write(w, http.StatusOK, data)
}
