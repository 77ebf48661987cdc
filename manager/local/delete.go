package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// killMargin is how long, after the grace period, the process that runs a
	// Job may take to end before it is killed.
	killMargin = 5 * time.Second
	// deletePoll is how often it is looked whether that process has ended.
	deletePoll = 5 * time.Millisecond
)

// Delete ends what runs of the named Job, waits for it to end (with TERM, and
// KILL after terminationGracePeriodSeconds, at most 30s), and removes the Job
// with its pods and logs. With a uid only the Job with that UID is meant. It is
// no error if there is no such Job. If ctx ends before, the deletion goes on
// while Run runs, and with the next Runner.
func (r *Runner) Delete(ctx context.Context, name string, uid types.UID) error {
	t, job := r.find(name)
	if t == nil || uid != "" && uid != job.UID {
		return nil
	}
	if err := r.remove(ctx, t); err != nil {
		return fmt.Errorf("delete job %s: %w", name, err)
	}
	return nil
}

// remove deletes the Job, or waits until another has.
func (r *Runner) remove(ctx context.Context, t *tracked) error {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-t.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-t.gone:
		return nil
	default:
	}
	// The mark stops a process that is about to run the Job, and makes the
	// deletion survive this one.
	err := os.WriteFile(t.dir.deletedPath(), nil, 0o600)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.mu.Lock()
	r.markDeleting(t)
	r.mu.Unlock()
	lock, err := r.endRun(ctx, t)
	if err != nil && t.dir.gone() {
		return r.forget(ctx, t)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unlock(lock) }()
	err = t.dir.endLost()
	if err != nil && t.dir.gone() {
		return r.forget(ctx, t)
	}
	if err != nil {
		return err
	}
	return r.discard(t)
}

// forget discards the Job, whose folder is gone. The process that runs it
// notices that too, ends the pods, and then itself.
func (r *Runner) forget(ctx context.Context, t *tracked) error {
	r.mu.Lock()
	idle := t.idle
	r.mu.Unlock()
	if idle != nil {
		patience := folderCheck + t.grace() + killMargin
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("wait for its processes to end: %w", ctx.Err())
		case <-time.After(patience):
			return fmt.Errorf("the process that runs it has not ended within %v after its folder %s was removed: end it by hand", patience, t.dir)
		}
	}
	r.mu.Lock()
	pods := t.pods
	r.mu.Unlock()
	// That process may have been killed before it noticed.
	if err := t.dir.endPods(&t.rec.Job.Spec.Template.Spec, pods); err != nil {
		return err
	}
	return r.discard(t)
}

// grace is how long the Job's pods may take to end.
func (t *tracked) grace() time.Duration {
	seconds := min(*t.rec.Job.Spec.Template.Spec.TerminationGracePeriodSeconds, maxGrace)
	return time.Duration(seconds) * time.Second
}

// endRun ends the process that runs the Job, if any, and returns its lock.
func (r *Runner) endRun(ctx context.Context, t *tracked) (*os.File, error) {
	patience := time.After(t.grace() + killMargin)
	ticker := time.NewTicker(deletePoll)
	defer ticker.Stop()
	sig := syscall.SIGTERM
	for {
		lock, err := lockFile(t.dir.lockPath(), 0)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		// Again and again, because the first may have come before the process
		// was ready for it. It does not mind.
		if err := signalHolder(t.dir.lockPath(), sig); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for its processes to end: %w", ctx.Err())
		case <-patience:
			sig = syscall.SIGKILL
		case <-ticker.C:
		}
	}
}

// endLost kills the processes of pods whose RunJob was killed.
func (d jobDir) endLost() error {
	rec, err := d.record()
	if err != nil {
		return err
	}
	p, err := d.status()
	if err != nil {
		return err
	}
	return d.endPods(&rec.Job.Spec.Template.Spec, p.Pods)
}

// endPods kills what is left of those pods that have not ended as far as known.
func (d jobDir) endPods(spec *corev1.PodSpec, pods []corev1.Pod) error {
	for i := range pods {
		if podEnded(&pods[i]) {
			continue
		}
		if err := d.endPod(spec, &pods[i]); err != nil {
			return err
		}
	}
	return nil
}

// discard takes the folder of the Job, of which nothing runs, out of sight at
// once, if it is there, and then removes it.
func (r *Runner) discard(t *tracked) error {
	if err := r.makeDirs(); err != nil {
		return err
	}
	trash := filepath.Join(r.tmpDir(), string(t.rec.Job.UID))
	r.mu.Lock()
	err := os.Rename(string(t.dir), trash)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(r.jobs, t.rec.Job.Name)
		close(t.gone)
		r.notify(t.job)
	}
	r.mu.Unlock()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(trash); err != nil {
		// The Job is gone; the next Runner tries again.
		r.cfg.Log.Warn("cannot remove the files of a deleted job", "path", trash, "err", err)
	}
	return nil
}
