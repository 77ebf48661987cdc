package sim

import (
	"slices"
	"strconv"
	"sync"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// relistInterval is how often a process lists all Jobs beside its watch.
const relistInterval = 10 * time.Second

// event is what a watch tells: of a Job or, by a watch of its own, that a pod has
// succeeded.
type event struct {
	obj  *batchv1.Job
	gone bool
	pod  *corev1.Pod // nil: it is about the Job
}

// watch is a process's view of the Jobs, by the rules of manager/kube: a stream
// of events that may lag, lose, repeat and reorder, a list of all now and then,
// and a cache that keeps the newest version.
type watch struct {
	mu      sync.Mutex
	cache   map[string]*batchv1.Job
	pods    map[types.UID]*corev1.Pod // that have succeeded, by their Jobs' UIDs
	indexes map[types.UID]*indexPods
	changed func(obj metav1.Object) // nil: it has not begun

	// The scheduler's.
	connected bool
	queue     []event
	relistAt  time.Time
}

func newWatch() *watch {
	return &watch{cache: map[string]*batchv1.Job{}, pods: map[types.UID]*corev1.Pod{}, indexes: map[types.UID]*indexPods{}}
}

func (v *watch) begin(changed func(obj metav1.Object)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changed = changed
}

func (v *watch) begun() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed != nil
}

func (v *watch) get(name string) *batchv1.Job {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cache[name]
}

// note has the cache know what an answer has told.
func (v *watch) note(obj *batchv1.Job) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old := v.cache[obj.Name]; old == nil || version(obj) > version(old) {
		v.cache[obj.Name] = obj.DeepCopy()
	}
}

// succeeded returns the pod that has been told of.
func (v *watch) succeeded(uid types.UID) *corev1.Pod {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.pods[uid]
}

func (v *watch) list() []*batchv1.Job {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []*batchv1.Job
	for _, obj := range v.cache {
		all = append(all, obj)
	}
	return all
}

// tell adds an event to the stream.
func (v *watch) tell(e event) {
	if v.connected {
		v.queue = append(v.queue, e)
	}
}

// deliver takes the first event.
func (v *watch) deliver() event {
	e := v.queue[0]
	v.queue = v.queue[1:]
	v.see(e)
	return e
}

// see takes up what it is told, and says whether the process was told of it.
func (v *watch) see(e event) bool {
	v.mu.Lock()
	old := v.cache[e.obj.Name]
	news := true
	switch {
	case e.pod != nil && e.pod.Annotations != nil: // of an index: it wakes nobody
		v.seeIndex(e.obj.UID, e.pod)
		news = false
	case e.pod != nil:
		v.pods[e.obj.UID] = e.pod
	case e.gone:
		delete(v.pods, e.obj.UID)
		if old != nil && old.UID == e.obj.UID {
			delete(v.cache, e.obj.Name)
		}
	case old == nil || version(e.obj) > version(old):
		v.cache[e.obj.Name] = e.obj
	default:
		news = false
	}
	changed := v.changed
	v.mu.Unlock()
	if news {
		changed(e.obj)
	}
	return news
}

// relist compares the cache with all Jobs that there are, and begins the stream
// anew. What it has missed of pods it will not know. It is told of one Job at a time, and
// does what it does about that: a pass under way would race with what else is listed.
func (v *watch) relist(c *cluster) {
	see := func(e event) {
		if v.see(e) {
			synctest.Wait()
		}
	}
	v.relistAt = c.w.now().Add(relistInterval)
	v.connected, v.queue = true, nil
	for _, j := range c.all {
		if j.phase != gone && watched(j.obj) {
			see(event{obj: j.obj})
		}
	}
	var missing []*batchv1.Job
	for _, obj := range v.list() {
		if c.jobs[obj.Name] == nil {
			missing = append(missing, obj)
		}
	}
	slices.SortFunc(missing, func(a, b *batchv1.Job) int { return version(a) - version(b) })
	for _, obj := range missing {
		see(event{obj: obj, gone: true})
	}
}

func version(obj *batchv1.Job) int {
	n, _ := strconv.Atoi(obj.ResourceVersion)
	return n
}
