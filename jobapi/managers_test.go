package jobapi

import (
	"testing"
	"time"

	pb "github.com/jobnetes/jobnetes/proto"
)

// told is managers that note what they are told.
type told struct {
	started   []time.Time
	cancelled int
}

func (m *told) Started(at time.Time) { m.started = append(m.started, at) }
func (m *told) Cancelled()           { m.cancelled++ }

// Managers are told of what was noted, and of nothing else.
func TestManagersAreTold(t *testing.T) {
	t.Parallel()
	m, cfg := &told{}, testConfig()
	cfg.Managers = m
	b := setup(t, cfg, setupStore(t), nil)
	apply(t, b, chain)
	if _, err := b.client.StartWorkflow(asUser(t), &pb.WorkflowStartRequest{WorkflowName: "another"}); err == nil {
		t.Fatal("a workflow that is not there was started")
	}
	if _, err := b.client.CancelExecution(asUser(t), &pb.ExecutionCancelRequest{ExecutionId: 17}); err == nil {
		t.Fatal("an execution that is not there was cancelled")
	}
	if len(m.started) > 0 || m.cancelled > 0 {
		t.Errorf("told of what was refused: %+v", m)
	}
	id := startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})
	if _, err := b.client.CancelExecution(asUser(t), &pb.ExecutionCancelRequest{ExecutionId: id}); err != nil {
		t.Fatal(err)
	}
	if len(m.started) != 1 || !m.started[0].Equal(start) || m.cancelled != 1 {
		t.Errorf("told %+v, want one start at %s and one cancel", m, start)
	}
}
