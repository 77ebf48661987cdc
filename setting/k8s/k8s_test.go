package k8s_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func TestNothingIsAppliedWithoutPasswords(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{".", "external-database"} {
		dir := folder(t)
		_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, entry))
		if err == nil || !strings.Contains(err.Error(), "passwords.env") {
			t.Errorf("%s: got error %v, want one that names passwords.env", entry, err)
		}
	}
}

func TestExternalDatabaseLeavesMySQLOut(t *testing.T) {
	t.Parallel()
	names := func(rendering string) map[string]bool {
		set := map[string]bool{}
		for _, m := range render(t, renderings[rendering]) {
			set[m.String()] = true
		}
		return set
	}
	with, without := names("with MySQL"), names("with an external database")
	left := maps.Clone(with)
	for name := range without {
		if !with[name] {
			t.Errorf("%s is in the rendering without MySQL only", name)
		}
		delete(left, name)
	}
	want := []string{
		"jobnetes-system/networkpolicy/to-mysql", "jobnetes-system/service/mysql",
		"jobnetes-system/serviceaccount/mysql", "jobnetes-system/statefulset/mysql",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(left))); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	got := map[string]int32{}
	for _, d := range ofType[*appsv1.Deployment](render(t, ".")) {
		got[d.Name] = *d.Spec.Replicas
	}
	if diff := cmp.Diff(map[string]int32{"manager": 2, "jobapi": 2, "webadmin": 1}, got); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
	}
}

// Pod Security's level restricted is checked by a real API server elsewhere; this
// is what goes beyond it.
func TestPodsAreHardened(t *testing.T) {
	t.Parallel()
	for name, dir := range renderings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := render(t, dir)
			bound := boundAccounts(all)
			for _, m := range all.workloads() {
				pod := m.podTemplate().Spec
				check := func(ok bool, want string) {
					if !ok {
						t.Errorf("%s: want %s", m, want)
					}
				}
				check(pod.EnableServiceLinks != nil && !*pod.EnableServiceLinks, "enableServiceLinks: false")
				check(pod.ServiceAccountName == m.GetName(), "an account of its own")
				check((pod.AutomountServiceAccountToken != nil && *pod.AutomountServiceAccountToken) == bound[pod.ServiceAccountName],
					"a token in the pod if, and only if, a Role is bound to its account")
				check(pod.SecurityContext.RunAsUser != nil && *pod.SecurityContext.RunAsUser > 0, "a user by number: the kubelet knows no names")
				for _, c := range pod.Containers {
					check(c.SecurityContext.ReadOnlyRootFilesystem != nil && *c.SecurityContext.ReadOnlyRootFilesystem, "a read-only root")
					check(!c.Resources.Requests.Cpu().IsZero() && !c.Resources.Requests.Memory().IsZero(), "requests of CPU and memory")
					check(c.Resources.Limits.Memory().Cmp(resource.MustParse("64Mi")) >= 0, "a limit of memory")
				}
				if m.kind != "Job" {
					c := pod.Containers[0]
					check(c.StartupProbe != nil && c.LivenessProbe != nil && c.ReadinessProbe != nil, "all three probes")
				}
			}
		})
	}
}

// boundAccounts are the services' accounts that have rights.
func boundAccounts(all manifests) map[string]bool {
	bound := map[string]bool{}
	for _, b := range ofType[*rbacv1.RoleBinding](all) {
		for _, s := range b.Subjects {
			bound[s.Name] = true
		}
	}
	return bound
}

func TestAccountsMountNoTokenByThemselves(t *testing.T) {
	t.Parallel()
	accounts := ofType[*corev1.ServiceAccount](render(t, "."))
	if len(accounts) != 6 {
		t.Errorf("got %d accounts, want 6", len(accounts))
	}
	for _, a := range accounts {
		if a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken {
			t.Errorf("account %s/%s mounts its token", a.Namespace, a.Name)
		}
	}
}

func TestOneLineSetsTheImage(t *testing.T) {
	t.Parallel()
	for _, m := range render(t, "everything").workloads() {
		want := "registry.example.com/team/jobnetes:v1"
		if m.GetName() == "mysql" {
			want = "mysql:8.4"
		}
		if got := m.podTemplate().Spec.Containers[0].Image; got != want {
			t.Errorf("%s: got image %s, want %s", m, got, want)
		}
	}
}

// The Dockerfile's user is the manifests'.
func TestDockerfileUser(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\nUSER 65532:65532\n") {
		t.Error("the Dockerfile has no line USER 65532:65532")
	}
	for _, m := range render(t, ".").workloads() {
		if s := m.podTemplate().Spec.SecurityContext; m.GetName() != "mysql" && (*s.RunAsUser != 65532 || *s.RunAsGroup != 65532) {
			t.Errorf("%s: runs as %d:%d, want 65532:65532", m, *s.RunAsUser, *s.RunAsGroup)
		}
	}
}
