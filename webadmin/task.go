package webadmin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// taskBody is what task.html shows.
type taskBody struct {
	dao.TaskExecution
	Execution     dao.WorkflowExecution
	Row           *dao.TaskExecution // the same, for its status
	Took          string
	Relatives     []relative
	Refresh       refreshView
	Error         valueView
	Input, Output valueView
	Indexes       string // how many of an indexed task are done; empty: it is none
	HasJob        bool
	Pods          []podView
	PodsNote      string // why there are none
}

// relative is a task that another one's page links to.
type relative struct {
	Relation string
	ID       uint64
	Name     string
}

// task returns the task that the path names.
func (s *Server) task(r *http.Request) (dao.TaskExecution, error) {
	id, err := pathID(r)
	if err != nil {
		return dao.TaskExecution{}, err
	}
	t, err := s.store.Task(r.Context(), id)
	return t, missing(err, "task", id)
}

func (s *Server) showTask(w http.ResponseWriter, r *http.Request) error {
	t, err := s.task(r)
	if err != nil {
		return err
	}
	e, err := s.store.Execution(r.Context(), t.WorkflowExecutionID)
	if err != nil {
		return err
	}
	relatives, err := s.relatives(r.Context(), t)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/tasks/%d", t.ID)
	body := taskBody{
		TaskExecution: t,
		Execution:     e,
		Row:           &t,
		Took:          elapsed(&t.StartedAt, t.EndedAt, s.cfg.Now()),
		Relatives:     relatives,
		Refresh:       newRefresh(r, t.Status.Ended()),
		Error:         newValue("Error", t.ErrorMsg, path+"/error", valueLimit),
		Input:         newValue("Input", t.Input, path+"/input", valueLimit),
		Output:        newOutput(t.Output, path+"/output", t.Status.Ended(), t.Status == dao.TaskSuccess),
		HasJob:        schema.Type(t.TaskType) == schema.KubeJob,
	}
	if !t.Status.Ended() && t.RecordedOutput != nil { // it becomes the output when the Job has succeeded
		body.Output = newValue("Output", *t.RecordedOutput, path+"/output", valueLimit)
	}
	if t.IndexCount != nil {
		n, err := s.store.Indexes(r.Context(), t.ID)
		if err != nil {
			return err
		}
		body.Indexes = fmt.Sprintf("%d of %d done", n.Succeeded, *t.IndexCount)
	}
	if err := s.fillPods(r.Context(), t, &body); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "task.html", page{
		Title: fmt.Sprintf("%s, task #%d: %s", t.TaskName, t.ID, t.Status), Nav: "executions", Refresh: body.Refresh.Seconds, Body: body,
	})
}

// relatives returns the parallel that the task is part of, and the tasks before
// and after it, as far as there are any.
func (s *Server) relatives(ctx context.Context, t dao.TaskExecution) ([]relative, error) {
	var list []relative
	for _, of := range []struct {
		relation string
		id       *uint64
	}{{"Part of", t.ParentTaskExecutionID}, {"After", t.PrevTaskExecutionID}, {"Then", t.NextTaskExecutionID}} {
		if of.id == nil {
			continue
		}
		row, err := s.store.Task(ctx, *of.id)
		if err != nil {
			return nil, err
		}
		list = append(list, relative{of.relation, row.ID, row.TaskName})
	}
	return list, nil
}

// fillPods adds the pods and their logs, and what was kept of those that are
// gone. The page stands without a cluster: one that is away must not hide why a
// task failed.
func (s *Server) fillPods(ctx context.Context, t dao.TaskExecution, body *taskBody) error {
	if !body.HasJob {
		return nil
	}
	names, err := s.store.TaskLogNames(ctx, t.ID)
	if err != nil {
		return err
	}
	kept, lost := keptLogs(names), pill{"gone", keyIdle}
	pods, err := s.podsOf(ctx, t)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "list the pods for a page", slog.Uint64("task_id", t.ID), slog.Any("error", err))
		lost = pill{"unknown", keyWaiting}
	}
	for _, p := range pods {
		body.Pods = append(body.Pods, newPodView(p, s.cfg.Now()))
	}
	s.fillLogs(ctx, t.ID, body.Pods, kept)
	for _, p := range kept.others(pods) {
		body.Pods = append(body.Pods, s.keptPodView(ctx, t.ID, p, lost, len(body.Pods) < logPods))
	}
	body.PodsNote = podsNote(t, err != nil, len(pods), len(kept))
	return nil
}

// manyPods is how many pods make a reader wonder whether these are all.
const manyPods = 100

// podsNote says why pods are missing, and where what is shown of them comes from.
func podsNote(t dao.TaskExecution, away bool, pods, kept int) string {
	const unread = "The pods could not be read: whatever runs the Jobs did not answer. Load the page again soon; webadmin's log has the reason."
	switch {
	case away && kept > 0:
		return unread + " Until then only the logs that were kept in the database are shown."
	case away:
		return unread
	case pods >= manyPods:
		return "Of a Job with over 500 pods some are shown: up to 100 each of those that failed, have not ended, and have succeeded. What each index has left is in the view v_indexes of the database."
	case pods > 0:
		return ""
	case kept > 0:
		return "The pods are gone: they are deleted with their Job, after k8s.job-retention, or when Kubernetes ends them, as at a deadline. Their logs are shown as they were kept in the database."
	case t.Status.Ended():
		return "There are no pods, and no logs were kept. Finished Jobs are deleted after k8s.job-retention; the ends of their logs are kept in the database, " +
			"unless manager.kept-log-bytes is 0, or the pods were removed before that, or none was ever started."
	case t.Waits():
		return whyNoJob(&t) + " As many run as manager.max-running-jobs, or manager.max-running-jobs-per-namespace, allows."
	case t.Creating():
		return whyNoJob(&t) + " If this lasts, the log and the /readyz of the execution's manager say why: the API server is away, or refuses the Job for now (a quota, missing rights)."
	case t.ExecutionName == nil:
		return "There is no pod yet."
	default:
		return fmt.Sprintf("There is no pod yet. If this lasts, `kubectl describe job %s` says why (a quota, Pod Security, …); in `jobnetes dev` it waits until other jobs have ended.", *t.ExecutionName)
	}
}

// taskValue sends an input, an output or an error message whole.
func (s *Server) taskValue(w http.ResponseWriter, r *http.Request) error {
	t, err := s.task(r)
	if err != nil {
		return err
	}
	switch r.PathValue("value") {
	case "input":
		return writeValue(w, t.Input)
	case "output":
		if !t.Status.Ended() && t.RecordedOutput != nil {
			return writeValue(w, *t.RecordedOutput)
		}
		return writeValue(w, t.Output)
	case "error":
		return writeText(w, t.ErrorMsg)
	default:
		return s.noPage(w, r)
	}
}
