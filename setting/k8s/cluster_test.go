package k8s_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/jobnetes/jobnetes/test/cluster"
)

// installation is a rendering, applied to a cluster of its own two namespaces.
type installation struct {
	*cluster.Private
	system, jobs string
}

// TestOnACluster applies every rendering to a real API server, for real: each in
// namespaces of its own, as docs/kubernetes.md has it for several installations.
// That no node runs the pods does not matter here.
func TestOnACluster(t *testing.T) {
	t.Parallel()
	c := cluster.StartPrivate(t)
	installations := map[string]installation{}
	for name, prefix := range map[string]string{
		"with MySQL": "mysql", "with an external database": "external", "an overlay with everything": "everything",
	} {
		in := installation{Private: c, system: prefix + "-system", jobs: prefix + "-jobs"}
		in.apply(t, renderings[name])
		installations[name] = in
	}
	for name, pods := range map[string]map[string]int{
		"with MySQL":                 {"manager": 2, "jobapi": 2, "webadmin": 1, "migrate": 1, "mysql": 1},
		"with an external database":  {"manager": 2, "jobapi": 2, "webadmin": 1, "migrate": 1},
		"an overlay with everything": {"manager": 2, "jobapi": 2, "webadmin": 1, "migrate": 1, "mysql": 1},
	} {
		t.Run("pods are admitted "+name, func(t *testing.T) {
			t.Parallel()
			installations[name].awaitPods(t, pods)
		})
	}
	first, other := installations["with MySQL"], installations["with an external database"]
	t.Run("rights suffice", func(t *testing.T) { t.Parallel(); first.testRightsSuffice(t) })
	t.Run("rights are no more", func(t *testing.T) { t.Parallel(); first.testRightsAreNoMore(t, other) })
	t.Run("Pod Security", func(t *testing.T) { t.Parallel(); first.testPodSecurity(t) })
	t.Run("pods of Jobs", func(t *testing.T) { t.Parallel(); installations["an overlay with everything"].testJobPods(t) })
}

// renamed gives a manifest as the command of docs/kubernetes.md for several
// installations makes it.
func (in installation) renamed(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte(system), []byte(in.system))
	return bytes.ReplaceAll(text, []byte(jobs), []byte(in.jobs))
}

// apply applies a rendering as `kubectl apply --server-side` does. The API server
// refuses fields that it does not know.
func (in installation) apply(t *testing.T, dir string) {
	t.Helper()
	groups, err := restmapper.GetAPIGroupResources(in.Client.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	client, err := dynamic.NewForConfig(in.Config())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range render(t, dir) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(in.renamed(m.yaml), &object.Object); err != nil {
			t.Fatal(err)
		}
		mapping, err := mapper.RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
		if err != nil {
			t.Fatal(err)
		}
		json, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Patch(t.Context(), object.GetName(), types.ApplyPatchType, json,
			metav1.PatchOptions{FieldManager: "test", FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			t.Errorf("%s: %s: %v", dir, m, err)
		}
	}
}

// awaitPods waits until the controllers have made the pods, by component: what
// Pod Security refuses they try in vain.
func (in installation) awaitPods(t *testing.T, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		pods, err := in.Client.CoreV1().Pods(in.system).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		got = map[string]int{}
		for _, p := range pods.Items {
			got[p.Labels["app.kubernetes.io/component"]]++
		}
		return cmp.Equal(want, got), nil
	})
	if err != nil {
		events, _ := in.Client.CoreV1().Events(in.system).List(t.Context(), metav1.ListOptions{FieldSelector: "type=Warning"})
		for _, e := range events.Items {
			t.Logf("%s %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
		}
		t.Fatalf("waited in vain for pods: %v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
}

// testPodSecurity sees that the levels are those that the documentation says.
func (in installation) testPodSecurity(t *testing.T) {
	cases := map[string]struct {
		namespace string
		change    func(*corev1.PodSpec)
		refused   bool
	}{
		"a plain pod of a Job":              {namespace: in.jobs},
		"a Job's pod that reads the node":   {namespace: in.jobs, change: hostPath, refused: true},
		"a Job's pod in the node's network": {namespace: in.jobs, change: func(p *corev1.PodSpec) { p.HostNetwork = true }, refused: true},
		"a plain pod beside the services":   {namespace: in.system, refused: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := in.dryRunPod(t, tc.namespace, tc.change)
			refused := apierrors.IsForbidden(err) && strings.Contains(err.Error(), "violates PodSecurity")
			if refused != tc.refused || (err != nil && !refused) {
				t.Errorf("got error %v, want it refused by Pod Security: %t", err, tc.refused)
			}
		})
	}
}

// testJobPods sees what a plain pod of a Job gets in the Jobs' namespace.
func (in installation) testJobPods(t *testing.T) {
	pod, err := in.dryRunPod(t, in.jobs, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(pod.Spec.Volumes) != 0 {
		t.Errorf("got volumes %v, want none: a token is among them", pod.Spec.Volumes)
	}
	got := pod.Spec.Containers[0].Resources
	if want := resource.MustParse("128Mi"); !got.Requests.Memory().Equal(want) {
		t.Errorf("got a request of memory of %s, want %s", got.Requests.Memory(), &want)
	}
	if want := resource.MustParse("1Gi"); !got.Limits.Memory().Equal(want) {
		t.Errorf("got a limit of memory of %s, want %s", got.Limits.Memory(), &want)
	}
}

func (in installation) dryRunPod(t *testing.T, namespace string, change func(*corev1.PodSpec)) (*corev1.Pod, error) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "plain-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "busybox"}}},
	}
	if change != nil {
		change(&pod.Spec)
	}
	return in.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func hostPath(p *corev1.PodSpec) {
	p.Volumes = []corev1.Volume{{Name: "root", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
}
