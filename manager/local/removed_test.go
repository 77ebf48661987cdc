package local

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRemovedJobIsForgotten: somebody removes a Job's folder, or all of them,
// while the Runner runs. The Job's processes end, it counts as deleted, its slot
// goes to the next one, and its name is free.
func TestRemovedJobIsForgotten(t *testing.T) {
	t.Parallel()
	folder := func(r *Runner) string { return string(r.jobDir("job")) }
	tests := map[string]struct {
		remove func(r *Runner) string // what is removed
		// adopted: the Job was started by a former Runner.
		adopted bool
		// ended: the Job has ended before.
		ended bool
	}{
		"its folder":                  {remove: folder},
		"its lock":                    {remove: func(r *Runner) string { return r.jobDir("job").lockPath() }},
		"all jobs":                    {remove: (*Runner).jobsDir},
		"everything":                  {remove: func(r *Runner) string { return r.cfg.Dir }},
		"of a job of a former runner": {remove: folder, adopted: true},
		"of a job that has ended":     {remove: folder, ended: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, dir := testConfig(filepath.Join(t.TempDir(), "data")), t.TempDir()
			cfg.Slots = 1
			var told atomic.Bool
			var r *Runner
			ready := make(chan struct{})
			changed := func(job metav1.Object) {
				<-ready
				if job.GetName() == "job" && r.Cached("job") == nil {
					told.Store(true)
				}
			}
			if tc.adopted {
				former, stop := startStoppable(t, cfg, func(metav1.Object) {})
				create(t, former, newJob("job", blocker(dir)))
				waitFile(t, filepath.Join(dir, "pid"))
				stop()
			}
			r = start(t, cfg, changed)
			close(ready)
			if !tc.adopted {
				create(t, r, newJob("job", blocker(dir)))
			}
			pid := waitFile(t, filepath.Join(dir, "pid"))
			if tc.ended {
				touch(t, filepath.Join(dir, "go"))
				waitJob(t, r, "job")
			}
			// Again and again, because the job writes there.
			until(t, "the removal", func() bool { return os.RemoveAll(tc.remove(r)) == nil })
			until(t, "the job to be gone", func() bool { return r.Cached("job") == nil })
			if isAlive(pid) {
				t.Errorf("process %s of the job has outlived it", pid)
			}
			until(t, "the change to be told of", told.Load)
			if _, err := r.Get(context.Background(), "job"); !apierrors.IsNotFound(err) {
				t.Errorf("Get: %v, want NotFound", err)
			}
			create(t, r, newJob("job", shell("c", "exit 0")))
			checkConditions(t, waitJob(t, r, "job"), batchv1.JobReasonCompletionsReached)
		})
	}
}

// TestCreateMakesItsFolders: somebody has removed the folders of all Jobs.
func TestCreateMakesItsFolders(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for _, dir := range []string{r.jobsDir(), r.tmpDir()} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	create(t, r, newJob("job", shell("c", "exit 0")))
	checkConditions(t, waitJob(t, r, "job"), batchv1.JobReasonCompletionsReached)
}
