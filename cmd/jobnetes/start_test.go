package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

func TestStart(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	inputFile := file(t, "input.json", `{"from": "a file"}`)
	steps := []struct {
		args      []string
		stdin     string
		want      string
		wantInput string
		wantName  string
	}{
		{[]string{"nightly"}, "", "1\n", "{}", "nightly"},
		{[]string{"1", "--name", "march"}, "", "2\n", "{}", "march"},
		{[]string{"nightly", "-i", `{"n": 1}`}, "", "3\n", `{"n": 1}`, "nightly"},
		{[]string{"nightly", "-i", "@" + inputFile}, "", "4\n", `{"from": "a file"}`, "nightly"},
		{[]string{"nightly", "-i", "@-"}, "[1]", "5\n", "[1]", "nightly"},
		{[]string{"nightly", "-o", "json"}, "", "{\n  \"id\": 6\n}\n", "{}", "nightly"},
		{[]string{"nightly", "--priority", "-7"}, "", "7\n", "{}", "nightly"},
	}
	for i, step := range steps {
		args := append([]string{"start"}, step.args...)
		stdout, stderr, err := runCommand(t.Context(), step.stdin, append(args, "--endpoint", s.endpoint, "--username", "admin", "--password", "secret")...)
		if err != nil || stdout != step.want || stderr != "" {
			t.Fatalf("%v: %q, %q, %v", args, stdout, stderr, err)
		}
		e, err := s.store.Execution(t.Context(), uint64(i+1))
		if err != nil || e.Input != step.wantInput || e.Name != step.wantName {
			t.Errorf("%v: execution %+v, %v", args, e, err)
		}
	}

	if stdout := s.mustRun("execution", "7"); !strings.Contains(stdout, "priority: -7\n") {
		t.Errorf("execution 7: %q, want its priority", stdout)
	}
	if stdout := s.mustRun("execution", "7", "-o", "json"); !strings.Contains(stdout, `"priority": -7,`) {
		t.Errorf("execution 7: %q, want its priority", stdout)
	}

	refused := map[string]struct {
		args []string
		want string
	}{
		"unknown name": {[]string{"start", "yearly"}, `start workflow yearly: there is no workflow "yearly"`},
		"unknown id":   {[]string{"start", "77"}, "there is no workflow 77"},
		"no priority":  {[]string{"start", "nightly", "--priority", "1000001"}, "priority 1000001 is not from"},
		"no JSON":      {[]string{"start", "nightly", "-i", "{"}, "the input is not JSON"},
		"no file":      {[]string{"start", "nightly", "-i", "@/nowhere.json"}, "/nowhere.json"},
	}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, _, err := s.run(tc.args...)
			wantError(t, err, tc.want)
			if stdout != "" {
				t.Errorf("stdout %q, want nothing", stdout)
			}
		})
	}
}

// watched is a `start --watch` that runs, and the progress it prints.
type watched struct {
	t      *testing.T
	lines  *bufio.Scanner
	ended  chan error
	seen   []string
	stdout strings.Builder // with -o json, where progress goes to stderr
}

func startWatched(ctx context.Context, s *service, args ...string) *watched {
	s.t.Helper()
	r, w := io.Pipe()
	run := &watched{t: s.t, lines: bufio.NewScanner(r), ended: make(chan error, 1)}
	var stdout, stderr io.Writer = w, io.Discard
	if slices.Contains(args, "json") {
		stdout, stderr = &run.stdout, w
	}
	args = append([]string{"start", "nightly", "--watch", "--endpoint", s.endpoint, "--username", "admin", "--password", "secret"}, args...)
	go func() {
		err := execute(ctx, "", stdout, stderr, args...)
		run.ended <- err
		_ = w.Close()
	}()
	return run
}

// until reads lines up to one that has the text.
func (w *watched) until(text string) {
	w.t.Helper()
	for w.lines.Scan() {
		w.seen = append(w.seen, w.lines.Text())
		if strings.Contains(w.lines.Text(), text) {
			return
		}
	}
	w.t.Fatalf("%q was not printed, only:\n%s", text, strings.Join(w.seen, "\n"))
}

// rest reads what is left and returns how the command ended.
func (w *watched) rest() error {
	for w.lines.Scan() {
		w.seen = append(w.seen, w.lines.Text())
	}
	return <-w.ended
}

// count is how many lines have the text.
func (w *watched) count(text string) int {
	return len(slices.DeleteFunc(slices.Clone(w.seen), func(line string) bool { return !strings.Contains(line, text) }))
}

