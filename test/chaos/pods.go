package chaos

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/test/cluster"
)

const (
	// roleLabel tells kwok and the reporter how a pod ends.
	roleLabel = "chaos.jobnetes.dev/role"
	// recordedAnnotation has the pod of a Job that reports, or stays, end: its output is recorded.
	recordedAnnotation = "chaos.jobnetes.dev/recorded"
)

// simulatedJob is a Job whose pod runs on a simulated node.
func simulatedJob(role string) *batchv1.Job {
	return &batchv1.Job{Spec: batchv1.JobSpec{
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
}

// stages say how pods go on, by kwok: when, and with what they end. A pod that
// leaves its output as termination message computes it from its input, as
// outputOf does.
const stages = `apiVersion: kwok.x-k8s.io/v1alpha1
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
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-leaves}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Running]}
    - {key: '.metadata.labels["chaos.jobnetes.dev/role"]', operator: In, values: [leaves]}
  delay: {durationMilliseconds: 100, jitterDurationMilliseconds: 3000}
  next:
    statusTemplate: |
      {{ $now := Now }}
      {{ $task := index .metadata.labels "jobnetes.dev/task" }}
      phase: Succeeded
      containerStatuses:
      {{ range .spec.containers }}
      {{ $input := "" }}
      {{ range .env }}{{ if eq .name "JOBNETES_INPUT" }}{{ $input = .value }}{{ end }}{{ end }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        ready: false
        started: false
        restartCount: 0
        state:
          terminated:
            exitCode: 0
            reason: Completed
            message: {{ dict "task" $task "was" (fromJson $input) | toJson | Quote }}
            startedAt: {{ $now | Quote }}
            finishedAt: {{ $now | Quote }}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-reports}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Running]}
    - {key: '.metadata.labels["chaos.jobnetes.dev/role"]', operator: In, values: [reports, stays]}
    - {key: '.metadata.annotations["chaos.jobnetes.dev/recorded"]', operator: In, values: ["true"]}
  delay: {durationMilliseconds: 10, jitterDurationMilliseconds: 500}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Succeeded
      containerStatuses:
      {{ range .spec.containers }}
      - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: false, started: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-fails}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Running]}
    - {key: '.metadata.labels["chaos.jobnetes.dev/role"]', operator: In, values: [fails]}
  delay: {durationMilliseconds: 100, jitterDurationMilliseconds: 3000}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Failed
      containerStatuses:
      {{ range .spec.containers }}
      - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: false, started: false, restartCount: 0, state: {terminated: {exitCode: 7, reason: Error, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
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
