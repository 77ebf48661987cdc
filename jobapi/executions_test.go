package jobapi

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/jobnetes/jobnetes/proto"
)

func TestListExecutions(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	apply(t, b, strings.Replace(chain, "nightly", "weekly", 1))
	first := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly", Input: []byte(`{"big": 1}`)})
	second := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "weekly"})
	third := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	m := claim(t, store, first)
	m.fail(m.begin("extract", "kube-job"))

	failed, scheduled := pb.ExecutionStatus_EXECUTION_STATUS_FAILED, pb.ExecutionStatus_EXECUTION_STATUS_SCHEDULED
	tests := map[string]struct {
		req  *pb.ListExecutionsRequest
		want []uint64
	}{
		"all":              {&pb.ListExecutionsRequest{}, []uint64{third, second, first}},
		"first page":       {&pb.ListExecutionsRequest{Limit: 2}, []uint64{third, second}},
		"next page":        {&pb.ListExecutionsRequest{Limit: 2, BeforeId: second}, []uint64{first}},
		"of a workflow":    {&pb.ListExecutionsRequest{WorkflowName: "nightly"}, []uint64{third, first}},
		"failed":           {&pb.ListExecutionsRequest{Statuses: []pb.ExecutionStatus{failed}}, []uint64{first}},
		"two statuses":     {&pb.ListExecutionsRequest{Statuses: []pb.ExecutionStatus{failed, scheduled}}, []uint64{third, second, first}},
		"all at once":      {&pb.ListExecutionsRequest{WorkflowName: "nightly", Statuses: []pb.ExecutionStatus{scheduled}, BeforeId: third}, nil},
		"before the first": {&pb.ListExecutionsRequest{BeforeId: first}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, err := b.client.ListExecutions(asUser(t), tc.req)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, e := range res.GetExecutions() {
				got = append(got, e.GetId())
				if len(e.GetInput())+len(e.GetOutput())+len(e.GetTasks()) != 0 || e.GetWorkflowName() == "" || e.GetWorkflowVersion() != 1 {
					t.Errorf("execution %v", e)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestListExecutionsRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	tests := map[string]struct {
		req  *pb.ListExecutionsRequest
		code codes.Code
	}{
		"too many":          {&pb.ListExecutionsRequest{Limit: 1001}, codes.InvalidArgument},
		"no status":         {&pb.ListExecutionsRequest{Statuses: []pb.ExecutionStatus{0}}, codes.InvalidArgument},
		"unknown status":    {&pb.ListExecutionsRequest{Statuses: []pb.ExecutionStatus{5}}, codes.InvalidArgument},
		"negative status":   {&pb.ListExecutionsRequest{Statuses: []pb.ExecutionStatus{-1}}, codes.InvalidArgument},
		"status that wraps": {&pb.ListExecutionsRequest{Statuses: []pb.ExecutionStatus{257}}, codes.InvalidArgument},
		"unknown workflow":  {&pb.ListExecutionsRequest{WorkflowName: "x"}, codes.NotFound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.client.ListExecutions(asUser(t), tc.req)
			wantCode(t, err, tc.code)
		})
	}
}

func TestGetExecution(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	id := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly", ExecName: "march", Input: []byte(`{"n": 1}`), Priority: -7})

	scheduled, err := b.client.GetExecution(asUser(t), &pb.GetExecutionRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	if scheduled.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_SCHEDULED || scheduled.StartedAt != nil || scheduled.EndedAt != nil ||
		scheduled.GetName() != "march" || string(scheduled.GetInput()) != `{"n": 1}` || scheduled.GetAttempt() != 1 || scheduled.GetPriority() != -7 {
		t.Errorf("scheduled: %v", scheduled)
	}

	m := claim(t, store, id)
	task := m.begin("extract", "kube-job")
	m.fail(task)
	ended, err := b.client.GetExecution(asUser(t), &pb.GetExecutionRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	if ended.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_FAILED || ended.GetErrorMsg() == "" ||
		ended.GetEndedAt().AsTime().Sub(ended.GetStartedAt().AsTime()) != time.Minute || len(ended.GetTasks()) != 1 {
		t.Fatalf("ended: %v", ended)
	}
	got := ended.GetTasks()[0]
	if got.GetId() != task.ID || got.GetTaskName() != "extract" || got.GetTaskType() != "kube-job" || got.GetExecutionName() == "" ||
		got.GetStatus() != pb.TaskStatus_TASK_STATUS_FAILED || got.GetErrorReason() != "JobFailed" || got.GetParentId() != 0 || got.EndedAt == nil {
		t.Errorf("task: %v", got)
	}

	_, err = b.client.GetExecution(asUser(t), &pb.GetExecutionRequest{Id: 99})
	wantCode(t, err, codes.NotFound)
}
