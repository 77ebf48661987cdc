package local

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxBackoff caps the delay between retries, as Kubernetes documents it.
const maxBackoff = 6 * time.Minute

// verdict is what must become of a job with that status at now, by the rules
// and in the words of Kubernetes' Job controller: a FailureTarget or
// SuccessCriteriaMet condition, or nil if it goes on. Active pods must have
// ended before the job is over. restarts counts the restarts in place of the
// active pods' containers.
func verdict(spec *batchv1.JobSpec, status *batchv1.JobStatus, restarts int32, now time.Time) *batchv1.JobCondition {
	deadline, limited := jobDeadline(spec, status)
	switch {
	case status.Failed > *spec.BackoffLimit || restarts > *spec.BackoffLimit:
		return newCondition(batchv1.JobFailureTarget, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit", now)
	case tooManyFailed(spec, status):
		return newCondition(batchv1.JobFailureTarget, batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes", now)
	case limited && !now.Before(deadline):
		return newCondition(batchv1.JobFailureTarget, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline", now)
	case allIndexesEnded(spec, status) && *status.FailedIndexes != "":
		return newCondition(batchv1.JobFailureTarget, batchv1.JobReasonFailedIndexes, "Job has failed indexes", now)
	case status.Active == 0 && enoughSucceeded(spec, status.Succeeded):
		return newCondition(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods", now)
	}
	return nil
}

// enoughSucceeded tells whether no more pods are needed. Without completions,
// one pod speaks for all (a work queue).
func enoughSucceeded(spec *batchv1.JobSpec, succeeded int32) bool {
	if spec.Completions == nil {
		return succeeded > 0
	}
	return succeeded >= *spec.Completions
}

// podsToStart is how many pods are missing.
func podsToStart(spec *batchv1.JobSpec, status *batchv1.JobStatus) int32 {
	if enoughSucceeded(spec, status.Succeeded) {
		return 0
	}
	want := *spec.Parallelism
	if spec.Completions != nil {
		want = min(want, *spec.Completions-status.Succeeded)
	}
	return max(0, want-status.Active)
}

// jobDeadline is when the job must have ended; ok tells whether there is such
// a time.
func jobDeadline(spec *batchv1.JobSpec, status *batchv1.JobStatus) (deadline time.Time, ok bool) {
	if spec.ActiveDeadlineSeconds == nil || status.StartTime == nil {
		return time.Time{}, false
	}
	return status.StartTime.Add(time.Duration(*spec.ActiveDeadlineSeconds) * time.Second), true
}

// backoff is the delay before the next attempt after that many failures in a
// row: base, doubled with each, capped.
func backoff(base time.Duration, failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	delay := base
	for range failures - 1 {
		if delay >= maxBackoff {
			break
		}
		delay *= 2
	}
	return min(delay, maxBackoff)
}

// outcome is the condition that ends the job for the given reason.
func outcome(target *batchv1.JobCondition, now time.Time) *batchv1.JobCondition {
	final := batchv1.JobFailed
	if target.Type == batchv1.JobSuccessCriteriaMet {
		final = batchv1.JobComplete
	}
	return newCondition(final, target.Reason, target.Message, now)
}

func newCondition(t batchv1.JobConditionType, reason, message string, now time.Time) *batchv1.JobCondition {
	return &batchv1.JobCondition{
		Type:               t,
		Status:             corev1.ConditionTrue,
		LastProbeTime:      metav1.NewTime(now),
		LastTransitionTime: metav1.NewTime(now),
		Reason:             reason,
		Message:            message,
	}
}

// condition finds the first of these conditions that is true; nil if none is.
func condition(status *batchv1.JobStatus, types ...batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range status.Conditions {
		c := &status.Conditions[i]
		for _, t := range types {
			if c.Type == t && c.Status == corev1.ConditionTrue {
				return c
			}
		}
	}
	return nil
}

// ended is the condition that tells how the job ended; nil if it has not.
func ended(status *batchv1.JobStatus) *batchv1.JobCondition {
	return condition(status, batchv1.JobComplete, batchv1.JobFailed)
}
