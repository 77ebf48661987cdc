package jobapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// secretText stands for what a database's error may tell.
const secretText = "Error 1146: Table 'prod.workflows' doesn't exist at 10.0.0.7"

func TestStoreFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		code codes.Code
	}{
		"database away": {fmt.Errorf("list workflows: %w: %s", dao.ErrUnavailable, secretText), codes.Unavailable},
		"database slow": {fmt.Errorf("list workflows: %w: %w: %s", dao.ErrUnavailable, context.DeadlineExceeded, secretText), codes.Unavailable},
		"unexpected":    {errors.New(secretText), codes.Internal},
		"conflict":      {fmt.Errorf("%w: %s", dao.ErrConflict, secretText), codes.FailedPrecondition},
		"duplicate":     {fmt.Errorf("%w: %s", dao.ErrDuplicate, secretText), codes.AlreadyExists},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := NewMockStore(gomock.NewController(t))
			store.EXPECT().Ping(gomock.Any()).AnyTimes()
			store.EXPECT().Workflows(gomock.Any(), "", 100).Return(nil, tc.err)
			store.EXPECT().Execution(gomock.Any(), uint64(1)).Return(dao.WorkflowExecution{}, tc.err)
			b := setup(t, testConfig(), store, nil)

			_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
			wantHidden(t, b, err, tc.code)
			stream, err := b.client.WatchExecution(asUser(t), &pb.WatchExecutionRequest{Id: 1})
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			wantHidden(t, b, err, tc.code)
		})
	}
}

// wantHidden wants err to have the code and not to tell what only the log may.
func wantHidden(t *testing.T, b *bundle, err error, code codes.Code) {
	t.Helper()
	wantCode(t, err, code)
	if text := status.Convert(err).Message(); strings.Contains(text, "prod") || text == "" {
		t.Errorf("the client is told %q", text)
	}
	if !strings.Contains(b.log.String(), secretText) {
		t.Errorf("the log does not tell the whole error:\n%s", b.log)
	}
}

func TestPanicsEndOneCallOnly(t *testing.T) {
	t.Parallel()
	store := NewMockStore(gomock.NewController(t))
	store.EXPECT().Ping(gomock.Any()).AnyTimes()
	store.EXPECT().Workflows(gomock.Any(), "", 100).Do(func(context.Context, string, int) { panic(secretText) })
	store.EXPECT().Workflows(gomock.Any(), "", 1).Return(nil, nil)
	store.EXPECT().Task(gomock.Any(), uint64(1)).Do(func(context.Context, uint64) { panic(secretText) })
	b := setup(t, testConfig(), store, nil)

	_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
	wantHidden(t, b, err, codes.Internal)
	stream, err := b.client.GetTaskLogs(asUser(t), &pb.GetTaskLogsRequest{TaskId: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantHidden(t, b, err, codes.Internal)
	if !strings.Contains(b.log.String(), "errors_test.go") {
		t.Error("the log does not tell where the panic was")
	}
	if _, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{Limit: 1}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	store := NewMockStore(gomock.NewController(t))
	store.EXPECT().Ping(gomock.Any()).AnyTimes()
	store.EXPECT().Workflows(gomock.Any(), "", 100).DoAndReturn(func(ctx context.Context, _ string, _ int) ([]dao.Workflow, error) {
		<-ctx.Done()
		return nil, errors.New("interrupted") // as some drivers say
	})
	cfg := testConfig()
	cfg.RequestTimeout = time.Second
	b := setup(t, cfg, store, nil)
	_, err := b.client.ListWorkflows(asUser(t), &pb.ListWorkflowsRequest{})
	wantCode(t, err, codes.DeadlineExceeded)
}

func TestShorten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"short":           {"a", "a"},
		"just fits":       {strings.Repeat("a", maxProblemText), strings.Repeat("a", maxProblemText)},
		"long":            {strings.Repeat("a", maxProblemText+1), strings.Repeat("a", maxProblemText) + "…"},
		"no half letters": {strings.Repeat("a", maxProblemText-1) + "éé", strings.Repeat("a", maxProblemText-1) + "…"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := shorten(tc.text); got != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
}
