package verify

import (
	"cmp"
	"fmt"

	"github.com/jobnetes/jobnetes/dao"
)

// happened is what a row is to have one event of: the execution's, or a task's.
type happened struct {
	task  uint64 // 0: the execution
	event dao.EventType
}

func (h happened) String() string {
	if h.task == 0 {
		return string(h.event)
	}
	return fmt.Sprintf("%s of task %d", h.event, h.task)
}

// addEvent adds a finding about an event.
func (l *look) addEvent(executionID uint64, of happened, kind Kind, format string, args ...any) {
	f := finding(kind, fmt.Sprintf(format, args...))
	f.ExecutionID, f.TaskID = executionID, of.task
	l.add(f)
}

// checkEvents wants one event for each thing that the rows say has happened, none
// for anything else, and all in an order in which they can have happened. Types that
// it does not know are acts of people, which say nothing of rows.
func (l *look) checkEvents(h *dao.History) {
	id := h.Execution.ID
	at := map[happened]int{} // the place of the first, from 1
	for i, ev := range h.Events {
		key := happened{event: ev.Type}
		if ev.TaskExecutionID != nil {
			key.task = *ev.TaskExecutionID
		}
		switch ev.Type {
		case dao.EventExecutionScheduled, dao.EventExecutionStarted, dao.EventExecutionSucceeded, dao.EventExecutionFailed,
			dao.EventTaskStarted, dao.EventTaskSucceeded, dao.EventTaskFailed:
		default:
			continue
		}
		if at[key] != 0 {
			l.addEvent(id, key, EventUnexpected, "event %d, %s, is there for the second time", ev.ID, key)
			continue
		}
		at[key] = i + 1
	}
	want := wantedEvents(h)
	for _, w := range want {
		if at[w] == 0 {
			l.addEvent(id, w, EventMissing, "the rows say that there was %s, and there is no event", w)
		}
	}
	allowed := map[happened]bool{{event: dao.EventExecutionScheduled}: true} // one that was inserted by SQL has none
	for _, w := range want {
		allowed[w] = true
	}
	for i, ev := range h.Events {
		key := happened{event: ev.Type}
		if ev.TaskExecutionID != nil {
			key.task = *ev.TaskExecutionID
		}
		if at[key] == i+1 && !allowed[key] {
			l.addEvent(id, key, EventUnexpected, "there is event %d, %s, and the rows say that it has not happened", ev.ID, key)
		}
	}
	l.checkOrder(h, at)
}

// wantedEvents are those that the rows ask for.
func wantedEvents(h *dao.History) []happened {
	var want []happened
	// It starts with its first task, or fails before.
	if h.Execution.Status == dao.ExecutionRunning || h.Execution.Status == dao.ExecutionSuccess || len(h.Tasks) > 0 {
		want = append(want, happened{event: dao.EventExecutionStarted})
	}
	switch h.Execution.Status {
	case dao.ExecutionSuccess:
		want = append(want, happened{event: dao.EventExecutionSucceeded})
	case dao.ExecutionFailed:
		want = append(want, happened{event: dao.EventExecutionFailed})
	}
	for _, t := range h.Tasks {
		want = append(want, happened{t.ID, dao.EventTaskStarted})
		switch t.Status {
		case dao.TaskSuccess:
			want = append(want, happened{t.ID, dao.EventTaskSucceeded})
		case dao.TaskFailed:
			want = append(want, happened{t.ID, dao.EventTaskFailed})
		}
	}
	return want
}

// checkOrder wants causes before effects.
func (l *look) checkOrder(h *dao.History, at map[happened]int) {
	before := func(a, b happened) {
		if at[a] != 0 && at[b] != 0 && at[a] > at[b] {
			l.addEvent(h.Execution.ID, happened{task: cmp.Or(b.task, a.task)}, EventOrder, "%s comes after %s", a, b)
		}
	}
	begin := happened{event: dao.EventExecutionStarted}
	before(happened{event: dao.EventExecutionScheduled}, begin)
	ends := map[uint64]happened{}
	for _, t := range h.Tasks {
		if t.Status == dao.TaskSuccess {
			ends[t.ID] = happened{t.ID, dao.EventTaskSucceeded}
		} else {
			ends[t.ID] = happened{t.ID, dao.EventTaskFailed}
		}
	}
	for _, t := range h.Tasks {
		started := happened{t.ID, dao.EventTaskStarted}
		before(begin, started)
		before(started, ends[t.ID])
		if t.PrevTaskExecutionID != nil {
			before(ends[*t.PrevTaskExecutionID], started)
		}
		if t.ParentTaskExecutionID != nil {
			before(happened{*t.ParentTaskExecutionID, dao.EventTaskStarted}, started)
			// An abort ends all at once, in the order of their ids.
			if abortedFor(h) == "" {
				before(ends[t.ID], ends[*t.ParentTaskExecutionID])
			}
		}
		before(ends[t.ID], happened{event: dao.EventExecutionSucceeded})
		before(ends[t.ID], happened{event: dao.EventExecutionFailed})
	}
}
