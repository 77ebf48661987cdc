package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deleted is a pod that somebody asked to delete at a second, with 30 of grace.
func deleted(p corev1.Pod, second int64) corev1.Pod {
	p.DeletionTimestamp = &metav1.Time{Time: time.Unix(second+30, 0)}
	p.DeletionGracePeriodSeconds = new(int64(30))
	return p
}

// again says how a container ended before.
func again(s corev1.ContainerStatus, before corev1.ContainerStatus) corev1.ContainerStatus {
	s.LastTerminationState = before.State
	return s
}

func TestFailureByDeletion(t *testing.T) {
	t.Parallel()
	// The Job's controller decides at second 100, and deletes what runs then.
	decided := func(reason string) *batchv1.Job {
		job := failedBy(reason, "message")
		job.Status.Conditions[0].LastTransitionTime = metav1.Time{Time: time.Unix(100, 0)}
		job.Status.Conditions[1].LastTransitionTime = metav1.Time{Time: time.Unix(140, 0)}
		return job
	}
	backoff := decided("BackoffLimitExceeded")
	runs := pod("p", corev1.PodRunning, running("c"))
	killed := finished(ended("c", 143, "Error", ""), 101)
	failed := func(name string, second int64) corev1.Pod {
		return at(pod(name, corev1.PodFailed, finished(ended("c", 2, "Error", ""), second)), 1)
	}
	atWork := []Log{log("p", "c", "at work\n")}
	const lines = "; last lines of the log of container c of pod p:\nat work"

	cases := map[string]struct {
		job         *batchv1.Job
		pods        []corev1.Pod
		wantReason  string
		wantMessage string
	}{
		"by hand, while it ran": {backoff, []corev1.Pod{deleted(runs, 98)},
			"PodDeleted", "pod p was deleted (not by jobnetes) while container c ran" + lines},
		"and was ended": {backoff, []corev1.Pod{deleted(pod("p", corev1.PodFailed, killed), 98)},
			"PodDeleted", "pod p was deleted (not by jobnetes) while container c ran: container c exited with code 143 (signal 15: terminated)" + lines},
		"and ended well": {backoff, []corev1.Pod{deleted(pod("p", corev1.PodSucceeded, finished(ended("c", 0, "Completed", ""), 99)), 98)},
			"PodDeleted", "pod p was deleted (not by jobnetes) while container c ran" + lines},
		"before it ran": {backoff, []corev1.Pod{deleted(pod("q", corev1.PodPending, held("ErrImagePull", "not found")), 98)},
			"PodDeleted", "pod q was deleted (not by jobnetes) while no container ran: container c never ran (ErrImagePull): not found"},
		"while it ran, not its sidecar": {backoff, []corev1.Pod{deleted(withSidecar(runs, running("proxy")), 98)},
			"PodDeleted", "pod p was deleted (not by jobnetes) while container c ran" + lines},
		"after another had failed, and it was made": {backoff, []corev1.Pod{failed("o", 50), at(deleted(runs, 98), 60)},
			"PodDeleted", "pod p was deleted (not by jobnetes) while container c ran" + lines},
		"when it had failed": {backoff, []corev1.Pod{deleted(failed("p", 90), 98)},
			"BackoffLimitExceeded", "pod p: container c exited with code 2" + lines},
		"with a reason": {backoff, []corev1.Pod{deleted(disrupted(runs, "EvictionByEvictionAPI", "Eviction API: evicting"), 98)},
			"EvictionByEvictionAPI", "pod p: EvictionByEvictionAPI: Eviction API: evicting"},
		"by the Job, because another had failed": {backoff, []corev1.Pod{failed("o", 98), at(deleted(pod("p", corev1.PodFailed, killed), 100), 60)},
			"BackoffLimitExceeded", "pod o: container c exited with code 2"},
		"by the Job, because another was deleted": {backoff, []corev1.Pod{deleted(pod("o", corev1.PodRunning, running("c")), 98), at(deleted(runs, 100), 60)},
			"PodDeleted", "pod o was deleted (not by jobnetes) while container c ran"},
		"in the second in which the Job failed, for nothing else": {backoff, []corev1.Pod{deleted(runs, 100)},
			"PodDeleted", "pod p was deleted (not by jobnetes) while container c ran" + lines},
		"in that second, one of two": {backoff, []corev1.Pod{deleted(runs, 100), deleted(pod("o", corev1.PodPending), 100)},
			"BackoffLimitExceeded", "pod p: container c was still running" + lines},
		"later, by the Job": {backoff, []corev1.Pod{deleted(runs, 101)},
			"BackoffLimitExceeded", "pod p: container c was still running" + lines},
		"by the Job, because it was restarted too often": {backoff, []corev1.Pod{deleted(pod("p", corev1.PodRunning, again(killed, ended("c", 3, "Error", "why"))), 100)},
			"BackoffLimitExceeded", "pod p: container c exited with code 3: why" + lines},
		"by the Job, at its deadline": {decided("DeadlineExceeded"), []corev1.Pod{deleted(runs, 100)},
			"DeadlineExceeded", "pod p: container c was still running; message" + lines},
		"by hand, and another reason to fail": {decided("PodFailurePolicy"), []corev1.Pod{deleted(runs, 98)},
			"PodFailurePolicy", "pod p: container c was still running; message" + lines},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := Outcome{Reason: tc.wantReason, Message: tc.wantMessage}
			if diff := cmp.Diff(want, OutcomeOf(tc.job, tc.pods, atWork)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMayWrite(t *testing.T) {
	t.Parallel()
	exited := ended("c", 1, "Error", "")
	cases := map[string]struct {
		pod  corev1.Pod
		want bool
	}{
		"runs":                           {pod("p", corev1.PodRunning, running("c")), true},
		"one of its containers runs":     {pod("p", corev1.PodRunning, exited, running("d")), true},
		"is being made":                  {pod("p", corev1.PodPending, held("ContainerCreating", "")), true},
		"nothing is known":               {corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}, true},
		"its containers have ended":      {pod("p", corev1.PodRunning, exited), false},
		"has ended, one never ran":       {pod("p", corev1.PodFailed, held("PodInitializing", "")), false},
		"has ended, and lost sight of c": {pod("p", corev1.PodSucceeded, running("c")), false},
	}
	for name, tc := range cases {
		if got := MayWrite([]corev1.Pod{pod("o", corev1.PodFailed, exited), tc.pod}); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
