package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// saveRetry is how soon a failed write of status.json is tried again.
	saveRetry = time.Second
	// folderCheck is how often it is looked whether the Job's folder is there.
	folderCheck = time.Second
)

// RunJob runs the Job whose folder is dir until it is complete or has failed.
// It is the whole of the process that Config.Runner starts, which should do
// nothing else: a Runner recognizes it by its lock and ends it with SIGTERM,
// upon which, or when ctx ends, RunJob ends the Job's processes and returns an
// error; so it does if another process runs the Job already. Its log goes to
// stderr, which the Runner sends to runner.log.
func RunJob(ctx context.Context, dir string) error {
	// Before the lock is taken, because from then on signals are meant for us.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	d := jobDir(dir)
	lock, err := lockFile(d.lockPath(), 0)
	if err != nil {
		return fmt.Errorf("run job in %s: %w", dir, err)
	}
	defer func() { _ = unlock(lock) }()
	if d.deleted() {
		return nil
	}
	j, err := loadJobRun(d)
	if err != nil {
		return fmt.Errorf("run job in %s: %w", dir, err)
	}
	if ended(&j.state.Status) != nil {
		return nil
	}
	if err := j.abandonLost(time.Now()); err != nil {
		return fmt.Errorf("resume job %s: %w", j.job.Name, err)
	}
	var disown func()
	if j.children, disown, err = adoptChildren(); err != nil {
		return fmt.Errorf("run job %s: %w", j.job.Name, err)
	}
	defer disown()
	j.lock = lock
	return j.run(ctx)
}

// jobRun runs one Job. Everything in it belongs to the goroutine of run; pods
// report to it.
type jobRun struct {
	dir     jobDir
	lock    *os.File
	job     *batchv1.Job
	base    time.Duration // the delay before the first retry
	slots   int           // how many indexes run at once, at the most; 0: no bound
	state   progress
	written int // how many of state's pods, the first ones, are in ended.jsonl
	unsaved bool
	// active are the pods that have not ended, by name; those in created are
	// still to be launched.
	active  map[string]*podRun
	created []*podRun
	updates chan update
	// children are the processes of all pods.
	children *children
	log      *slog.Logger
}

// update is a pod's report. The pod goes on when acked is closed: what it
// reported has been decided on by then, and saved if that was possible.
type update struct {
	pod   *podRun
	apply func(*corev1.PodStatus)
	// restart: a container is about to be restarted in place.
	restart bool
	// done: the pod has ended, nothing of it runs anymore.
	done  bool
	acked chan struct{}
}

func loadJobRun(d jobDir) (*jobRun, error) {
	rec, err := d.record()
	if err != nil {
		return nil, err
	}
	state, err := d.status()
	if err != nil {
		return nil, err
	}
	gone, err := d.endedPods(0, state.Ended)
	if err != nil {
		return nil, err
	}
	state.Pods = append(gone, state.Pods...)
	return &jobRun{
		dir:     d,
		job:     rec.Job,
		base:    rec.Backoff,
		slots:   rec.Slots,
		state:   state,
		written: len(gone),
		active:  map[string]*podRun{},
		updates: make(chan update),
		log:     slog.New(slog.NewTextHandler(os.Stderr, nil)).With("job", rec.Job.Name),
	}, nil
}

// run decides, saves, launches, and waits for the next event, until the job has
// ended and that is on disk. A pod is launched only after it was saved, so that
// no crash can make a pod run that nobody knows of; and if the folder is removed
// (with the lock in it), the job ends, because nobody could end it otherwise.
func (j *jobRun) run(ctx context.Context) error {
	for {
		now := time.Now()
		j.decide(now)
		wait := j.nextWake(now)
		if j.save() {
			if ended(&j.state.Status) != nil {
				return nil
			}
			j.launch()
		} else {
			wait = min(wait, saveRetry)
		}
		select {
		case u := <-j.updates:
			j.handle(u)
		case <-time.After(min(wait, folderCheck)):
			if !stillAt(j.lock, j.dir.lockPath()) {
				return j.stop("the job's folder was removed")
			}
		case <-ctx.Done():
			return j.stop("the process that runs the job was told to stop")
		}
	}
}

// decide brings the state on from what is known.
func (j *jobRun) decide(now time.Time) {
	status := &j.state.Status
	if status.StartTime == nil {
		status.StartTime = new(metav1.NewTime(now))
		j.unsaved = true
	}
	target := condition(status, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet)
	if target == nil {
		if target = verdict(&j.job.Spec, status, j.restarts(), now); target != nil {
			j.add(target)
		}
	}
	switch {
	case ended(status) != nil:
	case target == nil:
		j.createPods(now)
	case len(j.active) > 0:
		for _, p := range j.active {
			p.cancel(&stopCause{target.Reason, target.Message})
		}
	default:
		final := outcome(target, now)
		if final.Type == batchv1.JobComplete {
			status.CompletionTime = new(metav1.NewTime(now))
		}
		j.add(final)
	}
}

func (j *jobRun) add(c *batchv1.JobCondition) {
	j.state.Status.Conditions = append(j.state.Status.Conditions, *c)
	j.unsaved = true
}

