package kube

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

const definition = `
apiVersion: batch/v1
kind: Job
metadata:
  name: ignored
  namespace: ignored-too
  labels: {team: data, app.kubernetes.io/managed-by: somebody}
  annotations: {note: kept}
spec:
  backoffLimit: 2
  ttlSecondsAfterFinished: 1
  template:
    metadata:
      labels: {app: extract}
    spec:
      restartPolicy: Never
      initContainers:
      - {name: prepare, image: busybox}
      containers:
      - name: extract
        image: busybox
        command: [sh, -c, echo hi]
        env: [{name: OWN, value: "input is $(JOBNETES_INPUT)"}]
      - name: sidekick
        image: busybox
        terminationMessagePath: /tmp/out
`

func task(t *testing.T) Task {
	t.Helper()
	job := &batchv1.Job{}
	if err := yaml.Unmarshal([]byte(definition), job); err != nil {
		t.Fatal(err)
	}
	return Task{
		Job: job, Name: "nightly-extract-12-1", Namespace: "batch", Installation: "i1", Workflow: "nightly run", TaskName: "extract/" + strings.Repeat("x", 80),
		ExecutionID: 7, TaskID: 12, Attempt: 1, Input: `{"price":"$(HOME) $5"}`, JobapiEndpoint: "jobapi:50051", Token: "token", Retention: time.Hour,
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	in := task(t)
	before := in.Job.DeepCopy()
	got, err := yaml.Marshal(Build(in))
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/job.yaml"
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("Job (-want +got), write it anew with -update:\n%s", diff)
	}
	if diff := cmp.Diff(before, in.Job); diff != "" {
		t.Errorf("Build changed the definition's Job:\n%s", diff)
	}
}

func TestSameTask(t *testing.T) {
	t.Parallel()
	a := Build(task(t))
	b := Build(task(t))
	if !SameTask(a, b) {
		t.Error("a Job is not of its own task")
	}
	for label, other := range map[string]string{LabelAttempt: "2", LabelTaskID: "13", LabelInstallation: "i2"} {
		b := b.DeepCopy()
		b.Labels[label] = other
		if SameTask(a, b) {
			t.Errorf("a Job with another %s passes for this one", label)
		}
	}
}

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

func held(name, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
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
	failed := jobWith(
		batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: yes, Reason: "Other"},
		batchv1.JobCondition{Type: batchv1.JobFailed, Status: yes, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"})
	late := jobWith(batchv1.JobCondition{Type: batchv1.JobFailed, Status: yes, Reason: "DeadlineExceeded", Message: "Job was active longer than specified deadline"})
	stranger := pod("x", corev1.PodSucceeded, ended("c", 0, "Completed", `{"stranger":1}`))
	stranger.Labels = map[string]string{batchv1.ControllerUidLabel: "u0"}

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
		"nor that of another Job's pod": {complete, []corev1.Pod{stranger}, Outcome{Succeeded: true}},
		"no pods, no output":            {complete, nil, Outcome{Succeeded: true}},
		"an array is not taken": {complete,
			[]corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", `[1]`))},
			Outcome{Succeeded: true, Note: `container c of pod p left a termination message that is not a JSON object: "[1]"`}},
		"nor one that was cut off": {complete,
			[]corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", `{"x":"`+strings.Repeat("y", 4090)))},
			Outcome{Succeeded: true, Note: "container c of pod p left 4096 bytes in $JOBNETES_OUTPUT, where Kubernetes cuts it off: record larger outputs by RecordTaskOutput (`jobnetes output set`)"}},
		"a failure names pod, container and exit code": {failed,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("ok", 0, "Completed", ""), ended("c", 3, "Error", "no such table\n"))},
			Outcome{Reason: "BackoffLimitExceeded", Message: "pod p: container c exited with code 3: no such table"}},
		"and the container's own reason": {failed,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("c", 137, "OOMKilled", ""))},
			Outcome{Reason: "BackoffLimitExceeded", Message: "pod p: container c exited with code 137 (OOMKilled)"}},
		"also of one that never ran": {failed,
			[]corev1.Pod{pod("p", corev1.PodPending, held("c", "ImagePullBackOff", "Back-off pulling image \"nope\""))},
			Outcome{Reason: "BackoffLimitExceeded", Message: `pod p: container c never ran (ImagePullBackOff): Back-off pulling image "nope"`}},
		"Kubernetes' own message comes last": {late,
			[]corev1.Pod{pod("p", corev1.PodFailed, ended("c", 143, "Error", ""))},
			Outcome{Reason: "DeadlineExceeded", Message: "pod p: container c exited with code 143; Job was active longer than specified deadline"}},
		"without pods Kubernetes' own message is all": {failed, nil,
			Outcome{Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !Finished(tc.job) {
				t.Fatal("the Job is not finished")
			}
			if diff := cmp.Diff(tc.want, OutcomeOf(tc.job, tc.pods)); diff != "" {
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
