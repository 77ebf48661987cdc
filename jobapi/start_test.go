package jobapi

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

func TestStartWorkflow(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	id := apply(t, b, chain).GetId()
	tests := map[string]struct {
		req       *pb.WorkflowStartRequest
		wantName  string
		wantInput string
	}{
		"by id, as the original's clients do": {&pb.WorkflowStartRequest{WorkflowId: id, ExecName: "march", Input: []byte(`{"a": 1}`)}, "march", `{"a": 1}`},
		"by name":                             {&pb.WorkflowStartRequest{WorkflowName: "nightly"}, "nightly", "{}"},
		"by id and name that agree":           {&pb.WorkflowStartRequest{WorkflowId: id, WorkflowName: "nightly"}, "nightly", "{}"},
		"input is kept byte for byte":         {&pb.WorkflowStartRequest{WorkflowId: id, Input: []byte(" [1e400, \"\u00e9\\u0000\", 0.10]\n")}, "nightly", " [1e400, \"\u00e9\\u0000\", 0.10]\n"},
		"input of exactly the limit":          {&pb.WorkflowStartRequest{WorkflowId: id, Input: quoted(1000)}, "nightly", string(quoted(1000))},
		"the longest name":                    {&pb.WorkflowStartRequest{WorkflowId: id, ExecName: strings.Repeat("é", 255)}, strings.Repeat("é", 255), "{}"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			execution, err := store.Execution(t.Context(), startWorkflow(t, b, tc.req))
			if err != nil {
				t.Fatal(err)
			}
			if execution.Name != tc.wantName || execution.Input != tc.wantInput || execution.WorkflowID != id || execution.Status != dao.ExecutionScheduled {
				t.Errorf("got %+v", execution)
			}
			events, err := store.Events(t.Context(), execution.ID, 0, 10)
			if err != nil || len(events) != 1 || events[0].Actor != "user admin" {
				t.Errorf("events %+v, %v: want one by user admin", events, err)
			}
		})
	}
}

// quoted returns a JSON string of n bytes.
func quoted(n int) []byte { return fmt.Appendf(nil, "%q", strings.Repeat("x", n-2)) }

func TestStartWorkflowRefuses(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	id := apply(t, b, chain).GetId()
	// As a user of the original would, by SQL: unchecked.
	broken, _, err := store.ApplyWorkflow(t.Context(), "broken", `{"name": "broken", "tasks": [{"name": "a", "type": "kube-job", "next": "b", "job": {}}]}`, dao.DefaultUserID, start)
	if err != nil {
		t.Fatal(err)
	}
	first := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowId: id, RequestId: "used"})
	if again := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowId: id, RequestId: "used"}); again != first {
		t.Errorf("a repeated start gave execution %d, want %d", again, first)
	}
	tests := map[string]struct {
		req  *pb.WorkflowStartRequest
		code codes.Code
		text string
	}{
		"a request id of something else":  {&pb.WorkflowStartRequest{WorkflowId: id, RequestId: "used", Input: []byte("[]")}, codes.AlreadyExists, "use a new id"},
		"a long request id":               {&pb.WorkflowStartRequest{WorkflowId: id, RequestId: strings.Repeat("x", 256)}, codes.InvalidArgument, "request_id has 256 characters"},
		"a request id that ends in space": {&pb.WorkflowStartRequest{WorkflowId: id, RequestId: "x "}, codes.InvalidArgument, "begins or ends with space"},
		"a priority above all":            {&pb.WorkflowStartRequest{WorkflowId: id, Priority: 1_000_001}, codes.InvalidArgument, "priority 1000001 is not from -1000000 to 1000000"},
		"a priority below all":            {&pb.WorkflowStartRequest{WorkflowId: id, Priority: -1_000_001}, codes.InvalidArgument, "priority -1000001"},
		"a request id, another priority":  {&pb.WorkflowStartRequest{WorkflowId: id, RequestId: "used", Priority: 1}, codes.AlreadyExists, "input or priority"},
		"no workflow":                     {&pb.WorkflowStartRequest{}, codes.InvalidArgument, "which workflow"},
		"unknown id":                      {&pb.WorkflowStartRequest{WorkflowId: 99}, codes.NotFound, "there is no workflow 99"},
		"an id no database has":           {&pb.WorkflowStartRequest{WorkflowId: 1 << 63}, codes.InvalidArgument, "workflow_id 9223372036854775808 is no id"},
		"unknown name":                    {&pb.WorkflowStartRequest{WorkflowName: "weekly"}, codes.NotFound, `there is no workflow "weekly"`},
		"id and name disagree":            {&pb.WorkflowStartRequest{WorkflowId: id, WorkflowName: "weekly"}, codes.InvalidArgument, `is named "nightly"`},
		"input is not JSON":               {&pb.WorkflowStartRequest{WorkflowId: id, Input: []byte(`{"a": 1`)}, codes.InvalidArgument, "the input is not JSON: unexpected end"},
		"input is two values":             {&pb.WorkflowStartRequest{WorkflowId: id, Input: []byte(`{} {}`)}, codes.InvalidArgument, "not JSON"},
		"input is blank":                  {&pb.WorkflowStartRequest{WorkflowId: id, Input: []byte(` `)}, codes.InvalidArgument, "not JSON"},
		"input is not UTF-8":              {&pb.WorkflowStartRequest{WorkflowId: id, Input: []byte("\"\xff\"")}, codes.InvalidArgument, "not UTF-8"},
		"input nested too deeply":         {&pb.WorkflowStartRequest{WorkflowId: id, Input: []byte(strings.Repeat("[", 900))}, codes.InvalidArgument, "not JSON"},
		"input one byte too long":         {&pb.WorkflowStartRequest{WorkflowId: id, Input: quoted(1001)}, codes.InvalidArgument, "1001 bytes, at most 1000 are allowed"},
		"input above gRPC's own default":  {&pb.WorkflowStartRequest{WorkflowId: id, Input: quoted(5 << 20)}, codes.InvalidArgument, "jobapi.max-input-bytes"},
		"name too long":                   {&pb.WorkflowStartRequest{WorkflowId: id, ExecName: strings.Repeat("é", 256)}, codes.InvalidArgument, "256 characters"},
		"name with a newline":             {&pb.WorkflowStartRequest{WorkflowId: id, ExecName: "a\nb"}, codes.InvalidArgument, "control characters"},
		"name that turns direction":       {&pb.WorkflowStartRequest{WorkflowId: id, ExecName: "a\u202eb"}, codes.InvalidArgument, "direction of text"},
		"broken definition":               {&pb.WorkflowStartRequest{WorkflowId: broken.ID}, codes.FailedPrecondition, `definition of workflow "broken"`},
	}
	t.Run("calls", func(t *testing.T) {
		for name, tc := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				_, err := b.client.StartWorkflow(asUser(t), tc.req)
				wantCode(t, err, tc.code)
				if !strings.Contains(status.Convert(err).Message(), tc.text) {
					t.Errorf("message %q, want one with %q", status.Convert(err).Message(), tc.text)
				}
			})
		}
	})
	if es, err := store.Executions(t.Context(), dao.ExecutionFilter{Limit: 10}); err != nil || len(es) != 1 {
		t.Errorf("executions %v, %v: want the first only", es, err)
	}
}