// A cron job that is run twice, or after an answer that was lost, starts once.
func TestStartOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	for range 2 {
		if got := s.mustRun("start", "nightly", "--request-id", "2026-03-01"); got != "1\n" {
			t.Errorf("printed %q, want the first execution's id", got)
		}
	}
	_, _, err := s.run("start", "nightly", "--request-id", "2026-03-01", "-i", "[]")
	wantError(t, err, "as execution 1", "use a new id")
	_, _, err = s.run("start", "nightly", "--request-id", "") // of a variable that is not set
	wantError(t, err, "--request-id is empty")
	if got := s.mustRun("start", "nightly"); got != "2\n" {
		t.Errorf("printed %q, want a new execution's id", got)
	}
}

// StartWorkflow is refused for longer than gRPC tries again by itself.
func (a *away) StartWorkflow(_ context.Context, req *pb.WorkflowStartRequest) (*pb.WorkflowStartResponse, error) {
	a.ids.Store(req.GetRequestId(), true)
	if a.calls.Add(1) < 8 {
		return nil, status.Error(codes.Unavailable, "the database is not available: try again later")
	}
	return &pb.WorkflowStartResponse{Id: 7}, nil
}

func TestStartWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	var fake away
	stdout, stderr, err := runCommand(t.Context(), "", "start", "x", "--endpoint", fake.serve(t), "--username", "u", "--password", "p")
	if err != nil || stdout != "7\n" || stderr != "jobapi cannot start it now, as when its database is away; trying again\n" {
		t.Errorf("%v, stdout %q, stderr %q", err, stdout, stderr)
	}
	ids := 0
	fake.ids.Range(func(any, any) bool { ids++; return true })
	if ids != 1 {
		t.Errorf("it was tried with %d ids, want one", ids)
	}
}

func TestStartWatch(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	run := startWatched(t.Context(), s)
	run.until("ExecutionScheduled")
	m := claim(s)
	task := m.begin("extract", "kube-job")
	run.until("TaskStarted         extract (task 1)")
	m.end(task, dao.TaskSuccess)
	m.finish(dao.ExecutionSuccess)
	if err := run.rest(); err != nil {
		t.Errorf("error %v", err)
	}
	if run.seen[0] != "1" || run.seen[len(run.seen)-2] != "execution 1 success, output:" || run.seen[len(run.seen)-1] != `{"n": 12345678901234567890, "s": "<&>"}` {
		t.Errorf("printed:\n%s", strings.Join(run.seen, "\n"))
	}
}

func TestStartWatchFailure(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	run := startWatched(t.Context(), s)
	run.until("ExecutionScheduled")
	m := claim(s)
	m.end(m.begin("extract", "kube-job"), dao.TaskFailed)
	m.finish(dao.ExecutionFailed)
	wantError(t, run.rest(), "execution 1 failed: task extract failed: exit code 1")
	// What a job says must not reach the terminal as it is.
	if run.count("TaskFailed          extract (task 1)  JobFailed: exit code 1 | near [31mthe end") != 1 {
		t.Errorf("printed:\n%s", strings.Join(run.seen, "\n"))
	}
}

// A restart of jobapi is survived, and no event is printed twice or not at all.
func TestStartWatchSurvivesRestart(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	run := startWatched(t.Context(), s)
	run.until("ExecutionScheduled")
	m := claim(s)
	task := m.begin("extract", "kube-job")
	run.until("TaskStarted")
	s.stop()
	run.until("jobapi or its database is away")
	m.end(task, dao.TaskSuccess)
	s.serve(s.endpoint)
	m.finish(dao.ExecutionSuccess)
	if err := run.rest(); err != nil {
		t.Errorf("error %v", err)
	}
	for _, event := range []string{"ExecutionScheduled", "TaskStarted", "TaskSucceeded", "ExecutionSucceeded", "away"} {
		if n := run.count(event); n != 1 {
			t.Errorf("%s is printed %d times:\n%s", event, n, strings.Join(run.seen, "\n"))
		}
	}
}

func TestStartWatchInterrupted(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	run := startWatched(ctx, s)
	run.until("ExecutionScheduled")
	interrupt()
	wantError(t, run.rest(), "stopped watching; execution 1 goes on")
	if e, err := s.store.Execution(t.Context(), 1); err != nil || e.Status.Ended() {
		t.Errorf("execution %+v, %v: want it to go on", e, err)
	}
}

func TestStartWatchJSON(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	run := startWatched(t.Context(), s, "-o", "json")
	run.until("ExecutionScheduled")
	m := claim(s)
	m.end(m.begin("extract", "kube-job"), dao.TaskFailed)
	m.finish(dao.ExecutionFailed)
	wantError(t, run.rest(), "execution 1 failed")
	var got executionView
	if err := json.Unmarshal([]byte(run.stdout.String()), &got); err != nil {
		t.Fatalf("stdout is not one JSON value: %v\n%s", err, run.stdout.String())
	}
	if got.ID != 1 || got.Status != "failed" || len(got.TaskExecutions) != 1 || got.TaskExecutions[0].ErrorReason != "JobFailed" {
		t.Errorf("got %+v", got)
	}
}
