package cluster

import (
	"context"
	"os"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

func TestPlayPods(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		exits       Exits
		want        batchv1.JobConditionType
		wantPhase   corev1.PodPhase
		wantMain    corev1.ContainerStateTerminated
		wantSidecar int32
	}{
		"every container exits with 0": {
			want:      batchv1.JobComplete,
			wantPhase: corev1.PodSucceeded,
			wantMain:  corev1.ContainerStateTerminated{Reason: "Completed"},
		},
		"a container leaves a message": {
			exits:     Exits{"main": {Message: `{"value": 3}`}},
			want:      batchv1.JobComplete,
			wantPhase: corev1.PodSucceeded,
			wantMain:  corev1.ContainerStateTerminated{Reason: "Completed", Message: `{"value": 3}`},
		},
		"a container exits with another code": {
			exits:     Exits{"main": {Code: 7, Message: "no such table"}},
			want:      batchv1.JobFailed,
			wantPhase: corev1.PodFailed,
			wantMain:  corev1.ContainerStateTerminated{ExitCode: 7, Reason: "Error", Message: "no such table"},
		},
		"another container is killed": {
			exits:       Exits{"sidecar": {Code: 137, Reason: "OOMKilled"}},
			want:        batchv1.JobFailed,
			wantPhase:   corev1.PodFailed,
			wantMain:    corev1.ContainerStateTerminated{Reason: "Completed"},
			wantSidecar: 137,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Start(t)
			namespace := c.Namespace(t)
			c.PlayPods(t, namespace, func(context.Context, *corev1.Pod) Exits { return tc.exits })
			createJob(t, c, namespace)

			awaitCondition(t, c, namespace, tc.want)
			pods, err := c.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(pods.Items) != 1 {
				t.Fatalf("got %d pods, want 1", len(pods.Items))
			}
			status := pods.Items[0].Status
			if status.Phase != tc.wantPhase {
				t.Errorf("got phase %s, want %s", status.Phase, tc.wantPhase)
			}
			main := *status.ContainerStatuses[0].State.Terminated
			main.StartedAt, main.FinishedAt = metav1.Time{}, metav1.Time{}
			if main != tc.wantMain {
				t.Errorf("got container main ended as %+v, want %+v", main, tc.wantMain)
			}
			if got := status.ContainerStatuses[1].State.Terminated.ExitCode; got != tc.wantSidecar {
				t.Errorf("got container sidecar ended with %d, want %d", got, tc.wantSidecar)
			}
		})
	}
}

func TestPlayPodsStopsWhenTheJobIsDeleted(t *testing.T) {
	t.Parallel()
	c := Start(t)
	namespace := c.Namespace(t)
	playing, stopped := make(chan struct{}), make(chan struct{})
	c.PlayPods(t, namespace, func(ctx context.Context, _ *corev1.Pod) Exits {
		close(playing)
		<-ctx.Done()
		close(stopped)
		return nil
	})
	createJob(t, c, namespace)

	await(t, playing, "the pod runs")
	awaitJob(t, c, namespace, "one active, ready pod", func(job *batchv1.Job) bool {
		return job.Status.Active == 1 && job.Status.Ready != nil && *job.Status.Ready == 1
	})
	err := c.Client.BatchV1().Jobs(namespace).Delete(t.Context(), "job", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, stopped, "the pod is stopped")
	poll(t, "the Job's pod is gone", func(ctx context.Context) (bool, error) {
		pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items) == 0, err
	})
}

func TestPrivateAPIServerRestarts(t *testing.T) {
	t.Parallel()
	p := StartPrivate(t)
	namespace := p.Namespace(t)
	proceed := make(chan struct{})
	p.PlayPods(t, namespace, func(context.Context, *corev1.Pod) Exits {
		<-proceed
		return nil
	})
	createJob(t, p.Cluster, namespace)
	awaitJob(t, p.Cluster, namespace, "one active pod", func(job *batchv1.Job) bool { return job.Status.Active == 1 })

	p.StopAPIServer()
	if _, err := p.Client.BatchV1().Jobs(namespace).Get(t.Context(), "job", metav1.GetOptions{}); err == nil {
		t.Error("the API server answers, want it to be away")
	}
	close(proceed) // the pod ends while the API server is away
	p.StartAPIServer(t)
	awaitCondition(t, p.Cluster, namespace, batchv1.JobComplete)
}

func TestPrivateSimulatedNodesOutliveEtcd(t *testing.T) {
	t.Parallel()
	p := StartPrivate(t)
	p.Simulate(t, 1, "")
	namespace := p.Namespace(t)

	p.StopEtcd()
	if _, err := os.Stat(p.path("etcd.sock")); err != nil {
		t.Errorf("%v: want it to be left, as by a crash: it must not pass for etcd's being back", err)
	}
	if err := p.ReviveEtcd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.RestartControllers(); err != nil {
		t.Fatal(err)
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Tolerations:   []corev1.Toleration{{Key: SimulatedLabel, Operator: corev1.TolerationOpExists}},
			Containers:    []corev1.Container{{Name: "main", Image: "simulated"}},
		}}},
	}
	if _, err := p.Client.BatchV1().Jobs(namespace).Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, p.Cluster, namespace, batchv1.JobComplete)
}

func TestNamespaceIsDeletedWithItsTest(t *testing.T) {
	t.Parallel()
	c := Start(t)
	var namespace string
	t.Run("inner", func(t *testing.T) { namespace = c.Namespace(t) })
	poll(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := c.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// createJob makes the Job "job" of two containers, main and sidecar, which no
// failure is forgiven.
func createJob(t *testing.T, c *Cluster, namespace string) {
	t.Helper()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "job"},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "main", Image: "busybox"}, {Name: "sidecar", Image: "busybox"}},
			}},
		},
	}
	if _, err := c.Client.BatchV1().Jobs(namespace).Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitCondition waits until the Job has a condition, whatever others precede it.
func awaitCondition(t *testing.T, c *Cluster, namespace string, want batchv1.JobConditionType) {
	t.Helper()
	awaitJob(t, c, namespace, "condition "+string(want), func(job *batchv1.Job) bool {
		for _, condition := range job.Status.Conditions {
			if condition.Type == want && condition.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	})
}

func awaitJob(t *testing.T, c *Cluster, namespace, what string, ok func(*batchv1.Job) bool) {
	t.Helper()
	poll(t, "the Job has "+what, func(ctx context.Context) (bool, error) {
		job, err := c.Client.BatchV1().Jobs(namespace).Get(ctx, "job", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return ok(job), nil
	})
}

func await(t *testing.T, signal <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(time.Minute):
		t.Fatalf("waited a minute in vain: %s", what)
	}
}

func poll(t *testing.T, what string, ok wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, ok); err != nil {
		t.Fatalf("waited in vain: %s: %v", what, err)
	}
}
