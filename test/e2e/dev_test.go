// Package e2e tests bin/jobnetes as its users have it: as a program or as pods on
// a cluster, over its ports, with nothing of its inside.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"sigs.k8s.io/yaml"

	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/test/machine"
)

// patience is how long the tests wait for what happens in other processes.
const patience = 3 * time.Minute

var binary string

// TestMain builds the program.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "jobnetes-e2e-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "jobnetes")
		build := exec.Command("go", "build", "-trimpath", "-o", binary, "../../cmd/jobnetes")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// dev is a running `jobnetes dev`.
type dev struct {
	t    *testing.T
	data string
	env  []string
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan struct{}

	page    string // address of webadmin
	*client        // with the credentials of the data folder
}

// newDev starts dev on a new data folder and free ports.
func newDev(t *testing.T) *dev {
	t.Helper()
	d := &dev{t: t, data: filepath.Join(t.TempDir(), "data")}
	for _, key := range []string{"JOBNETES_JOBAPI_PORT", "JOBNETES_WEBADMIN_PORT"} {
		port, err := machine.Port()
		if err != nil {
			t.Fatal(err)
		}
		d.env = append(d.env, fmt.Sprintf("%s=%d", key, port))
	}
	d.start()
	t.Cleanup(d.end)
	return d
}

