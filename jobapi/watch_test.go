package jobapi

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/jobnetes/jobnetes/proto"
)

// rest returns the types of the events until the stream ends, and its error.
func rest(stream grpc.ServerStreamingClient[pb.ExecutionEvent]) ([]string, error) {
	var types []string
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return types, nil
		}
		if err != nil {
			return types, err
		}
		types = append(types, e.GetType())
	}
}

func next(t *testing.T, stream grpc.ServerStreamingClient[pb.ExecutionEvent]) *pb.ExecutionEvent {
	t.Helper()
	e, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func watch(t *testing.T, b *bundle, req *pb.WatchExecutionRequest) grpc.ServerStreamingClient[pb.ExecutionEvent] {
	t.Helper()
	stream, err := b.client.WatchExecution(asUser(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestWatchExecution(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	id := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	m := claim(t, store, id)

	// While it runs: each event comes as it is written.
	live := watch(t, b, &pb.WatchExecutionRequest{Id: id})
	if e := next(t, live); e.GetType() != "ExecutionScheduled" || e.GetActor() != "user admin" || e.GetTaskId() != 0 {
		t.Errorf("first event %v", e)
	}
	task := m.begin("extract", "kube-job")
	if e := next(t, live); e.GetType() != "ExecutionStarted" {
		t.Errorf("second event %v", e)
	}
	started := next(t, live)
	if started.GetType() != "TaskStarted" || started.GetTaskId() != task.ID || started.GetTaskName() != "extract" || started.GetAt().AsTime() != start {
		t.Errorf("third event %v", started)
	}
	m.fail(task)
	if e := next(t, live); e.GetType() != "TaskFailed" || e.GetReason() != "JobFailed" || e.GetMessage() != "exit code 1" {
		t.Errorf("fourth event %v", e)
	}
	last := next(t, live)
	if more, err := rest(live); last.GetType() != "ExecutionFailed" || len(more) != 0 || err != nil {
		t.Errorf("last event %v, then %v, %v", last, more, err)
	}

	// After its end: all, the rest, or nothing; the stream ends by itself.
	tests := map[string]struct {
		after uint64
		want  []string
	}{
		"all":          {0, []string{"ExecutionScheduled", "ExecutionStarted", "TaskStarted", "TaskFailed", "ExecutionFailed"}},
		"the rest":     {started.GetId(), []string{"TaskFailed", "ExecutionFailed"}},
		"nothing left": {last.GetId(), nil},
		"from nowhere": {math.MaxInt64, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := rest(watch(t, b, &pb.WatchExecutionRequest{Id: id, AfterEventId: tc.after}))
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

// A watch of an event that never comes ends with the execution nevertheless.
func TestWatchExecutionFromNowhereEnds(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	id := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	stream := watch(t, b, &pb.WatchExecutionRequest{Id: id, AfterEventId: math.MaxInt64})
	m := claim(t, store, id)
	m.fail(m.begin("extract", "kube-job"))
	if got, err := rest(stream); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// More events than are read at once.
func TestWatchExecutionLongHistory(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	cfg := testConfig()
	cfg.WatchInterval = time.Hour // whoever waits between full batches does not end
	b := setup(t, cfg, store, nil)
	apply(t, b, chain)
	id := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	m := claim(t, store, id)
	task := m.begin("extract", "kube-job")
	const tasks = 2*watchBatch + 10
	for i := range tasks {
		m.begin("t"+string(rune('0'+i%10))+string(rune('a'+i/10)), "branch")
	}
	m.fail(task)
	got, err := rest(watch(t, b, &pb.WatchExecutionRequest{Id: id}))
	if want := 2 + (tasks + 1) + 2; err != nil || len(got) != want {
		t.Errorf("%d events, %v, want %d", len(got), err, want)
	}
}

func TestWatchExecutionUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	_, err := watch(t, b, &pb.WatchExecutionRequest{Id: 99}).Recv()
	wantCode(t, err, codes.NotFound)
	_, err = watch(t, b, &pb.WatchExecutionRequest{Id: 1, AfterEventId: 1 << 63}).Recv()
	wantCode(t, err, codes.InvalidArgument)
}
