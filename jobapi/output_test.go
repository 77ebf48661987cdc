package jobapi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

func TestRecordTaskOutput(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	m := claim(t, store, startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"}))
	task := m.begin("extract", "kube-job")

	// The last one counts, whoever records it.
	for _, data := range []string{`{"n": 1}`, `{"n": 2}`, ` [1, 2] `} {
		res, err := b.client.RecordTaskOutput(asUser(t), &pb.TaskOutputRecordRequest{TaskId: task.ID, Data: []byte(`"by the user"`)})
		if err != nil || res.GetTaskId() != task.ID {
			t.Fatalf("as user: %v, %v", res, err)
		}
		if _, err := b.client.RecordTaskOutput(asTask(t, task.ID), &pb.TaskOutputRecordRequest{TaskId: task.ID, Data: []byte(data)}); err != nil {
			t.Fatalf("as task: %v", err)
		}
		row, err := store.Task(t.Context(), task.ID)
		if err != nil || row.RecordedOutput == nil || *row.RecordedOutput != data {
			t.Errorf("recorded %v, %v: want %s", row.RecordedOutput, err, data)
		}
	}

	m.fail(task)
	_, err := b.client.RecordTaskOutput(asTask(t, task.ID), &pb.TaskOutputRecordRequest{TaskId: task.ID, Data: []byte(`{"late": true}`)})
	wantCode(t, err, codes.FailedPrecondition)
	if !strings.Contains(status.Convert(err).Message(), "has ended") {
		t.Errorf("message %q", status.Convert(err).Message())
	}
	if row, err := store.Task(t.Context(), task.ID); err != nil || *row.RecordedOutput != ` [1, 2] ` {
		t.Errorf("after the end: recorded %v, %v", *row.RecordedOutput, err)
	}
}

func TestRecordTaskOutputRefuses(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	execution := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	m := claim(t, store, execution)
	job, parallel := m.begin("extract", "kube-job"), m.begin("fan", "parallel")

	tests := map[string]struct {
		token  uint64 // 0: a user
		taskID uint64
		data   string
		code   codes.Code
		text   string
	}{
		"not JSON":             {0, job.ID, `{`, codes.InvalidArgument, "the output is not JSON"},
		"nothing":              {0, job.ID, ``, codes.InvalidArgument, "the output is not JSON"},
		"not UTF-8":            {0, job.ID, "\"\xc3\"", codes.InvalidArgument, "not UTF-8"},
		"too long":             {0, job.ID, string(quoted(1001)), codes.InvalidArgument, "jobapi.max-output-bytes"},
		"no such task":         {0, 99, `{}`, codes.NotFound, "there is no task 99"},
		"no task":              {0, 0, `{}`, codes.NotFound, "there is no task 0"},
		"no such task, token":  {99, 99, `{}`, codes.NotFound, "there is no task 99"},
		"another task's token": {parallel.ID, job.ID, `{}`, codes.PermissionDenied, "this token is for task"},
		"not a job":            {0, parallel.ID, `{}`, codes.FailedPrecondition, "is a parallel"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := asUser(t)
			if tc.token != 0 {
				ctx = asTask(t, tc.token)
			}
			_, err := b.client.RecordTaskOutput(ctx, &pb.TaskOutputRecordRequest{TaskId: tc.taskID, Data: []byte(tc.data)})
			wantCode(t, err, tc.code)
			if !strings.Contains(status.Convert(err).Message(), tc.text) {
				t.Errorf("message %q, want one with %q", status.Convert(err).Message(), tc.text)
			}
			if row, err := store.Task(t.Context(), job.ID); err != nil || row.RecordedOutput != nil {
				t.Errorf("recorded %v, %v: want nothing", *row.RecordedOutput, err)
			}
		})
	}
}

func TestRecordIndexOutput(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	m := claim(t, store, startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"}))
	plain, indexed := m.begin("extract", "kube-job"), m.begin("load", "kube-job", func(t *dao.TaskExecution) { t.IndexCount = new(uint32(3)) })
	tests := map[string]struct {
		task  *dao.TaskExecution
		index *uint32
		code  codes.Code
		text  string
	}{
		"first":                 {indexed, new(uint32(0)), codes.OK, ""},
		"last":                  {indexed, new(uint32(2)), codes.OK, ""},
		"out of range":          {indexed, new(uint32(3)), codes.InvalidArgument, "(load) has no index 3: they go from 0 to 2"},
		"no index":              {indexed, nil, codes.InvalidArgument, "(load) is indexed: say by index, from 0 to 2"},
		"index of another task": {plain, new(uint32(0)), codes.InvalidArgument, "(extract) is not indexed: leave out index"},
	}
	for name, tc := range tests {
		res, err := b.client.RecordTaskOutput(asTask(t, tc.task.ID), &pb.TaskOutputRecordRequest{TaskId: tc.task.ID, Index: tc.index, Data: []byte("[1]")})
		if tc.code == codes.OK {
			if err != nil || res.GetTaskId() != tc.task.ID {
				t.Errorf("%s: %v, %v", name, res, err)
			}
			continue
		}
		wantCode(t, err, tc.code)
		if !strings.Contains(status.Convert(err).Message(), tc.text) {
			t.Errorf("%s: message %q", name, status.Convert(err).Message())
		}
	}
	got, err := store.IndexOutputs(t.Context(), indexed.ID)
	if diff := cmp.Diff([]dao.IndexOutput{{Index: 0, Output: "[1]"}, {Index: 2, Output: "[1]"}}, got); diff != "" || err != nil {
		t.Errorf("%v, recorded (-want +got):\n%s", err, diff)
	}
	if err := store.KeepIndexes(t.Context(), m.lease, indexed.ID, []dao.IndexOutput{{Index: 0, Output: "{}"}}, false, m.execution.CreatedAt); err != nil {
		t.Fatal(err)
	}
	e, err := b.client.GetExecution(asUser(t), &pb.GetExecutionRequest{Id: m.execution.ID})
	if ts := e.GetTasks(); err != nil || ts[0].GetIndexCount() != 0 || ts[1].GetIndexCount() != 3 || ts[1].GetIndexesDone() != 1 {
		t.Errorf("%v, want 1 of 3 indexes of the second task done: %v", err, ts)
	}
	m.fail(indexed)
	_, err = b.client.RecordTaskOutput(asTask(t, indexed.ID), &pb.TaskOutputRecordRequest{TaskId: indexed.ID, Index: new(uint32(0)), Data: []byte("1")})
	wantCode(t, err, codes.FailedPrecondition)
}
