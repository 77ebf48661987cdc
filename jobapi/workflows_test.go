package jobapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

func TestApplyWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	changed := strings.Replace(chain, "busybox", "alpine", 1)
	steps := []struct {
		definition  string
		wantResult  pb.ApplyResult
		wantVersion uint32
	}{
		{chain, pb.ApplyResult_APPLY_RESULT_CREATED, 1},
		{chain, pb.ApplyResult_APPLY_RESULT_UNCHANGED, 1},
		{changed, pb.ApplyResult_APPLY_RESULT_UPDATED, 2},
		{chain, pb.ApplyResult_APPLY_RESULT_UPDATED, 3},
	}
	for i, step := range steps {
		res, err := b.client.ApplyWorkflow(asUser(t), &pb.ApplyWorkflowRequest{Definition: []byte(step.definition)})
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		w := res.GetWorkflow()
		if res.GetResult() != step.wantResult || w.GetVersion() != step.wantVersion || w.GetName() != "nightly" || w.GetId() == 0 {
			t.Errorf("step %d: %v, want %v, version %d", i, res, step.wantResult, step.wantVersion)
		}
		got, err := b.client.GetWorkflow(asUser(t), &pb.GetWorkflowRequest{Name: "nightly"})
		if err != nil || string(got.GetDefinition()) != step.definition || got.GetVersion() != step.wantVersion {
			t.Errorf("step %d: GetWorkflow gives %v, %v: want what was applied, byte for byte", i, got, err)
		}
	}
}

func TestApplyWorkflowListsEveryProblem(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	_, err := b.client.ApplyWorkflow(asUser(t), &pb.ApplyWorkflowRequest{
		Definition: []byte(`{"name": "n", "tasks": [{"name": "a", "type": "kube-job", "next": "nowhere", "job": {}}, {"name": "", "type": "parallel", "task-sets": 1}]}`),
	})
	wantCode(t, err, codes.InvalidArgument)
	st := status.Convert(err)
	details := st.Details()
	if len(details) != 1 {
		t.Fatalf("details %v: want one", details)
	}
	violations := details[0].(*errdetails.BadRequest).GetFieldViolations()
	if len(violations) < 2 {
		t.Errorf("violations %v: want several", violations)
	}
	want := "the definition is not valid:"
	for _, v := range violations {
		if !strings.HasPrefix(v.GetField(), "$") || v.GetDescription() == "" {
			t.Errorf("violation %v: want a path and a text", v)
		}
		want += "\n" + v.GetField() + ": " + v.GetDescription()
	}
	if st.Message() != want {
		t.Errorf("message\n%s\nwant\n%s", st.Message(), want)
	}
}

// A hostile document must not make an answer that no client takes.
func TestApplyWorkflowBoundsTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	tests := map[string]string{
		"one long name":  fmt.Sprintf(`{"name": "n", "tasks": [{"name": "a", "type": %q}]}`, strings.Repeat("x", 500_000)),
		"many long keys": "{" + strings.Repeat(fmt.Sprintf(`%q: 1,`, strings.Repeat("k", 5000)), 190) + `"name": 1}`,
		"too large":      strings.Repeat(" ", 2<<20),
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.client.ApplyWorkflow(asUser(t), &pb.ApplyWorkflowRequest{Definition: []byte(tc)})
			wantCode(t, err, codes.InvalidArgument)
			if n := len(status.Convert(err).Message()); n > 110*2*maxProblemText {
				t.Errorf("the message has %d bytes", n)
			}
		})
	}
}

func TestListWorkflows(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	for _, name := range []string{"c", "a", "b"} {
		apply(t, b, strings.Replace(chain, "nightly", name, 1))
	}
	tests := map[string]struct {
		req  *pb.ListWorkflowsRequest
		want []string
	}{
		"all":        {&pb.ListWorkflowsRequest{}, []string{"a", "b", "c"}},
		"first page": {&pb.ListWorkflowsRequest{Limit: 2}, []string{"a", "b"}},
		"next page":  {&pb.ListWorkflowsRequest{Limit: 2, AfterName: "b"}, []string{"c"}},
		"the most":   {&pb.ListWorkflowsRequest{Limit: 1000}, []string{"a", "b", "c"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, err := b.client.ListWorkflows(asUser(t), tc.req)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range res.GetWorkflows() {
				got = append(got, w.GetName())
				if w.GetVersion() != 1 || w.GetCreatedAt().AsTime() != start || len(w.GetDefinition()) != 0 {
					t.Errorf("workflow %v", w)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{Limit: 1001})
	wantCode(t, err, codes.InvalidArgument)
}

func TestGetWorkflowRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	id := apply(t, b, chain).GetId()
	tests := map[string]struct {
		req  *pb.GetWorkflowRequest
		code codes.Code
	}{
		"neither":      {&pb.GetWorkflowRequest{}, codes.InvalidArgument},
		"unknown id":   {&pb.GetWorkflowRequest{Id: 99}, codes.NotFound},
		"unknown name": {&pb.GetWorkflowRequest{Name: "x"}, codes.NotFound},
		"disagreeing":  {&pb.GetWorkflowRequest{Id: id, Name: "x"}, codes.InvalidArgument},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.client.GetWorkflow(asUser(t), tc.req)
			wantCode(t, err, tc.code)
		})
	}
}
