package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/jobnetes/jobnetes/manager/kube"
)

// jobWatch sees every Job that exists for longer than the API server is away. It
// stands in for the audit log where that has no line: an API server that is killed
// after etcd has a Job, but before it has answered, logs no creation.
type jobWatch struct {
	mu   sync.Mutex
	seen uids
}

// uids are the UIDs of Jobs by their names.
type uids map[string]map[types.UID]bool

func (u uids) add(name string, uid types.UID) {
	if u[name] == nil {
		u[name] = map[types.UID]bool{}
	}
	u[name][uid] = true
}

// verifyJobs checks that no two Jobs of a name were seen, one after the other.
func verifyJobs(seen uids, r *report) {
	for name, of := range seen {
		if len(of) > 1 {
			r.doubled("there were %d Jobs named %s, one after the other: %v", len(of), name, slices.Sorted(maps.Keys(of)))
		}
	}
}

// run watches until ctx ends.
func (w *jobWatch) run(ctx context.Context, client kubernetes.Interface, namespace string) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	_, err := factory.Batch().V1().Jobs().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { w.see(obj.(*batchv1.Job)) },
		// One that was deleted, and another one made, while nothing was seen.
		UpdateFunc: func(_, obj any) { w.see(obj.(*batchv1.Job)) },
	})
	if err != nil {
		return fmt.Errorf("watch Jobs: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

func (w *jobWatch) see(job *batchv1.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.add(job.Name, job.UID)
}

// list sees what exists now, and gives those that run.
func (w *jobWatch) list(ctx context.Context, client kubernetes.Interface, namespace string) (running []string, err error) {
	jobs, err := client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list Jobs: %w", err)
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		w.see(job)
		if !kube.Finished(job) && job.DeletionTimestamp == nil {
			running = append(running, job.Name)
		}
	}
	return running, nil
}
