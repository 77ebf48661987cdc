package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/jobnetes/jobnetes/test/cluster"
)

// world is all that a scenario runs on: a database, a cluster, a jobapi, managers,
// and the floor. Each scenario has one of its own, so that none has the leftovers of
// another.
type world struct {
	*database
	t         *testing.T
	dir       string // of logs
	cluster   *cluster.Cluster
	real      bool // pods are run by a real node
	namespace string
	ours      account
	pods      *podWatch
	floor     *floor
	client    client
	jobapi    *service
	managers  []*service
}

// simulatedNodes has room for the pods that run at once in the largest scenario.
const simulatedNodes = 10

// scenarioTimeout is when something must be wrong. What is slow should be measured.
const scenarioTimeout = 3 * time.Hour

// newWorld starts all but managers, and applies workflows. Pods are simulated.
func newWorld(t *testing.T, workflows ...[]byte) (*world, context.Context) {
	t.Helper()
	c := cluster.StartPrivate(t)
	c.Simulate(t, simulatedNodes, "")
	return (&world{t: t, cluster: c.Cluster}).begin(simulatedJob, workflows)
}

// newNodeWorld is newWorld on a real node.
func newNodeWorld(t *testing.T, workflows ...[]byte) (*world, context.Context) {
	t.Helper()
	return (&world{t: t, cluster: cluster.StartNode(t), real: true}).begin(nodeJob, workflows)
}

// begin starts all but the cluster and managers. The floor creates jobs.
func (w *world) begin(job func() *batchv1.Job, workflows [][]byte) (*world, context.Context) {
	t := w.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTimeout)
	t.Cleanup(cancel) // of the watch, before the cluster ends
	w.dir, w.database = t.TempDir(), newDatabase(t)
	w.namespace = w.cluster.Namespace(t)
	w.ours = newAccount(t, w.cluster, w.namespace, oursAccount, w.dir)
	bare := newAccount(t, w.cluster, w.namespace, floorAccount, w.dir)
	w.pods = watchPods(ctx, w.cluster.Client, w.namespace)
	var err error
	if w.floor, err = newFloor(bare, w.namespace, w.pods, job); err != nil {
		t.Fatal(err)
	}
	w.jobapi = startService(t, jobapi, w.dir, w.settings())
	w.client = newClient(t, w.jobapi)
	for _, workflow := range workflows {
		if err := w.client.apply(ctx, workflow); err != nil {
			t.Fatal(err)
		}
	}
	return w, ctx
}

// settings gives the environment of services. Simulated pods have no logs to keep.
func (w *world) settings() []string {
	settings := append(w.database.settings(), "JOBNETES_K8S_CONFIG_PATH="+w.ours.kubeconfig, "JOBNETES_K8S_JOB_NAMESPACE="+w.namespace)
	if !w.real {
		settings = append(settings, "JOBNETES_MANAGER_KEPT_LOG_BYTES=0")
	}
	return settings
}

// startManagers starts managers until there are so many.
func (w *world) startManagers(count int) {
	w.t.Helper()
	for len(w.managers) < count {
		settings := append(w.settings(), "JOBNETES_JOBAPI_ENDPOINT=127.0.0.1:"+w.jobapi.port)
		w.managers = append(w.managers, startService(w.t, manager, w.dir, settings))
	}
}

// stopManagers ends all managers.
func (w *world) stopManagers(ctx context.Context) error {
	for _, m := range w.managers {
		if err := m.end(ctx); err != nil {
			return err
		}
	}
	w.managers = nil
	return nil
}

// execute starts so many executions of a workflow at once, and waits until they have
// all succeeded. It gives the time from the first start to the last end as the
// database has it, which has this machine's clock, and their ids.
func (w *world) execute(ctx context.Context, workflow string, count int) (time.Duration, []uint64, error) {
	began := time.Now()
	ids, err := w.client.startMany(ctx, workflow, count)
	if err != nil {
		return 0, nil, err
	}
	ended, err := w.awaitEnd(ctx, ids)
	return ended.Sub(began), ids, err
}

// awaitEnd waits until the executions, which were started one after the other, have
// all succeeded, and gives when the last one did.
func (w *world) awaitEnd(ctx context.Context, ids []uint64) (time.Time, error) {
	const look = "SELECT COALESCE(SUM(status = 2), 0), COALESCE(SUM(status = 3), 0), COALESCE(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', MAX(ended_at)), 0) " +
		"FROM workflow_executions WHERE id BETWEEN ? AND ?"
	for {
		var succeeded, failed int
		var last int64
		if err := w.row(ctx, look, []any{slices.Min(ids), slices.Max(ids)}, &succeeded, &failed, &last); err != nil {
			return time.Time{}, err
		}
		if failed > 0 {
			return time.Time{}, fmt.Errorf("%d executions have failed: %s", failed, w.managers[0].Tail())
		}
		if succeeded == len(ids) {
			return time.UnixMicro(last), nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return time.Time{}, fmt.Errorf("%d of %d executions have not ended: %w", len(ids)-succeeded, len(ids), err)
		}
	}
}
