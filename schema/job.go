package schema

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"
)

// ReservedEnvPrefix begins the names of the environment variables that
// jobnetes itself gives to every container.
const ReservedEnvPrefix = "JOBNETES_"

// job decodes a Job, strictly and by the case of its keys, as the API server
// would. It returns nil if a problem keeps it from being decoded.
func (d *decoder) job(object map[string]any, at *path) *batchv1.Job {
	before := d.count()
	d.fits(object, reflect.TypeFor[batchv1.Job](), at)
	text, err := json.Marshal(object)
	job := &batchv1.Job{}
	if err == nil {
		err = kubejson.Unmarshal(text, job)
	}
	if err != nil {
		if d.count() == before {
			d.add(at, "the Job cannot be decoded: %v", err)
		}
		return nil
	}
	d.checkJob(job, at)
	return job
}

func (d *decoder) checkJob(job *batchv1.Job, at *path) {
	if v := job.APIVersion; v != "" && v != "batch/v1" {
		d.add(at.child("apiVersion"), `is %q; it must be "batch/v1", or left out`, v)
	}
	if k := job.Kind; k != "" && k != "Job" {
		d.add(at.child("kind"), `is %q; it must be "Job", or left out`, k)
	}
	if job.Name != "" {
		checkName(d.report, at.child("metadata").child("name"), job.Name)
	}
	d.checkMetadata(&job.ObjectMeta, at.child("metadata"))
	spec := at.child("spec")
	d.checkNotNegative(&job.Spec, spec)
	d.checkMetadata(&job.Spec.Template.ObjectMeta, spec.child("template").child("metadata"))
	d.checkPod(&job.Spec.Template.Spec, spec.child("template").child("spec"))
}

func (d *decoder) checkNotNegative(spec *batchv1.JobSpec, at *path) {
	check := func(key string, value int64) {
		if value < 0 {
			d.add(at.child(key), "is %d; it must not be negative", value)
		}
	}
	for _, field := range []struct {
		key   string
		value *int32
	}{
		{"parallelism", spec.Parallelism},
		{"completions", spec.Completions},
		{"backoffLimit", spec.BackoffLimit},
		{"backoffLimitPerIndex", spec.BackoffLimitPerIndex},
		{"maxFailedIndexes", spec.MaxFailedIndexes},
		{"ttlSecondsAfterFinished", spec.TTLSecondsAfterFinished},
	} {
		if field.value != nil {
			check(field.key, int64(*field.value))
		}
	}
	if spec.ActiveDeadlineSeconds != nil {
		check("activeDeadlineSeconds", *spec.ActiveDeadlineSeconds)
	}
}

func (d *decoder) checkMetadata(meta *metav1.ObjectMeta, at *path) {
	for _, key := range slices.Sorted(maps.Keys(meta.Labels)) {
		place := at.child("labels").child(key)
		d.addAll(place, "the label's key", validation.IsQualifiedName(key))
		d.addAll(place, "the label's value", validation.IsValidLabelValue(meta.Labels[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(meta.Annotations)) {
		// Kubernetes allows upper case in an annotation's prefix.
		d.addAll(at.child("annotations").child(key), "the annotation's key", validation.IsQualifiedName(strings.ToLower(key)))
	}
}

// addAll reports what Kubernetes' own rules say of a value.
func (d *decoder) addAll(at *path, what string, complaints []string) {
	for _, complaint := range complaints {
		d.add(at, "%s is not valid: %s", what, complaint)
	}
}

func (d *decoder) checkPod(pod *corev1.PodSpec, at *path) {
	switch pod.RestartPolicy {
	case "":
		pod.RestartPolicy = corev1.RestartPolicyNever
	case corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure:
	default:
		d.add(at.child("restartPolicy"), "is %q; the pods of a Job need Never or OnFailure", pod.RestartPolicy)
	}
	if len(pod.Containers) == 0 {
		d.add(at.child("containers"), "a Job needs at least one container")
	}
	taken := map[string]*path{}
	d.checkContainers(pod.InitContainers, at.child("initContainers"), taken)
	d.checkContainers(pod.Containers, at.child("containers"), taken)
}

// checkContainers checks containers whose names must differ from those taken.
func (d *decoder) checkContainers(containers []corev1.Container, at *path, taken map[string]*path) {
	for i := range containers {
		c, place := &containers[i], at.at(i)
		if c.Name == "" {
			d.add(place, `a container needs "name"`)
		} else if first, twice := taken[c.Name]; twice {
			d.add(place.child("name"), "the name %q is already that of %s; a pod's containers need different names", c.Name, first)
		} else {
			taken[c.Name] = place
			d.addAll(place.child("name"), "the container's name", validation.IsDNS1123Label(c.Name))
		}
		d.checkArguments(c.Command, place.child("command"))
		d.checkArguments(c.Args, place.child("args"))
		for j, env := range c.Env {
			d.checkEnv(env.Name, place.child("env").at(j))
			d.checkNoNUL(env.Value, place.child("env").at(j).child("value"))
		}
	}
}

func (d *decoder) checkArguments(arguments []string, at *path) {
	for i, argument := range arguments {
		d.checkNoNUL(argument, at.at(i))
	}
}

// checkNoNUL reports a text with which no process can be started: the system
// call takes a NUL for its end.
func (d *decoder) checkNoNUL(text string, at *path) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		d.add(at, "has a NUL byte (\\u0000) at offset %d; no process can be started with it, so remove it", i)
	}
}

func (d *decoder) checkEnv(name string, at *path) {
	switch {
	case name == "":
		d.add(at, `an environment variable needs "name"`)
	case strings.HasPrefix(name, ReservedEnvPrefix):
		d.add(at.child("name"), "%q is reserved: names that begin with %s are set by jobnetes; choose another", name, ReservedEnvPrefix)
	default:
		d.addAll(at.child("name"), "the environment variable's name", validation.IsRelaxedEnvVarName(name))
	}
}
