package engine

import (
	"fmt"
	"testing"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// BenchmarkDecide has one Job end in each round: in a chain, whose next task starts
// then, and among 10,000 tasks that run at once.
func BenchmarkDecide(b *testing.B) {
	const steps, tasks = 1000, 10_000
	var chained []string
	for i := range steps {
		next := ""
		if i+1 < steps {
			next = fmt.Sprint("step", i+1)
		}
		chained = append(chained, job(fmt.Sprint("step", i), next))
	}
	sets := "name: w\ntasks:\n- name: all\n  type: parallel\n  task-sets:\n" // YAML: as JSON it would be too large
	for i := range tasks {
		sets += fmt.Sprintf("  - [{name: item%d, type: kube-job, job: {spec: {template: {spec: {containers: [{name: c}]}}}}}]\n", i)
	}
	for name, definition := range map[string]string{
		"a step of a chain":           workflow(chained...),
		"one of 10,000 parallel ends": sets,
	} {
		b.Run(name, func(b *testing.B) {
			def, err := schema.Parse([]byte(definition))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			r := newRound(b, def)
			for b.Loop() {
				if r.next(); r.ended {
					b.StopTimer()
					r = newRound(b, def)
					b.StartTimer()
				}
			}
		})
	}
}

// round is an execution whose Jobs end one after the other.
type round struct {
	x       *Execution
	running []uint64 // the tasks with a Job that has not ended
	rows    uint64   // so far
	ended   bool
}

// newRound is that of an execution that has begun.
func newRound(b *testing.B, def *schema.Definition) *round {
	b.Helper()
	x, err := Load(def, &dao.WorkflowExecution{ID: 1, Input: "{}", Output: "{}"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	r := &round{x: x}
	r.commit(x.Decide(nil, start))
	return r
}

// next ends the first Job.
func (r *round) next() {
	id := r.running[0]
	r.running = r.running[1:]
	r.commit(r.x.Decide([]Observation{{TaskID: id, Succeeded: true, Output: `{"x":1}`}}, start))
}

// commit gives rows their ids, as dao.Commit does.
func (r *round) commit(made []dao.Transition) {
	for _, t := range made {
		switch t.Type {
		case dao.EventTaskStarted:
			r.rows++
			t.Task.ID = r.rows
			if t.Task.TaskType == string(schema.KubeJob) {
				r.running = append(r.running, r.rows)
			}
		case dao.EventExecutionSucceeded, dao.EventExecutionFailed:
			r.ended = true
		}
	}
}
