package chaos

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/test/machine"
)

// TestChaos runs the services for MINUTES of faults, which SEED decides.
func TestChaos(t *testing.T) {
	t.Parallel()
	machine.Slow(t)
	seed, minutes := uint64(number(t, "SEED", 1)), number(t, "MINUTES", 1.5)
	t.Logf("SEED=%d MINUTES=%g", seed, minutes)
	dir := logFolder(t)
	history, err := os.Create(filepath.Join(dir, "history.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = history.Close() })
	r := newReport(t, history, seed, minutes)
	defer func() {
		if err := r.write(); err != nil {
			t.Error(err)
		}
	}()
	w := newWorld(t, r, dir)
	if err := w.run(t.Context(), time.Duration(minutes*float64(time.Minute))); err != nil {
		r.problem("%v", err)
	}
	if err := w.verify(t); err != nil {
		r.problem("verify: %v", err)
	}
}

// number gives the number that an environment variable holds.
func number(t *testing.T, variable string, def float64) float64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return def
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s: want a number", variable, text)
	}
	return n
}

// logFolder makes a folder for binaries and logs, which stays if the test fails.
func logFolder(t *testing.T) string {
	t.Helper()
	out, err := machine.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(out, "chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() || os.Getenv(machine.Keep) != "" {
			t.Logf("the services' logs are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
