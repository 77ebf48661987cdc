package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

var (
	jobResource = batchv1.Resource("jobs")
	podResource = corev1.Resource("pods")
)

// Create takes the job in under its name and returns it as stored, with its
// UID and defaults. It is on disk then and starts as soon as there is a slot.
// The error is apierrors.IsAlreadyExists if the name is taken,
// apierrors.IsInvalid, naming the fields, if the job can never run here.
func (r *Runner) Create(_ context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	now := time.Now()
	job = job.DeepCopy()
	setDefaults(job)
	if err := validate(job); err != nil {
		return nil, err
	}
	job.UID = uuid.NewUUID()
	job.CreationTimestamp = metav1.NewTime(now).Rfc3339Copy()
	job.Status = batchv1.JobStatus{}

	// Somebody may have removed them to be rid of all Jobs.
	if err := r.makeDirs(); err != nil {
		return nil, fmt.Errorf("create job %s: %w", job.Name, err)
	}
	staged := jobDir(filepath.Join(r.tmpDir(), string(job.UID)))
	rec := record{Job: job, Created: now, Backoff: r.cfg.BackoffBase, Slots: r.cfg.Slots}
	if err := stage(staged, rec); err != nil {
		return nil, fmt.Errorf("create job %s: %w", job.Name, errors.Join(err, os.RemoveAll(string(staged))))
	}
	t := newTracked(r.jobDir(job.Name), rec)
	if err := r.publish(staged, t); err != nil {
		return nil, fmt.Errorf("create job %s: %w", job.Name, errors.Join(err, os.RemoveAll(string(staged))))
	}
	if err := syncDir(r.jobsDir()); err != nil {
		return nil, fmt.Errorf("create job %s: %w", job.Name, err)
	}
	return job.DeepCopy(), nil
}

// stage makes the folder of a new Job in a place where nobody looks.
func stage(d jobDir, rec record) error {
	if err := os.Mkdir(string(d), 0o700); err != nil {
		return err
	}
	if err := writeSynced(d.lockPath(), nil); err != nil {
		return err
	}
	if err := writeJSON(d.recordPath(), rec); err != nil {
		return err
	}
	return syncDir(string(d))
}

// publish gives the staged Job its name, unless that is taken.
func (r *Runner) publish(staged jobDir, t *tracked) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := t.rec.Job.Name
	if r.jobs[name] != nil {
		return apierrors.NewAlreadyExists(jobResource, name)
	}
	if err := os.Rename(string(staged), string(t.dir)); err != nil {
		return err
	}
	r.jobs[name] = t
	r.waiting = append(r.waiting, t)
	r.notify(t.job)
	return nil
}

// Get reads the Job from disk. The error is apierrors.IsNotFound if there is
// none.
func (r *Runner) Get(_ context.Context, name string) (*batchv1.Job, error) {
	t, job := r.find(name)
	if t == nil {
		return nil, apierrors.NewNotFound(jobResource, name)
	}
	p, err := t.dir.status()
	if t.dir.gone() { // somebody has removed it; sweep will notice
		return nil, apierrors.NewNotFound(jobResource, name)
	}
	// Looked up again because it may have been deleted meanwhile.
	if again, _ := r.find(name); again != t {
		return nil, apierrors.NewNotFound(jobResource, name)
	}
	if err != nil {
		return nil, fmt.Errorf("get job %s: %w", name, err)
	}
	job = job.DeepCopy()
	job.Status = p.Status
	return job, nil
}

func (r *Runner) find(name string) (*tracked, *batchv1.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.jobs[name]
	if t == nil {
		return nil, nil
	}
	return t, t.job
}

// Cached returns the Job as last noticed, nil if there is none. It must not be
// changed.
func (r *Runner) Cached(name string) *batchv1.Job {
	_, job := r.find(name)
	return job
}

// List returns all Jobs as last noticed, in no order. They must not be changed.
func (r *Runner) List() []*batchv1.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*batchv1.Job, 0, len(r.jobs))
	for _, t := range r.jobs {
		list = append(list, t.job)
	}
	return list
}

// Ping always succeeds: this computer is here.
func (r *Runner) Ping(context.Context) error { return nil }

// Quiet returns false: Jobs here are few, and Cached costs little.
func (r *Runner) Quiet(string, types.UID) bool { return false }

// Succeeded returns nil: a Job here has ended when its last process has.
func (r *Runner) Succeeded(*batchv1.Job) *corev1.Pod { return nil }

// Pods reads the Job's pods from disk, oldest first; none if there is no such
// Job. Of over 500 it returns up to 100 each of those that failed, have not ended, and
// have succeeded.
func (r *Runner) Pods(_ context.Context, jobName string) ([]corev1.Pod, error) {
	pods, err := r.allPods(jobName)
	return sample(pods), err
}

func (r *Runner) allPods(jobName string) ([]corev1.Pod, error) {
	t, job := r.find(jobName)
	if t == nil {
		return nil, nil
	}
	p, err := t.dir.progress()
	if err != nil && t.dir.gone() {
		return nil, nil // somebody has removed it meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("list pods of job %s: %w", jobName, err)
	}
	for i := range p.Pods {
		p.Pods[i].Spec = *job.Spec.Template.Spec.DeepCopy()
	}
	return p.Pods, nil
}

// findPod is the folder of a pod that has such a container. Both names may be
// anything: they become a path only if they are known.
func (r *Runner) findPod(pod, container string) (podDir, error) {
	for _, job := range r.List() {
		if !strings.HasPrefix(pod, podPrefix(job.Name)) {
			continue
		}
		known, err := r.hasPod(job.Name, pod)
		if err != nil {
			return "", err
		}
		if !known {
			continue
		}
		spec := &job.Spec.Template.Spec
		named := func(c corev1.Container) bool { return c.Name == container }
		if !slices.ContainsFunc(spec.Containers, named) && !slices.ContainsFunc(spec.InitContainers, named) {
			return "", apierrors.NewNotFound(corev1.Resource("containers"), container)
		}
		return r.jobDir(job.Name).pod(pod), nil
	}
	return "", apierrors.NewNotFound(podResource, pod)
}

// hasPod tells whether the Job has such a pod. Reading all pods of a large Job for
// each log would take long, and only one that has run nothing has no folder.
func (r *Runner) hasPod(job, pod string) (bool, error) {
	if filepath.Base(pod) != pod {
		return false, nil
	}
	if _, err := os.Lstat(string(r.jobDir(job).pod(pod))); err == nil {
		return true, nil
	}
	pods, err := r.allPods(job)
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == pod }), err
}
