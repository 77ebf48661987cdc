package chaos

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/test/cluster"
)

// silent is a test whose failures are wanted.
type silent struct{ testing.TB }

func (silent) Helper()             {}
func (silent) Logf(string, ...any) {}
func (silent) Error(...any)        {}

// good is a run of one execution of each shape, as everything should be.
func good(t *testing.T) (all rows, starts []start, writes []cluster.JobWrite) {
	t.Helper()
	all = rows{executions: map[uint64]execution{}, tasks: map[uint64][]taskRow{}}
	task := uint64(0)
	for i, s := range shapes {
		id := uint64(i + 1)
		starts = append(starts, start{request: s.name, execution: id, shape: s, value: 7})
		want := s.expect(7)
		e := execution{request: s.name, status: executionFailed, output: "{}"}
		if want.succeeded {
			output, err := json.Marshal(want.output)
			if err != nil {
				t.Fatal(err)
			}
			e.status, e.output = executionSucceeded, string(output)
		}
		all.executions[id] = e
		all.events = append(all.events, eventCount{"execution", id, 1, 1})
		for _, name := range slices.Sorted(maps.Keys(want.tasks)) {
			task++
			row := taskRow{id: task, name: name, job: s.name + "-" + name, jobUID: "uid of " + s.name + "-" + name, status: taskFailed}
			if want.tasks[name] {
				row.status = taskSucceeded
			}
			all.tasks[id] = append(all.tasks[id], row)
			all.events = append(all.events, eventCount{"task", task, 1, 1})
			writes = append(writes, create(row.job, row.jobUID))
		}
	}
	return all, starts, writes
}

func create(job, uid string) cluster.JobWrite {
	return cluster.JobWrite{Verb: "create", Code: http.StatusCreated, Name: job, UID: types.UID(uid)}
}

// What must be found is found, and nothing where nothing is wrong.
func TestVerify(t *testing.T) {
	t.Parallel()
	const (
		chain = 1 // the execution of shapes[0]
		first = 0 // its task "first": tasks are sorted
	)
	cases := map[string]struct {
		damage                  func(all *rows, starts *[]start, writes *[]cluster.JobWrite, seen uids)
		lost, doubled, unlogged int
	}{
		"nothing is wrong": {damage: func(*rows, *[]start, *[]cluster.JobWrite, uids) {}},
		"an execution is gone": {lost: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			delete(all.executions, chain)
		}},
		"an execution is of another start": {lost: 1, damage: func(_ *rows, starts *[]start, _ *[]cluster.JobWrite, _ uids) {
			(*starts)[0].request = "another"
		}},
		"an execution nobody has started": {doubled: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			all.executions[99] = execution{}
		}},
		"an execution has not ended": {lost: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			e := all.executions[chain]
			e.status = 1
			all.executions[chain] = e
		}},
		"an output lacks a step": {lost: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			e := all.executions[chain]
			e.output = `{"task":"fourth","was":{"task":"second","was":{"value":7}}}`
			all.executions[chain] = e
		}},
		"a task is gone, and its Job is nobody's": {lost: 1, doubled: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			all.tasks[chain] = all.tasks[chain][1:]
		}},
		"a task is there twice, with a Job each": {doubled: 1, damage: func(all *rows, _ *[]start, writes *[]cluster.JobWrite, _ uids) {
			again := all.tasks[chain][first]
			again.job, again.jobUID = "again", "again"
			all.tasks[chain] = append(all.tasks[chain], again)
			*writes = append(*writes, create("again", "again"))
		}},
		"a task ended otherwise": {lost: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			all.tasks[chain][first].status = taskFailed
		}},
		"a task was ended twice": {doubled: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			all.events[1].ended = 2
		}},
		"the end of a task has no event": {lost: 1, damage: func(all *rows, _ *[]start, _ *[]cluster.JobWrite, _ uids) {
			all.events[1].ended = 0
		}},
		"a Job was created twice": {doubled: 1, damage: func(_ *rows, _ *[]start, writes *[]cluster.JobWrite, _ uids) {
			*writes = append(*writes, create((*writes)[0].Name, "another"))
		}},
		"a second Job was seen only": {doubled: 1, unlogged: 1, damage: func(_ *rows, _ *[]start, writes *[]cluster.JobWrite, seen uids) {
			seen.add((*writes)[0].Name, "another")
		}},
		"a creation was not logged": {unlogged: 1, damage: func(_ *rows, _ *[]start, writes *[]cluster.JobWrite, seen uids) {
			seen.add((*writes)[0].Name, (*writes)[0].UID)
			*writes = (*writes)[1:]
		}},
		"a creation is nowhere": {lost: 1, damage: func(_ *rows, _ *[]start, writes *[]cluster.JobWrite, _ uids) {
			*writes = (*writes)[1:]
		}},
		"a creation was refused": {damage: func(_ *rows, _ *[]start, writes *[]cluster.JobWrite, _ uids) {
			refused := create((*writes)[0].Name, "")
			refused.Code = http.StatusConflict
			*writes = append(*writes, refused)
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, starts, writes := good(t)
			seen := uids{}
			tc.damage(&all, &starts, &writes, seen)
			r := newReport(silent{t}, io.Discard, 1, 1)
			verifyExecutions(all.executions, all.tasks, starts, r)
			verifyEvents(all.events, r)
			verifyJobs(all.tasks, writes, seen, r)
			if r.Lost != tc.lost || r.Doubled != tc.doubled || r.Unlogged != tc.unlogged {
				t.Errorf("got %d lost, %d doubled, %d unlogged, want %d, %d, %d", r.Lost, r.Doubled, r.Unlogged, tc.lost, tc.doubled, tc.unlogged)
			}
		})
	}
}
