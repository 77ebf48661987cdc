package kube

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
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

func task(t testing.TB) Task {
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
