package jobapi

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

func TestCancelExecution(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	id := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	for _, reason := range []string{"wrong day", "asked again"} {
		if _, err := b.client.CancelExecution(asUser(t), &pb.ExecutionCancelRequest{ExecutionId: id, Reason: reason}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := b.client.GetExecution(asUser(t), &pb.GetExecutionRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	if e.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_SCHEDULED || !e.GetCancelRequestedAt().AsTime().Equal(start) || e.GetCancelRequestedBy() != "user admin" || e.GetCancelReason() != "wrong day" {
		t.Errorf("got %v: want the first request", e)
	}
	events, err := store.Events(t.Context(), id, 0, 10)
	if err != nil || len(events) != 2 || events[1].Actor != "user admin" || events[1].Message != "wrong day" {
		t.Errorf("events %+v, %v: want one request", events, err)
	}
}

func TestCancelExecutionRefuses(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	over := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	m := claim(t, store, over)
	m.fail(m.begin("extract", "kube-job"))
	open := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	task := claim(t, store, open).begin("extract", "kube-job")

	tests := map[string]struct {
		token  uint64 // 0: a user
		id     uint64
		reason string
		code   codes.Code
		text   string
	}{
		"it has ended":       {0, over, "", codes.FailedPrecondition, "has ended"},
		"no such execution":  {0, 99, "", codes.NotFound, "there is no execution 99"},
		"no execution":       {0, 0, "", codes.NotFound, "there is no execution 0"},
		"too long a reason":  {0, open, strings.Repeat("é", 500) + "x", codes.InvalidArgument, "reason has 1001 bytes"},
		"control characters": {0, open, "a\x1b[31m", codes.InvalidArgument, "control characters"},
		"its task's token":   {task.ID, open, "", codes.PermissionDenied, "RecordTaskOutput only"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := asUser(t)
			if tc.token != 0 {
				ctx = asTask(t, tc.token)
			}
			_, err := b.client.CancelExecution(ctx, &pb.ExecutionCancelRequest{ExecutionId: tc.id, Reason: tc.reason})
			wantCode(t, err, tc.code)
			if !strings.Contains(status.Convert(err).Message(), tc.text) {
				t.Errorf("message %q, want one with %q", status.Convert(err).Message(), tc.text)
			}
			if e, err := store.Execution(t.Context(), open); err != nil || e.CancelRequestedAt != nil {
				t.Errorf("it is to be cancelled: %+v, %v", e, err)
			}
		})
	}
}
