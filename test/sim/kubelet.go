package sim

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// phase is how far a Job has come.
type phase int

const (
	created   phase = iota
	scheduled       // it has a pod, which does not run yet
	running
	recording   // its output, if it records one: it waits for jobapi's answer
	exited      // its pod has ended
	conditioned // the Job is about to end
	finished
	gone
)

func (p phase) String() string {
	return [...]string{"created", "scheduled", "running", "recording", "exited", "about to end", "finished", "gone"}[p]
}

// ready says whether the Job controller or the kubelet has something to do.
func (j *job) ready(now time.Time) bool {
	if j.obj.DeletionTimestamp != nil {
		return j.phase != gone
	}
	waits := j.plan.kind == stuck && j.phase == running || j.record != nil && !j.record.over
	return j.phase < finished && !waits && !j.next.After(now)
}

// advance takes a Job one phase further.
func (c *cluster) advance(j *job) {
	now := metav1.NewTime(c.w.now())
	if j.obj.DeletionTimestamp != nil { // its pods have ended
		c.remove(j)
		return
	}
	j.phase++
	j.next = c.w.now().Add(c.w.delay())
	switch j.phase {
	case scheduled:
		c.createPods(j)
		c.update(j, func(obj *batchv1.Job) {
			obj.Status.StartTime, obj.Status.Active, obj.Status.Ready = &now, 1, new(int32)
		})
	case running:
		c.runPod(j)
	case recording:
		if j.plan.kind == fails || !j.plan.records || j.foreign || j.isIndexed() {
			break
		}
		c.beginRecord(j, whole, j.plan.output)
	case exited:
		switch {
		case !j.isIndexed():
			c.endPod(j)
		case c.endIndex(j):
			j.phase-- // until all have ended
		}
	case conditioned:
		c.update(j, func(obj *batchv1.Job) {
			obj.Status.Active, obj.Status.Ready = 0, new(int32)
			j.countIndexes(&obj.Status)
			obj.Status.Conditions = append(obj.Status.Conditions, j.condition(batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget, now))
		})
	case finished:
		j.done = true
		c.update(j, func(obj *batchv1.Job) {
			end := j.condition(batchv1.JobComplete, batchv1.JobFailed, now)
			if end.Type == batchv1.JobComplete {
				obj.Status.CompletionTime = &now
			}
			obj.Status.Conditions = append(obj.Status.Conditions, end)
		})
	}
}

func (j *job) condition(success, failure batchv1.JobConditionType, now metav1.Time) batchv1.JobCondition {
	c := batchv1.JobCondition{Type: success, Status: corev1.ConditionTrue, LastTransitionTime: now}
	switch {
	case j.plan.kind == fails && j.isIndexed():
		c.Type, c.Reason, c.Message = failure, batchv1.JobReasonFailedIndexes, "simulated"
	case j.plan.kind == fails:
		c.Type, c.Reason, c.Message = failure, batchv1.JobReasonBackoffLimitExceeded, "simulated"
	case j.late:
		c.Type, c.Reason, c.Message = failure, batchv1.JobReasonDeadlineExceeded, "simulated"
	}
	return c
}

func (c *cluster) pod(j *job, p corev1.PodPhase, state corev1.ContainerState) corev1.Pod {
	now := metav1.NewTime(c.w.now())
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-pod%d", j.obj.Name, len(j.pods)+1), UID: j.obj.UID + "-pod", CreationTimestamp: now,
			Labels: map[string]string{batchv1.ControllerUidLabel: string(j.obj.UID), batchv1.JobNameLabel: j.obj.Name},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: container, Image: "busybox"}}},
		Status: corev1.PodStatus{Phase: p, StartTime: &now, ContainerStatuses: []corev1.ContainerStatus{{Name: container, State: state}}},
	}
}

const container = "c"

func (c *cluster) runPod(j *job) {
	for i := range j.pods {
		s := &j.pods[i].Status
		if j.plan.kind == stuck {
			s.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}
			continue
		}
		s.Phase = corev1.PodRunning
		s.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
	}
	if j.plan.kind == stuck {
		return
	}
	c.update(j, func(obj *batchv1.Job) { one := int32(1); obj.Status.Ready = &one })
}

func (c *cluster) endPod(j *job) {
	s := &j.pods[0].Status
	end := &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: metav1.NewTime(c.w.now())}
	s.Phase = corev1.PodSucceeded
	switch {
	case j.plan.kind == fails:
		s.Phase, end.Reason, end.ExitCode = corev1.PodFailed, "Error", 1
	case j.foreign:
		end.Message = `{"foreign":true}`
	case !j.plan.records:
		end.Message = j.plan.output
	}
	s.ContainerStatuses[0].State = corev1.ContainerState{Terminated: end}
	j.proven = s.Phase == corev1.PodSucceeded && !j.plan.many
	switch {
	case s.Phase == corev1.PodSucceeded:
		c.tell(j, event{obj: j.obj, pod: j.pods[0].DeepCopy()})
	case j.plan.many: // the first has succeeded; it is the second that has failed
		first := c.pod(j, corev1.PodSucceeded, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", Message: j.plan.output}})
		c.tell(j, event{obj: j.obj, pod: &first})
	}
}
