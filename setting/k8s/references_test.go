package k8s_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jobnetes/jobnetes/setting"
)

// The services read what the ConfigMap says, and it fits the other manifests.
func TestSettings(t *testing.T) {
	t.Parallel()
	for name, dir := range renderings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := render(t, dir)
			s := settings(t, all)
			service := one[*corev1.Service](t, all, "jobapi")
			got := map[string]any{
				"k8s.in-cluster": s.K8s.InCluster, "k8s.job-namespace": s.K8s.JobNamespace, "k8s.mode": s.K8s.Mode,
				"jobapi.endpoint": s.Jobapi.Endpoint, "jobapi.password": s.Jobapi.Password, "webadmin.password": s.Webadmin.Password,
			}
			want := map[string]any{
				"k8s.in-cluster": true, "k8s.job-namespace": jobs, "k8s.mode": setting.ModeCluster,
				"jobapi.endpoint": fmt.Sprintf("%s.%s.svc:%d", service.Name, service.Namespace, service.Spec.Ports[0].Port),
				"jobapi.password": "", "webadmin.password": "", // they are in the Secret
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			known := map[string]bool{}
			for _, key := range setting.Keys() {
				known[setting.Env(key)] = true
			}
			for _, m := range all.workloads() {
				for _, e := range m.podTemplate().Spec.Containers[0].Env {
					if m.GetName() != "mysql" && !known[e.Name] {
						t.Errorf("%s: no setting is called %s", m, e.Name)
					}
				}
			}
		})
	}
}

// settings loads the ConfigMap as the services do.
func settings(t *testing.T, all manifests) setting.Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, one[*corev1.ConfigMap](t, all, "jobnetes").Data["config.yaml"])
	s, err := setting.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Where the services listen is where the manifests look for them.
func TestPorts(t *testing.T) {
	t.Parallel()
	all := render(t, ".")
	s := settings(t, all)
	want := map[string]map[string]int{
		"manager":  {"monitor": s.Manager.MetricsPort},
		"jobapi":   {"grpc": s.Jobapi.Port, "monitor": s.Jobapi.MetricsPort},
		"webadmin": {"http": s.Webadmin.Port},
		"migrate":  {},
		"mysql":    {"mysql": s.DB.Port},
	}
	got := map[string]map[string]int{}
	for _, m := range all.workloads() {
		c := m.podTemplate().Spec.Containers[0]
		got[m.GetName()] = ports(c)
		for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			switch {
			case p == nil || p.Exec != nil:
			case p.GRPC != nil:
				if int(p.GRPC.Port) != s.Jobapi.Port {
					t.Errorf("%s: a probe asks port %d, want jobapi.port, %d", m, p.GRPC.Port, s.Jobapi.Port)
				}
			case ports(c)[p.HTTPGet.Port.StrVal] == 0:
				t.Errorf("%s: a probe asks port %q, which the container does not have", m, p.HTTPGet.Port.String())
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func ports(c corev1.Container) map[string]int {
	all := map[string]int{}
	for _, p := range c.Ports {
		all[p.Name] = int(p.ContainerPort)
	}
	return all
}

// Every key and file that a pod needs is there.
func TestPodsFindTheirSettings(t *testing.T) {
	t.Parallel()
	for name, dir := range renderings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := render(t, dir)
			secret, config := one[*corev1.Secret](t, all, "jobnetes"), one[*corev1.ConfigMap](t, all, "jobnetes")
			for _, m := range all.workloads() {
				pod := m.podTemplate().Spec
				for _, e := range pod.Containers[0].Env {
					if e.ValueFrom == nil {
						continue
					}
					if field := e.ValueFrom.FieldRef; field != nil {
						if field.FieldPath != "status.podIP" {
							t.Errorf("%s: %s is field %s, want the pod's address", m, e.Name, field.FieldPath)
						}
						continue
					}
					ref := e.ValueFrom.SecretKeyRef
					if _, ok := secret.Data[ref.Key]; ref.Name != secret.Name || !ok {
						t.Errorf("%s: %s is to come from key %s of Secret %s, which is not there", m, e.Name, ref.Key, ref.Name)
					}
				}
				for _, v := range pod.Volumes {
					if v.Name == "settings" && v.ConfigMap.Name != config.Name {
						t.Errorf("%s: mounts ConfigMap %s, which is not there", m, v.ConfigMap.Name)
					}
				}
			}
		})
	}
}

// Each selector selects pods, and each port by name is one that they have.
func TestSelectors(t *testing.T) {
	t.Parallel()
	all := render(t, "everything")
	for _, s := range ofType[*corev1.Service](all) {
		for _, p := range s.Spec.Ports {
			selects(t, all, "Service "+s.Name, metav1.SetAsLabelSelector(s.Spec.Selector), p.TargetPort)
		}
	}
	for _, b := range ofType[*policyv1.PodDisruptionBudget](all) {
		selects(t, all, "PodDisruptionBudget "+b.Name, b.Spec.Selector)
	}
	for _, p := range ofType[*networkingv1.NetworkPolicy](all) {
		if p.Namespace != system {
			continue
		}
		what := "NetworkPolicy " + p.Name
		selects(t, all, what, &p.Spec.PodSelector)
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				selects(t, all, what, &p.Spec.PodSelector, *port.Port)
			}
			selectsPeers(t, all, what, rule.From)
		}
		for _, rule := range p.Spec.Egress {
			selectsPeers(t, all, what, rule.To)
		}
	}
	for _, i := range ofType[*networkingv1.Ingress](all) {
		backend := i.Spec.Rules[0].HTTP.Paths[0].Backend.Service
		service := one[*corev1.Service](t, all, backend.Name)
		if service.Spec.Ports[0].Name != backend.Port.Name {
			t.Errorf("Ingress %s: Service %s has no port %s", i.Name, service.Name, backend.Port.Name)
		}
	}
}

func selectsPeers(t *testing.T, all manifests, what string, peers []networkingv1.NetworkPolicyPeer) {
	t.Helper()
	for _, peer := range peers {
		if peer.PodSelector != nil {
			selects(t, all, what, peer.PodSelector)
		}
	}
}

func selects(t *testing.T, all manifests, what string, selector *metav1.LabelSelector, named ...intstr.IntOrString) {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	var pods []string
	for _, m := range all.workloads() {
		template := m.podTemplate()
		if !s.Matches(labels.Set(template.Labels)) {
			continue
		}
		pods = append(pods, component(template))
		for _, port := range named {
			if ports(template.Spec.Containers[0])[port.StrVal] == 0 {
				t.Errorf("%s: %s has no port %q", what, m, port.String())
			}
		}
	}
	if len(pods) == 0 {
		t.Errorf("%s: no pod matches %s", what, s)
	}
}

// Whoever has a password needs the database, and may reach it.
func TestServicesReachTheDatabase(t *testing.T) {
	t.Parallel()
	for name, dir := range renderings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := render(t, dir)
			policy := one[*networkingv1.NetworkPolicy](t, all, "to-database")
			reach := policy.Spec.PodSelector.MatchExpressions[0].Values
			for _, m := range all.workloads() {
				if m.GetName() != "mysql" && !slices.Contains(reach, component(m.podTemplate())) {
					t.Errorf("%s: NetworkPolicy to-database does not let it out", m)
				}
			}
		})
	}
}
