package kube

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

func pod(name string, phase corev1.PodPhase, states ...corev1.ContainerStatus) corev1.Pod {
	p := corev1.Pod{}
	p.Name, p.Status.Phase, p.Status.ContainerStatuses = name, phase, states
	for _, s := range states {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: s.Name})
	}
	return p
}

func ended(name string, code int32, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}}
}

func held(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func jobWith(conditions ...batchv1.JobCondition) *batchv1.Job {
	job := &batchv1.Job{}
	job.UID = "u1"
	job.Status.Conditions = conditions
	return job
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	yes := corev1.ConditionTrue
	complete := jobWith(batchv1.JobCondition{Type: batchv1.JobSuccessCriteriaMet, Status: yes}, batchv1.JobCondition{Type: batchv1.JobComplete, Status: yes})
	stranger := pod("x", corev1.PodSucceeded, ended("c", 0, "Completed", `{"stranger":1}`))
	stranger.Labels = map[string]string{batchv1.ControllerUidLabel: "u0"}
	const gone = "its pods are gone, and with them what they left in $JOBNETES_OUTPUT"

	cases := map[string]struct {
		job  *batchv1.Job
		pods []corev1.Pod
		want Outcome
	}{
		"a termination message that is a JSON object is the output": {complete,
			[]corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", "{\"x\":1}\n"))},
			Outcome{Succeeded: true, Output: `{"x":1}`}},
		"of several containers the first that left one": {complete,
			[]corev1.Pod{pod("p", corev1.PodSucceeded, ended("a", 0, "Completed", ""), ended("b", 0, "Completed", `{"b":1}`), ended("c", 0, "Completed", `{"c":1}`))},
			Outcome{Succeeded: true, Output: `{"b":1}`}},
		"that of a pod that failed is not": {complete,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("c", 1, "Error", `{"x":1}`)), pod("q", corev1.PodSucceeded, ended("c", 0, "Completed", `{"x":2}`))},
			Outcome{Succeeded: true, Output: `{"x":2}`}},
		"nor that of another Job's pod": {complete, []corev1.Pod{stranger}, Outcome{Succeeded: true, Note: gone}},
		"no pods, no output":            {complete, nil, Outcome{Succeeded: true, Note: gone}},
		"nor where only one is left that failed": {complete,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("c", 1, "Error", ""))},
			Outcome{Succeeded: true, Note: gone}},
		"nor where nothing was left": {complete, []corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", ""))}, Outcome{Succeeded: true}},
		"an array is not taken": {complete,
			[]corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", `[1]`))},
			Outcome{Succeeded: true, Note: `container c of pod p left a termination message that is not a JSON object in UTF-8: "[1]"`}},
		"nor one that is not UTF-8, which a database refuses": {complete,
			[]corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", "{\"x\":\"\xff\"}"))},
			Outcome{Succeeded: true, Note: `container c of pod p left a termination message that is not a JSON object in UTF-8: "{\"x\":\"?\"}"`}},
		"nor one that was cut off": {complete,
			[]corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", `{"x":"`+strings.Repeat("y", 4090)))},
			Outcome{Succeeded: true, Note: "container c of pod p left 4096 bytes in $JOBNETES_OUTPUT, where Kubernetes cuts it off: record larger outputs by RecordTaskOutput (`jobnetes output set`)"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !Finished(tc.job) {
				t.Fatal("the Job is not finished")
			}
			if diff := cmp.Diff(tc.want, OutcomeOf(tc.job, tc.pods, nil)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFinished(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		conditions []batchv1.JobCondition
		want       bool
	}{
		"no condition":                   {nil, false},
		"a condition that comes before":  {[]batchv1.JobCondition{{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue}}, false},
		"suspended":                      {[]batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue}}, false},
		"a condition that is not true":   {[]batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionFalse}}, false},
		"complete, whatever else stands": {[]batchv1.JobCondition{{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue}, {Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}, true},
		"failed, in any order":           {[]batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}, {Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue}}, true},
	}
	for name, tc := range cases {
		if got := Finished(jobWith(tc.conditions...)); got != tc.want {
			t.Errorf("%s: Finished is %t", name, got)
		}
	}
}
