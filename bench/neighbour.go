package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// neighbour is another client of the API server, who now and then lists or creates
// something. It takes a refusal for an answer, and does not try again.
type neighbour struct {
	api       rest.Interface
	namespace string
}

const (
	neighbourAccount = "neighbour"
	// neighbourEvery is how often it asks, whether or not it has been answered.
	neighbourEvery = 50 * time.Millisecond
)

func newNeighbour(a account, namespace string) (*neighbour, error) {
	client, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		return nil, err
	}
	return &neighbour{client.CoreV1().RESTClient(), namespace}, nil
}

// neighbourSample is what its requests have come to.
type neighbourSample struct {
	asked []neighbourRequest
	took  sample // milliseconds, of those that were not refused
}

// neighbourRequest is one of them.
type neighbourRequest struct {
	at      time.Time
	took    time.Duration
	refused bool
}

// during has it ask while do runs.
func (n *neighbour) during(ctx context.Context, do func(context.Context) error) (neighbourSample, error) {
	var (
		mu    sync.Mutex
		seen  neighbourSample
		wrong error
		group sync.WaitGroup
	)
	stop := make(chan struct{})
	group.Go(func() {
		ticks := time.NewTicker(neighbourEvery)
		defer ticks.Stop()
		for count := 0; ; count++ {
			ask := n.list
			if count%2 == 1 {
				ask = n.create
			}
			select {
			case <-stop:
				return
			case <-ticks.C:
			}
			group.Go(func() {
				began := time.Now()
				err := ask(ctx)
				r := neighbourRequest{at: began, took: time.Since(began), refused: apierrors.IsTooManyRequests(err)}
				mu.Lock()
				defer mu.Unlock()
				seen.asked = append(seen.asked, r)
				if err != nil && !r.refused && wrong == nil {
					wrong = fmt.Errorf("the other client's request: %w", err)
				}
			})
		}
	})
	err := do(ctx)
	close(stop)
	group.Wait()
	if err == nil {
		err = wrong
	}
	return seen, err
}

func (n *neighbour) list(ctx context.Context) error {
	return n.api.Get().Namespace(n.namespace).Resource("configmaps").Param("limit", "10").MaxRetries(0).Do(ctx).Error()
}

// create does all that a creation does, but for the writing.
func (n *neighbour) create(ctx context.Context) error {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}
	return n.api.Post().Namespace(n.namespace).Resource("configmaps").Param("dryRun", metav1.DryRunAll).Body(object).MaxRetries(0).Do(ctx).Error()
}

// within gives the requests that were made between two times.
func (s neighbourSample) within(from, to time.Time) (part neighbourSample) {
	for _, r := range s.asked {
		if r.at.Before(from) || r.at.After(to) {
			continue
		}
		part.asked = append(part.asked, r)
		if !r.refused {
			part.took = append(part.took, milliseconds(r.took))
		}
	}
	return part
}

// refused gives how many percent of the requests were refused.
func (s neighbourSample) refused() sample {
	if len(s.asked) == 0 {
		return nil
	}
	return only(100 * float64(len(s.asked)-len(s.took)) / float64(len(s.asked)))
}
