package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/manager/kube"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/test/machine"
)

const (
	// patience is how long what takes seconds may take on a loaded machine.
	patience = 30 * time.Second
	maxConns = 8 // db.max-conns of each service
	// maxComplaints is how many warnings and errors a service may log of an outage:
	// each call under way fails, but none later.
	maxComplaints = 60
	// heldPriority has a held Job get the next slot: it need not wait for all that has piled up.
	heldPriority = 1000
	// plainUser may use the database, and not write to it when it is read-only.
	plainUser = "plain"
)

// heldShape is a workflow of one such Job.
var heldShape = shape{name: "held", tasks: list{job("stay", waits)}}

// TestOutage has the database, then the API server, away from all services at once,
// under a stream of executions, for OUTAGE seconds each. It is not parallel: it
// measures how soon work goes on.
func TestOutage(t *testing.T) {
	machine.Slow(t)
	lasts := time.Duration(number(t, "OUTAGE", 5) * float64(time.Second))
	w := newWorld(t, newReport(t, io.Discard, 1, 0), logFolder(t))
	w.usePlainUser(t)
	ctx := t.Context()
	if err := w.migrate(ctx, w.present); err != nil {
		t.Fatal(err)
	}
	if err := noteUnleased(ctx, w.db); err != nil {
		t.Fatal(err)
	}
	w.migrated.Store(true)
	if err := w.startAll(ctx, w.present); err != nil {
		t.Fatal(err)
	}
	w.noteUpgrade(w.present)
	w.applyHeld(t)
	life, end := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer end()
	background.Go(func() { w.reporter.run(life) })
	background.Go(func() {
		if err := w.watch.run(life, w.cluster.Client, w.namespace); err != nil {
			t.Error(err)
		}
	})
	stream, cease := context.WithCancel(life)
	var starting sync.WaitGroup
	starting.Go(func() { w.client.run(stream, life, w.random(loadStream), w.countOpen) })
	for _, o := range w.outages() {
		t.Run(o.name, func(t *testing.T) { w.suffer(t, o, lasts) })
	}
	cease()
	ceased := time.Now()
	starting.Wait()
	settling, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := w.settle(settling, ceased); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.services {
		s.terminate()
	}
	if err := w.verify(t); err != nil {
		t.Error(err)
	}
}

func (w *world) outages() []outage {
	return []outage{
		{name: "database killed", thing: thingDatabase, begin: w.database.Kill, end: w.database.Revive},
		{
			name: "connections to the database hang", thing: thingDatabase,
			begin: func() { w.hold(held) },
			end:   func(context.Context) error { w.hold(sound); return nil },
		},
		{
			name: "primary turns read-only", thing: thingDatabase, reason: "read-only",
			begin: func() { w.setReadOnly(context.Background(), 1) },
			end:   func(ctx context.Context) error { w.setReadOnly(ctx, 0); return nil },
		},
		{
			name: "API server killed", thing: thingAPIServer,
			begin: w.cluster.StopAPIServer, end: w.cluster.ReviveAPIServer, later: w.cluster.RestartControllers,
		},
	}
}

