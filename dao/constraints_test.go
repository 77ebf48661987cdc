package dao

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jobnetes/jobnetes/db"
)

// The database itself refuses states that cannot be.
func TestImpossibleStates(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.start(t, l, e)
		other, _, err := s.ApplyWorkflow(t.Context(), "other", definition, DefaultUserID, now)
		if err != nil {
			t.Fatal(err)
		}
		s.execution(t, other.ID) // so that version 2 is the other's
		cases := map[string]string{
			"an execution of another workflow's version": "UPDATE workflow_executions SET workflow_version_id = 2 WHERE id = %[1]d",
			"an epoch below 0":                           "UPDATE workflow_executions SET lease_epoch = -5 WHERE id = %[1]d",
			"a time that is none":                        "UPDATE workflow_executions SET wake_at = 'garbage' WHERE id = %[1]d",
			"a number that is none":                      "UPDATE workflow_executions SET attempt = 'abc' WHERE id = %[1]d",
			"an execution with an unknown status":        "UPDATE workflow_executions SET status = 9 WHERE id = %[1]d",
			"a running execution that has not started":   "UPDATE workflow_executions SET started_at = NULL WHERE id = %[1]d",
			"a running execution that has ended":         "UPDATE workflow_executions SET ended_at = started_at WHERE id = %[1]d",
			"a running execution that nobody will wake":  "UPDATE workflow_executions SET wake_at = NULL WHERE id = %[1]d",
			"an execution that failed without a word":    "UPDATE workflow_executions SET status = 3, ended_at = started_at, wake_at = NULL, lease_owner = NULL, lease_until = NULL WHERE id = %[1]d",
			"an ended execution that is leased":          "UPDATE workflow_executions SET status = 2, ended_at = started_at, wake_at = NULL WHERE id = %[1]d",
			"a lease without an end":                     "UPDATE workflow_executions SET lease_until = NULL WHERE id = %[1]d",
			"an execution of no workflow":                "UPDATE workflow_executions SET workflow_id = 99 WHERE id = %[1]d",
			"a running execution without a version":      "UPDATE workflow_executions SET workflow_version_id = NULL WHERE id = %[1]d",
			"a task with an unknown status":              "UPDATE task_executions SET status = 9 WHERE id = %[2]d",
			"a task of an unknown type":                  "UPDATE task_executions SET task_type = 'magic' WHERE id = %[2]d",
			"a running task that has ended":              "UPDATE task_executions SET ended_at = started_at WHERE id = %[2]d",
			"a task that failed without a reason":        "UPDATE task_executions SET status = 2, ended_at = started_at WHERE id = %[2]d",
			"a running task with a successor":            "UPDATE task_executions SET next_task_execution_id = id WHERE id = %[2]d",
			"a task in a set of nothing":                 "UPDATE task_executions SET set_index = 0 WHERE id = %[2]d",
			"a parallel with a Job":                      "UPDATE task_executions SET task_type = 'parallel' WHERE id = %[2]d",
			"a recording that was never made":            "UPDATE task_executions SET recorded_rev = 1 WHERE id = %[2]d",
			"a task of no execution":                     "UPDATE task_executions SET workflow_execution_id = 99 WHERE id = %[2]d",
			"an event of no execution":                   "INSERT INTO execution_events (workflow_execution_id, at, type, actor) VALUES (99, '2026-01-01', 'x', 'y')",
			"a log of no task":                           "INSERT INTO task_logs (task_execution_id, pod, container, position, truncated, content) VALUES (99, 'p', 'c', 0, 0, '')",
			"a log that is truncated twice":              "INSERT INTO task_logs (task_execution_id, pod, container, position, truncated, content) VALUES (%[2]d, 'p', 'c', 0, 2, '')",
			"a log of no container":                      "INSERT INTO task_logs (task_execution_id, pod, container, position, truncated, content) VALUES (%[2]d, 'p', '', 0, 0, '')",
			"an index of no task":                        "INSERT INTO task_indexes (task_execution_id, idx, output, recorded_at) VALUES (99, 0, '1', '2026-01-01 00:00:00')",
			"an index below 0":                           "INSERT INTO task_indexes (task_execution_id, idx, output, recorded_at) VALUES (%[2]d, -1, '1', '2026-01-01 00:00:00')",
			"an output from nowhere":                     "INSERT INTO task_indexes (task_execution_id, idx, output) VALUES (%[2]d, 0, '1')",
			"a workflow of no user":                      "INSERT INTO workflows (name, definition, user_id) VALUES ('x', 'y', 99)",
			"a workflow without a name":                  "INSERT INTO workflows (name, definition, user_id) VALUES ('', 'y', 1)",
			"two workflows of one name":                  "INSERT INTO workflows (name, definition, user_id) VALUES ('w', 'y', 1)",
			"a deleted workflow that has run":            "DELETE FROM workflows WHERE name = 'w'",
		}
		for name, statement := range cases {
			sql := strings.NewReplacer("%[1]d", fmt.Sprint(e.ID), "%[2]d", fmt.Sprint(a.ID)).Replace(statement)
			if err := s.gdb.Exec(sql).Error; err == nil {
				t.Errorf("%s was accepted: %s", name, sql)
			}
		}
	})
}

func TestViews(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.start(t, l, e)
		var execution struct {
			ID              uint64
			Workflow        string
			WorkflowVersion int
			Status          string
			Manager         string
			DurationSec     float64
		}
		if err := s.gdb.Raw("SELECT * FROM v_executions").Scan(&execution).Error; err != nil {
			t.Fatal(err)
		}
		if execution.Workflow != "w" || execution.WorkflowVersion != 1 || execution.Status != "running" || execution.Manager != "m1" || execution.DurationSec <= 0 {
			t.Errorf("v_executions: %+v", execution)
		}
		var task struct {
			ExecutionID                       uint64
			Workflow, Task, Type, Status, Job string
			DurationSec                       float64
		}
		if err := s.gdb.Raw("SELECT * FROM v_tasks").Scan(&task).Error; err != nil {
			t.Fatal(err)
		}
		if task.ExecutionID != e.ID || task.Task != "a" || task.Type != "kube-job" || task.Status != "running" || task.Job != "w-a-1-1" || task.DurationSec <= 0 {
			t.Errorf("v_tasks: %+v", task)
		}
		s.keep(t, TaskLog{TaskExecutionID: a.ID, Pod: "p", Container: "c", Truncated: true, Text: []byte("été\n")})
		var log struct {
			ExecutionID, TaskID  uint64
			Task, Pod, Container string
			Truncated            bool
			Log                  string // not with SQLite, which has no UNCOMPRESS
		}
		if err := s.gdb.Raw("SELECT * FROM v_task_logs").Scan(&log).Error; err != nil {
			t.Fatal(err)
		}
		if log.ExecutionID != e.ID || log.TaskID != a.ID || log.Task != "a" || log.Pod != "p" || log.Container != "c" || !log.Truncated || (log.Log != "été\n" && s.gdb.Name() == db.MySQL) {
			t.Errorf("v_task_logs: %+v", log)
		}
	})
}
