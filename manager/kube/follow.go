package kube

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
)

// follow tells of what changes from a version on, until ctx ends or the watch that open
// opens cannot go on from where it was; it returns why. A watch that the API server
// closes, as it does with slow ones when it has much to do, goes on from the last version.
func follow[T runtime.Object](ctx context.Context, version string, open toolscache.WatchFuncWithContext, tell func(event watch.EventType, obj T)) error {
	w, err := toolswatch.NewRetryWatcherWithContext(ctx, version, &toolscache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return orGone(open(ctx, o))
		},
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if obj, ok := e.Object.(T); ok {
			tell(e.Type, obj)
		} else {
			err = apierrors.FromObject(e.Object)
		}
	}
	return err
}

// orGone makes an event of the error that a watch cannot go on from where it was: a
// RetryWatcher gives up by the event, and would try for ever to open the watch.
func orGone(w watch.Interface, err error) (watch.Interface, error) {
	var refusal *apierrors.StatusError
	if !errors.As(err, &refusal) || refusal.ErrStatus.Code != http.StatusGone {
		return w, err
	}
	events := make(chan watch.Event, 1)
	events <- watch.Event{Type: watch.Error, Object: &refusal.ErrStatus}
	return watch.NewProxyWatcher(events), nil
}
