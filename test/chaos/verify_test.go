package chaos

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/manager/verify"
)

// silent is a test whose failures are wanted.
type silent struct{ testing.TB }

func (silent) Helper()             {}
func (silent) Logf(string, ...any) {}
func (silent) Error(...any)        {}

// good is a run of one execution of each shape, as everything should be.
func good(t *testing.T) (all rows, starts []start) {
	t.Helper()
	all = rows{executions: map[uint64]execution{}, tasks: map[uint64][]taskRow{}}
	task := uint64(0)
	for i, s := range shapes {
		id := uint64(i + 1)
		starts = append(starts, start{request: s.name, execution: id, shape: s, value: 7, priority: 10, cancelled: s.endless()})
		want := s.expect(7)
		e := execution{request: s.name, status: executionFailed, output: "{}", message: want.reason + " as it should", priority: 10}
		if want.succeeded {
			output, err := json.Marshal(want.output)
			if err != nil {
				t.Fatal(err)
			}
			e.status, e.output, e.message = executionSucceeded, string(output), ""
		}
		all.executions[id] = e
		for _, name := range slices.Sorted(maps.Keys(want.tasks)) {
			task++
			row := taskRow{id: task, name: name, status: taskFailed}
			if want.tasks[name] {
				row.status = taskSucceeded
			} else if s.endless() {
				row.reason = cancelled
			}
			all.tasks[id] = append(all.tasks[id], row)
		}
	}
	return all, starts
}

// of gives the execution of a shape in a good run.
func of(t *testing.T, name string) (id uint64) {
	t.Helper()
	i := slices.IndexFunc(shapes, func(s shape) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("there is no shape %s", name)
	}
	return uint64(i + 1)
}

// What must be found is found, and nothing where nothing is wrong.
func TestVerifyExecutions(t *testing.T) {
	t.Parallel()
	chain, failure, endless := of(t, "chain"), of(t, "failure"), of(t, "endless")
	const first = 0 // the task of the chain that comes first by name and otherwise
	cases := map[string]struct {
		damage                   func(all *rows, starts []start)
		lost, doubled, cancelled int
	}{
		"nothing is wrong":      {cancelled: 1, damage: func(*rows, []start) {}},
		"an execution is gone":  {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) { delete(all.executions, chain) }},
		"another start has it":  {cancelled: 1, lost: 1, damage: func(_ *rows, starts []start) { starts[chain-1].request = "another" }},
		"nobody has started it": {cancelled: 1, doubled: 1, damage: func(all *rows, _ []start) { all.executions[99] = execution{} }},
		"it has not ended": {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) {
			change(all, chain, func(e *execution) { e.status = 1 })
		}},
		"its priority is lost": {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) {
			change(all, chain, func(e *execution) { e.priority = 0 })
		}},
		"an output lacks a step": {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) {
			change(all, chain, func(e *execution) {
				e.output = `{"task":"fourth","was":{"task":"second","was":{"value":7}}}`
			})
		}},
		"it failed for another reason": {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) {
			change(all, failure, func(e *execution) { e.message = "JobDeleted" })
		}},
		"a task is gone": {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) { all.tasks[chain] = all.tasks[chain][1:] }},
		"a task is there twice": {cancelled: 1, doubled: 1, damage: func(all *rows, _ []start) {
			all.tasks[chain] = append(all.tasks[chain], all.tasks[chain][first])
		}},
		"a task ended otherwise": {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) { all.tasks[chain][first].status = taskFailed }},
		"a task was cancelled, and its execution was not": {cancelled: 1, lost: 1, damage: func(all *rows, _ []start) {
			all.tasks[failure][0].reason = cancelled
		}},
		"an execution was cancelled that nobody cancels": {lost: 4, damage: func(_ *rows, starts []start) {
			starts[endless-1].cancelled = false // and its tasks
		}},
		"an execution was not cancelled": {lost: 4, damage: func(all *rows, _ []start) {
			change(all, endless, func(e *execution) { e.message = "BackoffLimitExceeded" }) // and its two tasks that stay, and the parallel
		}},
		"one had ended before it was cancelled": {cancelled: 1, damage: func(_ *rows, starts []start) { starts[chain-1].cancelled = true }},
		"one was cut off": {cancelled: 2, damage: func(all *rows, starts []start) {
			starts[chain-1].cancelled = true
			change(all, chain, func(e *execution) { e.status, e.output, e.message = executionFailed, "{}", "Cancelled by u" })
			all.tasks[chain] = all.tasks[chain][:1]
			all.tasks[chain][first].status, all.tasks[chain][first].reason = taskFailed, cancelled
		}},
		"one was cut off, and has a task that failed by itself": {cancelled: 2, lost: 1, damage: func(all *rows, starts []start) {
			starts[chain-1].cancelled = true
			change(all, chain, func(e *execution) { e.status, e.output, e.message = executionFailed, "{}", "Cancelled by u" })
			all.tasks[chain][first].status = taskFailed
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, starts := good(t)
			tc.damage(&all, starts)
			r := newReport(silent{t}, io.Discard, 1, 1)
			verifyExecutions(all, starts, r)
			if r.Lost != tc.lost || r.Doubled != tc.doubled || r.Cancelled != tc.cancelled {
				t.Errorf("got %d lost, %d doubled, %d cancelled, want %d, %d, %d", r.Lost, r.Doubled, r.Cancelled, tc.lost, tc.doubled, tc.cancelled)
			}
		})
	}
}

