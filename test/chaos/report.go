package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jobnetes/jobnetes/test/machine"
)

// Result is what a run comes to; as JSON it is its last line.
type Result struct {
	Minutes float64 `json:"minutes"` // of faults
	Seed    uint64  `json:"seed"`

	Kills        int            `json:"kills"`         // kill -9 of managers and jobapis
	Terms        int            `json:"terms"`         // SIGTERM of them
	Pauses       int            `json:"pauses"`        // SIGSTOP of them, then SIGCONT
	Outages      int            `json:"outages"`       // kill -9 of the servers
	OutagesOf    map[string]int `json:"outages_of"`    // by server
	Connections  map[string]int `json:"connections"`   // faults of wires, by kind
	Starts       map[string]int `json:"starts"`        // of managers and jobapis, by build
	FailedStarts int            `json:"failed_starts"` // that gave up since the database or the API server was away
	Upgrades     int            `json:"upgrades"`      // restarts with the other build than before

	Executions int `json:"executions"`
	Tasks      int `json:"tasks"`
	Jobs       int `json:"jobs"`
	Failed     int `json:"failed"`    // executions that failed as they should
	Cancelled  int `json:"cancelled"` // executions that were cancelled
	Waiting    int `json:"waiting"`   // the most tasks that have waited for a slot at once
	Findings   int `json:"findings"`  // of jobnetes verify
	Lost       int `json:"lost"`      // executions and tasks that are missing, have not ended, or ended otherwise
	Doubled    int `json:"doubled"`   // executions, tasks, events and Jobs that are there twice
	Unleased   int `json:"unleased"`  // steps that a manager wrote without the lease
	Unlogged   int `json:"unlogged"`  // Jobs that were there, but whose creation the API server has not logged, or as failed
	Errored    int `json:"errored"`   // those of them whose creation it has logged as failed
	Problems   int `json:"problems"`  // of any kind

	SettleSeconds float64        `json:"settle_seconds"` // from the last fault to the last end
	PeakMB        map[string]int `json:"peak_mb"`        // memory of a process, by service
}

// report collects a run's result while it goes on.
type report struct {
	t       testing.TB
	history *slog.Logger // of what went wrong, and when
	mu      sync.Mutex
	Result
}

func newReport(t testing.TB, history io.Writer, seed uint64, minutes float64) *report {
	return &report{t: t, history: slog.New(slog.NewJSONHandler(history, nil)), Result: Result{
		Minutes: minutes, Seed: seed, OutagesOf: map[string]int{}, Connections: map[string]int{}, Starts: map[string]int{}, PeakMB: map[string]int{},
	}}
}

// count changes the result.
func (r *report) count(change func(*Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.Result)
}

// maxProblems is how many problems are told: what goes wrong once often goes wrong
// a thousand times.
const maxProblems = 40

// problem fails the test by something that must not happen.
func (r *report) problem(format string, args ...any) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	r.history.Error("problem", "problem", text)
	switch r.Problems++; {
	case r.Problems <= maxProblems:
		r.t.Error(text)
	case r.Problems == maxProblems+1:
		r.t.Error("there are more problems: history.log has all of them")
	}
}

func (r *report) lost(format string, args ...any) {
	r.t.Helper()
	r.count(func(r *Result) { r.Lost++ })
	r.problem("lost: "+format, args...)
}

func (r *report) doubled(format string, args ...any) {
	r.t.Helper()
	r.count(func(r *Result) { r.Doubled++ })
	r.problem("doubled: "+format, args...)
}

// resultFile is where the result is, in the folder of test output.
const resultFile = "chaos.json"

// write writes the result as one line of JSON, which `make chaos` prints last.
func (r *report) write() error {
	dir, err := machine.Output()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	line, err := json.Marshal(r.Result)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	path := filepath.Join(dir, resultFile)
	r.t.Logf("the result is in %s", path)
	return os.WriteFile(path, append(line, '\n'), 0o600)
}
