package verify

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Of a task whose Job is in another namespace only the rows are looked at.
func TestOtherNamespace(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.run(w.start(all, "{}"), well)
		w.run(w.start(all, "{}"), nil)
		for id, name := range map[uint64]string{1: "load", 2: "extract"} {
			row := w.task(id, name)
			w.sql("UPDATE task_executions SET namespace = 'other' WHERE id = ?", row.ID)
			delete(w.jobs, *row.ExecutionName)
			w.audit = slices.DeleteFunc(w.audit, func(line string) bool { return strings.Contains(line, `"`+*row.ExecutionName+`"`) })
		}
		jobs, before := len(w.jobs), checksum(w)
		r := w.verify(repairing)
		if len(r.Findings) > 0 || len(w.jobs) != jobs || checksum(w) != before {
			t.Errorf("found %+v", r.Findings)
		}
		if said := slices.ContainsFunc(r.Unchecked, func(s string) bool { return strings.Contains(s, "the Jobs of 2 tasks") }); r.Counts.Elsewhere != 2 || !said {
			t.Errorf("%d are elsewhere; unchecked: %q", r.Counts.Elsewhere, r.Unchecked)
		}
		w.now = w.now.Add(time.Hour)
		w.start(all, "{}")
		w.claim(3) // somebody lives
		w.sql("UPDATE workflow_executions SET wake_at = ?, lease_until = ? WHERE id = 2", w.now.Add(-time.Hour), w.now.Add(-time.Hour))
		r = w.verify()
		if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
			return f.Kind == NotClaimed && strings.Contains(f.What, "k8s.job-namespace is other")
		}) {
			t.Errorf("found %+v, want that it waits for a manager of the other namespace", r.Findings)
		}
	})
}
