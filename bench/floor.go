package bench

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	batchv1client "k8s.io/client-go/kubernetes/typed/batch/v1"
)

// floor is a bare loop on Jobs: create one, wait for its pod's success by a watch,
// create the next. It keeps nothing.
type floor struct {
	jobs batchv1client.JobInterface
	pods *podWatch
	runs int
}

func newFloor(a account, namespace string, pods *podWatch) (*floor, error) {
	client, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		return nil, err
	}
	return &floor{jobs: client.BatchV1().Jobs(namespace), pods: pods}, nil
}

// chains runs so many chains at once, of so many Jobs each. It gives the Jobs'
// names, by chain.
func (f *floor) chains(ctx context.Context, count, steps int) ([][]string, error) {
	f.runs++
	chains := make([][]string, count)
	g, ctx := errgroup.WithContext(ctx)
	for i := range count {
		for step := range steps {
			chains[i] = append(chains[i], fmt.Sprintf("floor-%d-%d-%d", f.runs, i, step))
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
	f.runs++
	name := func(i int) string { return fmt.Sprintf("floor-%d-%d", f.runs, i) }
	creators, creating := errgroup.WithContext(ctx)
	creators.SetLimit(fanCreators)
	for i := range count {
		creators.Go(func() error { return f.create(creating, name(i)) })
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
	job := simulatedJob()
	job.Name = name
	if _, err := f.jobs.Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create Job %s: %w", name, err)
	}
	return nil
}
