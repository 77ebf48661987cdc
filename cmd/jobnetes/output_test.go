package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi/token"
	pb "github.com/jobnetes/jobnetes/proto"
)

// setupJob returns a jobapi with a task that runs, and that task's job.
func setupJob(t *testing.T, change ...func(*dao.TaskExecution)) (*service, job) {
	t.Helper()
	s := setup(t, nil)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	task := claim(s).begin("extract", "kube-job", change...)
	tokens, err := token.NewTokens(testKey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tokens.Sign(task.ID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s, job{taskID: task.ID, token: signed, endpoint: s.endpoint}
}

func (s *service) wantRecorded(taskID uint64, want string) {
	s.t.Helper()
	row, err := s.store.Task(s.t.Context(), taskID)
	if err != nil || row.RecordedOutput == nil || *row.RecordedOutput != want {
		s.t.Errorf("recorded %v, %v, want %s", row.RecordedOutput, err, want)
	}
}

func TestOutputSet(t *testing.T) { // not parallel: the environment is the interface
	s, j := setupJob(t)
	t.Setenv(envTaskID, strconv.FormatUint(j.taskID, 10))
	t.Setenv(envToken, j.token)
	t.Setenv(envEndpoint, j.endpoint)
	for _, tc := range []struct{ arg, stdin, want string }{
		{`{"rows": 1200}`, "", `{"rows": 1200}`},
		{"-", "[1]\n", "[1]\n"},
		{"@" + file(t, "out.json", `"text"`), "", `"text"`},
	} {
		if stdout, stderr, err := runCommand(t.Context(), tc.stdin, "output", "set", tc.arg); err != nil || stdout+stderr != "" {
			t.Errorf("output set %s: %q, %q, %v", tc.arg, stdout, stderr, err)
		}
		s.wantRecorded(j.taskID, tc.want)
	}
	_, _, err := runCommand(t.Context(), "", "output", "set", "{rows: 1200}")
	wantError(t, err, "the output is not JSON")
	s.wantRecorded(j.taskID, `"text"`)

	t.Setenv(envToken, "")
	_, _, err = runCommand(t.Context(), "", "output", "set", "{}")
	wantError(t, err, envToken+" is not set", "inside a job")
}

func TestOutputSetOfAnIndex(t *testing.T) { // not parallel: the environment is the interface
	s, j := setupJob(t, func(task *dao.TaskExecution) { task.IndexCount = new(uint32(8)) })
	t.Setenv(envTaskID, strconv.FormatUint(j.taskID, 10))
	t.Setenv(envToken, j.token)
	t.Setenv(envEndpoint, j.endpoint)
	t.Setenv(envIndex, "7")
	if stdout, stderr, err := runCommand(t.Context(), "", "output", "set", "{}"); err != nil || stdout+stderr != "" {
		t.Errorf("output set: %q, %q, %v", stdout, stderr, err)
	}
	if got, err := s.store.IndexOutputs(t.Context(), j.taskID); err != nil || len(got) != 1 || got[0] != (dao.IndexOutput{Index: 7, Output: "{}"}) {
		t.Errorf("recorded %v, %v", got, err)
	}
	t.Setenv(envIndex, "seven")
	_, _, err := runCommand(t.Context(), "", "output", "set", "{}")
	wantError(t, err, envIndex+` is "seven", which is no index; jobnetes sets it to a whole number, 0 or more: leave it as it is`)
}

// A job that ends while jobapi restarts does not lose its output.
func TestOutputSetSurvivesRestart(t *testing.T) {
	t.Parallel()
	s, j := setupJob(t)
	s.stop()
	dying, err := net.Listen("tcp", s.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	recorded := make(chan error, 1)
	go func() { recorded <- j.record(t.Context(), []byte(`{"n": 1}`)) }()
	conn, err := dying.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Close(), dying.Close()); err != nil {
		t.Fatal(err)
	}
	s.serve(s.endpoint)
	if err := <-recorded; err != nil {
		t.Fatal(err)
	}
	s.wantRecorded(j.taskID, `{"n": 1}`)
}

// away is a jobapi whose database is away for some calls.
type away struct {
	pb.UnimplementedJobapiServer
	calls atomic.Int32
	ids   sync.Map // of StartWorkflow's requests
}

func (a *away) RecordTaskOutput(_ context.Context, req *pb.TaskOutputRecordRequest) (*pb.TaskOutputRecordResponse, error) {
	if a.calls.Add(1) < 3 {
		return nil, status.Error(codes.Unavailable, "the database is not available")
	}
	return &pb.TaskOutputRecordResponse{TaskId: req.GetTaskId()}, nil
}

// serve serves it, and returns its address.
func (a *away) serve(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterJobapiServer(server, a)
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	return lis.Addr().String()
}

func TestOutputSetTriesAgain(t *testing.T) {
	t.Parallel()
	var fake away
	j := job{taskID: 1, token: "x", endpoint: fake.serve(t)}
	if err := j.record(t.Context(), []byte("{}")); err != nil || fake.calls.Load() != 3 {
		t.Errorf("%v after %d calls, want success with the third", err, fake.calls.Load())
	}
}

func TestOutputSetRefused(t *testing.T) {
	t.Parallel()
	_, j := setupJob(t)
	j.taskID++ // whose token is another one
	wantError(t, j.record(t.Context(), []byte("{}")), "task 2", "PermissionDenied")
}