// usePlainUser gives the services a user of their own, without the rights of SUPER.
func (w *world) usePlainUser(t *testing.T) {
	t.Helper()
	for _, statement := range []string{
		fmt.Sprintf("CREATE USER %s@'127.0.0.1' IDENTIFIED BY '%s'", plainUser, w.password),
		fmt.Sprintf("GRANT ALL ON %s.* TO %s@'127.0.0.1'", w.access.DBName, plainUser),
	} {
		if _, err := w.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range w.services {
		s.env = append(s.env, "JOBNETES_DB_USER="+plainUser, "JOBNETES_DB_PASSWORD="+w.password, fmt.Sprint("JOBNETES_DB_MAX_CONNS=", maxConns))
	}
}

func (w *world) setReadOnly(ctx context.Context, value int) {
	if _, err := w.db.ExecContext(ctx, fmt.Sprintf("SET GLOBAL read_only = %d", value)); err != nil {
		w.report.problem("set read_only: %v", err)
	}
}

func (w *world) applyHeld(t *testing.T) {
	t.Helper()
	w.client.persist(t.Context(), "apply", w.client.jobapis, func(ctx context.Context, jobapi pb.JobapiClient) error {
		_, err := jobapi.ApplyWorkflow(ctx, &pb.ApplyWorkflowRequest{Definition: heldShape.definition()})
		return err
	})
}

// suffer has all services suffer an outage, and checks what they do and say.
func (w *world) suffer(t *testing.T, o outage, lasts time.Duration) {
	task := w.startHeld(t, o.name)
	sizes := map[*service]int64{}
	for _, s := range w.services {
		w.wantReady(t, s)
		var err error
		if sizes[s], err = s.logSize(); err != nil {
			t.Fatal(err)
		}
	}
	f := figures{Allowed: maxConns * len(w.services)}
	began := time.Now()
	o.begin()
	w.checkNotices(t, o, &f, began)
	recording := w.command(t, task.env, "output", "set", task.output)
	starting := w.command(t, w.clientEnv(t), "start", "chain", "-i", `{"value": 3}`, "--request-id", o.name)
	f.Refused = w.checkStart(t, o)
	wait(t.Context(), time.Until(began.Add(lasts)))
	for _, s := range w.services {
		if err := s.process.Err(); err != nil {
			t.Errorf("%s has not lived through it: %v", s.name, err)
		}
		if code, text, err := s.ask(t.Context(), "/healthz"); code != http.StatusOK {
			t.Errorf("%s: /healthz: %d %q, %v", s.name, code, text, err)
		}
	}
	if err := o.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.checkReturn(t, o, &f, sizes)
	recorded, started := recording(), starting()
	if recorded != "" {
		t.Errorf("output set has printed %q", recorded)
	}
	id, err := strconv.ParseUint(started, 10, 64)
	if err != nil {
		t.Fatalf("start has printed %q: %v", started, err)
	}
	w.client.add(start{request: o.name, execution: id, shape: shapes[0], value: 3})
	w.endHeld(t, task)
	line, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s for %s: %s", o.name, time.Since(began).Round(time.Second), line)
}

func (w *world) wantReady(t *testing.T, s *service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.awaitReadyz(ctx, http.StatusOK, "database: ok\n"); err != nil {
		t.Error(err)
	}
}

// checkNotices waits until every service that needs what is away says so.
func (w *world) checkNotices(t *testing.T, o outage, f *figures, began time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, s := range w.services {
		if !o.needs(s) {
			w.wantReady(t, s)
			continue
		}
		if err := s.awaitReadyz(ctx, http.StatusServiceUnavailable, o.thing+": not ready since ", o.reason); err != nil {
			t.Errorf("%s: %v", o.name, err)
		}
	}
	f.Noticed = time.Since(began).Seconds()
}

// checkStart starts an execution at each jobapi: while the database is away that is
// refused soon; without the API server it is taken.
func (w *world) checkStart(t *testing.T, o outage) (refused float64) {
	t.Helper()
	for i, jobapi := range w.client.jobapis {
		s := start{request: fmt.Sprint(o.name, " ", i), shape: shapes[0], value: 1}
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "username", username, "password", w.password), patience)
		began := time.Now()
		answer, err := jobapi.StartWorkflow(ctx, &pb.WorkflowStartRequest{WorkflowName: s.shape.name, RequestId: s.request, Input: []byte(`{"value": 1}`)})
		took := time.Since(began)
		cancel()
		if o.thing != thingDatabase {
			if err != nil {
				t.Errorf("a start without the %s: %v", o.thing, err)
				continue
			}
			s.execution = answer.GetId()
			w.client.add(s)
			continue
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("a start without the %s: %v after %s, want Unavailable at once", o.thing, err, took)
		}
		refused = max(refused, took.Seconds())
	}
	return refused
}

