package verify

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// repair repairs what can be repaired while managers run: it wakes executions that
// nobody holds, and deletes Jobs that no task needs, by their UIDs. An error is the
// finding's; the others are repaired nevertheless.
func (v *Verifier) repair(ctx context.Context) {
	for i := range v.report.Findings {
		f := &v.report.Findings[i]
		if !f.Repairable() {
			continue
		}
		repair := v.deleteJob
		if f.Kind == WakesLate {
			repair = v.wake
		}
		done, err := repair(ctx, f)
		if err != nil {
			f.Repair = "failed: " + err.Error()
			continue
		}
		f.Repaired, f.Repair = true, done
	}
}

// Repairable says whether Run, if it is to repair, tries to repair it.
func (f *Finding) Repairable() bool {
	switch f.Kind {
	case WakesLate:
		return f.free
	case JobOrphan, JobDoubled, JobRunsOn:
		return true
	default:
		return false
	}
}

func (v *Verifier) wake(ctx context.Context, f *Finding) (string, error) {
	err := v.repairs.Wake(ctx, f.ExecutionID, v.cfg.Actor, fmt.Sprintf("%s: %s", f.Kind, f.What), v.cfg.Now())
	return "woken: the next manager that looks takes it up", err
}

// deleteJob deletes a Job, unless its labels have come to say that it is another
// installation's.
func (v *Verifier) deleteJob(ctx context.Context, f *Finding) (string, error) {
	j, err := v.jobs.Get(ctx, f.Job)
	if apierrors.IsNotFound(err) || err == nil && j.UID != f.UID {
		return "gone by now", nil
	}
	if err != nil {
		return "", err
	}
	if newJob(j).installation != v.cfg.Installation {
		return "", fmt.Errorf("the Job %s is another installation's by now", f.Job)
	}
	if err := v.jobs.Delete(ctx, f.Job, f.UID); err != nil {
		return "", err
	}
	done := fmt.Sprintf("deleted Job %s (UID %s)", f.Job, f.UID)
	if f.TaskID == 0 {
		return done, nil
	}
	err = v.repairs.NoteJobDeleted(ctx, f.ExecutionID, f.TaskID, v.cfg.Actor, fmt.Sprintf("%s, Job %s (UID %s): %s", f.Kind, f.Job, f.UID, f.What), v.cfg.Now())
	if err != nil {
		return "", fmt.Errorf("the Job is deleted, and the event that says so is not written: %w", err)
	}
	return done, nil
}
