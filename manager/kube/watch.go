package kube

import (
	"context"
	"log/slog"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// selector matches the Jobs of this installation.
func (c *Client) selector() string {
	return LabelManagedBy + "=" + ManagedBy + "," + LabelInstallation + "=" + c.cfg.Installation
}

// relistRetry is the time between two tries to list Jobs while that fails.
const relistRetry = time.Second

// Run lists the namespace's Jobs now and then, and watches them from there, and watches
// for pods that succeed; see manager.Jobs. After an outage of the API server, or a
// restore of etcd, it begins anew: what its watches knew may be of times that have not
// been.
func (c *Client) Run(ctx context.Context, changed func(obj metav1.Object)) error {
	for ctx.Err() == nil {
		var pods sync.WaitGroup
		watching, end := context.WithCancel(ctx)
		pods.Go(func() { c.watchPods(watching, changed) })
		c.keepListing(watching, changed)
		end()
		pods.Wait()
	}
	return ctx.Err()
}

// keepListing lists all Jobs, and keeps a watch that goes on from a list, until ctx ends
// or the API server is back from an outage, which it sees by its lists or by Ping, or etcd
// was restored from a backup.
func (c *Client) keepListing(ctx context.Context, changed func(obj metav1.Object)) {
	var (
		failing time.Time // since when; zero: the last list was right
		w       jobWatch
		in      time.Duration // until the next list
		listed  time.Time     // when the last one began
	)
	defer func() { w.stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.pings.returned:
			return
		case <-w.tooOld:
			in = time.Until(listed.Add(relistRetry))
			continue
		case <-time.After(in):
		}
		listed = time.Now()
		version, restored, err := c.relist(ctx, changed)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && failing.IsZero():
			failing = time.Now()
			c.log.Log(ctx, c.unlessAway(ctx, slog.LevelError), "listing Jobs failed, trying again every second", "namespace", c.cfg.Namespace, "error", err)
			fallthrough
		case err != nil:
			in = relistRetry
			continue
		case !failing.IsZero():
			c.log.InfoContext(ctx, "Jobs are listed again", "namespace", c.cfg.Namespace, "failed_for", time.Since(failing).Round(time.Second).String())
			return
		}
		if restored {
			return
		}
		in = c.cfg.RelistInterval
		if w.ended() {
			w.stop()
			w = c.watchJobs(ctx, version, changed)
		}
	}
}

// jobWatch is a watch on Jobs under way. The zero value is one that has ended.
type jobWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
	tooOld chan struct{} // has something once it cannot go on from where it was
}

func (w *jobWatch) ended() bool {
	if w.done == nil {
		return true
	}
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// stop ends it, and waits for that.
func (w *jobWatch) stop() {
	if w.done != nil {
		w.cancel()
		<-w.done
	}
}

// watchJobs watches Jobs from that version on. A watch that the API server closes, as it
// does with slow ones when it has much to do, goes on from the last version.
func (c *Client) watchJobs(ctx context.Context, version string, changed func(obj metav1.Object)) jobWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := jobWatch{cancel: cancel, done: make(chan struct{}), tooOld: make(chan struct{}, 1)}
	go func() {
		err := c.watchJobsFrom(ctx, version, changed)
		close(w.done)
		switch {
		case ctx.Err() != nil:
		case apierrors.IsGone(err), apierrors.IsResourceExpired(err):
			w.tooOld <- struct{}{}
		default:
			c.log.Log(ctx, c.unlessAway(ctx, slog.LevelWarn), "Jobs cannot be watched: they are listed now and then",
				"namespace", c.cfg.Namespace, "every", c.cfg.RelistInterval.String(), "error", err)
		}
	}()
	return w
}

// watchJobsFrom returns why the watch cannot go on from where it was.
func (c *Client) watchJobsFrom(ctx context.Context, version string, changed func(obj metav1.Object)) error {
	open := func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		o.LabelSelector = c.selector()
		return c.api.BatchV1().Jobs(c.cfg.Namespace).Watch(ctx, o)
	}
	return follow(ctx, version, open, func(event watch.EventType, job *batchv1.Job) {
		switch {
		case event == watch.Deleted:
			c.cached.remove(job)
			changed(job)
		case c.cached.put(job):
			changed(job)
		}
	})
}

// relist compares what the API server has with what the watch has told. It returns the
// version as of which that is, and whether etcd was restored from a backup since the last
// time: then no watch can go on.
func (c *Client) relist(ctx context.Context, changed func(obj metav1.Object)) (version string, restored bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	began, names := time.Now(), map[string]bool{}
	var before []*batchv1.Job // of a restore of etcd
	newest := c.cached.newestVersion()
	err = c.pages(ctx, c.selector(), func(list *batchv1.JobList) {
		if version == "" {
			version = list.ResourceVersion
			before, restored = c.restored(ctx, newest, version)
		}
		for i := range list.Items {
			job := &list.Items[i]
			names[job.Name] = true
			if c.cached.put(job) {
				changed(job)
			}
		}
	})
	for _, job := range before {
		if !names[job.Name] {
			changed(job)
		}
	}
	if err != nil {
		return "", restored, err
	}
	for _, job := range c.cached.removeMissing(names, version) {
		changed(job)
	}
	c.succeeded.forget(began.Add(-c.cfg.RelistInterval))
	return version, restored, nil
}

// restored forgets and returns all Jobs that are known if a list has a lower version
// than one that was seen before it was asked for: etcd was restored from a backup, and
// what is known is of times that have not been.
func (c *Client) restored(ctx context.Context, newest, version string) (known []*batchv1.Job, restored bool) {
	if !newer(newest, version) || newer(version, newest) { // or one is no number
		return nil, false
	}
	known = c.cached.reset(version)
	c.succeeded.forget(time.Now())
	c.log.WarnContext(ctx, "the API server's versions have gone back: was etcd restored from a backup? All Jobs are looked at anew",
		"namespace", c.cfg.Namespace, "version", version, "version_before", newest, "jobs", len(known))
	return known, true
}
