package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/jobnetes/jobnetes/test/cluster"
)

// BenchmarkNode measures what the node manages without jobnetes, from which the
// end-to-end tests' size follows: Jobs of `true`, all created at once, until the
// last is complete.
//
//	JOBNETES_TEST_ALL=1 go test -run '^$' -bench Node -benchtime 60x ./test/e2e
func BenchmarkNode(b *testing.B) {
	c := cluster.StartNode(b)
	jobs := c.Client.BatchV1().Jobs(c.Namespace(b))
	b.ResetTimer()
	for i := range b.N {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("true-", i)}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "localhost/busybox:1", Command: []string{"true"}}},
		}}}}
		if _, err := jobs.Create(b.Context(), job, metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	err := wait.PollUntilContextTimeout(b.Context(), 50*time.Millisecond, time.Hour, true, func(ctx context.Context) (bool, error) {
		list, err := jobs.List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		complete := 0
		for _, job := range list.Items {
			if job.Status.CompletionTime != nil {
				complete++
			}
		}
		return complete == b.N, nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
}
