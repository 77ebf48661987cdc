package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/test/machine"
)

// TestBench measures the scenarios that SCENARIO names, and fails only if one cannot
// be. `make bench` sets SCENARIO, and prints the table that this leaves in bench/out.
func TestBench(t *testing.T) {
	list := os.Getenv("SCENARIO")
	if list == "" {
		t.Skip("measures, and tests nothing: run `make bench`")
	}
	chosen, err := selected(list)
	if err != nil {
		t.Fatal(err)
	}
	size, err := strconv.Atoi("0" + os.Getenv("SIZE"))
	if err != nil {
		t.Fatalf("SIZE: %v", err)
	}
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(root, "bench", "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	table, err := os.Create(filepath.Join(out, "table.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = table.Close() }()
	var results []result // of this run
	for _, s := range chosen {
		t.Run(s.name, func(t *testing.T) {
			b := &bench{scenario: s.name, size: size}
			s.measure(t, b)
			for i := range b.results {
				b.results[i].At = time.Now().UTC().Truncate(time.Second)
			}
			results = append(results, b.results...)
			keep(t, b, root, out)
		})
	}
	if err := writeTable(table, results); err != nil {
		t.Fatal(err)
	}
}

// TestDocs puts the figures of bench/out/results.json into docs/performance.md, as
// `make bench-docs` asks for. It measures nothing.
func TestDocs(t *testing.T) {
	if os.Getenv("DOCS") == "" {
		t.Skip("writes documentation, and tests nothing: run `make bench-docs`")
	}
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	results, err := readFile(filepath.Join(root, "bench", "out", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := document(filepath.Join(root, "docs"), results); err != nil {
		t.Fatal(err)
	}
}

// keep writes the results of a scenario, and its plots.
func keep(t *testing.T, b *bench, root, out string) {
	t.Helper()
	if err := mergeFile(filepath.Join(out, "results.json"), b.results); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.plots {
		if err := os.WriteFile(filepath.Join(root, "docs", "images", p.file), p.svg(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