// A definition that has been corrected is looked at anew.
func TestStartWorkflowAfterCorrection(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	if _, _, err := store.ApplyWorkflow(t.Context(), "nightly", "{}", dao.DefaultUserID, start); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := b.client.StartWorkflow(asUser(t), &pb.WorkflowStartRequest{WorkflowName: "nightly"})
		wantCode(t, err, codes.FailedPrecondition)
	}
	apply(t, b, chain)
	startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
}

// aloneStore leaves out of what is started together those with a request id.
type aloneStore struct{ *dao.Store }

func (s aloneStore) CreateExecutions(ctx context.Context, ns []dao.NewExecution, now time.Time) ([]dao.Start, error) {
	if ns[0].RequestID != "" {
		return make([]dao.Start, len(ns)), nil
	}
	return s.Store.CreateExecutions(ctx, ns, now)
}

// A start that is left out of those together is carried out alone.
func TestStartAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), aloneStore{setupStore(t)}, nil)
	apply(t, b, chain)
	req := &pb.WorkflowStartRequest{WorkflowName: "nightly", RequestId: "r"}
	id := startWorkflow(t, b, req)
	if again := startWorkflow(t, b, req); id == 0 || again != id {
		t.Errorf("it is execution %d, and %d when it is asked for again", id, again)
	}
	req.ExecName = "another"
	_, err := b.client.StartWorkflow(asUser(t), req)
	wantCode(t, err, codes.AlreadyExists)
}

// upset is managers that panic when they are told.
type upset struct{ Managers }

func (upset) Started(time.Time) { panic("oh") }

// What fails when all is written has nothing written twice.
func TestStartsAreNotTriedAgainOnceWritten(t *testing.T) {
	t.Parallel()
	cfg, store := testConfig(), setupStore(t)
	cfg.Managers = upset{}
	b := setup(t, cfg, store, nil)
	apply(t, b, chain)
	const starts = 40
	var calls sync.WaitGroup
	for range starts {
		calls.Go(func() {
			_, err := b.client.StartWorkflow(asUser(t), &pb.WorkflowStartRequest{WorkflowName: "nightly"})
			if status.Code(err) != codes.Internal {
				t.Errorf("got %v, want Internal", err)
			}
		})
	}
	calls.Wait()
	all, err := store.Executions(t.Context(), dao.ExecutionFilter{Limit: 1000})
	if err != nil || len(all) != starts {
		t.Errorf("%d starts have become %d executions (%v)", starts, len(all), err)
	}
}
