package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// pollInterval is how often a running Job's status is looked at. That the
	// process that runs it ends is noticed at once, if it was started here.
	pollInterval = 20 * time.Millisecond
	// The delay before a process that got nowhere is started again.
	minRestart = time.Second
	maxRestart = 30 * time.Second
	// sweepInterval is how often Jobs are looked for that are due for deletion.
	sweepInterval = 250 * time.Millisecond
)

// supervise sees to it that a process runs the Job until the Job ends, is
// deleted, its folder is gone, or ctx ends. It gives its slot back then.
func (r *Runner) supervise(ctx context.Context, t *tracked) {
	defer r.freeSlot(t)
	defer r.awaitHolder(ctx, t)
	delay := minRestart
	for {
		// Looked at before anything is started: that ctx has ended may be why the
		// slot became free.
		if ctx.Err() != nil || r.settled(t) {
			return
		}
		before := t.seen
		err := r.attend(ctx, t)
		if ctx.Err() != nil || r.settled(t) {
			return
		}
		if t.dir.gone() {
			r.noteRemoved(t)
			return
		}
		if t.seen != before {
			// It got somewhere, and was killed then. Resuming counts its pods as
			// failed, so this cannot go on forever.
			r.cfg.Log.Warn("the process that ran a job died; resuming the job", "job", t.rec.Job.Name, "err", err)
			delay = minRestart
			continue
		}
		r.cfg.Log.Error("the process that runs a job gets nowhere; starting it again",
			"job", t.rec.Job.Name, "err", err, "in", delay, "see", t.dir.logPath())
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, maxRestart)
	}
}

// awaitHolder closes the lock file; if the Job's folder is gone, not before no
// process runs the Job: that one may notice it later than others do.
func (r *Runner) awaitHolder(ctx context.Context, t *tracked) {
	if t.lock == nil {
		return
	}
	defer func() { _ = t.lock.Close() }()
	for t.dir.gone() {
		if held, err := isLocked(t.lock); err != nil || !held {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollInterval):
		}
	}
}

func (r *Runner) freeSlot(t *tracked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	close(t.idle)
	r.wakeUp()
}

// settled tells whether no process needs to run the Job.
func (r *Runner) settled(t *tracked) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return t.deleting || ended(&t.job.Status) != nil
}

// attend watches the process that runs the Job, which it starts if there is
// none, until that has ended.
func (r *Runner) attend(ctx context.Context, t *tracked) error {
	if t.lock == nil {
		lock, err := os.Open(t.dir.lockPath())
		if err != nil {
			return err
		}
		t.lock = lock
	}
	running := func() (bool, error) { return isLocked(t.lock) }
	held, err := running()
	if err != nil {
		return err
	}
	var exited <-chan error // stays nil for a process that a former Runner started
	if !held {
		if exited, err = r.spawn(t); err != nil {
			return err
		}
		running = func() (bool, error) { return true, nil }
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for alive := true; alive; {
		select {
		case <-ctx.Done():
			return nil
		case err = <-exited:
			alive = false
		case <-ticker.C:
			if alive, err = running(); err != nil {
				return err
			}
		}
		if err := r.refresh(t); err != nil {
			return err
		}
	}
	return err
}

// spawn starts the process that runs the Job, in a session of its own so that
// it outlives this one. How it ended is sent on exited.
func (r *Runner) spawn(t *tracked) (exited <-chan error, err error) {
	log, err := os.OpenFile(t.dir.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of the process that runs the job: %w", err)
	}
	defer func() { _ = log.Close() }()
	args := append(slices.Clone(r.cfg.Runner), string(t.dir))
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // it outlives us: no context of ours may end it
	cmd.Dir, cmd.Env = string(t.dir), baseEnv()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the process that runs the job: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return done, nil
}

// refresh reads the Job's status if it was written since, and tells of it.
func (r *Runner) refresh(t *tracked) error {
	info, err := os.Stat(t.dir.statusPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if t.seen != nil && os.SameFile(t.seen, info) && t.seen.ModTime().Equal(info.ModTime()) {
		return nil
	}
	p, err := t.dir.status()
	if err != nil {
		return err
	}
	var gone []corev1.Pod
	if isIndexed(&t.rec.Job.Spec) {
		if gone, err = t.dir.endedPods(t.read, p.Ended); err != nil {
			return err
		}
	}
	if t.dir.gone() {
		return nil // and with it what was to be read
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs[t.rec.Job.Name] != t {
		return nil // deleted meanwhile; this may have been another's status
	}
	t.seen, t.read = info, p.Ended
	t.succeeded = append(t.succeeded, succeededOf(gone)...)
	t.pods = p.Pods
	job := *t.job // the rest is shared: nobody changes it
	job.Status = p.Status
	t.job = &job
	r.notify(t.job)
	return nil
}

// sweep deletes the Jobs that have outlived their ttlSecondsAfterFinished,
// forgets those whose folders somebody has removed, and finishes deletions that
// were given up, until ctx ends.
func (r *Runner) sweep(ctx context.Context) {
	for {
		wait := sweepInterval
		if err := r.findRemoved(); err != nil {
			r.cfg.Log.Error("cannot look for jobs whose folders were removed; trying again", "err", err, "in", wait)
		}
		for _, t := range r.due(time.Now()) {
			if err := r.remove(ctx, t); err != nil && ctx.Err() == nil {
				wait = maxRestart
				r.cfg.Log.Error("cannot delete a job; trying again", "job", t.rec.Job.Name, "err", err, "in", wait)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// findRemoved marks the Jobs whose folders are gone as being deleted.
func (r *Runner) findRemoved() error {
	r.mu.Lock()
	// Before the folders: a Job that is known has had its folder.
	known := slices.Collect(maps.Values(r.jobs))
	r.mu.Unlock()
	if len(known) == 0 {
		return nil
	}
	entries, err := os.ReadDir(r.jobsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := make(map[string]bool, len(entries))
	for _, entry := range entries {
		there[entry.Name()] = true
	}
	for _, t := range known {
		if !there[t.rec.Job.Name] {
			r.noteRemoved(t)
		}
	}
	return nil
}

// noteRemoved marks the Job, whose folder is gone, as being deleted.
func (r *Runner) noteRemoved(t *tracked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs[t.rec.Job.Name] != t || t.deleting {
		return
	}
	r.cfg.Log.Warn("somebody removed the folder of a job; the job counts as deleted", "job", t.rec.Job.Name, "path", string(t.dir))
	r.markDeleting(t)
}

// due are the Jobs to be deleted at now.
func (r *Runner) due(now time.Time) (list []*tracked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.jobs {
		if t.deleting || expired(t.job, now) {
			list = append(list, t)
		}
	}
	return list
}

// expired tells whether the Job has ended at least ttlSecondsAfterFinished ago.
func expired(job *batchv1.Job, now time.Time) bool {
	end := ended(&job.Status)
	ttl := job.Spec.TTLSecondsAfterFinished
	return end != nil && ttl != nil && !now.Before(end.LastTransitionTime.Add(time.Duration(*ttl)*time.Second))
}

// markDeleting, called with mu held or before there is anybody else, makes the
// Job known as one that is being deleted.
func (r *Runner) markDeleting(t *tracked) {
	if t.deleting {
		return
	}
	t.deleting = true
	job := *t.job
	job.DeletionTimestamp = new(metav1.Now())
	t.job = &job
	r.waiting = slices.DeleteFunc(r.waiting, func(w *tracked) bool { return w == t })
	r.notify(t.job)
}
