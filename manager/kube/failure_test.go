package kube

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func failedBy(reason, message string) *batchv1.Job {
	return jobWith(
		batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: "Other"},
		batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason, Message: message})
}

func running(name string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

// because sets a pod's own reason.
func because(p corev1.Pod, reason, message string) corev1.Pod {
	p.Status.Reason, p.Status.Message = reason, message
	return p
}

func disrupted(p corev1.Pod, reason, message string) corev1.Pod {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message}}
	return p
}

// at sets when a pod started, in seconds.
func at(p corev1.Pod, second int64) corev1.Pod {
	p.Status.StartTime = &metav1.Time{Time: time.Unix(second, 0)}
	return p
}

// finished sets when a container ended, in seconds.
func finished(c corev1.ContainerStatus, second int64) corev1.ContainerStatus {
	c.State.Terminated.FinishedAt = metav1.Time{Time: time.Unix(second, 0)}
	return c
}

// withSidecar gives a pod an init container that runs beside the others.
func withSidecar(p corev1.Pod, s corev1.ContainerStatus) corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: s.Name, RestartPolicy: &always}}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{s}
	return p
}

func log(pod, container, text string) Log {
	return Log{Pod: pod, Container: container, Text: []byte(text)}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	backoff := failedBy("BackoffLimitExceeded", "Job has reached the specified backoff limit")
	late := failedBy("DeadlineExceeded", "Job was active longer than specified deadline")
	policy := failedBy("PodFailurePolicy", "Container c for pod n/p failed with exit code 137 matching FailJob rule at index 0")
	exit := func(code int32, reason, message string) []corev1.Pod {
		return []corev1.Pod{pod("p", corev1.PodFailed, ended("c", code, reason, message))}
	}
	numbered := func(from, to int) string {
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, "line %d\n", i)
		}
		return b.String()
	}
	const lines = "; last lines of the log of container c of pod p:\n"
	long := strings.Repeat("0123456789", 60)

	cases := map[string]struct {
		job         *batchv1.Job
		pods        []corev1.Pod
		logs        []Log
		wantReason  string
		wantMessage string
	}{
		"pod, container, exit code and termination message": {backoff,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("ok", 0, "Completed", ""), ended("c", 3, "Error", "no such table\n"))}, nil,
			"BackoffLimitExceeded", "pod p: container c exited with code 3: no such table"},
		"the container's own reason says more than Kubernetes'": {backoff, exit(137, "OOMKilled", ""), nil,
			"OOMKilled", "pod p: container c exited with code 137 (signal 9: killed, OOMKilled)"},
		"so does that of one that could not be started": {backoff, exit(128, "StartError", "exec: no such file"), nil,
			"StartError", "pod p: container c exited with code 128 (StartError): exec: no such file"},
		"and that of one that never ran": {backoff, []corev1.Pod{pod("p", corev1.PodPending, held("ErrImagePull", "not found"))}, nil,
			"ImagePullBackOff", "pod p: container c never ran (ErrImagePull): not found"},
		"and the pod's, before its containers'": {backoff,
			[]corev1.Pod{because(pod("p", corev1.PodFailed, ended("c", 137, "ContainerStatusUnknown", "")), "Evicted", "The node was low on resource: memory.")}, nil,
			"Evicted", "pod p: container c exited with code 137 (signal 9: killed, ContainerStatusUnknown), Evicted: The node was low on resource: memory."},
		"and who disrupted it": {backoff,
			[]corev1.Pod{disrupted(pod("p", corev1.PodFailed, ended("c", 143, "Error", "")), "PreemptionByScheduler", "preempting to accommodate a higher priority pod")}, nil,
			"PreemptionByScheduler", "pod p: container c exited with code 143 (signal 15: terminated), PreemptionByScheduler: preempting to accommodate a higher priority pod"},
		"but a deadline is the reason, whatever the pod says": {late, exit(137, "OOMKilled", ""), nil,
			"DeadlineExceeded", "pod p: container c exited with code 137 (signal 9: killed, OOMKilled); Job was active longer than specified deadline"},
		"and so is a pod failure policy": {policy, exit(137, "OOMKilled", ""), nil,
			"PodFailurePolicy", "pod p: container c exited with code 137 (signal 9: killed, OOMKilled); Container c for pod n/p failed with exit code 137 matching FailJob rule at index 0"},
		"what the pod says for its container and the Job for its pod is said once": {late,
			[]corev1.Pod{because(pod("p", corev1.PodFailed, ended("c", 1, "DeadlineExceeded", "")), "DeadlineExceeded", "Job was active longer than specified deadline")}, nil,
			"DeadlineExceeded", "pod p: container c exited with code 1; Job was active longer than specified deadline"},
		"a pod's own deadline, too": {backoff,
			[]corev1.Pod{because(pod("p", corev1.PodFailed, ended("c", 143, "DeadlineExceeded", "")), "DeadlineExceeded", "Pod was active too long")}, nil,
			"DeadlineExceeded", "pod p: container c exited with code 143 (signal 15: terminated), DeadlineExceeded: Pod was active too long"},
		"a code of its own is no signal": {backoff, exit(255, "Error", ""), nil,
			"BackoffLimitExceeded", "pod p: container c exited with code 255"},

		"the last lines of its log come last": {late, exit(1, "Error", ""), []Log{log("p", "other", "x"), log("p", "c", "one\ntwo\n\n")},
			"DeadlineExceeded", "pod p: container c exited with code 1; Job was active longer than specified deadline" + lines + "one\ntwo"},
		"only the last ten": {backoff, exit(1, "Error", ""), []Log{log("p", "c", numbered(1, 99))},
			"BackoffLimitExceeded", "pod p: container c exited with code 1" + lines + strings.TrimSpace(numbered(90, 99))},
		"a termination message from the log is not repeated": {backoff, exit(1, "Error", "two\nthree"), []Log{log("p", "c", "one\ntwo\nthree\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 1: two\nthree"},
		"unless it is long: then its end is told": {backoff, exit(1, "Error", long+"\nthe end"), []Log{log("p", "c", "before\n"+long+"\nthe end\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 1" + lines + "before\n" + long + "\nthe end"},
		"one of its own is": {backoff, exit(1, "Error", "why"), []Log{log("p", "c", "one\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 1: why" + lines + "one"},
		"no NUL, no control character, no broken UTF-8": {backoff, exit(1, "Error", "a\x00b\xff"), []Log{log("p", "c", "\x1b[31mred\x00\r\n\ttab \xc3\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 1: ab?" + lines + "[31mred\n\ttab ?"},
		"nor one beyond ASCII, nor what turns the text": {backoff, exit(1, "Error", "a\u0085b\u202ec"), []Log{log("p", "c", "o\u009bne\u2066\u200f\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 1: abc" + lines + "one"},
		"of several containers the first that failed": {backoff,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("a", 0, "Completed", ""), ended("b", 1, "Error", ""), ended("c", 2, "Error", ""))},
			[]Log{log("p", "a", "a\n"), log("p", "c", "c\n")},
			"BackoffLimitExceeded", "pod p: container b exited with code 1, container c exited with code 2" + lines + "c"},
		"by the time, not by the spec": {backoff,
			[]corev1.Pod{pod("p", corev1.PodFailed, finished(ended("b", 137, "OOMKilled", ""), 20), finished(ended("c", 2, "Error", ""), 10))},
			[]Log{log("p", "b", "b\n"), log("p", "c", "c\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 2, container b exited with code 137 (signal 9: killed, OOMKilled)" + lines + "c"},
		"one of which nobody knows when comes after": {backoff,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("b", 137, "ContainerStatusUnknown", ""), finished(ended("c", 2, "Error", ""), 10))}, nil,
			"BackoffLimitExceeded", "pod p: container c exited with code 2, container b exited with code 137 (signal 9: killed, ContainerStatusUnknown)"},
		"and a sidecar last, whenever it was ended": {backoff,
			[]corev1.Pod{withSidecar(pod("p", corev1.PodFailed, finished(ended("c", 2, "Error", ""), 10)), finished(ended("proxy", 137, "OOMKilled", ""), 9))},
			[]Log{log("p", "proxy", "bye\n"), log("p", "c", "c\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 2, container proxy exited with code 137 (signal 9: killed, OOMKilled)" + lines + "c"},
		"of several pods the last to start": {backoff,
			[]corev1.Pod{at(pod("q", corev1.PodFailed, ended("c", 1, "Error", "")), 1), at(pod("p", corev1.PodFailed, ended("c", 2, "Error", "")), 2)},
			[]Log{log("q", "c", "q\n"), log("p", "c", "p\n")},
			"BackoffLimitExceeded", "pod p: container c exited with code 2" + lines + "p"},
		"and one that failed before one that ran on": {backoff,
			[]corev1.Pod{at(pod("p", corev1.PodFailed, ended("c", 2, "Error", "")), 1), at(pod("q", corev1.PodRunning, running("c")), 2)}, nil,
			"BackoffLimitExceeded", "pod p: container c exited with code 2"},
		"what was still running at the deadline": {late, []corev1.Pod{pod("p", corev1.PodRunning, running("c"))}, []Log{log("p", "c", "at work\n")},
			"DeadlineExceeded", "pod p: container c was still running; Job was active longer than specified deadline" + lines + "at work"},

		"which is not its sidecar": {late, []corev1.Pod{withSidecar(pod("p", corev1.PodRunning, running("c")), running("proxy"))}, []Log{log("p", "c", "at work\n")},
			"DeadlineExceeded", "pod p: container c was still running; Job was active longer than specified deadline" + lines + "at work"},

		"without pods there are Kubernetes' own message": {backoff, nil, nil,
			"BackoffLimitExceeded", "Job has reached the specified backoff limit"},
		"and the last log that was kept": {late, nil, []Log{log("o", "c", "old\n"), log("p", "c", "kept\n"), log("p", "d", " \n")},
			"DeadlineExceeded", "Job was active longer than specified deadline" + lines + "kept"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := Outcome{Reason: tc.wantReason, Message: tc.wantMessage}
			if diff := cmp.Diff(want, OutcomeOf(tc.job, tc.pods, tc.logs)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// However much pods and logs say, the message has the end of the log, and fits
// what the database keeps of it.
func TestFailureMessageFits(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", 253)
	var states []corev1.ContainerStatus
	for i := range 20 {
		states = append(states, ended(fmt.Sprintf("c%02d", i)+strings.Repeat("c", 60), 1, "Error", strings.Repeat("é", 2000)))
	}
	p := because(pod(name, corev1.PodFailed, states...), "Evicted", strings.Repeat("m", 5000))
	o := OutcomeOf(failedBy("DeadlineExceeded", strings.Repeat("d", 5000)), []corev1.Pod{p}, []Log{log(name, states[0].Name, strings.Repeat("é", 5000)+"\nthe end\n")})
	const limit = 4096 // of engine.maxMessage
	if len(o.Message) > limit || !utf8.ValidString(o.Message) || !strings.HasSuffix(o.Message, "the end") {
		t.Errorf("%d bytes, which end with %q", len(o.Message), o.Message[max(0, len(o.Message)-20):])
	}
}

func TestFailedBy(t *testing.T) {
	t.Parallel()
	target := batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: "DeadlineExceeded"}
	cases := map[string]struct {
		job  *batchv1.Job
		want string
	}{
		"runs":                              {jobWith(), ""},
		"is about to fail":                  {jobWith(target), "DeadlineExceeded"},
		"has failed":                        {jobWith(batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}), "Failed"},
		"is about to be one that succeeded": {jobWith(batchv1.JobCondition{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, Reason: "x"}), ""},
		"a condition that is not true":      {jobWith(batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: corev1.ConditionFalse, Reason: "x"}), ""},
	}
	for name, tc := range cases {
		if got := FailedBy(tc.job); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
