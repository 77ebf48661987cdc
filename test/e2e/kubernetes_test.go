package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/jobnetes/jobnetes/proto"
)

// TestKubernetes is jobnetes as it is deployed: by its manifests, as pods of its
// image, with Jobs that run for real. At the end, each task had one Job.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	defer in.remove(t)
	defer in.report(t)
	in.deploy(t)

	t.Run("undisturbed", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"samples":         in.testSamples,
			"reports by gRPC": in.testReports,
			"failures":        in.testFailures,
			"deleted Job":     in.testDeletedJob,
			"logs":            in.testLogs,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
	t.Run("rolling restart", in.testRollingRestart)
	t.Run("one Job per task", in.testOneJobPerTask)
}

// The samples come to the same on a cluster as in dev.
func (in *installation) testSamples(t *testing.T) {
	started := map[string]uint64{}
	for name := range samples {
		text, err := os.ReadFile(filepath.Join("..", "..", "example", name))
		if err != nil {
			t.Fatal(err)
		}
		started[name] = in.startWorkflow(t, in.apply(t, in.definition(text)))
	}
	for name, id := range started {
		checkSample(t, name, in.ended(t, id))
	}
}

// reports is a workflow whose jobs report by gRPC, each with its task's token: one
// by the program itself, one by the example client.
const reports = `
name: reports
tasks:
- name: measure
  type: kube-job
  next: check
  job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: jobnetes, args: [output, set, '{"value": 5}']}]}}}}
- name: check
  type: branch
  tasks:
  - {condition: $.value > 3, next: big}
  - {condition: $.value <= 3, next: small}
- name: big
  type: kube-job
  job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: client, command: [/record_task_output, -output, '{"size": "big"}']}]}}}}
- name: small
  type: kube-job
  job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: client, command: [/record_task_output, -output, '{"size": "small"}']}]}}}}
`

// caller is the only Job that is not a task's.
const caller = "caller"

// A program inside the cluster starts a workflow whose jobs report by gRPC.
func (in *installation) testReports(t *testing.T) {
	in.apply(t, in.definition([]byte(reports)))
	in.Kubectl(t, "create", "job", caller, "--namespace", in.jobs, "--image", in.images["client"], "--",
		"/start_workflow", "-endpoint", "jobapi."+in.system+".svc:50051", "-workflow", "reports", "-password", in.password)
	in.Kubectl(t, "wait", "--namespace", in.jobs, "--for", "condition=complete", "--timeout", patience.String(), "job/"+caller)
	var id uint64
	if _, err := fmt.Sscanf(in.Kubectl(t, "logs", "--namespace", in.jobs, "job/"+caller), "started execution %d", &id); err != nil {
		t.Fatal(err)
	}

	e := in.ended(t, id)
	if e.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS || string(e.GetOutput()) != `{"size": "big"}` {
		t.Errorf("%s, output %s: %s", e.GetStatus(), e.GetOutput(), e.GetErrorMsg())
	}
	if out := in.command(t, "logs", fmt.Sprint(id), "--task", "big"); !strings.Contains(out, `working on {"value": 5}`) {
		t.Errorf("the job that comes after the branch has not got what was recorded before it: %s", out)
	}
}

// testOneJobPerTask wants that each task's Job was created once, by a manager.
func (in *installation) testOneJobPerTask(t *testing.T) {
	created := map[string]int{}
	for _, w := range in.JobWrites(t, in.jobs) {
		if w.Verb != "create" || w.Code >= 300 || w.Name == caller {
			continue
		}
		created[w.Name]++
		if want := "system:serviceaccount:" + in.system + ":manager"; w.User != want {
			t.Errorf("Job %s was created by %s, want %s", w.Name, w.User, want)
		}
	}
	tasks := 0
	for _, e := range in.executions(t, "") {
		for _, task := range in.execution(t, e.GetId()).GetTasks() {
			if task.GetExecutionName() == "" {
				continue // not a kube-job
			}
			tasks++
			if n := created[task.GetExecutionName()]; n != 1 {
				t.Errorf("task %d (%s) of execution %d: Job %s was created %d times, want once", task.GetId(), task.GetTaskName(), e.GetId(), task.GetExecutionName(), n)
			}
		}
	}
	if len(created) != tasks || tasks == 0 {
		t.Errorf("%d Jobs were created for %d tasks", len(created), tasks)
	}
}

// executions lists all executions, or those of a workflow.
func (in *installation) executions(t *testing.T, workflow string) []*pb.Execution {
	t.Helper()
	var all []*pb.Execution
	request := &pb.ListExecutionsRequest{Limit: 1000, WorkflowName: workflow}
	for {
		res, err := in.ListExecutions(in.call(t), request)
		if err != nil {
			t.Fatal(err)
		}
		page := res.GetExecutions()
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		request.BeforeId = page[len(page)-1].GetId()
	}
}
