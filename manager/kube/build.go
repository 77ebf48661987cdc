// Package kube builds the Jobs of tasks, reads what became of them, and creates,
// watches and deletes them on a Kubernetes cluster. It is the only package that
// imports client-go.
package kube

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The labels of a Job, and of its pods.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "jobnetes"
	// LabelInstallation tells the Jobs of one database from those of another that
	// uses the same namespace: both count their ids from 1.
	LabelInstallation = "jobnetes.dev/installation"
	LabelExecutionID  = "jobnetes.dev/execution-id"
	LabelTaskID       = "jobnetes.dev/task-id"
	LabelAttempt      = "jobnetes.dev/attempt"
	LabelWorkflow     = "jobnetes.dev/workflow"
	LabelTask         = "jobnetes.dev/task"
)

// The environment variables that every container gets.
const (
	EnvTaskID      = "JOBNETES_TASK_ID"
	EnvExecutionID = "JOBNETES_EXECUTION_ID"
	EnvInput       = "JOBNETES_INPUT"
	EnvOutput      = "JOBNETES_OUTPUT"
	EnvEndpoint    = "JOBNETES_JOBAPI_ENDPOINT"
	EnvToken       = "JOBNETES_TOKEN"
	EnvIndex       = "JOBNETES_INDEX" // of an indexed task only
)

// ttlReserve is how much longer than the retention Kubernetes keeps a finished
// Job: managers delete it long before, and only if none has run for so long
// does the TTL. Its end must not vanish before a manager has seen it.
const ttlReserve = 7 * 24 * time.Hour

// Task is what Build needs to know of a task execution.
type Task struct {
	Job             *batchv1.Job // of the definition; not changed
	Name, Namespace string       // of the Job to build
	Installation    string       // whose database the task is in
	Workflow        string
	TaskName        string
	ExecutionID     uint64
	TaskID          uint64
	Attempt         uint32
	Indexed         bool   // each pod does one index
	Input           string // JSON
	JobapiEndpoint  string // host:port
	Token           string
	Retention       time.Duration // of the finished Job
}

// Build returns the Job of a task: the definition's, under the task's name,
// with labels that lead back to the rows, and the JOBNETES_* variables in every
// container. The same task always gives the same Job, but for the token.
func Build(t Task) *batchv1.Job {
	job := t.Job.DeepCopy()
	job.TypeMeta = metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}
	job.Status = batchv1.JobStatus{}
	job.ObjectMeta = metav1.ObjectMeta{Name: t.Name, Namespace: t.Namespace, Labels: t.Job.Labels, Annotations: t.Job.Annotations}
	labels := map[string]string{
		LabelManagedBy:    ManagedBy,
		LabelInstallation: t.Installation,
		LabelExecutionID:  strconv.FormatUint(t.ExecutionID, 10),
		LabelTaskID:       strconv.FormatUint(t.TaskID, 10),
		LabelAttempt:      strconv.FormatUint(uint64(t.Attempt), 10),
		LabelWorkflow:     labelValue(t.Workflow),
		LabelTask:         labelValue(t.TaskName),
	}
	job.Labels = with(job.Labels, labels)
	job.Spec.Template.Labels = with(job.Spec.Template.Labels, labels)

	ttl := int32((t.Retention + ttlReserve).Seconds())
	job.Spec.TTLSecondsAfterFinished = &ttl
	pod := &job.Spec.Template.Spec
	for i := range pod.InitContainers {
		setEnv(&pod.InitContainers[i], t)
	}
	for i := range pod.Containers {
		setEnv(&pod.Containers[i], t)
	}
	return job
}

// setEnv puts the variables first, so that the container's own may refer to
// them as $(JOBNETES_INPUT).
func setEnv(c *corev1.Container, t Task) {
	output := c.TerminationMessagePath
	if output == "" {
		output = corev1.TerminationMessagePathDefault
	}
	env := []corev1.EnvVar{
		{Name: EnvTaskID, Value: strconv.FormatUint(t.TaskID, 10)},
		{Name: EnvExecutionID, Value: strconv.FormatUint(t.ExecutionID, 10)},
		{Name: EnvInput, Value: literal(t.Input)},
		{Name: EnvOutput, Value: literal(output)},
		{Name: EnvEndpoint, Value: literal(t.JobapiEndpoint)},
		{Name: EnvToken, Value: literal(t.Token)},
	}
	if t.Indexed {
		index := &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['" + batchv1.JobCompletionIndexAnnotation + "']"}
		env = append(env, corev1.EnvVar{Name: EnvIndex, ValueFrom: &corev1.EnvVarSource{FieldRef: index}})
	}
	c.Env = append(env, c.Env...)
}

// literal keeps Kubernetes from expanding $(NAME) in a value: $$ stands for $.
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

// with returns base and, before it, own.
func with(base, own map[string]string) map[string]string {
	all := make(map[string]string, len(base)+len(own))
	for k, v := range base {
		all[k] = v
	}
	for k, v := range own {
		all[k] = v
	}
	return all
}

// labelValue makes a name fit to be a label's value: at most 63 of letters,
// digits, '-', '_' and '.', alphanumeric at both ends.
func labelValue(name string) string {
	const limit = 63
	s := strings.Map(func(r rune) rune {
		if isAlphanumeric(r) || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, name)
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.TrimFunc(s, func(r rune) bool { return !isAlphanumeric(r) })
}

func isAlphanumeric(r rune) bool {
	return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9')
}

// SameTask says whether two Jobs are of the same task and attempt of the same
// installation.
func SameTask(a, b *batchv1.Job) bool {
	for _, l := range [...]string{LabelManagedBy, LabelInstallation, LabelExecutionID, LabelTaskID, LabelAttempt} {
		if a.Labels[l] != b.Labels[l] {
			return false
		}
	}
	return true
}

// where names a Job in messages.
func where(namespace, name string) string { return fmt.Sprintf("%s/%s", namespace, name) }
