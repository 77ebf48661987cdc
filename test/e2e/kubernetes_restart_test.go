package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/jobnetes/jobnetes/proto"
)

// steady is a workflow whose executions are in flight for seconds, and give their
// input as output. Its second job reports by gRPC, which needs jobapi.
const steady = `
name: steady
tasks:
- name: work
  type: kube-job
  next: report
  job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: [sh, -c, 'sleep 2; echo "$JOBNETES_INPUT" > "$JOBNETES_OUTPUT"']}]}}}}
- name: report
  type: kube-job
  job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: jobnetes, args: [output, set, $(JOBNETES_INPUT)]}]}}}}
`

// undecided is a workflow whose executions need no pod, so that many can be
// started: none of the branch's conditions is true.
const undecided = `
name: undecided
tasks:
- name: choose
  type: branch
  tasks: [{condition: $.number < 0, next: never}]
- name: never
  type: kube-job
  job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}}}}
`

// All pods of the services are replaced while executions are in flight and more
// are started: nothing is lost, and nothing started twice.
func (in *installation) testRollingRestart(t *testing.T) {
	call := in.call(t)
	request := func(definition string) func(string, int) *pb.WorkflowStartRequest {
		id := in.apply(t, in.definition([]byte(definition)))
		return func(requestID string, n int) *pb.WorkflowStartRequest {
			return &pb.WorkflowStartRequest{WorkflowId: id, Input: fmt.Appendf(nil, `{"number": %d}`, n), RequestId: requestID}
		}
	}
	// Those that are tried again have an id, without which an answer that is lost
	// could make two of one.
	named := func(n int) string { return fmt.Sprintf("start %d", n) }
	steady, undecided := request(steady), request(undecided)
	slow := &starter{every: 2 * time.Second, start: func(n int) (*pb.WorkflowStartResponse, error) { return in.StartWorkflow(call, steady(named(n), n)) }}
	often := &starter{every: 50 * time.Millisecond, start: func(n int) (*pb.WorkflowStartResponse, error) { return in.StartWorkflow(call, undecided(named(n), n)) }}
	anew := &starter{every: 50 * time.Millisecond, start: func(n int) (*pb.WorkflowStartResponse, error) { return in.startAnew(call, undecided("", n)) }}

	for range 10 {
		if err := slow.once(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var starting errgroup.Group
	for _, s := range []*starter{slow, often, anew} {
		starting.Go(func() error { return s.run(ctx) })
	}
	in.replacePods(t)
	stop()
	if err := starting.Wait(); err != nil {
		t.Error(err)
	}

	in.checkExecutions(t, "steady", slow.started, func(e *pb.Execution) bool {
		return e.GetStatus() == pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS && len(e.GetTasks()) == 2 && bytes.Equal(e.GetOutput(), e.GetInput())
	})
	in.checkExecutions(t, "undecided", slices.Concat(often.started, anew.started), func(e *pb.Execution) bool {
		return e.GetStatus() == pb.ExecutionStatus_EXECUTION_STATUS_FAILED && len(e.GetTasks()) == 1 && strings.Contains(e.GetErrorMsg(), "NoBranchTaken")
	})
}

// replacePods has all of the services' pods replaced, and waits until the old ones
// are gone.
func (in *installation) replacePods(t *testing.T) {
	t.Helper()
	pods := func() []string {
		selector := "app.kubernetes.io/component in (" + strings.Join(deployments, ",") + ")"
		return strings.Fields(in.Kubectl(t, "get", "pods", "--namespace", in.system, "--selector", selector, "--output", "name"))
	}
	old := pods()
	in.Kubectl(t, "rollout", "restart", "--namespace", in.system, "deployment")
	in.awaitRollout(t)
	await(t, "the end of the old pods", func() bool {
		return !slices.ContainsFunc(pods(), func(pod string) bool { return slices.Contains(old, pod) })
	})
}

// checkExecutions wants that those executions of a workflow are there that were
// started, and no others, and that each comes to what is right.
func (in *installation) checkExecutions(t *testing.T, workflow string, started []uint64, right func(*pb.Execution) bool) {
	t.Helper()
	for _, id := range started {
		if e := in.ended(t, id); !right(e) {
			t.Errorf("%s %d: %s, %d tasks, input %s, output %s: %s", workflow, id, e.GetStatus(), len(e.GetTasks()), e.GetInput(), e.GetOutput(), e.GetErrorMsg())
		}
	}
	var all []uint64
	for _, e := range in.executions(t, workflow) {
		all = append(all, e.GetId())
	}
	slices.Sort(started)
	slices.Sort(all)
	if !slices.Equal(all, started) {
		t.Errorf("there are executions %v of %s, want those that were started, %v", all, workflow, started)
	}
	t.Logf("%d executions of %s", len(started), workflow)
}

// startAnew starts an execution on a connection of its own, and tries only once.
func (in *installation) startAnew(call context.Context, request *pb.WorkflowStartRequest) (*pb.WorkflowStartResponse, error) {
	conn, err := grpc.NewClient(in.endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return pb.NewJobapiClient(conn).StartWorkflow(call, request)
}

// starter starts one execution after the other.
type starter struct {
	every   time.Duration
	start   func(n int) (*pb.WorkflowStartResponse, error) // n counts
	started []uint64
}

func (s *starter) once() error {
	res, err := s.start(len(s.started))
	if err != nil {
		return fmt.Errorf("start the execution after %v: %w", s.started, err)
	}
	s.started = append(s.started, res.GetId())
	return nil
}

func (s *starter) run(ctx context.Context) error {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.once(); err != nil {
			return err
		}
	}
}
