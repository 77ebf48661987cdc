package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi"
	"github.com/jobnetes/jobnetes/schema"
)

// apiStore is the database as one jobapi reaches it. The methods that starts and
// outputs need no use of are not there.
type apiStore struct {
	jobapi.Store
	p *process
}

// clientKey is where a client's context has the name of its call, by which the calls
// that jobapi makes for one client alone are told apart.
type clientKey struct{}

func (s *apiStore) read(ctx context.Context, format string, args ...any) *call {
	c := &call{ctx: ctx, side: toDatabase, key: fmt.Sprintf(format, args...)}
	if client, ok := ctx.Value(clientKey{}).(string); ok {
		c.key += " for " + client
	}
	return c
}

func (s *apiStore) write(ctx context.Context, format string, args ...any) *call {
	c := s.read(ctx, format, args...)
	c.write = true
	return c
}

func (s *apiStore) w() *world { return s.p.w }

func (s *apiStore) Ping(ctx context.Context) error { return newStore(s.p).Ping(ctx) }

func (s *apiStore) WorkflowVersion(ctx context.Context, id uint64) (dao.WorkflowVersion, error) {
	return newStore(s.p).WorkflowVersion(ctx, id)
}

// PresentVersion finds the only version that a workflow has: it has its id.
func (s *apiStore) PresentVersion(ctx context.Context, workflowID uint64, _ string) (dao.PresentVersion, error) {
	return ask(s.p, s.read(ctx, "PresentVersion %d", workflowID), func() (dao.PresentVersion, error) {
		return dao.PresentVersion{WorkflowID: workflowID, WorkflowName: workflowName, VersionID: s.w().db.versions[workflowID].ID}, nil
	})
}

func (s *apiStore) CreateExecution(ctx context.Context, n dao.NewExecution, now time.Time) (uint64, error) {
	starts, err := s.create(s.write(ctx, "CreateExecution %s", n.RequestID), []dao.NewExecution{n}, false, now)
	if err != nil {
		return 0, err
	}
	return starts[0].ID, starts[0].Err
}

func (s *apiStore) CreateExecutions(ctx context.Context, ns []dao.NewExecution, now time.Time) ([]dao.Start, error) {
	var ids []string
	for _, n := range ns {
		ids = append(ids, n.RequestID)
	}
	c := s.write(ctx, "CreateExecutions %v", ids)
	c.together = len(ns)
	return s.create(c, ns, true, now)
}

// create schedules executions, unless they are to be left out as somebody else may be
// starting one of them.
func (s *apiStore) create(c *call, ns []dao.NewExecution, mayLeaveOut bool, now time.Time) ([]dao.Start, error) {
	ns = slices.Clone(ns)
	return ask(s.p, c, func() (starts []dao.Start, _ error) {
		if mayLeaveOut && s.w().faults.happens(lockedRow, 1) {
			return make([]dao.Start, len(ns)), nil
		}
		err := s.w().db.transaction(func(t *tx) (err error) {
			starts, err = t.start(ns, now)
			return err
		})
		if err == nil {
			s.w().countTogether(startsTogether, len(ns))
		}
		return starts, err
	})
}

func (s *apiStore) TaskKind(ctx context.Context, id uint64) (dao.TaskKind, error) {
	return ask(s.p, s.read(ctx, "TaskKind %d", id), func() (dao.TaskKind, error) {
		row := s.w().db.tasks[id]
		if row == nil {
			return dao.TaskKind{}, noTask(id)
		}
		return dao.TaskKind{ID: id, TaskName: row.TaskName, TaskType: row.TaskType, IndexCount: fresh(row.IndexCount)}, nil
	})
}

func (s *apiStore) RecordOutput(ctx context.Context, taskID uint64, data string, now time.Time) error {
	_, err := ask(s.p, s.write(ctx, "RecordOutput %d", taskID), func() (struct{}, error) {
		return struct{}{}, s.w().db.record(taskID, data, now)
	})
	return err
}

// RecordOutputs leaves out a row that is locked.
func (s *apiStore) RecordOutputs(ctx context.Context, outputs []dao.TaskOutput, now time.Time) ([]bool, error) {
	outputs = slices.Clone(outputs)
	var ids []uint64
	for _, o := range outputs {
		ids = append(ids, o.TaskID)
	}
	c := s.write(ctx, "RecordOutputs %v", ids)
	c.together = len(outputs)
	return ask(s.p, c, func() ([]bool, error) {
		recorded, n := make([]bool, len(outputs)), 0
		err := s.w().db.transaction(func(t *tx) error {
			for i, o := range outputs {
				row := t.task(o.TaskID)
				if row == nil || row.Status != dao.TaskRunning || row.TaskType != string(schema.KubeJob) || row.IndexCount != nil ||
					slices.Contains(ids[:i], o.TaskID) || s.w().faults.happens(lockedRow, 1) {
					continue
				}
				recorded[i] = true
				n++
				if err := t.record(row, o.Data, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			s.w().countTogether(outputsTogether, n)
		}
		return recorded, err
	})
}

func (s *apiStore) RecordIndexOutput(ctx context.Context, taskID uint64, index uint32, data string, _ time.Time) error {
	_, err := ask(s.p, s.write(ctx, "RecordIndexOutput %d %d", taskID, index), func() (struct{}, error) {
		return struct{}{}, s.w().db.recordIndex(taskID, index, data)
	})
	return err
}

func noTask(id uint64) error { return fmt.Errorf("simulated: task %d: %w", id, dao.ErrNotFound) }
