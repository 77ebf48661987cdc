package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi"
	"github.com/jobnetes/jobnetes/jobapi/token"
)

var (
	testKey = bytes.Repeat([]byte{1}, token.MinKeyBytes)
	began   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

const nightly = `{"name": "nightly", "tasks": [
  {"name": "extract", "type": "kube-job", "job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}}}]}`

// service is a jobapi on a loopback port, and its store.
type service struct {
	t        *testing.T
	store    *dao.Store
	logs     jobapi.Logs
	endpoint string
	stop     func()
}

func setup(t *testing.T, logs jobapi.Logs) *service {
	t.Helper()
	gdb, err := db.Open(t.Context(), db.Config{Driver: db.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, store: dao.New(gdb), logs: logs}
	s.serve("127.0.0.1:0")
	return s
}

// serve starts jobapi; after stop, on the same endpoint, it is a restart.
func (s *service) serve(address string) {
	s.t.Helper()
	lis, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	server, err := jobapi.New(jobapi.Config{
		Username: "admin", Password: "secret", TokenKey: testKey, WatchInterval: time.Millisecond,
	}, s.store, s.logs, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, lis) }()
	s.endpoint = lis.Addr().String()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Serve: %v", err)
		}
	})
	s.t.Cleanup(s.stop)
}

// run executes a command as a shell would, with the flags that reach s.
func (s *service) run(args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	return runCommand(s.t.Context(), "", append(args, "--endpoint", s.endpoint, "--username", "admin", "--password", "secret")...)
}

// mustRun is run for a command that is to succeed and to be silent on stderr.
func (s *service) mustRun(args ...string) string {
	s.t.Helper()
	stdout, stderr, err := s.run(args...)
	if err != nil || stderr != "" {
		s.t.Fatalf("jobnetes %s: %v, stderr %q", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

func runCommand(ctx context.Context, stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	err = execute(ctx, stdin, &out, &errOut, args...)
	return out.String(), errOut.String(), err
}

func execute(ctx context.Context, stdin string, out, errOut io.Writer, args ...string) error {
	root := &cobra.Command{Use: "jobnetes", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(newWorkflowCommand(), newStartCommand(), newExecutionsCommand(), newExecutionCommand(), newCancelCommand(), newLogsCommand(), newOutputCommand(), newVerifyCommand())
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(out)
	root.SetErr(errOut)
	return root.ExecuteContext(ctx)
}

// file writes a file for a command to read, and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mover moves an execution as a manager does.
type mover struct {
	t         *testing.T
	store     *dao.Store
	lease     dao.Lease
	execution dao.WorkflowExecution
}

// claim takes the lease of the first execution.
func claim(s *service) *mover {
	s.t.Helper()
	now := time.Now().Add(time.Second)
	leases, err := s.store.ClaimScheduled(s.t.Context(), dao.Claimant{Owner: "manager-1"}, now, now.Add(time.Hour), 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range leases {
		if l.ExecutionID == 1 {
			e, err := s.store.Execution(s.t.Context(), 1)
			if err != nil {
				s.t.Fatal(err)
			}
			return &mover{t: s.t, store: s.store, lease: l, execution: e}
		}
	}
	s.t.Fatal("execution 1 could not be claimed")
	return nil
}

// begin starts a task.
func (m *mover) begin(name, taskType string, change ...func(*dao.TaskExecution)) *dao.TaskExecution {
	m.t.Helper()
	m.execution.Status, m.execution.StartedAt = dao.ExecutionRunning, &began
	task := &dao.TaskExecution{TaskName: name, TaskType: taskType, Attempt: 1, Input: `{"n": 1}`, Output: "{}", StartedAt: began}
	for _, c := range change {
		c(task)
	}
	m.commit(dao.Transition{Type: dao.EventTaskStarted, Task: task})
	return task
}

// end ends the task.
func (m *mover) end(task *dao.TaskExecution, status dao.TaskStatus) {
	m.t.Helper()
	row, err := m.store.Task(m.t.Context(), task.ID)
	if err != nil {
		m.t.Fatal(err)
	}
	at := began.Add(90 * time.Second)
	row.Status, row.EndedAt = status, &at
	tr := dao.Transition{Type: dao.EventTaskSucceeded, Task: &row}
	if status == dao.TaskFailed {
		row.ErrorReason, row.ErrorMsg = "JobFailed", "exit code 1\nnear \x1b[31mthe end"
		tr.Type, tr.Reason, tr.Message = dao.EventTaskFailed, row.ErrorReason, row.ErrorMsg
	}
	m.commit(tr)
}

// finish ends the execution.
func (m *mover) finish(status dao.ExecutionStatus) {
	m.t.Helper()
	at := began.Add(2 * time.Minute)
	m.execution.Status, m.execution.StartedAt, m.execution.EndedAt = status, &began, &at
	tr := dao.Transition{Type: dao.EventExecutionSucceeded}
	if status == dao.ExecutionFailed {
		tr.Type, m.execution.ErrorMsg = dao.EventExecutionFailed, "task extract failed: exit code 1"
	} else {
		m.execution.Output = `{"n": 12345678901234567890, "s": "<&>"}`
	}
	m.commit(tr)
}

func (m *mover) commit(ts ...dao.Transition) {
	m.t.Helper()
	if err := m.store.Commit(m.t.Context(), m.lease, &m.execution, ts, began); err != nil {
		m.t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil || errors.Is(err, errSaid) {
		t.Fatalf("error %v, want one that main prints", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, want one with %q", err, part)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := lis.Addr().String()
	if err := lis.Close(); err != nil { // now nobody listens there
		t.Fatal(err)
	}
	dir := filepath.Dir(file(t, credentialsFile, fmt.Sprintf("endpoint: %s\nusername: admin\npassword: secret\nwebadmin: http://x\nlater: 1\n", endpoint)))
	for _, args := range [][]string{
		{"workflow", "list"}, {"workflow", "get", "x"}, {"start", "x"}, {"executions"}, {"execution", "1"}, {"cancel", "1"}, {"logs", "1"}, {"logs", "--task-id", "1"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			_, _, err := runCommand(t.Context(), "", append(args, "--data", dir)...)
			wantError(t, err, "cannot reach jobapi at "+endpoint, "from "+filepath.Join(dir, credentialsFile), "jobnetes dev")
			if strings.Contains(err.Error(), "desc = ") || !strings.Contains(err.Error(), "): dial tcp ") {
				t.Errorf("the error %q is not the last cause alone", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	_, _, err := runCommand(t.Context(), "", "workflow", "list", "--endpoint", s.endpoint, "--username", "admin", "--password", "guess")
	wantError(t, err, `refuses username "admin"`, "from the flags")
	if strings.Contains(err.Error(), "guess") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestOutputFlag(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	_, _, err := s.run("executions", "-o", "yaml")
	wantError(t, err, "text or json")
	if got := s.mustRun("executions", "-o", "json"); got != "[]\n" {
		t.Errorf("no executions: %q, want an empty list", got)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	for _, args := range [][]string{{"start"}, {"workflow", "get"}} {
		flags := []string{"--endpoint", s.endpoint, "--username", "admin", "--password", "secret", ""}
		stdout, _, err := runCommand(t.Context(), "", append(append([]string{"__complete"}, args...), flags...)...)
		if err != nil || !strings.HasPrefix(stdout, "nightly\n") {
			t.Errorf("completion of %v: %q, %v", args, stdout, err)
		}
	}
}
