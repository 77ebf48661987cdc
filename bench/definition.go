package bench

import (
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

// task is the definition of a task, or of a workflow.
type task map[string]any

func jobTask(name string, job *batchv1.Job) task {
	return task{"name": name, "type": "kube-job", "job": map[string]any{"spec": job.Spec}}
}

// chain defines a workflow of so many tasks one after the other.
func chain(name string, steps int) []byte {
	tasks := make([]task, steps)
	for i := range tasks {
		tasks[i] = jobTask(fmt.Sprint("step", i), simulatedJob())
		if i+1 < steps {
			tasks[i]["next"] = fmt.Sprint("step", i+1)
		}
	}
	return definition(name, tasks)
}

// fan defines a workflow of so many tasks at once.
func fan(name string, count int, job *batchv1.Job) []byte {
	sets := make([][]task, count)
	for i := range sets {
		sets[i] = []task{jobTask(fmt.Sprint("item", i), job)}
	}
	return definition(name, []task{{"name": "all", "type": "parallel", "task-sets": sets}})
}

func definition(name string, tasks []task) []byte {
	text, err := json.Marshal(task{"name": name, "tasks": tasks})
	if err != nil {
		panic(err) // it is all texts and Jobs
	}
	return text
}