func (d *dev) start(args ...string) {
	d.t.Helper()
	d.out, d.done = &bytes.Buffer{}, make(chan struct{})
	d.cmd = exec.Command(binary, append([]string{"dev", "--data", d.data}, args...)...)
	d.cmd.Env = append(os.Environ(), d.env...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { _ = d.cmd.Wait(); close(d.done) }()
	d.connect()
}

// connect waits until the services answer.
func (d *dev) connect() {
	d.t.Helper()
	var c struct{ Endpoint, Username, Password, Webadmin string }
	d.await("the services", func() bool {
		text, err := os.ReadFile(filepath.Join(d.data, "credentials"))
		if err != nil || yaml.Unmarshal(text, &c) != nil {
			return false
		}
		res, err := http.Get(c.Webadmin + "readyz")
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	d.page, d.client = c.Webadmin, newClient(d.t, c.Endpoint, c.Username, c.Password)
}

// kill is kill -9: the process has no chance to tidy up.
func (d *dev) kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// end is Ctrl-C. What still runs then is deleted, since Jobs outlive dev.
func (d *dev) end() {
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	<-d.done
	if d.t.Failed() {
		d.t.Logf("dev printed:\n%s", d.out)
	}
}

func (d *dev) await(what string, so func() bool) {
	d.t.Helper()
	await(d.t, what, func() bool {
		select {
		case <-d.done:
			d.t.Fatalf("dev has ended while waiting for %s:\n%s", what, d.out)
		default:
		}
		return so()
	})
}

// command runs another command of the program, as a user beside dev would.
func (d *dev) command(args ...string) (stdout string, code int) {
	d.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "JOBNETES_DATA="+d.data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	if stderr.Len() > 0 {
		d.t.Logf("%v: %s", args, stderr.String())
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// samples are the definitions in example/, and what each is to come to.
var samples = map[string]struct {
	status pb.ExecutionStatus
	output func(e *pb.Execution) string // nil: {}
	error  []string
	tasks  []string
}{
	"chain.json": {
		status: pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS,
		output: func(*pb.Execution) string { return `{"loaded": {"clean": {"orders": 3}}}` },
		tasks:  []string{"extract", "transform", "load"},
	},
	"parallel.yaml": {
		status: pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS,
		output: func(e *pb.Execution) string {
			ids := map[string]uint64{}
			for _, t := range e.GetTasks() {
				ids[t.GetTaskName()] = t.GetId()
			}
			return fmt.Sprintf(`{"got": [{"got": [{"sold": %d},{"sold": %d}]},{"sold": %d}]}`, ids["berlin"], ids["paris"], ids["asia"])
		},
		tasks: []string{"regions", "europe", "asia", "berlin", "paris", "europe-total", "report"},
	},
	"indexed.yaml": {
		status: pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS,
		output: func(*pb.Execution) string { return `{"rows": 280}` },
		tasks:  []string{"reports", "total"},
	},
	"branch.json": {
		status: pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS,
		output: func(*pb.Execution) string { return `{"size": "big"}` },
		tasks:  []string{"measure", "check", "big"},
	},
	"failing.json": {
		status: pb.ExecutionStatus_EXECUTION_STATUS_FAILED,
		error:  []string{`task "import" failed: BackoffLimitExceeded`, "exited with code 3", "line 17: not a number"},
		tasks:  []string{"prepare", "import"},
	},
	"failing-set.yaml": {
		status: pb.ExecutionStatus_EXECUTION_STATUS_FAILED,
		error:  []string{`task "import" failed: SetFailed: 1 of 2 sets failed: set 1: task "check-orders" failed`, "2 orders have no customer"},
		tasks:  []string{"import", "orders", "customers", "check-orders", "index-customers"},
	},
}

func TestSamples(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	files, err := filepath.Glob("../../example/*.[jy]*")
	if err != nil || len(files) != len(samples) {
		t.Fatalf("example/ has %d samples (%v), the test knows %d", len(files), err, len(samples))
	}
	started := map[string]uint64{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		started[filepath.Base(file)] = d.startWorkflow(t, d.apply(t, text))
	}
	for name, id := range started {
		checkSample(t, name, d.ended(t, id))
	}
	checkHistory(t, d, started["chain.json"])
}

func checkSample(t *testing.T, name string, e *pb.Execution) {
	t.Helper()
	want, output := samples[name], "{}"
	if want.output != nil {
		output = want.output(e)
	}
	if e.GetStatus() != want.status || string(e.GetOutput()) != output {
		t.Errorf("%s: %s, output %s; want %s, %s (%s)", name, e.GetStatus(), e.GetOutput(), want.status, output, e.GetErrorMsg())
	}
	for _, text := range want.error {
		if !strings.Contains(e.GetErrorMsg(), text) {
			t.Errorf("%s: error_msg %q has no %q", name, e.GetErrorMsg(), text)
		}
	}
	var tasks []string
	for _, task := range e.GetTasks() {
		tasks = append(tasks, task.GetTaskName())
	}
	slices.Sort(tasks)
	wanted := slices.Sorted(slices.Values(want.tasks))
	if !slices.Equal(tasks, wanted) {
		t.Errorf("%s: ran %v, want %v", name, tasks, wanted)
	}
}

// checkHistory wants each transition of a chain once, and in order.
func checkHistory(t *testing.T, d *dev, id uint64) {
	t.Helper()
	stream, err := d.WatchExecution(d.call(t), &pb.WatchExecutionRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		event, err := stream.Recv()
		if err != nil {
			break
		}
		got = append(got, strings.TrimSpace(event.GetType()+" "+event.GetTaskName()))
	}
	want := []string{"ExecutionScheduled", "ExecutionStarted", "TaskStarted extract", "TaskSucceeded extract", "TaskStarted transform",
		"TaskSucceeded transform", "TaskStarted load", "TaskSucceeded load", "ExecutionSucceeded"}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// Killed at any moment and started again, dev ends every execution, and runs no
// command twice.
func TestKilledInFlight(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	ran := t.TempDir()
	job := func(name, next string) string {
		return fmt.Sprintf(`{"name": %q, "type": "kube-job"%s, "job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c",
			"command": ["sh", "-c", "mktemp %s/%s.XXXXXXXX >/dev/null; sleep 0.4; echo '{\"by\": \"%s\"}' > $JOBNETES_OUTPUT"]}]}}}}}`, name, next, ran, name, name)
	}
	definition := fmt.Sprintf(`{"name": "w", "tasks": [%s, {"name": "fan", "type": "parallel", "next": "d", "task-sets": [[%s], [%s]]}, %s]}`,
		job("a", `, "next": "fan"`), job("b", ""), job("c", ""), job("d", ""))
	workflow := d.apply(t, []byte(definition))
	const executions = 6
	var ids []uint64
	for range executions {
		ids = append(ids, d.startWorkflow(t, workflow))
	}
	for runs := 1; runs <= 3; runs++ { // in the midst of a, of b and c, of d
		d.await("more runs", func() bool {
			files, err := os.ReadDir(ran)
			return err == nil && len(files) >= runs*executions
		})
		d.kill()
		d.start()
	}
	for _, id := range ids {
		e := d.ended(t, id)
		if e.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_SUCCESS || string(e.GetOutput()) != `{"by": "d"}` {
			t.Errorf("execution %d: %s, %s: %s", id, e.GetStatus(), e.GetOutput(), e.GetErrorMsg())
		}
		if len(e.GetTasks()) != 5 {
			t.Errorf("execution %d has %d tasks", id, len(e.GetTasks()))
		}
	}
	files, err := os.ReadDir(ran)
	if err != nil || len(files) != 4*executions {
		t.Errorf("%d runs of commands (%v), want %d", len(files), err, 4*executions)
	}
}

// A user's way: write, apply, start, see, correct.
func TestCommands(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	if out, code := d.command("workflow", "apply", "-f", "../../example/chain.json", "-f", "../../example/failing.json"); code != 0 || !strings.Contains(out, "workflow chain created") {
		t.Fatalf("apply: exit code %d: %s", code, out)
	}
	out, code := d.command("start", "chain", "--watch")
	if code != 0 || !strings.Contains(out, "load") || !strings.Contains(out, `{"loaded": {"clean": {"orders": 3}}}`) {
		t.Errorf("start chain --watch: exit code %d: %s", code, out)
	}
	if _, code := d.command("start", "failing", "--watch"); code != 1 {
		t.Errorf("start failing --watch: exit code %d, want 1", code)
	}
	out, code = d.command("executions", "-o", "json")
	var list []struct {
		ID               uint64
		Workflow, Status string
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list) != 2 || list[0].Status != "failed" {
		t.Errorf("executions -o json: exit code %d, %v: %s", code, err, out)
	}
	if out, code = d.command("logs", fmt.Sprint(list[0].ID), "--task", "import"); code != 0 || !strings.Contains(out, "line 17: not a number") {
		t.Errorf("logs: exit code %d: %s", code, out)
	}
	if _, code = d.command("start", "nobody"); code != 1 {
		t.Errorf("start of what is not there: exit code %d", code)
	}
}

// A job reports by the program itself, with nothing but its own token.
func TestOutputSetInsideAJob(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	definition := fmt.Sprintf(`{"name": "w", "tasks": [{"name": "a", "type": "kube-job", "job": {"spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c",
		"command": ["%s", "output", "set", "{\"recorded\": true}"]}]}}}}}]}`, binary)
	e := d.ended(t, d.startWorkflow(t, d.apply(t, []byte(definition))))
	if string(e.GetOutput()) != `{"recorded": true}` {
		t.Errorf("%s, output %s: %s", e.GetStatus(), e.GetOutput(), e.GetErrorMsg())
	}
}

// Each index of an indexed task reports by itself; the array has what they have left.
func TestOutputSetOfIndexes(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	definition := fmt.Sprintf(`{"name": "w", "tasks": [{"name": "a", "type": "kube-job", "indexed": true, "job": {"spec": {"completions": 4, "backoffLimit": 0, "template": {"spec": {"containers": [{"name": "c",
		"command": ["sh", "-c", "test $JOBNETES_INDEX = 2 || exec %s output set $((JOBNETES_INDEX + 10))"]}]}}}}}]}`, binary)
	e := d.ended(t, d.startWorkflow(t, d.apply(t, []byte(definition))))
	if string(e.GetOutput()) != `[10,11,{},13]` {
		t.Errorf("%s, output %s: %s", e.GetStatus(), e.GetOutput(), e.GetErrorMsg())
	}
}

// A cancel ends an execution, and the process that it runs.
func TestCancel(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	pidFile := filepath.Join(t.TempDir(), "pid") // to Kubernetes, $$ is a $
	definition := fmt.Sprintf(`{"name": "w", "tasks": [{"name": "a", "type": "kube-job", "next": "b", "job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c",
		"command": ["sh", "-c", "echo half done; echo $$$$ >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 1000"]}]}}}}}, {"name": "b", "type": "kube-job", "job": {"spec": {"template": {"spec": {"containers": [{"name": "c", "command": ["true"]}]}}}}}]}`, pidFile)
	id := d.startWorkflow(t, d.apply(t, []byte(definition)))
	var pid int
	d.await("the job's process", func() bool {
		text, err := os.ReadFile(pidFile)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	// Its pod may not be known to run yet, and then it is not known to have a log.
	d.await("its log", func() bool {
		out, _ := d.command("logs", fmt.Sprint(id))
		return strings.Contains(out, "half done")
	})
	// A manager may have done it by the time that the command looks.
	if out, code := d.command("cancel", fmt.Sprint(id), "--reason", "wrong day"); code != 0 ||
		!strings.Contains(out, "is to be cancelled") && !strings.Contains(out, "has been cancelled") {
		t.Fatalf("cancel: exit code %d: %s", code, out)
	}
	e := d.ended(t, id)
	if e.GetStatus() != pb.ExecutionStatus_EXECUTION_STATUS_FAILED || e.GetErrorMsg() != "Cancelled by user "+d.username+": wrong day" {
		t.Errorf("%s: %s", e.GetStatus(), e.GetErrorMsg())
	}
	if len(e.GetTasks()) != 1 || e.GetTasks()[0].GetErrorReason() != "Cancelled" {
		t.Errorf("tasks: %v", e.GetTasks())
	}
	d.await("the process' end", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	if out, code := d.command("logs", fmt.Sprint(id)); code != 0 || !strings.Contains(out, "half done") {
		t.Errorf("logs: exit code %d: %s", code, out)
	}
	if out, code := d.command("cancel", fmt.Sprint(id)); code != 0 {
		t.Errorf("cancel again: exit code %d: %s", code, out)
	}
}

func TestSecondDevIsRefused(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	cmd := exec.Command(binary, "dev", "--data", d.data)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), d.data) {
		t.Errorf("a second dev on the same folder: %v: %s", err, out)
	}
}

// dev runs commands for whoever can start a workflow: only who reads its folder can.
func TestDevIsCareful(t *testing.T) {
	t.Parallel()
	d := newDev(t)
	info, err := os.Stat(filepath.Join(d.data, "credentials"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credentials: %v, %v", info.Mode(), err)
	}
	_, err = d.ListWorkflows(metadata.AppendToOutgoingContext(t.Context(), "username", "jobnetesadmin", "password", "wrong"), &pb.ListWorkflowsRequest{})
	if err == nil {
		t.Error("a wrong password was accepted")
	}
	for name, change := range map[string]func(*http.Request){
		"a foreign Host":       func(r *http.Request) { r.Host = "evil.example" },
		"a foreign Origin":     func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		"a cross-site fetch":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another local port's": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.page, nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s, want 403", name, res.Status)
		}
	}
}
