package dao

import (
	"strings"
	"testing"
)

// The newest executions and tasks are read without all the others, however few
// workflows they are of.
func TestViewsReadTheNewestAlone(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		w := s.workflow(t)
		for range 300 {
			s.execution(t, w)
		}
		s.exec(t, "INSERT INTO task_executions (workflow_execution_id, task_name, task_type, input, started_at, created_at, updated_at) "+
			"SELECT id, 'a', 'kube-job', '{}', created_at, created_at, updated_at FROM workflow_executions")
		analyze := "ANALYZE TABLE workflows, workflow_executions, task_executions"
		if s.gdb.Name() == "sqlite" {
			analyze = "ANALYZE"
		}
		s.exec(t, analyze)
		for _, view := range []string{"v_executions", "v_tasks"} {
			plan := s.plan(t, "SELECT * FROM "+view+" ORDER BY id DESC LIMIT 10")
			for _, sorts := range []string{"filesort", "temporary", "TEMP B-TREE"} {
				if strings.Contains(plan, sorts) {
					t.Errorf("%s: %s", view, plan)
				}
			}
		}
	})
}
