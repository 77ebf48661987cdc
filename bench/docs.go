package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// What is between these lines of docs/performance.md is written by document.
const (
	figuresBegin = "<!-- figures: written by `make bench-docs` -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// document writes the results into docs/performance.md: a table for each scenario, and
// the plot that it has drawn.
func document(docs string, results []result) error {
	file := filepath.Join(docs, "performance.md")
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("document the figures: %w", err)
	}
	before, rest, found := bytes.Cut(text, []byte(figuresBegin))
	_, after, ended := bytes.Cut(rest, []byte(figuresEnd))
	if !found || !ended {
		return fmt.Errorf("document the figures: %s has no place for them: the lines %q and %q", file, figuresBegin, figuresEnd)
	}
	var figures strings.Builder
	fmt.Fprintf(&figures, "\nMeasured on %s.\n\n", processor())
	for _, name := range names() {
		of := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.Scenario != name })
		if len(of) == 0 {
			continue
		}
		fmt.Fprintf(&figures, "`%s`, %s:\n\n%s\n", name, of[0].At.Format("2006-01-02"), markdown(tableRows(of)))
		plot := "images/bench-" + name + ".svg"
		_, err := os.Stat(filepath.Join(docs, plot))
		if err == nil {
			fmt.Fprintf(&figures, "![%s](%s)\n\n", name, plot)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("document the figures: %w", err)
		}
	}
	text = slices.Concat(before, []byte(figuresBegin), []byte(figures.String()), []byte(figuresEnd), after)
	return os.WriteFile(file, text, 0o644)
}

// markdown gives the rows of one scenario as a table, without its name and without
// columns that are empty.
func markdown(rows [][]string) string {
	var kept []int
	for i := range columns {
		if i > 0 && slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" && row[i] != "-" }) {
			kept = append(kept, i)
		}
	}
	var text strings.Builder
	line := func(cell func(i int) string) {
		for _, i := range kept {
			text.WriteString("| " + cell(i) + " ")
		}
		text.WriteString("|\n")
	}
	line(func(i int) string { return columns[i] })
	line(func(int) string { return "---" })
	for _, row := range rows {
		line(func(i int) string { return row[i] })
	}
	return text.String()
}

var modelName = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)

// processor says what this machine has.
func processor() string {
	model := "an unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if match := modelName.FindSubmatch(text); match != nil {
			model = string(match[1])
		}
	}
	return fmt.Sprintf("%d cores of %s", runtime.NumCPU(), model)
}
