package sim

import (
	"context"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/manager/kube"
)

// installation is the name of the simulated database in the labels of Jobs.
const installation = "sim"

// attempt is what there may be one Job of, under whatever name.
type attempt struct{ execution, task, attempt string }

func attemptOf(job *batchv1.Job) attempt {
	return attempt{job.Labels[kube.LabelExecutionID], job.Labels[kube.LabelTask], job.Labels[kube.LabelAttempt]}
}

// cluster is the API server with all Jobs that there are and were.
type cluster struct {
	w       *world
	jobs    map[string]*job // that are there, by name
	all     []*job          // in the order they were created
	byUID   map[string]*job
	made    map[attempt]*job // by managers
	version int
}

// job is a Job, its pods and what becomes of it.
type job struct {
	obj     *batchv1.Job // as it is stored: replaced, never changed
	attempt attempt
	plan    plan
	foreign bool // a stranger's
	done    bool // it finished before it went
	proven  bool // its pod has succeeded
	late    bool // the Job controller finds its deadline passed, whatever its pod has done
	cut     bool // deleted by a stranger
	phase   phase
	next    time.Time // not before does the next phase come
	pods    []corev1.Pod
	record  *errand // of the output that it recorded last, or is recording
}

func newCluster(w *world) *cluster {
	return &cluster{w: w, jobs: map[string]*job{}, byUID: map[string]*job{}, made: map[attempt]*job{}}
}

// create stores a new Job.
func (c *cluster) create(obj *batchv1.Job, foreign bool) (*batchv1.Job, error) {
	at := attemptOf(obj)
	p := c.w.load.plan(at)
	if p.kind == invalid && !foreign { // a policy speaks before the name does
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, obj.Name, nil)
	}
	if c.jobs[obj.Name] != nil {
		return nil, apierrors.NewAlreadyExists(jobResource, obj.Name)
	}
	j := &job{obj: obj.DeepCopy(), attempt: at, plan: p, foreign: foreign}
	j.obj.UID = types.UID("uid" + strconv.Itoa(len(c.all)+1))
	j.obj.CreationTimestamp = metav1.NewTime(c.w.now())
	j.obj.Spec = batchv1.JobSpec{} // but for what kube.SucceedsByPod does
	switch {
	case isIndexed(obj):
		j.plan.many = false
		j.obj.Spec.Completions, j.obj.Spec.CompletionMode = new(int32(indexCount)), new(batchv1.IndexedCompletion)
	case p.many:
		j.obj.Spec.Completions = new(int32(2))
	}
	c.jobs[obj.Name] = j
	c.all = append(c.all, j)
	c.byUID[string(j.obj.UID)] = j
	j.next = c.w.now().Add(c.w.delay())
	c.changed(j)
	return j.obj.DeepCopy(), nil
}

var jobResource = schema.GroupResource{Group: "batch", Resource: "jobs"}

func notFound(name string) error { return apierrors.NewNotFound(jobResource, name) }

// update replaces a Job by a changed copy.
func (c *cluster) update(j *job, change func(obj *batchv1.Job)) {
	j.obj = j.obj.DeepCopy()
	change(j.obj)
	c.changed(j)
}

// changed gives a Job its new version and tells the watches.
func (c *cluster) changed(j *job) {
	c.version++
	j.obj.ResourceVersion = strconv.Itoa(c.version)
	c.tell(j, event{obj: j.obj, gone: j.phase == gone})
}

// tell tells the watches of an event of a Job.
func (c *cluster) tell(j *job, e event) {
	if !watched(j.obj) {
		return
	}
	for _, p := range c.w.alive() {
		p.watch.tell(e)
	}
}

// watched says whether a Job is selected by the managers' watch.
func watched(obj *batchv1.Job) bool {
	return obj.Labels[kube.LabelManagedBy] == kube.ManagedBy && obj.Labels[kube.LabelInstallation] == installation
}

// remove takes a Job away, and its pods with it.
func (c *cluster) remove(j *job) {
	j.phase, j.pods = gone, nil
	if j.record != nil {
		j.record.leave()
	}
	delete(c.jobs, j.obj.Name)
	j.obj = j.obj.DeepCopy()
	c.changed(j)
}

// jobs is the API server as one process reaches it: what *kube.Client is to a
// manager.
type jobs struct{ p *process }

