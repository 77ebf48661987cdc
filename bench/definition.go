package bench

import (
	"bytes"
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/test/cluster"
)

// simulatedJob is the Job of every task, ours and the floor's: its pod runs on a
// simulated node, and succeeds at once.
func simulatedJob() *batchv1.Job {
	return &batchv1.Job{Spec: batchv1.JobSpec{
		BackoffLimit: new(int32(0)),
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			NodeSelector:  map[string]string{cluster.SimulatedLabel: cluster.SimulatedValue},
			Tolerations:   []corev1.Toleration{{Key: cluster.SimulatedLabel, Operator: corev1.TolerationOpExists}},
			Containers:    []corev1.Container{{Name: "main", Image: "simulated"}},
		}},
	}}
}

// suspendedJob is the Job of a task that runs for ever: it never gets a pod.
func suspendedJob() *batchv1.Job {
	job := simulatedJob()
	job.Spec.Suspend = new(true)
	return job
}

// nodeImage is an image that every real node of test/cluster has.
const nodeImage = "localhost/busybox:1"

// nodeJob is the Job of every task on the real node, where it runs for real.
func nodeJob() *batchv1.Job {
	return &batchv1.Job{Spec: batchv1.JobSpec{
		BackoffLimit: new(int32(0)),
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: nodeImage, Command: []string{"true"}}},
		}},
	}}
}

// task is the definition of a task, or of a workflow.
type task map[string]any

func jobTask(name string, job *batchv1.Job) task {
	return task{"name": name, "type": "kube-job", "job": map[string]any{"spec": job.Spec}}
}

// chain defines a workflow of so many tasks one after the other.
func chain(name string, steps int) []byte { return chainOf(name, steps, simulatedJob()) }

func chainOf(name string, steps int, job *batchv1.Job) []byte {
	tasks := make([]task, steps)
	for i := range tasks {
		tasks[i] = jobTask(fmt.Sprint("step", i), job)
		if i+1 < steps {
			tasks[i]["next"] = fmt.Sprint("step", i+1)
		}
	}
	return definition(name, tasks)
}

// fan defines a workflow of so many tasks at once. It is YAML, in which the first task
// says what the Job is, and the others say that theirs is the same: written out ten
// thousand times it would be larger than a definition may be.
func fan(name string, count int, job *batchv1.Job) []byte {
	var text bytes.Buffer
	_, _ = fmt.Fprintf(&text, "name: %s\ntasks:\n- name: all\n  type: parallel\n  task-sets:\n", name)
	said := "&job " + string(toJSON(map[string]any{"spec": job.Spec}))
	for i := range count {
		_, _ = fmt.Fprintf(&text, "  - [{name: item%d, type: kube-job, job: %s }]\n", i, said)
		said = "*job"
	}
	return text.Bytes()
}

// indexed defines a workflow of one task that is one Indexed Job of so many indexes.
func indexed(name string, count int) []byte {
	job := simulatedJob()
	job.Spec.Completions, job.Spec.Parallelism = new(int32(count)), new(int32(min(count, indexesAtOnce)))
	all := jobTask("all", job)
	all["indexed"] = true
	return definition(name, []task{all})
}

// indexesAtOnce bounds the pods of an Indexed Job that run at once.
const indexesAtOnce = 1000

func definition(name string, tasks []task) []byte { return toJSON(task{"name": name, "tasks": tasks}) }

// toJSON panics if v cannot be written as JSON, and that cannot be: what the functions
// above make of Jobs has texts, numbers and lists alone.
func toJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
