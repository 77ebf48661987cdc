package chaos

import (
	"context"
	"fmt"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// jobWatch sees every Job that exists for longer than the API server is away. It
// stands in for the audit log where that has no line: an API server that is killed
// after etcd has a Job, but before it has answered, logs no creation.
type jobWatch struct {
	mu   sync.Mutex
	seen uids
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

// list sees what exists now.
func (w *jobWatch) list(ctx context.Context, client kubernetes.Interface, namespace string) error {
	jobs, err := client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list Jobs: %w", err)
	}
	for i := range jobs.Items {
		w.see(&jobs.Items[i])
	}
	return nil
}
