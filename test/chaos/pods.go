package chaos

import (
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/test/cluster"
)

const (
	// roleLabel tells kwok and the reporter how a pod ends.
	roleLabel = "chaos.jobnetes.dev/role"
	// recordedAnnotation has the pod of a Job that reports, or waits, end: its output is recorded.
	recordedAnnotation = "chaos.jobnetes.dev/recorded"
)

// simulatedJob is a Job whose pod runs on a simulated node.
func simulatedJob(role string) *batchv1.Job {
	job := &batchv1.Job{Spec: batchv1.JobSpec{
		BackoffLimit: new(int32(0)),
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{roleLabel: role}},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				NodeSelector:  map[string]string{cluster.SimulatedLabel: cluster.SimulatedValue},
				Tolerations:   []corev1.Toleration{{Key: cluster.SimulatedLabel, Operator: corev1.TolerationOpExists}},
				Containers:    []corev1.Container{{Name: "main", Image: "simulated"}},
			},
		},
	}}
	switch role {
	case denied:
		job.Spec.Template.Spec.Containers[0].Image = ""
	case retries: // an index's pods tell how many before them have failed
		job.Spec.BackoffLimit, job.Spec.BackoffLimitPerIndex = nil, new(int32(1))
		job.Spec.CompletionMode, job.Spec.Completions = new(batchv1.IndexedCompletion), new(int32(1))
	}
	return job
}

// The stages say how pods go on, by kwok: when, and with what they end.
var stages = strings.Join([]string{
	podRuns,
	podEnds("leaves", leaves, "", 3*time.Second, "phase: Succeeded", leavesOutput),
	podEnds("reports", reports, annotated(recordedAnnotation, "true"), 500*time.Millisecond, "phase: Succeeded", "exitCode: 0, reason: Completed"),
	podEnds("waits", waits, annotated(recordedAnnotation, "true"), 500*time.Millisecond, "phase: Succeeded", "exitCode: 0, reason: Completed"),
	podEnds("fails", fails, "", 3*time.Second, "phase: Failed", "exitCode: 7, reason: Error"),
	podEnds("fails-first", retries, annotated(batchv1.JobIndexFailureCountAnnotation, "0"), time.Second, "phase: Failed", "exitCode: 7, reason: Error"),
	podEnds("then-leaves", retries, annotated(batchv1.JobIndexFailureCountAnnotation, "1"), time.Second, "phase: Succeeded", leavesOutput),
	podGoes,
}, "---\n")

const podRuns = `apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-runs}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.podIP, operator: DoesNotExist}
  delay: {durationMilliseconds: 50, jitterDurationMilliseconds: 500}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ $now | Quote }}
      hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
      podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
      conditions:
      - {type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }}}
      containerStatuses:
      {{ range .spec.containers }}
      - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: true, started: true, restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
      {{ end }}
`

// leavesOutput has a container end well with its output as termination message,
// which it computes from its input, as outputOf does.
const leavesOutput = `exitCode: 0, reason: Completed, message: {{ dict "task" $task "was" (fromJson $input) | toJson | Quote }}`

// podEnds is the stage by which the running pods of a role end within a time, if
// they are as a selector says.
func podEnds(name, role, selector string, within time.Duration, phase, terminated string) string {
	return fmt.Sprintf(`apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-%s}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Running]}
    - {key: '.metadata.labels["%s"]', operator: In, values: [%s]}
%s  delay: {durationMilliseconds: %d, jitterDurationMilliseconds: %d}
  next:
    statusTemplate: |
      {{ $now := Now }}
      {{ $task := index .metadata.labels "jobnetes.dev/task" }}
      %s
      containerStatuses:
      {{ range .spec.containers }}
      {{ $input := "" }}
      {{ range .env }}{{ if eq .name "JOBNETES_INPUT" }}{{ $input = .value }}{{ end }}{{ end }}
      - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: false, started: false, restartCount: 0, state: {terminated: {%s, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}}
      {{ end }}
`, name, roleLabel, role, selector, within.Milliseconds()/30, within.Milliseconds(), phase, terminated)
}

// annotated selects pods by an annotation.
func annotated(key, value string) string {
	return fmt.Sprintf("    - {key: '.metadata.annotations[%q]', operator: In, values: [%q]}\n", key, value)
}

const podGoes = `apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-goes}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: Exists}
  next:
    finalizers: {empty: true}
    delete: true
`
