package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// Namespace makes a namespace for this test, in which pods can be created, and
// gives its name. The test's end deletes it.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	namespace, err := c.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "jobnetes-test-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() { c.deleteNamespace(t, namespace.Name) })

	var last error
	err = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = serviceAccount(ctx, c.Client, namespace.Name)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("wait for pods to be allowed in namespace %s: %v: %v", namespace.Name, err, last)
	}
	return namespace.Name
}

// deleteNamespace starts the deletion of a namespace and does not wait for its
// end. A test that has broken its cluster cannot delete: that is no failure.
func (c *Cluster) deleteNamespace(t testing.TB, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	if err := c.Client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Logf("delete namespace %s: %v", name, err)
	}
}

// serviceAccount gives nil when the controllers have made the account that pods
// of a namespace run as: before, the API server refuses pods.
func serviceAccount(ctx context.Context, client kubernetes.Interface, namespace string) error {
	if _, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("get the service account of namespace %s: %w", namespace, err)
	}
	return nil
}
