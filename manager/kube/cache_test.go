package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func version(name, v string) *batchv1.Job {
	job := &batchv1.Job{}
	job.Name, job.UID, job.ResourceVersion = name, "u", v
	return job
}

// What the watch and the list tell comes in any order; the newest counts.
func TestCacheKeepsTheNewest(t *testing.T) {
	t.Parallel()
	c := newCache()
	steps := []struct {
		version string
		want    bool
	}{{"9", true}, {"10", true}, {"9", false}, {"10", false}, {"11", true}}
	for _, s := range steps {
		if got := c.put(version("a", s.version)); got != s.want {
			t.Errorf("put of version %s: %t, want %t", s.version, got, s.want)
		}
	}
	if v := c.get("a").ResourceVersion; v != "11" {
		t.Errorf("version %s is kept", v)
	}
}

func TestCacheRemovesWhatAListDoesNotHave(t *testing.T) {
	t.Parallel()
	c := newCache()
	for _, job := range []*batchv1.Job{version("listed", "5"), version("gone", "6"), version("newer-than-the-list", "21")} {
		c.put(job)
	}
	gone := c.removeMissing(map[string]bool{"listed": true}, "20")
	if len(gone) != 1 || gone[0].Name != "gone" || len(c.list()) != 2 {
		t.Errorf("removed %v, kept %d", gone, len(c.list()))
	}
}

func TestCacheRemovesOnlyTheJobThatIsGone(t *testing.T) {
	t.Parallel()
	c := newCache()
	c.put(version("a", "5"))
	other := version("a", "4")
	other.UID = "before"
	c.remove(other)
	if c.get("a") == nil {
		t.Error("the deletion of an earlier Job removed the present one of that name")
	}
}

// What is read of a Job is kept, and nothing else.
func TestKnown(t *testing.T) {
	t.Parallel()
	at := metav1.NewTime(time.Unix(100, 0))
	meta := metav1.ObjectMeta{
		Name: "j", Namespace: "ns", UID: "u", ResourceVersion: "7", CreationTimestamp: at, DeletionTimestamp: &at,
		Labels: map[string]string{LabelTaskID: "5", LabelManagedBy: ManagedBy},
	}
	status := batchv1.JobStatus{Active: 1, StartTime: &at, Ready: new(int32(1)), Conditions: []batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue}}}
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	cases := map[string]struct{ spec, want batchv1.JobSpec }{
		"of one pod": {batchv1.JobSpec{Completions: new(int32(1)), Parallelism: new(int32(1)), CompletionMode: new(batchv1.NonIndexedCompletion), BackoffLimit: new(int32(3)), Template: template}, batchv1.JobSpec{}},
		"of many": {
			batchv1.JobSpec{Completions: new(int32(9)), CompletionMode: new(batchv1.IndexedCompletion), PodFailurePolicy: &batchv1.PodFailurePolicy{}, Template: template},
			batchv1.JobSpec{Completions: new(int32(9)), CompletionMode: new(batchv1.IndexedCompletion), PodFailurePolicy: &batchv1.PodFailurePolicy{}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full := &batchv1.Job{ObjectMeta: *meta.DeepCopy(), Spec: tc.spec, Status: status}
			full.Labels["app"], full.Annotations, full.ManagedFields = "mine", map[string]string{"a": "b"}, []metav1.ManagedFieldsEntry{{}}
			if diff := cmp.Diff(&batchv1.Job{ObjectMeta: meta, Spec: tc.want, Status: status}, knownOf(full).job()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Every label that jobnetes gives a Job is kept.
func TestKnownLabels(t *testing.T) {
	t.Parallel()
	job := Build(Task{Job: &batchv1.Job{}, Name: "j", Installation: "i", Workflow: "w", TaskName: "t", ExecutionID: 1, TaskID: 2, Attempt: 3, Input: "{}"})
	if diff := cmp.Diff(job.Labels, knownOf(job).job().Labels); diff != "" {
		t.Errorf("-built +kept:\n%s", diff)
	}
}

// What nobody need look at is told without a Job being made of what is known of it.
func TestQuiet(t *testing.T) { // by itself, since it counts objects
	condition := func(kind batchv1.JobConditionType) batchv1.JobStatus {
		return batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue}}}
	}
	cases := map[string]struct {
		status    batchv1.JobStatus
		uid       types.UID // asked for; default: its own
		succeeded bool      // its pod
		want      bool
	}{
		"has no pod yet":             {want: true},
		"suspended":                  {status: condition(batchv1.JobSuspended), want: true},
		"its pod is ready":           {status: batchv1.JobStatus{Active: 1, Ready: new(int32(1))}, want: true},
		"its pod is not ready":       {status: batchv1.JobStatus{Active: 1, Ready: new(int32(0))}},
		"nobody says if it is ready": {status: batchv1.JobStatus{Active: 1}},
		"complete":                   {status: condition(batchv1.JobComplete)},
		"failed":                     {status: condition(batchv1.JobFailed)},
		"about to fail":              {status: condition(batchv1.JobFailureTarget)},
		"its pod has succeeded":      {status: batchv1.JobStatus{Active: 1, Ready: new(int32(1))}, succeeded: true},
		"another one of that name":   {uid: "before"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &Client{cached: newCache(), succeeded: newSuccesses()}
			job := version("j", "1")
			job.UID, job.Status = "u", tc.status
			c.cached.put(job)
			if tc.succeeded && !c.succeeded.put(podOfJob("u", corev1.PodSucceeded), time.Unix(100, 0)) {
				t.Fatal("the pod does not count")
			}
			uid := tc.uid
			if uid == "" {
				uid = "u"
			}
			got := c.Quiet("j", uid)
			if got != tc.want {
				t.Errorf("got %t", got)
			}
			job.Status.StartTime = &metav1.Time{Time: time.Unix(100, 0)}
			if got && (Finished(job) || FailedBy(job) != "" || MayBeHeldUp(job, 0, time.Unix(1e9, 0))) {
				t.Error("there is something to look at")
			}
			if n := testing.AllocsPerRun(100, func() { c.Quiet("j", uid) }); n > 0 {
				t.Errorf("it makes %v objects", n)
			}
		})
	}
	if (&Client{cached: newCache()}).Quiet("unknown", "u") {
		t.Error("an unknown Job is quiet")
	}
}
