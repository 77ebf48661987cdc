package main

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// Where jobapi begins to collect garbage for want of memory is well below where its pod
// would be killed for it.
func TestPodHasRoomForGarbage(t *testing.T) {
	t.Parallel()
	manifest, err := os.ReadFile("../../setting/k8s/base/jobapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(manifest, []byte("\n---\n"))
	var d appsv1.Deployment
	if err := yaml.Unmarshal(first, &d); err != nil || len(d.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("the manifest does not begin with the Deployment of one container: %v", err)
	}
	pod, soft := d.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Value(), ofJobapi().limit
	if pod < soft*4/3 {
		t.Errorf("the pod may have %d bytes, at least 4/3 of %d wanted", pod, soft)
	}
}

// What a user has set by Go's own variables counts, each by itself.
func TestCollect(t *testing.T) { //nolint:paralleltest // it is about the whole process
	cases := map[string]struct {
		gogc, limit string
		wantPercent int
		wantLimit   int64
	}{
		"neither":    {wantPercent: 400, wantLimit: 1 << 40},
		"GOGC":       {gogc: "77", wantPercent: 77, wantLimit: 1 << 40},
		"GOMEMLIMIT": {limit: "8EiB", wantPercent: 400, wantLimit: math.MaxInt64},
		"both":       {gogc: "77", limit: "8EiB", wantPercent: 77, wantLimit: math.MaxInt64},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOGC", tc.gogc)
			t.Setenv("GOMEMLIMIT", tc.limit)
			percent, limit := debug.SetGCPercent(77), debug.SetMemoryLimit(math.MaxInt64)
			garbage{percent: 400, limit: 1 << 40}.collect()
			if p, l := debug.SetGCPercent(percent), debug.SetMemoryLimit(limit); p != tc.wantPercent || l != tc.wantLimit {
				t.Errorf("%d %% and %d bytes, want %d and %d", p, l, tc.wantPercent, tc.wantLimit)
			}
		})
	}
}
