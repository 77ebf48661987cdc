package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jobnetes/jobnetes/dao"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	if got := s.mustRun("cancel", "1", "--reason", "wrong day"); !strings.HasPrefix(got, "execution 1 is to be cancelled") {
		t.Errorf("printed %q", got)
	}
	if got := s.mustRun("cancel", "1", "-o", "json"); got != "{\n  \"id\": 1\n}\n" { // twice is as once
		t.Errorf("printed %q", got)
	}
	lines := strings.Split(s.mustRun("execution", "1"), "\n")
	if lines[0] != "execution 1: scheduled" || !strings.HasPrefix(lines[1], "cancel:   requested 20") || !strings.HasSuffix(lines[1], "Z by user admin: wrong day") {
		t.Errorf("it begins with\n%s\n%s", lines[0], lines[1])
	}
	var view executionView
	if err := json.Unmarshal([]byte(s.mustRun("execution", "1", "-o", "json")), &view); err != nil {
		t.Fatal(err)
	}
	if c := view.Cancel; c == nil || c.RequestedAt == nil || c.RequestedBy != "user admin" || c.Reason != "wrong day" {
		t.Errorf("cancel: %+v", c)
	}

	m := claim(s)
	m.end(m.begin("extract", "kube-job"), dao.TaskFailed)
	m.finish(dao.ExecutionFailed)
	if text := s.mustRun("execution", "1"); strings.Contains(text, "cancel:") {
		t.Errorf("it has ended, and is still to be cancelled:\n%s", text)
	}
	_, _, err := s.run("cancel", "1")
	wantError(t, err, "cancel execution 1", "has ended")
	_, _, err = s.run("cancel", "nightly")
	wantError(t, err, `"nightly" is no execution id`)
}

// Twice is as once, also when the first has done it: but that is not to be waited for.
func TestCancelTwice(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	s.mustRun("cancel", "1")
	m := claim(s)
	m.execution.Status, m.execution.ErrorMsg, m.execution.StartedAt, m.execution.EndedAt = dao.ExecutionFailed, "cancelled", &began, &began
	m.commit(dao.Transition{Type: dao.EventExecutionFailed, Reason: dao.Cancelled})
	s.mustRun("start", "nightly") // a later one
	if got := s.mustRun("cancel", "1"); got != "execution 1 has been cancelled\n" {
		t.Errorf("printed %q", got)
	}
}
