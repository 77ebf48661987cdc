package e2e

import (
	"fmt"
	"strings"
	"testing"

	pb "github.com/jobnetes/jobnetes/proto"
)

// failures are Jobs' specs, each of which fails in its own way, and what an
// operator reads then.
var failures = map[string]struct {
	spec    string
	reason  string
	message []string
}{
	"exit-code": {
		spec:    `{backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: [sh, -c, "echo orders.csv: no such file >&2; exit 7"]}]}}}`,
		reason:  "BackoffLimitExceeded",
		message: []string{"container main exited with code 7", "orders.csv: no such file"},
	},
	"out-of-memory": {
		spec: `{backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: [sh, -c, "echo sorting; exec tail /dev/zero"],
			resources: {limits: {memory: 32Mi}}}]}}}`,
		reason:  "OOMKilled",
		message: []string{"container main exited with code 137", "OOMKilled", "sorting"},
	},
	"image-not-pulled": {
		spec:    `{template: {spec: {restartPolicy: Never, containers: [{name: main, image: "localhost:1/absent:1"}]}}}`,
		reason:  "ImagePullBackOff",
		message: []string{"localhost:1/absent:1", "Check the image's name"},
	},
	"image-not-there": {
		spec:    `{template: {spec: {restartPolicy: Never, containers: [{name: main, image: "localhost/absent:1", imagePullPolicy: Never}]}}}`,
		reason:  "ErrImageNeverPull",
		message: []string{"localhost/absent:1", "Check the image's name"},
	},
	"deadline": {
		spec:    `{activeDeadlineSeconds: 25, template: {spec: {terminationGracePeriodSeconds: 1, restartPolicy: Never, containers: [{name: main, image: busybox, command: [sh, -c, "echo at line 5; sleep 600"]}]}}}`,
		reason:  "DeadlineExceeded",
		message: []string{"longer than specified deadline", "at line 5"},
	},
}

func (in *installation) testFailures(t *testing.T) {
	for name, tc := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			definition := fmt.Sprintf("name: %s\ntasks: [{name: main, type: kube-job, job: {spec: %s}}]", name, tc.spec)
			e := in.ended(t, in.startWorkflow(t, in.apply(t, in.definition([]byte(definition)))))
			checkFailed(t, e, tc.reason, tc.message...)
		})
	}
}

// checkFailed wants that an execution has failed by its only task, for a reason,
// with a message that has all of some texts.
func checkFailed(t *testing.T, e *pb.Execution, reason string, texts ...string) {
	t.Helper()
	if e.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_FAILED || len(e.GetTasks()) != 1 {
		t.Fatalf("%s with %d tasks, want it failed with 1", e.GetStatus(), len(e.GetTasks()))
	}
	task := e.GetTasks()[0]
	t.Logf("%s: %s", task.GetErrorReason(), task.GetErrorMsg())
	if task.GetErrorReason() != reason {
		t.Errorf("error_reason %q, want %q", task.GetErrorReason(), reason)
	}
	for _, text := range texts {
		if !strings.Contains(task.GetErrorMsg(), text) {
			t.Errorf("error_msg has no %q: %s", text, task.GetErrorMsg())
		}
	}
	if want := `task "main" failed: ` + reason; !strings.Contains(e.GetErrorMsg(), want) {
		t.Errorf("the execution's error_msg has no %q: %s", want, e.GetErrorMsg())
	}
}

// sleeper is a workflow whose Job does not end by itself.
const sleeper = `
name: sleeper
tasks:
- name: main
  type: kube-job
  job: {spec: {template: {spec: {terminationGracePeriodSeconds: 1, restartPolicy: Never, containers: [{name: main, image: busybox, command: [sleep, "600"]}]}}}}
`

// A Job that somebody deletes is not made again: its task fails.
func (in *installation) testDeletedJob(t *testing.T) {
	id := in.startWorkflow(t, in.apply(t, in.definition([]byte(sleeper))))
	in.Kubectl(t, "delete", "job", "--namespace", in.jobs, in.runningJob(t, id))
	checkFailed(t, in.ended(t, id), "JobDeleted")
}

// runningJob waits until the pod of an execution's only task runs, and gives the
// name of its Job.
func (in *installation) runningJob(t *testing.T, execution uint64) string {
	t.Helper()
	var job string
	await(t, fmt.Sprintf("the Job of execution %d", execution), func() bool {
		if tasks := in.execution(t, execution).GetTasks(); len(tasks) > 0 {
			job = tasks[0].GetExecutionName()
		}
		return job != "" && in.podsOfJob(t, job, "--field-selector", "status.phase=Running") != ""
	})
	return job
}

// podsOfJob names the pods of a Job, or those that more options of kubectl choose.
func (in *installation) podsOfJob(t *testing.T, job string, options ...string) string {
	t.Helper()
	return in.Kubectl(t, append([]string{"get", "pods", "--namespace", in.jobs, "--selector", "job-name=" + job, "--output", "name"}, options...)...)
}