// createPods adds the pods that are missing, unless a back-off delays them.
func (j *jobRun) createPods(now time.Time) {
	if isIndexed(&j.job.Spec) {
		for _, index := range j.indexesToStart(now) {
			j.createPod(newPodRun(j, newIndexPod(j.job, index, now)))
		}
		return
	}
	if now.Before(j.retryAt()) {
		return
	}
	for range podsToStart(&j.job.Spec, &j.state.Status) {
		j.createPod(newPodRun(j, newPod(j.job, now)))
	}
}

func (j *jobRun) createPod(p *podRun) {
	j.active[p.pod.Name] = p
	j.created = append(j.created, p)
	j.state.Pods = append(j.state.Pods, *p.pod.DeepCopy())
	j.state.Status.Active++
	j.unsaved = true
}

// launch starts the created pods.
func (j *jobRun) launch() {
	for _, p := range j.created {
		go p.run()
	}
	j.created = nil
}

// handle takes in a pod's report, decides on it, and lets the pod go on.
func (j *jobRun) handle(u update) {
	now := time.Now()
	pod := j.podState(u.pod.pod.Name)
	u.apply(&pod.Status)
	if u.restart {
		u.pod.restarts++
	}
	if u.done {
		u.pod.cancel(nil)
		delete(j.active, pod.Name)
		j.count(pod.Status.Phase, now)
	}
	j.state.Status.Ready = new(j.running())
	j.unsaved = true
	j.decide(now)
	j.save()
	close(u.acked)
}

// count moves a pod from the active ones to those that have ended.
func (j *jobRun) count(phase corev1.PodPhase, now time.Time) {
	status := &j.state.Status
	status.Active--
	if isIndexed(&j.job.Spec) {
		j.countIndexes(phase)
		return
	}
	if phase == corev1.PodSucceeded {
		status.Succeeded++
		j.state.Failures = 0
		return
	}
	status.Failed++
	j.state.Failures++
	j.state.LastFailure = now
}

// stop ends all pods because this process has to end, for the reason why. The
// pods count as failed; the next RunJob, if the Job is not being deleted, goes
// on from there.
func (j *jobRun) stop(why string) error {
	j.dropCreated()
	for _, p := range j.active {
		p.cancel(&stopCause{"Terminated", why})
	}
	for len(j.active) > 0 {
		u := <-j.updates
		pod := j.podState(u.pod.pod.Name)
		u.apply(&pod.Status)
		if u.done {
			delete(j.active, pod.Name)
			j.count(pod.Status.Phase, time.Now())
		}
		close(u.acked)
	}
	j.unsaved = true
	j.save()
	return fmt.Errorf("job %s stopped before its end: %s", j.job.Name, why)
}

// dropCreated forgets the pods that were never launched: they are the last ones.
func (j *jobRun) dropCreated() {
	for _, p := range j.created {
		delete(j.active, p.pod.Name)
	}
	j.state.Pods = j.state.Pods[:len(j.state.Pods)-len(j.created)]
	j.state.Status.Active -= int32(len(j.created))
	j.created = nil
}

// abandonLost takes up a job whose former RunJob died: what is left of its
// pods' processes is ended, and the pods count as failed.
func (j *jobRun) abandonLost(now time.Time) error {
	for i := range j.state.Pods {
		pod := &j.state.Pods[i]
		if podEnded(pod) {
			continue
		}
		if err := j.dir.endPod(&j.job.Spec.Template.Spec, pod); err != nil {
			return err
		}
		markLost(&pod.Status, now)
		j.count(pod.Status.Phase, now)
		j.unsaved = true
		j.log.Warn("pod lost: the process that ran the job had died", "pod", pod.Name)
	}
	j.state.Status.Ready = new(int32(0))
	return nil
}

// save writes the Job's status if something changed and tells whether it is up to
// date now. A full disk must not lose a result, so run tries again.
func (j *jobRun) save() bool {
	if !j.unsaved {
		return true
	}
	if !stillAt(j.lock, j.dir.lockPath()) {
		return false // run will notice; another Job may have the folder by now
	}
	if err := j.write(); err != nil {
		j.log.Error("cannot save the job's status; trying again", "err", err, "in", saveRetry)
		return false
	}
	j.unsaved = false
	return true
}

// nextWake is how long nothing needs to be done unless a pod reports.
func (j *jobRun) nextWake(now time.Time) time.Duration {
	wait := time.Hour
	if deadline, ok := jobDeadline(&j.job.Spec, &j.state.Status); ok && deadline.After(now) {
		wait = min(wait, deadline.Sub(now))
	}
	if at := j.retryAt(); at.After(now) {
		wait = min(wait, at.Sub(now))
	}
	if isIndexed(&j.job.Spec) {
		wait = min(wait, j.nextIndexRetry(now))
	}
	return wait
}

// retryAt is when the next pod may start.
func (j *jobRun) retryAt() time.Time {
	return j.state.LastFailure.Add(backoff(j.base, j.state.Failures))
}

func (j *jobRun) restarts() (n int32) {
	for _, p := range j.active {
		n += p.restarts
	}
	return n
}

func (j *jobRun) running() (n int32) {
	for name := range j.active {
		if j.podState(name).Status.Phase == corev1.PodRunning {
			n++
		}
	}
	return n
}

// podState is the entry of the named pod, which must exist. The latest pods are
// asked for the most.
func (j *jobRun) podState(name string) *corev1.Pod {
	for i := len(j.state.Pods) - 1; i >= 0; i-- {
		if j.state.Pods[i].Name == name {
			return &j.state.Pods[i]
		}
	}
	panic(errors.New("no pod " + name))
}