func change(all *rows, id uint64, change func(*execution)) {
	e := all.executions[id]
	change(&e)
	all.executions[id] = e
}

// Two Jobs of a name are found though no log has them.
func TestVerifyJobs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		uids    []types.UID
		doubled int
	}{
		"one": {[]types.UID{"a", "a"}, 0},
		"two": {[]types.UID{"a", "b"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := uids{}
			for _, uid := range tc.uids {
				seen.add("job", uid)
			}
			r := newReport(silent{t}, io.Discard, 1, 1)
			if verifyJobs(seen, r); r.Doubled != tc.doubled {
				t.Errorf("got %d doubled, want %d", r.Doubled, tc.doubled)
			}
		})
	}
}

// What `jobnetes verify` finds counts, and so does what it cannot look at.
func TestTake(t *testing.T) {
	t.Parallel()
	sound := func() *verify.AuditCounts {
		return &verify.AuditCounts{Launched: 5, Matched: 2, Adopted: 1, Unlogged: 2, Errored: 1}
	}
	cases := map[string]struct {
		found                   verify.Report
		lost, doubled, problems int
	}{
		"nothing":    {found: verify.Report{Audit: sound()}},
		"a lost one": {found: verify.Report{Audit: sound(), Findings: []verify.Finding{{Kind: verify.TaskMissing}}}, lost: 1, problems: 1},
		"two doubled ones": {found: verify.Report{Audit: sound(), Findings: []verify.Finding{{Kind: verify.LaunchedTwice}, {Kind: verify.JobOrphan}}},
			doubled: 2, problems: 2},
		"no log":                    {found: verify.Report{}, problems: 1},
		"a log that does not cover": {found: verify.Report{Audit: &verify.AuditCounts{Outside: 1}}, problems: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReport(silent{t}, io.Discard, 1, 1)
			take(&tc.found, r)
			if r.Lost != tc.lost || r.Doubled != tc.doubled || r.Problems != tc.problems || r.Findings != len(tc.found.Findings) {
				t.Errorf("got %d lost, %d doubled, %d problems, %d findings", r.Lost, r.Doubled, r.Problems, r.Findings)
			}
			if a := tc.found.Audit; a != nil && (r.Jobs != a.Launched || r.Unlogged != a.Adopted+a.Unlogged || r.Errored != a.Errored) {
				t.Errorf("got %d Jobs, %d unlogged, %d errored of %+v", r.Jobs, r.Unlogged, r.Errored, a)
			}
		})
	}
}

// A server that is never killed is told as such.
func TestServersThatAreNotKilled(t *testing.T) {
	t.Parallel()
	over, end := context.WithCancel(t.Context())
	end()
	r := newReport(silent{t}, io.Discard, 1, 1)
	breakServers(over, over, rand.New(rand.NewPCG(1, 1)), r, server{name: "apiserver"}, server{name: "etcd"})
	if got, want := r.OutagesOf, (map[string]int{"apiserver": 0, "etcd": 0}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
