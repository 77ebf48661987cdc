package schema

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	// MaxIndexes is the most indexes that a task can have. Kubernetes allows as many
	// where each may fail by itself, without a bound on how many fail.
	MaxIndexes = 100_000
	// DefaultParallelism is how many indexes run at once, at the most, if the Job does
	// not say it. Kubernetes' own default is 1.
	DefaultParallelism = 1000
	// defaultBackoffPerIndex is Kubernetes' default of backoffLimit.
	defaultBackoffPerIndex = 6
)

// indexed makes the Job of a task that says so an Indexed one, whose indexes fail
// each for itself.
func (d *decoder) indexed(object map[string]any, node *taskNode) {
	v, given := object["indexed"]
	on, isBool := v.(bool)
	if given && !isBool {
		d.add(node.at.child("indexed"), "is %s; it must be true or false", kindOf(v))
	}
	if !on || node.task.Job == nil {
		return
	}
	spec, at := &node.task.Job.Spec, node.at.child("job").child("spec")
	node.task.Indexes = d.checkCompletions(spec, at)
	d.checkIndexed(spec, at)
	mode := batchv1.IndexedCompletion
	spec.CompletionMode = &mode
	if spec.Parallelism == nil {
		spec.Parallelism = new(int32(min(node.task.Indexes, DefaultParallelism)))
	}
	if spec.BackoffLimitPerIndex == nil {
		spec.BackoffLimitPerIndex, spec.BackoffLimit = spec.BackoffLimit, nil
	}
	if spec.BackoffLimitPerIndex == nil {
		spec.BackoffLimitPerIndex = new(int32(defaultBackoffPerIndex))
	}
}

// checkCompletions returns how many indexes a Job has; 0 if that is a problem.
func (d *decoder) checkCompletions(spec *batchv1.JobSpec, at *path) uint32 {
	switch n := spec.Completions; {
	case n == nil:
		d.add(at, `the Job of an indexed task needs "completions": give the number of indexes, from 1 to 100,000`)
	case *n < 0: // which is reported of every Job
	case *n == 0:
		d.add(at.child("completions"), "is 0; an indexed task has at least one index: give their number, from 1 to 100,000")
	case *n > MaxIndexes:
		d.add(at.child("completions"), "is %d; an indexed task has at most %d indexes: let each do more of the work, or make it several tasks", *n, MaxIndexes)
	default:
		return uint32(*n)
	}
	return 0
}

// checkIndexed reports what the API server would refuse in an Indexed Job, and what
// would keep it from ever ending.
func (d *decoder) checkIndexed(spec *batchv1.JobSpec, at *path) {
	if mode := spec.CompletionMode; mode != nil && *mode != batchv1.IndexedCompletion {
		d.add(at.child("completionMode"), `is %q; an indexed task's is %q: leave it out`, *mode, batchv1.IndexedCompletion)
	}
	if spec.Suspend != nil && *spec.Suspend {
		d.add(at.child("suspend"), "is true; no index would ever run: leave it out")
	}
	switch n := spec.Parallelism; {
	case n != nil && *n == 0:
		d.add(at.child("parallelism"), "is 0; no index would ever run: give how many may run at once, or leave it out")
	case n != nil && *n > MaxIndexes:
		d.add(at.child("parallelism"), "is %d; Kubernetes runs at most %d indexes of a Job at once", *n, MaxIndexes)
	}
	if n := spec.MaxFailedIndexes; n != nil && spec.Completions != nil && *n > *spec.Completions {
		d.add(at.child("maxFailedIndexes"), "is %d, and there are %d indexes; it must not be more than completions", *n, *spec.Completions)
	}
	if pod := &spec.Template.Spec; pod.RestartPolicy == corev1.RestartPolicyOnFailure {
		d.add(at.child("template").child("spec").child("restartPolicy"),
			"is OnFailure; an indexed task needs Never, or none: Kubernetes counts the failed pods of an index, not restarts in a pod, so that one that fails would be restarted for ever")
	}
}
