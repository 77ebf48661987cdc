package local

import (
	"math"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validate returns an Invalid error that names every field because of which the
// defaulted job can never run here; nil if there is none.
func validate(job *batchv1.Job) error {
	var errs field.ErrorList
	errs = append(errs, validateLabel(job.Name, field.NewPath("metadata", "name"))...)
	errs = append(errs, validateJobSpec(&job.Spec, field.NewPath("spec"))...)
	errs = append(errs, validatePodSpec(&job.Spec.Template.Spec, field.NewPath("spec", "template", "spec"))...)
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(batchv1.SchemeGroupVersion.WithKind("Job").GroupKind(), job.Name, errs)
}

// refusal is a field that would change what the Job does and is not supported.
type refusal struct {
	field string
	set   bool
	// hint says what to do instead; may be empty.
	hint string
}

// clusterOnly is the hint for what has no substitute here.
const clusterOnly = "leave it out here; a cluster supports it"

func refuse(path *field.Path, refusals ...refusal) (errs field.ErrorList) {
	for _, r := range refusals {
		if r.set {
			errs = append(errs, field.Forbidden(path.Child(r.field), strings.TrimSuffix("not supported by the local runner: "+r.hint, ": ")))
		}
	}
	return errs
}

func validateJobSpec(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := refuse(path,
		refusal{"suspend", spec.Suspend != nil && *spec.Suspend, "a suspended job would never run"},
		refusal{"completionMode", isIndexed(spec) && spec.BackoffLimitPerIndex == nil, `use NonIndexed, or say "indexed": true of the task`},
		refusal{"backoffLimitPerIndex", !isIndexed(spec) && spec.BackoffLimitPerIndex != nil, "use backoffLimit"},
		refusal{"maxFailedIndexes", !isIndexed(spec) && spec.MaxFailedIndexes != nil, "use backoffLimit"},
		refusal{"podFailurePolicy", spec.PodFailurePolicy != nil, clusterOnly},
		refusal{"successPolicy", spec.SuccessPolicy != nil, clusterOnly},
		refusal{"manualSelector", spec.ManualSelector != nil && *spec.ManualSelector, ""},
		refusal{"managedBy", spec.ManagedBy != nil && *spec.ManagedBy != batchv1.JobControllerName, ""},
	)
	if isIndexed(spec) && spec.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"), "an indexed job has so many indexes"))
	}
	if *spec.Parallelism < 1 {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *spec.Parallelism, "must be at least 1, or no pod would ever start"))
	}
	for name, value := range map[string]*int32{
		"completions":             spec.Completions,
		"backoffLimitPerIndex":    spec.BackoffLimitPerIndex,
		"maxFailedIndexes":        spec.MaxFailedIndexes,
		"backoffLimit":            spec.BackoffLimit,
		"ttlSecondsAfterFinished": spec.TTLSecondsAfterFinished,
	} {
		if value != nil && *value < 0 {
			errs = append(errs, field.Invalid(path.Child(name), *value, "must not be negative"))
		}
	}
	return append(errs, validateDeadline(spec.ActiveDeadlineSeconds, path)...)
}

func validatePodSpec(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := refuse(path,
		refusal{"volumes", len(spec.Volumes) > 0, "a process sees the files of this computer; use paths, or $TMPDIR"},
		refusal{"ephemeralContainers", len(spec.EphemeralContainers) > 0, ""},
		refusal{"schedulingGates", len(spec.SchedulingGates) > 0, "nothing would ever lift them"},
	)
	errs = append(errs, validateDeadline(spec.ActiveDeadlineSeconds, path)...)
	if g := spec.TerminationGracePeriodSeconds; *g < 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *g, "must not be negative"))
	}
	switch spec.RestartPolicy {
	case corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure:
	default:
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), spec.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}))
	}
	if len(spec.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), "a pod needs at least one container"))
	}
	names := map[string]bool{}
	for i := range spec.InitContainers {
		errs = append(errs, validateContainer(&spec.InitContainers[i], names, path.Child("initContainers").Index(i))...)
	}
	for i := range spec.Containers {
		errs = append(errs, validateContainer(&spec.Containers[i], names, path.Child("containers").Index(i))...)
	}
	return errs
}

// validateContainer checks one container; names are those already taken.
func validateContainer(c *corev1.Container, names map[string]bool, path *field.Path) field.ErrorList {
	errs := validateLabel(c.Name, path.Child("name"))
	if names[c.Name] {
		errs = append(errs, field.Duplicate(path.Child("name"), c.Name))
	}
	names[c.Name] = true
	if len(c.Command) == 0 || c.Command[0] == "" {
		errs = append(errs, field.Required(path.Child("command"), "images are not used by the local runner, so their entrypoint is unknown: give the command to run"))
	}
	errs = append(errs, refuse(path,
		refusal{"envFrom", len(c.EnvFrom) > 0, "there are no secrets or config maps; use env"},
		refusal{"volumeMounts", len(c.VolumeMounts) > 0, "a process sees the files of this computer; use paths, or $TMPDIR"},
		refusal{"volumeDevices", len(c.VolumeDevices) > 0, ""},
		refusal{"restartPolicy", c.RestartPolicy != nil, "sidecars and restart policies of single containers do not exist here"},
		refusal{"restartPolicyRules", len(c.RestartPolicyRules) > 0, ""},
		refusal{"livenessProbe", c.LivenessProbe != nil, "use activeDeadlineSeconds"},
		refusal{"startupProbe", c.StartupProbe != nil, "use activeDeadlineSeconds"},
		refusal{"lifecycle", c.Lifecycle != nil, ""},
	)...)
	for i := range c.Env {
		errs = append(errs, validateEnv(&c.Env[i], path.Child("env").Index(i))...)
	}
	return errs
}

func validateEnv(v *corev1.EnvVar, path *field.Path) (errs field.ErrorList) {
	for _, msg := range validation.IsRelaxedEnvVarName(v.Name) {
		errs = append(errs, field.Invalid(path.Child("name"), v.Name, msg))
	}
	if v.ValueFrom == nil {
		return errs
	}
	path = path.Child("valueFrom")
	if v.Value != "" {
		errs = append(errs, field.Invalid(path, "", "may not be given together with value"))
	}
	if v.ValueFrom.FieldRef == nil {
		return append(errs, field.Forbidden(path, "the local runner supports fieldRef only"))
	}
	fieldPath := v.ValueFrom.FieldRef.FieldPath
	if _, ok := podField(&corev1.Pod{}, fieldPath); !ok {
		errs = append(errs, field.NotSupported(path.Child("fieldRef", "fieldPath"), fieldPath,
			[]string{"metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels['KEY']", "metadata.annotations['KEY']"}))
	}
	return errs
}

func validateDeadline(seconds *int64, path *field.Path) field.ErrorList {
	if seconds == nil || *seconds >= 1 && *seconds <= math.MaxInt32 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("activeDeadlineSeconds"), *seconds, validation.InclusiveRangeError(1, math.MaxInt32))}
}

// validateLabel checks names, of which some become names of folders.
func validateLabel(name string, path *field.Path) (errs field.ErrorList) {
	for _, msg := range validation.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(path, name, msg))
	}
	return errs
}
