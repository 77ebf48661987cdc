package kube

import (
	"strconv"
	"sync"
	"unique"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// known is what is kept of a Job: what is read here. The whole of a running Job, mostly
// what it was made of, takes ten times as much memory.
type known struct {
	name    string
	uid     types.UID
	version string
	created metav1.Time
	deleted *metav1.Time
	common  unique.Handle[common]
	task    unique.Handle[string] // the label
	taskID  string                // the label
	spec    *batchv1.JobSpec      // what SucceedsByPod reads; nil: by that one pod is enough
	status  batchv1.JobStatus
}

// common is what the Jobs of an execution have in common: it is kept once.
type common struct {
	namespace string
	labels    [len(commonLabels)]string // the values; "": they have no such label
}

var commonLabels = [...]string{LabelManagedBy, LabelInstallation, LabelExecutionID, LabelAttempt, LabelWorkflow}

func knownOf(job *batchv1.Job) *known {
	all := common{namespace: job.Namespace}
	for i, key := range commonLabels {
		all.labels[i] = job.Labels[key]
	}
	k := &known{
		name: job.Name, uid: job.UID, version: job.ResourceVersion, created: job.CreationTimestamp, deleted: job.DeletionTimestamp,
		common: unique.Make(all), task: unique.Make(job.Labels[LabelTask]), taskID: job.Labels[LabelTaskID], status: job.Status,
	}
	k.status.CompletedIndexes, k.status.UncountedTerminatedPods = "", nil // each as long as there are indexes
	if s := &job.Spec; !ofOnePod(s) {
		k.spec = &batchv1.JobSpec{
			Completions: s.Completions, Parallelism: s.Parallelism, CompletionMode: s.CompletionMode,
			PodFailurePolicy: s.PodFailurePolicy, SuccessPolicy: s.SuccessPolicy, ManagedBy: s.ManagedBy,
		}
	}
	return k
}

// job returns the Job as far as it is known.
func (k *known) job() *batchv1.Job {
	all, labels := k.common.Value(), make(map[string]string, len(commonLabels)+2)
	set := func(key, value string) {
		if value != "" {
			labels[key] = value
		}
	}
	for i, key := range commonLabels {
		set(key, all.labels[i])
	}
	set(LabelTask, k.task.Value())
	set(LabelTaskID, k.taskID)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: k.name, Namespace: all.namespace, UID: k.uid, ResourceVersion: k.version, CreationTimestamp: k.created, DeletionTimestamp: k.deleted, Labels: labels,
		},
		Status: k.status,
	}
	if k.spec != nil {
		job.Spec = *k.spec
	}
	return job
}

// cache keeps the newest that is known of each Job, whoever told it.
type cache struct {
	mu     sync.RWMutex
	jobs   map[string]*known
	newest string // version, of all Jobs and lists that were ever seen
}

func newCache() *cache { return &cache{jobs: map[string]*known{}, newest: "0"} }

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
	c.jobs, c.newest = map[string]*known{}, version
	return jobs
}

func (c *cache) get(name string) *batchv1.Job {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if k := c.jobs[name]; k != nil {
		return k.job()
	}
	return nil
}

// quiet says whether the Job of that name and UID is Quiet.
func (c *cache) quiet(name string, uid types.UID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k := c.jobs[name]
	return k != nil && k.uid == uid && Quiet(&k.status)
}

func (c *cache) list() []*batchv1.Job {
	c.mu.RLock()
	defer c.mu.RUnlock()
	jobs := make([]*batchv1.Job, 0, len(c.jobs))
	for _, j := range c.jobs {
		jobs = append(jobs, j.job())
	}
	return jobs
}

// put keeps job unless something at least as new is known; it says whether it did.
func (c *cache) put(job *batchv1.Job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.jobs[job.Name]; old != nil && !newer(job.ResourceVersion, old.version) {
		return false
	}
	c.jobs[job.Name] = knownOf(job)
	c.see(job.ResourceVersion)
	return true
}

func (c *cache) remove(job *batchv1.Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.jobs[job.Name]; old != nil && old.uid == job.UID {
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
		if !names[name] && !newer(job.version, version) {
			delete(c.jobs, name)
			gone = append(gone, job.job())
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