func (k *jobs) request(ctx context.Context, write bool, format string, args ...any) *call {
	return &call{ctx: ctx, side: toAPIServer, write: write, key: fmt.Sprintf(format, args...)}
}

// Create is carried out once the name is free and its caller may still have it
// done; see Schedule.Gaps.
func (k *jobs) Create(ctx context.Context, obj *batchv1.Job) (*batchv1.Job, error) {
	w, obj := k.p.w, obj.DeepCopy()
	c := k.request(ctx, true, "Create %s", obj.Name)
	var epoch uint64
	c.sent = func() { epoch = w.epochOf(obj, k.p.owner) }
	c.stale = func() bool {
		current := ctx.Err() == nil && !k.p.dead && epoch != 0 && w.epochOf(obj, k.p.owner) == epoch
		return !current && w.cluster.jobs[obj.Name] == nil && (w.cluster.made[attemptOf(obj)] != nil || w.taskOver(obj))
	}
	created, err := ask(k.p, c, func() (*batchv1.Job, error) {
		created, err := w.cluster.create(obj, false)
		if err == nil {
			w.checkCreated(w.cluster.jobs[obj.Name], k.p.owner)
			w.checkLimit(w.cluster.jobs[obj.Name], k.p)
		}
		return created, err
	})
	if err == nil {
		k.p.watch.note(created)
	}
	return created, err
}

func (k *jobs) Get(ctx context.Context, name string) (*batchv1.Job, error) {
	return ask(k.p, k.request(ctx, false, "Get %s", name), func() (*batchv1.Job, error) {
		j := k.p.w.cluster.jobs[name]
		if j == nil {
			return nil, notFound(name)
		}
		return j.obj.DeepCopy(), nil
	})
}

func (k *jobs) Cached(name string) *batchv1.Job { return k.p.watch.get(name) }

func (k *jobs) Quiet(name string, uid types.UID) bool {
	job := k.p.watch.get(name)
	return job != nil && job.UID == uid && kube.Quiet(&job.Status) && k.p.watch.succeeded(uid) == nil
}

func (k *jobs) Succeeded(job *batchv1.Job) *corev1.Pod {
	if !kube.SucceedsByPod(job) {
		return nil
	}
	return k.p.watch.succeeded(job.UID)
}

// List waits for the scheduler like a request, so that what it sees does not
// depend on when exactly it is called.
func (k *jobs) List() []*batchv1.Job {
	list, _ := ask(k.p, &call{ctx: context.Background(), side: toCache, key: "List"}, func() ([]*batchv1.Job, error) { return k.p.watch.list(), nil })
	return list
}

func (k *jobs) Pods(ctx context.Context, jobName string) ([]corev1.Pod, error) {
	return ask(k.p, k.request(ctx, false, "Pods %s", jobName), func() (pods []corev1.Pod, _ error) {
		if j := k.p.w.cluster.jobs[jobName]; j != nil {
			for i := range j.pods {
				pods = append(pods, *j.pods[i].DeepCopy())
			}
		}
		return pods, nil
	})
}

func (k *jobs) LogTail(ctx context.Context, pod, container string, _ int) ([]byte, bool, error) {
	text, err := ask(k.p, k.request(ctx, false, "LogTail %s", pod), func() ([]byte, error) {
		for _, j := range k.p.w.cluster.all {
			for i := range j.pods {
				if j.pods[i].Name == pod {
					return []byte("log of " + pod + "\n"), nil
				}
			}
		}
		return nil, notFound(pod)
	})
	return text, false, err
}

func (k *jobs) Delete(ctx context.Context, name string, uid types.UID) error {
	_, err := ask(k.p, k.request(ctx, true, "Delete %s", name), func() (struct{}, error) {
		if j := k.p.w.cluster.jobs[name]; j != nil && j.obj.UID == uid {
			k.p.w.checkDeleted(j, k.p.owner)
			k.p.w.cluster.remove(j)
		}
		return struct{}{}, nil
	})
	return err
}

func (k *jobs) Ping(ctx context.Context) error {
	_, err := ask(k.p, k.request(ctx, false, "Ping"), func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// Run keeps the watch: the scheduler calls changed.
func (k *jobs) Run(ctx context.Context, changed func(obj metav1.Object)) error {
	k.p.watch.begin(changed)
	<-ctx.Done()
	return ctx.Err()
}

// tokens signs the same for all tasks: nobody checks it.
type tokens struct{}

func (tokens) Sign(uint64, time.Time) (string, error) { return "token", nil }
