package kube

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestSucceedsByPod(t *testing.T) {
	t.Parallel()
	yes := corev1.ConditionTrue
	cases := map[string]struct {
		job  batchv1.Job
		want bool
	}{
		"by default":       {batchv1.Job{}, true},
		"of one":           {batchv1.Job{Spec: batchv1.JobSpec{Completions: new(int32(1)), Parallelism: new(int32(1)), CompletionMode: new(batchv1.NonIndexedCompletion)}}, true},
		"complete":         {*jobWith(batchv1.JobCondition{Type: batchv1.JobComplete, Status: yes}), true},
		"of two":           {batchv1.Job{Spec: batchv1.JobSpec{Completions: new(int32(2))}}, false},
		"a work queue":     {batchv1.Job{Spec: batchv1.JobSpec{Parallelism: new(int32(2))}}, false},
		"indexed":          {batchv1.Job{Spec: batchv1.JobSpec{Completions: new(int32(1)), CompletionMode: new(batchv1.IndexedCompletion)}}, false},
		"a failure policy": {batchv1.Job{Spec: batchv1.JobSpec{PodFailurePolicy: &batchv1.PodFailurePolicy{}}}, false},
		"a success policy": {batchv1.Job{Spec: batchv1.JobSpec{SuccessPolicy: &batchv1.SuccessPolicy{}}}, false},
		"somebody else's":  {batchv1.Job{Spec: batchv1.JobSpec{ManagedBy: new("example.com/controller")}}, false},
		"about to fail":    {*jobWith(batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: yes}), false},
		"failed":           {*jobWith(batchv1.JobCondition{Type: batchv1.JobFailed, Status: yes}), false},
		"being deleted":    {batchv1.Job{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := SucceedsByPod(&tc.job); got != tc.want {
				t.Errorf("got %t", got)
			}
			if got := SucceedsByPod(knownOf(&tc.job).job()); got != tc.want {
				t.Errorf("as the watch keeps it: %t", got)
			}
		})
	}
}

// podOfJob is a pod of the Job with that UID.
func podOfJob(job string, phase corev1.PodPhase) *corev1.Pod {
	p := pod("p", phase, ended("c", 0, "Completed", `{"x":1}`))
	p.UID = "pod"
	p.Labels = map[string]string{batchv1.ControllerUidLabel: job}
	p.Finalizers = []string{batchv1.JobTrackingFinalizer}
	p.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", UID: types.UID(job), Controller: new(true)}}
	return &p
}

func withoutOwner(p *corev1.Pod) *corev1.Pod {
	p.OwnerReferences = nil
	return p
}

func TestSuccesses(t *testing.T) {
	t.Parallel()
	now := time.Unix(100, 0)
	s := newSuccesses()
	for name, p := range map[string]*corev1.Pod{
		"one that runs":   podOfJob("u1", corev1.PodRunning),
		"one that failed": podOfJob("u1", corev1.PodFailed),
		"one of no Job":   withoutOwner(podOfJob("u1", corev1.PodSucceeded)),
		"one that is not counted": func() *corev1.Pod {
			p := podOfJob("u1", corev1.PodSucceeded)
			p.Finalizers = nil
			return p
		}(),
		"one that gets deleted": func() *corev1.Pod { p := deleted(*podOfJob("u1", corev1.PodSucceeded), 90); return &p }(),
	} {
		if s.put(p, now) || s.get("u1") != nil {
			t.Errorf("%s counts", name)
		}
	}
	if p := podOfJob("u1", corev1.PodSucceeded); !s.put(p, now) || s.put(p, now) {
		t.Error("a pod that has succeeded is not new once")
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{UID: "u1"}}
	if o := OutcomeOf(job, []corev1.Pod{*s.get("u1")}, nil); !o.Succeeded || o.Output != `{"x":1}` {
		t.Errorf("the outcome is %+v", o)
	}
	s.forget(now)
	if s.get("u1") == nil {
		t.Error("it is forgotten too soon")
	}
	other := podOfJob("u1", corev1.PodSucceeded)
	other.UID = "another"
	s.remove(other)
	if s.get("u1") == nil {
		t.Error("it is forgotten for another")
	}
	s.put(podOfJob("u2", corev1.PodSucceeded), now.Add(time.Second))
	s.forget(now.Add(time.Second))
	if s.get("u1") != nil || s.get("u2") == nil {
		t.Error("the old one is not forgotten, or the new one is")
	}
	s.remove(podOfJob("u2", corev1.PodSucceeded))
	if s.get("u2") != nil {
		t.Error("one that is gone is not forgotten")
	}
}
