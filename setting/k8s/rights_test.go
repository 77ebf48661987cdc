package k8s_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/jobnetes/jobnetes/manager/kube"
)

// as gives the settings of a client that has the rights of a service account of
// the services' namespace.
func (in installation) as(account string) *rest.Config {
	config := in.Config()
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + in.system + ":" + account,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + in.system, "system:authenticated"},
	}
	return config
}

// kubeClient gives the client that the services use, with an account's rights.
func (in installation) kubeClient(t *testing.T, account string) *kube.Client {
	t.Helper()
	c, err := kube.New(in.as(account), kube.Config{Namespace: in.jobs, Installation: "test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// testRightsSuffice does with each account what the services do.
func (in installation) testRightsSuffice(t *testing.T) {
	for _, account := range []string{"manager", "jobapi", "webadmin"} {
		t.Run(account+" reads pods and logs", func(t *testing.T) {
			t.Parallel()
			c := in.kubeClient(t, account)
			if _, err := c.Pods(t.Context(), "any"); err != nil {
				t.Error(err)
			}
			// There is no such pod, which only who may read logs is told.
			if _, err := c.Logs(t.Context(), "any", "main"); !apierrors.IsNotFound(err) {
				t.Errorf("got error %v, want NotFound", err)
			}
		})
	}
	t.Run("manager makes, watches and deletes Jobs", func(t *testing.T) {
		t.Parallel()
		c := in.kubeClient(t, "manager")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		seen := make(chan struct{}, 100)
		go func() { _ = c.Run(ctx, func(metav1.Object) { seen <- struct{}{} }) }()

		job, err := c.Create(ctx, plainJob())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, job.Name); err != nil {
			t.Error(err)
		}
		select {
		case <-seen:
		case <-ctx.Done():
			t.Error("waited in vain for the watch to tell of the Job")
		}
		if err := c.Delete(ctx, job.Name, job.UID); err != nil {
			t.Error(err)
		}
	})
}

func plainJob() *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "rights", Labels: map[string]string{kube.LabelManagedBy: kube.ManagedBy, kube.LabelInstallation: "test"}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "busybox"}},
		}}},
	}
}

// testRightsAreNoMore compares all that each account may do with what it should.
func (in installation) testRightsAreNoMore(t *testing.T, other installation) {
	readPods := []string{"get /pods/log", "list /pods"}
	want := map[string][]string{
		"manager":  append([]string{"create batch/jobs", "delete batch/jobs", "get batch/jobs", "list batch/jobs", "watch batch/jobs", "watch /pods"}, readPods...),
		"jobapi":   readPods,
		"webadmin": readPods,
		"migrate":  {},
		"mysql":    {},
		"default":  {},
	}
	for account, rights := range want {
		t.Run(account, func(t *testing.T) {
			t.Parallel()
			slices.Sort(rights)
			if diff := cmp.Diff(rights, in.rights(t, account, in.jobs)); diff != "" {
				t.Errorf("rights in the Jobs' namespace (-want +got):\n%s", diff)
			}
			for _, namespace := range []string{in.system, other.system, other.jobs, metav1.NamespaceDefault, metav1.NamespaceSystem} {
				if got := in.rights(t, account, namespace); len(got) != 0 {
					t.Errorf("rights in namespace %s: got %v, want none", namespace, got)
				}
			}
		})
	}
}

// rights gives what an account may do in a namespace, beyond what every account
// may, as "verb group/resource".
func (in installation) rights(t *testing.T, account, namespace string) []string {
	t.Helper()
	everybody := in.rules(t, "nobody", namespace)
	return slices.DeleteFunc(in.rules(t, account, namespace), func(right string) bool { return slices.Contains(everybody, right) })
}

func (in installation) rules(t *testing.T, account, namespace string) []string {
	t.Helper()
	client, err := kubernetes.NewForConfig(in.as(account))
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, rule := range review.Status.ResourceRules {
		for _, group := range rule.APIGroups {
			for _, what := range rule.Resources {
				for _, verb := range rule.Verbs {
					all = append(all, verb+" "+group+"/"+what+strings.Join(rule.ResourceNames, ","))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
