// Package docs checks the documents: that what they refer to is there.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// link matches [text](target) and gives both.
var link = regexp.MustCompile(`\[([^][]+)\]\(([^)\s]+)\)`)

// TestLinks follows every link of the documents within the repository. One whose
// text is the name of a Go test must lead to the file that has it.
func TestLinks(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, file := range append(files, "../README.md") {
		text := read(t, file)
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			name, target := found[1], found[2]
			if strings.Contains(target, "://") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			if path == "" {
				path = filepath.Base(file)
			}
			path = filepath.Join(filepath.Dir(file), path)
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %s leads nowhere: %v", file, found[0], err)
				continue
			}
			if anchor != "" && !hasHeading(read(t, path), anchor) {
				t.Errorf("%s: %s has no heading #%s", file, path, anchor)
			}
			if strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") {
				if !strings.Contains(read(t, path), "func "+name+"(") {
					t.Errorf("%s: %s has no %s", file, path, name)
				}
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// notInAnchor is what an anchor leaves out of its heading.
var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)

func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		heading = notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
		if strings.ReplaceAll(heading, " ", "-") == anchor {
			return true
		}
	}
	return false
}
