package kube

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMayBeHeldUp(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	cases := map[string]struct {
		started       int64 // 0: suspended
		active, ready int32
		want          bool
	}{
		"began long ago, and nothing is ready": {900, 1, 0, true},
		"began just now":                       {950, 1, 0, false},
		"a pod runs":                           {900, 2, 1, false},
		"there is no pod":                      {900, 0, 0, false},
		"is suspended":                         {0, 1, 0, false},
	}
	for name, tc := range cases {
		job := jobWith()
		job.Status.Active, job.Status.Ready = tc.active, &tc.ready
		if tc.started != 0 {
			job.Status.StartTime = &metav1.Time{Time: time.Unix(tc.started, 0)}
		}
		if got := MayBeHeldUp(job, 100*time.Second, now); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestHeldUpBy(t *testing.T) {
	t.Parallel()
	pulling := at(pod("p", corev1.PodPending, held("ImagePullBackOff", `Back-off pulling image "nope:1"`)), 400)
	pulling.Spec.Containers[0].Image = "nope:1"
	refused := at(pod("p", corev1.PodPending, held("ErrImagePull", "not found.")), 400)
	config := at(pod("p", corev1.PodPending, held("CreateContainerConfigError", `secret "s" not found`)), 400)
	unknown := at(pod("p", corev1.PodPending, held("SomethingNew", "")), 400)
	runs := at(pod("r", corev1.PodRunning, running("c")), 100)
	noRoom := pod("u", corev1.PodPending)
	creating := at(pod("p", corev1.PodPending, held("ContainerCreating", "")), 100)
	crashing := at(pod("p", corev1.PodRunning, held("CrashLoopBackOff", "back-off 5m0s")), 100)
	done := at(pod("d", corev1.PodSucceeded, ended("c", 0, "Completed", "")), 100)
	later := at(pod("q", corev1.PodPending, held("ErrImagePull", "")), 500)
	deleted := at(pod("x", corev1.PodPending, held("ErrImagePull", "")), 100)
	deleted.DeletionTimestamp = &metav1.Time{}
	half := at(pod("h", corev1.PodPending, running("a"), held("ErrImagePull", "")), 400)
	afterInit := at(pod("i", corev1.PodPending, held("ErrImagePull", "")), 400)
	afterInit.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("prepare", 0, "Completed", "")}
	afterInit.Status.InitContainerStatuses[0].State.Terminated.FinishedAt = metav1.Time{Time: time.Unix(600, 0)}
	again := at(pod("a", corev1.PodRunning, held("ErrImagePull", "")), 400)
	again.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: metav1.Time{Time: time.Unix(700, 0)}}

	cases := map[string]struct {
		pods        []corev1.Pod
		wantReason  string // empty: it is not held up
		wantSince   int64
		wantMessage []string
	}{
		"an image that cannot be pulled": {[]corev1.Pod{pulling}, "ImagePullBackOff", 400,
			[]string{`pod p: container c could not be started for 10m0s (ImagePullBackOff), image "nope:1": Back-off pulling image "nope:1". Check the image's name`, "imagePullSecrets"}},
		"between two tries":                      {[]corev1.Pod{refused}, "ImagePullBackOff", 400, []string{": not found. Check "}},
		"a Secret that is missing":               {[]corev1.Pod{config}, "CreateContainerConfigError", 400, []string{`secret "s" not found`, "ConfigMaps, Secrets"}},
		"a reason that is not known":             {[]corev1.Pod{unknown}, "SomethingNew", 400, []string{"the node gives no message", "kubelet"}},
		"one container of two":                   {[]corev1.Pod{half}, "ImagePullBackOff", 400, nil},
		"since the init containers ended":        {[]corev1.Pod{afterInit}, "ImagePullBackOff", 600, nil},
		"since it ended before":                  {[]corev1.Pod{again}, "ImagePullBackOff", 700, nil},
		"beside a pod that is done":              {[]corev1.Pod{done, pulling}, "ImagePullBackOff", 400, nil},
		"of two, since the later one":            {[]corev1.Pod{pulling, later}, "ImagePullBackOff", 500, []string{"pod q"}},
		"whichever started later":                {[]corev1.Pod{later, afterInit}, "ImagePullBackOff", 600, []string{"pod i"}},
		"not beside a pod that runs":             {[]corev1.Pod{pulling, runs}, "", 0, nil},
		"not beside one that waits for room":     {[]corev1.Pod{pulling, noRoom}, "", 0, nil},
		"not beside one that is replaced":        {[]corev1.Pod{pulling, deleted}, "", 0, nil},
		"no room":                                {[]corev1.Pod{noRoom}, "", 0, nil},
		"containers that are being made":         {[]corev1.Pod{creating}, "", 0, nil},
		"a container that starts, only to crash": {[]corev1.Pod{crashing}, "", 0, nil},
		"all pods have ended":                    {[]corev1.Pod{done}, "", 0, nil},
		"no pods":                                {nil, "", 0, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := HeldUpBy(jobWith(), tc.pods, time.Unix(1000, 0))
			if h == nil || tc.wantReason == "" {
				if h != nil || tc.wantReason != "" {
					t.Errorf("%+v, want %q", h, tc.wantReason)
				}
				return
			}
			if h.Reason != tc.wantReason || h.Since.Unix() != tc.wantSince {
				t.Errorf("%s since %d, want %s since %d", h.Reason, h.Since.Unix(), tc.wantReason, tc.wantSince)
			}
			for _, want := range tc.wantMessage {
				if !strings.Contains(h.Message, want) {
					t.Errorf("message %q has no %q", h.Message, want)
				}
			}
		})
	}
}
