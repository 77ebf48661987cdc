package kube

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	toolscache "k8s.io/client-go/tools/cache"
)

// selector matches the Jobs of this installation.
func (c *Client) selector() string {
	return LabelManagedBy + "=" + ManagedBy + "," + LabelInstallation + "=" + c.cfg.Installation
}

// relistRetry is the time between two tries to list Jobs while that fails.
const relistRetry = time.Second

// Run watches the namespace's Jobs by an informer, and lists them now and then,
// and watches for pods that succeed; see manager.Jobs. After an outage of the API server it lists them at once and
// begins the watch anew: the informer's own pauses grow to a minute.
func (c *Client) Run(ctx context.Context, changed func(obj metav1.Object)) error {
	for relistIn := c.cfg.RelistInterval; ; relistIn = 0 {
		end, err := c.watch(ctx, changed)
		if err != nil {
			return err
		}
		c.keepListing(ctx, relistIn, changed)
		end()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// watch starts an informer for Jobs, and the watch on pods; the caller ends both.
func (c *Client) watch(ctx context.Context, changed func(obj metav1.Object)) (end func(), err error) {
	factory := informers.NewSharedInformerFactoryWithOptions(c.api, 0,
		informers.WithNamespace(c.cfg.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = c.selector() }),
		informers.WithTransform(slim))
	informer := factory.Batch().V1().Jobs().Informer()
	seen := func(job *batchv1.Job) {
		if c.cached.put(job) {
			changed(job)
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { seen(obj.(*batchv1.Job)) },
		UpdateFunc: func(_, obj any) { seen(obj.(*batchv1.Job)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			job := obj.(*batchv1.Job)
			c.cached.remove(job)
			changed(job)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch Jobs: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	factory.StartWithContext(ctx)
	var pods sync.WaitGroup
	pods.Go(func() { c.watchPods(ctx, changed) })
	return func() {
		cancel()
		factory.Shutdown()
		pods.Wait()
	}, nil
}

// keepListing lists all Jobs, first after that time, until ctx ends or the API
// server is back from an outage, which it sees by its lists or by Ping.
func (c *Client) keepListing(ctx context.Context, in time.Duration, changed func(obj metav1.Object)) {
	var failing time.Time // since when; zero: the last list was right
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.pings.returned:
			return
		case <-time.After(in):
		}
		err := c.relist(ctx, changed)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && failing.IsZero():
			failing = time.Now()
			c.log.Log(ctx, c.unlessAway(ctx, slog.LevelError), "listing Jobs failed, trying again every second", "namespace", c.cfg.Namespace, "error", err)
			fallthrough
		case err != nil:
			in = relistRetry
		case !failing.IsZero():
			c.log.InfoContext(ctx, "Jobs are listed again", "namespace", c.cfg.Namespace, "failed_for", time.Since(failing).Round(time.Second).String())
			return
		default:
			in = c.cfg.RelistInterval
		}
	}
}

// relist compares what the API server has with what the watch has told.
func (c *Client) relist(ctx context.Context, changed func(obj metav1.Object)) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	began, names, version := time.Now(), map[string]bool{}, ""
	var before []*batchv1.Job // of a restore of etcd
	newest := c.cached.newestVersion()
	err := c.pages(ctx, c.selector(), func(list *batchv1.JobList) {
		if version == "" {
			version = list.ResourceVersion
			before = c.restored(ctx, newest, version)
		}
		for i := range list.Items {
			job := &list.Items[i]
			_, _ = slim(job)
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
		return err
	}
	for _, job := range c.cached.removeMissing(names, version) {
		changed(job)
	}
	c.succeeded.forget(began.Add(-c.cfg.RelistInterval))
	return nil
}

// restored forgets and returns all Jobs that are known if a list has a lower version
// than one that was seen before it was asked for: etcd was restored from a backup, and
// what is known is of times that have not been.
func (c *Client) restored(ctx context.Context, newest, version string) []*batchv1.Job {
	if !newer(newest, version) || newer(version, newest) { // or one is no number
		return nil
	}
	jobs := c.cached.reset(version)
	c.succeeded.forget(time.Now())
	c.log.WarnContext(ctx, "the API server's versions have gone back: was etcd restored from a backup? All Jobs are looked at anew",
		"namespace", c.cfg.Namespace, "version", version, "version_before", newest, "jobs", len(jobs))
	return jobs
}

// slim drops what nobody here reads, so that a running Job costs little memory.
func slim(obj any) (any, error) {
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return obj, nil
	}
	job.ManagedFields = nil
	job.Annotations = nil
	s := &job.Spec
	job.Spec = batchv1.JobSpec{ // what SucceedsByPod reads
		Completions: s.Completions, Parallelism: s.Parallelism, CompletionMode: s.CompletionMode,
		PodFailurePolicy: s.PodFailurePolicy, SuccessPolicy: s.SuccessPolicy, ManagedBy: s.ManagedBy,
	}
	return job, nil
}

// cache keeps the newest that is known of each Job, whoever told it.
type cache struct {
	mu     sync.RWMutex
	jobs   map[string]*batchv1.Job
	newest string // version, of all Jobs and lists that were ever seen
}

func newCache() *cache { return &cache{jobs: map[string]*batchv1.Job{}, newest: "0"} }

func (c *cache) newestVersion() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.newest
}

// reset forgets and returns all Jobs, and begins anew with that version.
func (c *cache) reset(version string) []*batchv1.Job {
	jobs := c.list()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs, c.newest = map[string]*batchv1.Job{}, version
	return jobs
}

func (c *cache) get(name string) *batchv1.Job {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.jobs[name]
}

func (c *cache) list() []*batchv1.Job {
	c.mu.RLock()
	defer c.mu.RUnlock()
	jobs := make([]*batchv1.Job, 0, len(c.jobs))
	for _, j := range c.jobs {
		jobs = append(jobs, j)
	}
	return jobs
}

// put keeps job unless something at least as new is known; it says whether it did.
func (c *cache) put(job *batchv1.Job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.jobs[job.Name]; old != nil && !newer(job.ResourceVersion, old.ResourceVersion) {
		return false
	}
	c.jobs[job.Name] = job
	c.see(job.ResourceVersion)
	return true
}

func (c *cache) remove(job *batchv1.Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.jobs[job.Name]; old != nil && old.UID == job.UID {
		delete(c.jobs, job.Name)
	}
}

// see notes a version; the caller has the lock.
func (c *cache) see(version string) {
	if newer(version, c.newest) && !newer(c.newest, version) { // what is no number counts for nothing
		c.newest = version
	}
}

// removeMissing removes and returns the Jobs that a list of that version does
// not have, but for those that are newer than the list.
func (c *cache) removeMissing(names map[string]bool, version string) []*batchv1.Job {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.see(version)
	var gone []*batchv1.Job
	for name, job := range c.jobs {
		if !names[name] && !newer(job.ResourceVersion, version) {
			delete(c.jobs, name)
			gone = append(gone, job)
		}
	}
	return gone
}

// newer compares two resource versions of one resource, which are decimal
// numbers that grow (KEP-5504, "Comparable Resource Version"). What is no
// number counts as newer: better one look too many.
func newer(a, b string) bool {
	x, errA := strconv.ParseUint(a, 10, 64)
	y, errB := strconv.ParseUint(b, 10, 64)
	return errA != nil || errB != nil || x > y
}