// checkReturn checks what follows the end of an outage.
func (w *world) checkReturn(t *testing.T, o outage, f *figures, sizes map[*service]int64) {
	t.Helper()
	ended := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var ready sync.WaitGroup
	ready.Go(func() {
		for _, s := range w.services {
			w.wantReady(t, s)
		}
		f.Ready = time.Since(ended).Seconds()
	})
	if o.later != nil {
		ready.Go(func() {
			if err := o.later(); err != nil {
				t.Error(err)
			}
		})
	}
	err := w.recover(ctx, plainUser, f)
	ready.Wait()
	if err != nil {
		t.Error(err)
	}
	// The server also counts one that its service has just closed.
	if slack := len(w.services); f.Most > f.Allowed+slack {
		t.Errorf("%d connections after the return, want %d, and %d that end, at the most", f.Most, f.Allowed, slack)
	}
	for _, s := range w.services {
		if o.needs(s) {
			f.Complaint = max(f.Complaint, o.checkLog(t, s, sizes[s]))
		}
	}
	if f.Complaint > maxComplaints {
		t.Errorf("a service has complained %d times of one outage, want %d at the most, however long it lasts", f.Complaint, maxComplaints)
	}
}

// heldTask is a task whose Job runs until endHeld.
type heldTask struct {
	pod    *corev1.Pod
	env    []string // of its container
	output string
}

// startHeld starts an execution of heldShape and waits for its pod.
func (w *world) startHeld(t *testing.T, request string) heldTask {
	t.Helper()
	s := start{request: "held " + request, shape: heldShape, value: 5, priority: heldPriority}
	if !w.client.start(t.Context(), &s) {
		t.Fatal("the held Job was not started")
	}
	w.client.add(s)
	ctx, cancel := context.WithTimeout(t.Context(), settleTimeout)
	defer cancel()
	for ctx.Err() == nil {
		pods, err := w.cluster.Client.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{
			LabelSelector: roleLabel + "=" + waits, FieldSelector: "status.phase=" + string(corev1.PodRunning),
		})
		if err == nil {
			for i := range pods.Items {
				if pod := &pods.Items[i]; pod.Annotations[recordedAnnotation] == "" { // else it is about to end
					return newHeldTask(t, pod)
				}
			}
		}
		wait(ctx, lookEvery)
	}
	t.Fatal("no pod of the held Job runs")
	return heldTask{}
}

func newHeldTask(t *testing.T, pod *corev1.Pod) heldTask {
	t.Helper()
	task := heldTask{pod: pod}
	var input any
	for _, v := range pod.Spec.Containers[0].Env {
		value := strings.ReplaceAll(v.Value, "$$", "$")
		task.env = append(task.env, v.Name+"="+value)
		if v.Name == kube.EnvInput {
			if err := json.Unmarshal([]byte(value), &input); err != nil {
				t.Fatal(err)
			}
		}
	}
	output, err := json.Marshal(outputOf(pod.Labels[kube.LabelTask], input))
	if err != nil {
		t.Fatal(err)
	}
	task.output = string(output)
	return task
}

// endHeld has the pod end as one that has recorded its output.
func (w *world) endHeld(t *testing.T, task heldTask) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, recordedAnnotation)
	if _, err := w.cluster.Client.CoreV1().Pods(w.namespace).Patch(t.Context(), task.pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
}

// clientEnv is that of a user's command.
func (w *world) clientEnv(t *testing.T) []string {
	t.Helper()
	address, err := w.address("client-jobapi1")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"JOBNETES_JOBAPI_ENDPOINT=" + address, "JOBNETES_JOBAPI_USERNAME=" + username, "JOBNETES_JOBAPI_PASSWORD=" + w.password}
}

// command begins a command of jobnetes, which must succeed; the function that is
// returned waits for it, and gives what it has printed.
func (w *world) command(t *testing.T, env []string, args ...string) (wait func() string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.present.path, args...)
	cmd.Env = append([]string{"HOME=" + w.dir}, env...)
	cmd.Dir = filepath.Dir(w.present.path) // has no credentials
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() string {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Errorf("jobnetes %s: %v: %s", strings.Join(args, " "), err, &errOut)
		}
		return strings.TrimSpace(out.String())
	}
}
