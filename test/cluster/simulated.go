package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Simulated nodes run no container: kwok makes their pods run, and those of Jobs
// succeed at once. A pod gets there by asking for it: by the node selector
// SimulatedLabel=SimulatedValue and a toleration of the taint of that name.
const (
	SimulatedLabel = "type"
	SimulatedValue = "kwok"

	simulatedAnnotation = "kwok.x-k8s.io/node=fake"
)

// addSimulated adds nodes that kwok simulates, for 1,000 pods each.
func addSimulated(ctx context.Context, client kubernetes.Interface, count int) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourceMemory: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("1000"),
	}
	for i := range count {
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name:        fmt.Sprintf("simulated%d", i+1),
				Labels:      map[string]string{SimulatedLabel: SimulatedValue},
				Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			},
			Spec:   corev1.NodeSpec{Taints: []corev1.Taint{{Key: SimulatedLabel, Value: SimulatedValue, Effect: corev1.TaintEffectNoSchedule}}},
			Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
		}
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("add node %s: %w", node.Name, err)
		}
	}
	return nil
}
