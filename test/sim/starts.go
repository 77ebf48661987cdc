package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi"
	pb "github.com/jobnetes/jobnetes/proto"
)

const requestPrefix = "start-"

// requestID returns the id of the request that starts an execution.
func requestID(execution uint64) string { return requestPrefix + strconv.FormatUint(execution, 10) }

// request returns what starts an execution.
func (l *workload) request(execution uint64) *pb.WorkflowStartRequest {
	i := execution - 1
	return &pb.WorkflowStartRequest{
		WorkflowId: l.workflows[i], ExecName: strconv.FormatUint(execution, 10), Input: []byte(l.inputs[i]), RequestId: requestID(execution), Priority: l.priorities[i],
	}
}

// startAll has clients start the executions that nobody inserts by SQL: within some
// seconds or all at once, some of them by two clients.
func (w *world) startAll() {
	rng := stream(w.schedule.Seed, "starts")
	within := [...]int{1, 1, 5}[rng.IntN(3)]
	for i, bySQL := range w.load.bySQL {
		execution, due, clients := uint64(i+1), w.now().Add(time.Duration(rng.IntN(within))*time.Second), 1+rng.IntN(3)/2
		if bySQL || w.schedule.without[i] {
			continue
		}
		for n := range clients {
			w.errands = append(w.errands, w.newStart(fmt.Sprintf("start %d.%d", execution, n+1), w.load.request(execution), due))
		}
	}
}

// newStart returns a start, whose client is to be told its own execution.
func (w *world) newStart(key string, req *pb.WorkflowStartRequest, due time.Time) *errand {
	return &errand{
		key: key, due: due,
		send: func(ctx context.Context, s *jobapi.Server) (uint64, error) {
			res, err := s.StartWorkflow(ctx, req)
			return res.GetId(), err
		},
		acknowledged: func(t *try) {
			switch e := w.db.executions[t.id]; {
			case e == nil:
				w.violate("%s is told that it has started execution %d, which is not in the database", key, t.id)
			case e.RequestID == nil || *e.RequestID != req.GetRequestId():
				w.violate("%s is told that it has started execution %d, which is another one's", key, t.id)
			}
		},
	}
}

// reuseID has a client send the request_id of an execution that was started, with another
// input.
func (w *world) reuseID() bool {
	var all []*dao.WorkflowExecution
	for _, id := range w.executionIDs() {
		if e := w.db.executions[id]; e != nil && e.RequestID != nil {
			all = append(all, e)
		}
	}
	e := pick(w, all, func(*dao.WorkflowExecution) bool { return true })
	if e == nil {
		return false
	}
	req := w.load.request(e.ID)
	req.Input = []byte(`{"value":5,"other":true}`)
	s := w.newStart("start like "+e.Name, req, w.now())
	s.acknowledged = func(t *try) {
		w.violate("%s, with another input, is told that it has started execution %d", s.key, t.id)
	}
	s.refused = func(err error) bool { return errors.Is(err, dao.ErrDuplicate) }
	w.errands = append(w.errands, s)
	w.trace.add(w, "a client is about to send", s.key)
	return true
}

// start is what dao.CreateExecutions does about executions of one workflow.
func (t *tx) start(ns []dao.NewExecution, now time.Time) ([]dao.Start, error) {
	var starts []dao.Start
	for _, n := range ns {
		e := t.startedBefore(n)
		if e == nil || t.db.unlooked {
			var err error
			if e, err = t.insertExecution(n, now); err != nil {
				return nil, err
			}
		}
		s := dao.Start{ID: e.ID}
		if e.Name != n.Name || e.Input != n.Input || e.Priority != n.Priority {
			s.Err = fmt.Errorf("simulated: request id %q: %w", n.RequestID, dao.ErrDuplicate)
		}
		starts = append(starts, s)
	}
	return starts, nil
}

// startedBefore returns the execution that a start's request id has started; nil if none.
func (t *tx) startedBefore(n dao.NewExecution) *dao.WorkflowExecution {
	for _, rows := range []map[uint64]*dao.WorkflowExecution{t.executions, t.db.executions} {
		for _, e := range rows {
			if e.WorkflowID == n.WorkflowID && e.RequestID != nil && *e.RequestID == n.RequestID {
				return e
			}
		}
	}
	return nil
}

// insertExecution inserts an execution, whose id is that of its request, so that it is the
// same in all runs of a workload.
func (t *tx) insertExecution(n dao.NewExecution, now time.Time) (*dao.WorkflowExecution, error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(n.RequestID, requestPrefix), 10, 64)
	if err != nil {
		panic(err)
	}
	for t.execution(id) != nil {
		id += 1000
	}
	at := micros(now)
	e := newExecution(id, n.WorkflowID, n.Input, n.Priority, at)
	e.Name, e.WorkflowVersionID, e.RequestID = n.Name, fresh(&n.VersionID), fresh(&n.RequestID)
	t.events = append(t.events, dao.ExecutionEvent{WorkflowExecutionID: id, At: at, Type: dao.EventExecutionScheduled, Actor: n.Actor})
	return e, t.saveExecution(e)
}

// checkStarted looks at an execution that is about to be inserted, and returns the events
// that this asks for.
func (w *world) checkStarted(t *tx, e *dao.WorkflowExecution) (events []string) {
	for _, rows := range []map[uint64]*dao.WorkflowExecution{t.executions, w.db.executions} {
		for _, id := range slices.Sorted(maps.Keys(rows)) {
			if other := rows[id]; id < e.ID && other.RequestID != nil && *other.RequestID == *e.RequestID {
				w.violate("execution %d is started by %s, which has started execution %d before", e.ID, *e.RequestID, id)
				return nil
			}
		}
	}
	req := w.load.request(e.ID)
	if e.WorkflowID != req.GetWorkflowId() || e.Name != req.GetExecName() || e.Input != string(req.GetInput()) || e.Priority != req.GetPriority() {
		w.violate("execution %d is not what its client has sent: %+v", e.ID, e)
	}
	if !slices.ContainsFunc(t.events, func(o dao.ExecutionEvent) bool {
		return o.Type == dao.EventExecutionScheduled && o.WorkflowExecutionID == e.ID
	}) {
		w.violate("execution %d is started, and no event says so", e.ID)
	}
	return []string{eventName(dao.EventExecutionScheduled, e.ID, nil)}
}
