package bench

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	batchv1client "k8s.io/client-go/kubernetes/typed/batch/v1"
)

// floor is a bare loop on Jobs: create one, wait for its pod's success by a watch,
// create the next. It keeps nothing.
type floor struct {
	name string // begins those of its Jobs
	jobs batchv1client.JobInterface
	job  func() *batchv1.Job // of each step
	pods *podWatch
	runs int
}

func newFloor(a account, namespace string, pods *podWatch, job func() *batchv1.Job) (*floor, error) {
	client, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		return nil, err
	}
	return &floor{name: "floor", jobs: client.BatchV1().Jobs(namespace), job: job, pods: pods}, nil
}

// chains runs so many chains at once, of so many Jobs each. It gives the Jobs'
// names, by chain.
func (f *floor) chains(ctx context.Context, count, steps int) ([][]string, error) {
	f.runs++
	chains := make([][]string, count)
	g, ctx := errgroup.WithContext(ctx)
	for i := range count {
		for step := range steps {
			chains[i] = append(chains[i], fmt.Sprintf("%s-%d-%d-%d", f.name, f.runs, i, step))
		}
		g.Go(func() error {
			for _, job := range chains[i] {
				if err := f.create(ctx, job); err != nil {
					return err
				}
				if err := f.pods.wait(ctx, job); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return chains, g.Wait()
}

// fanCreators is how many requests to create a Job the floor has under way in a
// fan-out: more do not make the API server any faster.
const fanCreators = 32

// fan runs so many Jobs, all created as fast as can be.
func (f *floor) fan(ctx context.Context, count int) error {
	return f.fanBy(ctx, count, fanCreators, f.create)
}

// fanUnthrottled is fan with so many requests under way, each of which is tried again
// until the API server takes it. client-go itself waits for as long as a refusal says,
// a second, ten times.
func (f *floor) fanUnthrottled(ctx context.Context, count, atOnce int) error {
	return f.fanBy(ctx, count, atOnce, func(ctx context.Context, name string) error {
		for {
			if err := f.create(ctx, name); !apierrors.IsTooManyRequests(err) {
				return err
			}
		}
	})
}

// fanBy runs so many Jobs, which create creates, so many at once.
func (f *floor) fanBy(ctx context.Context, count, atOnce int, create func(ctx context.Context, name string) error) error {
	f.runs++
	name := func(i int) string { return fmt.Sprintf("%s-%d-%d", f.name, f.runs, i) }
	creators, creating := errgroup.WithContext(ctx)
	creators.SetLimit(atOnce)
	for i := range count {
		creators.Go(func() error { return create(creating, name(i)) })
	}
	if err := creators.Wait(); err != nil {
		return err
	}
	for i := range count {
		if err := f.pods.wait(ctx, name(i)); err != nil {
			return err
		}
	}
	return nil
}

func (f *floor) create(ctx context.Context, name string) error {
	_, err := f.createJob(ctx, name)
	return err
}

func (f *floor) createJob(ctx context.Context, name string) (*batchv1.Job, error) {
	job := f.job()
	job.Name = name
	created, err := f.jobs.Create(ctx, job, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create Job %s: %w", name, err)
	}
	return created, nil
}

// chainByComplete runs one chain as those do that wait for a Job's condition: the
// Job controller says it about a second after the pod's success.
func (f *floor) chainByComplete(ctx context.Context, steps int) error {
	f.runs++
	for step := range steps {
		job, err := f.createJob(ctx, fmt.Sprintf("%s-%d-%d", f.name, f.runs, step))
		if err != nil {
			return err
		}
		if err := f.awaitComplete(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

// awaitComplete returns when a Job that has just been created is complete.
func (f *floor) awaitComplete(ctx context.Context, job *batchv1.Job) error {
	watcher, err := f.jobs.Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, job.Name).String(), ResourceVersion: job.ResourceVersion,
	})
	if err != nil {
		return fmt.Errorf("watch Job %s: %w", job.Name, err)
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		seen, ok := event.Object.(*batchv1.Job)
		if !ok {
			return fmt.Errorf("watch Job %s: %w", job.Name, apierrors.FromObject(event.Object))
		}
		if seen.Status.CompletionTime != nil {
			return nil
		}
	}
	return fmt.Errorf("the watch of Job %s was closed before the Job was complete", job.Name)
}
