package local

import (
	"context"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	first := func(job *batchv1.Job) *corev1.Container { return &job.Spec.Template.Spec.Containers[0] }
	env := func(v corev1.EnvVar) func(*batchv1.Job) {
		return func(job *batchv1.Job) { first(job).Env = []corev1.EnvVar{v} }
	}
	tests := map[string]struct {
		change func(*batchv1.Job)
		want   string // the path of the field
	}{
		"no name":        {func(j *batchv1.Job) { j.Name = "" }, "metadata.name"},
		"a path as name": {func(j *batchv1.Job) { j.Name = "../x" }, "metadata.name"},
		"a dotted name":  {func(j *batchv1.Job) { j.Name = "a.b" }, "metadata.name"},
		"suspended":      {func(j *batchv1.Job) { j.Spec.Suspend = new(true) }, "spec.suspend"},
		"indexed":        {func(j *batchv1.Job) { j.Spec.CompletionMode = new(batchv1.IndexedCompletion) }, "spec.completionMode"},
		"indexed, without end": {func(j *batchv1.Job) {
			j.Spec.CompletionMode, j.Spec.BackoffLimitPerIndex, j.Spec.Parallelism = new(batchv1.IndexedCompletion), new(int32(1)), new(int32(2))
		}, "spec.completions"},
		"limit per index of no index": {func(j *batchv1.Job) { j.Spec.BackoffLimitPerIndex = new(int32(1)) }, "spec.backoffLimitPerIndex"},
		"pod failure policy":          {func(j *batchv1.Job) { j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{} }, "spec.podFailurePolicy"},
		"success policy":              {func(j *batchv1.Job) { j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{} }, "spec.successPolicy"},
		"no parallelism":              {func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(0)) }, "spec.parallelism"},
		"negative limit":              {func(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(-1)) }, "spec.backoffLimit"},
		"no time":                     {func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = new(int64(0)) }, "spec.activeDeadlineSeconds"},
		"too much time":               {func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = new(int64(1 << 40)) }, "spec.activeDeadlineSeconds"},
		"no time for a pod":           {func(j *batchv1.Job) { j.Spec.Template.Spec.ActiveDeadlineSeconds = new(int64(0)) }, "spec.template.spec.activeDeadlineSeconds"},
		"negative grace": {func(j *batchv1.Job) { j.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(-1)) },
			"spec.template.spec.terminationGracePeriodSeconds"},
		"no restart policy": {func(j *batchv1.Job) { j.Spec.Template.Spec.RestartPolicy = "" }, "spec.template.spec.restartPolicy"},
		"always restart":    {func(j *batchv1.Job) { j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyAlways }, "spec.template.spec.restartPolicy"},
		"no containers":     {func(j *batchv1.Job) { j.Spec.Template.Spec.Containers = nil }, "spec.template.spec.containers"},
		"volumes": {func(j *batchv1.Job) { j.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "v"}} },
			"spec.template.spec.volumes"},
		"volume mounts": {func(j *batchv1.Job) { first(j).VolumeMounts = []corev1.VolumeMount{{Name: "v"}} },
			"spec.template.spec.containers[0].volumeMounts"},
		"no command":            {func(j *batchv1.Job) { first(j).Command = nil }, "spec.template.spec.containers[0].command"},
		"a path as a container": {func(j *batchv1.Job) { first(j).Name = "../c" }, "spec.template.spec.containers[0].name"},
		"two of a name": {func(j *batchv1.Job) { j.Spec.Template.Spec.InitContainers = []corev1.Container{shell("c", "")} },
			"spec.template.spec.containers[0].name"},
		"a sidecar": {func(j *batchv1.Job) {
			c := shell("side", "")
			c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			j.Spec.Template.Spec.InitContainers = []corev1.Container{c}
		}, "spec.template.spec.initContainers[0].restartPolicy"},
		"a lifecycle hook": {func(j *batchv1.Job) { first(j).Lifecycle = &corev1.Lifecycle{} }, "spec.template.spec.containers[0].lifecycle"},
		"a probe":          {func(j *batchv1.Job) { first(j).LivenessProbe = &corev1.Probe{} }, "spec.template.spec.containers[0].livenessProbe"},
		"env from":         {func(j *batchv1.Job) { first(j).EnvFrom = []corev1.EnvFromSource{{}} }, "spec.template.spec.containers[0].envFrom"},
		"env without name": {env(corev1.EnvVar{Value: "x"}), "spec.template.spec.containers[0].env[0].name"},
		"env with =":       {env(corev1.EnvVar{Name: "A=B"}), "spec.template.spec.containers[0].env[0].name"},
		"a secret": {env(corev1.EnvVar{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}}),
			"spec.template.spec.containers[0].env[0].valueFrom"},
		"an unknown field": {env(corev1.EnvVar{Name: "A", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}}),
			"spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"},
	}
	r := setup(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob("job", shell("c", "exit 0"))
			tc.change(job)
			_, err := r.Create(context.Background(), job)
			if !apierrors.IsInvalid(err) {
				t.Fatalf("Create: %v, want Invalid", err)
			}
			causes := err.(apierrors.APIStatus).Status().Details.Causes
			if len(causes) == 0 || causes[0].Field != tc.want {
				t.Errorf("causes = %v, want one for %s", causes, tc.want)
			}
			for _, cause := range causes {
				if strings.HasSuffix(cause.Message, ": ") {
					t.Errorf("message %q ends early", cause.Message)
				}
			}
		})
	}
}

// Who uses what only a cluster has is told what to do.
func TestPoliciesAreLeftOut(t *testing.T) {
	t.Parallel()
	job := newJob("job", shell("c", "exit 0"))
	job.Spec.PodFailurePolicy, job.Spec.SuccessPolicy = &batchv1.PodFailurePolicy{}, &batchv1.SuccessPolicy{}
	setDefaults(job)
	err := validate(job)
	if err == nil || strings.Count(err.Error(), "leave it out here; a cluster supports it") != 2 {
		t.Errorf("validate: %v, want a hint for each policy", err)
	}
}
