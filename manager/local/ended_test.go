package local

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is written of a pod that has ended is written once, and what a killed
// process has written of one that does not count is written over.
func TestEndedPodsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	const count = 100
	dir := jobDir(t.TempDir())
	j := &jobRun{dir: dir, job: &batchv1.Job{}}
	write := func() int64 {
		if err := j.write(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir.statusPath())
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	var largest int64
	for i := range count {
		pod := ofIndex(i, corev1.PodRunning, 0)
		pod.Name = fmt.Sprint("pod-", i)
		j.state.Pods = append(j.state.Pods, pod)
		if i == 0 {
			continue // there are always two, of which the later one ends first
		}
		largest = max(largest, write())
		if i == count/2 {
			if err := os.WriteFile(dir.endedPath(), append(read(t, dir.endedPath()), `{"half`...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j.podState(fmt.Sprint("pod-", i)).Status.Phase = corev1.PodSucceeded
		largest = max(largest, write())
	}
	if line := j.state.Ended / (count - 1); largest > 4*line {
		t.Errorf("status.json had %d bytes; a pod has %d", largest, line)
	}
	p, err := dir.progress()
	if err != nil {
		t.Fatal(err)
	}
	phases := map[corev1.PodPhase]int{}
	names := map[string]bool{}
	for _, pod := range p.Pods {
		phases[pod.Status.Phase]++
		names[pod.Name] = true
	}
	if len(names) != count || phases[corev1.PodRunning] != 1 || phases[corev1.PodSucceeded] != count-1 {
		t.Errorf("%d pods of %d are read: %v", len(names), count, phases)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The indexes that have succeeded before the process that runs the Job is killed are
// not run again.
func TestKilledIndexedJob(t *testing.T) {
	t.Parallel()
	dir, cfg := t.TempDir(), testConfig(t.TempDir())
	cfg.Slots = 1
	r := start(t, cfg, func(metav1.Object) {})
	c := shell("c", `echo $JOB_COMPLETION_INDEX >> "$1/ran"; test $JOB_COMPLETION_INDEX != 2 || mkdir "$1/first" 2>/dev/null || exit 0; test $JOB_COMPLETION_INDEX != 2 || exec sleep 1000`)
	c.Args = []string{"sh", dir}
	job, spec := newJob("killed", c), indexSpec(4)
	job.Spec.Completions, job.Spec.Parallelism, job.Spec.CompletionMode, job.Spec.BackoffLimitPerIndex, job.Spec.BackoffLimit = spec.Completions, spec.Parallelism, spec.CompletionMode, spec.BackoffLimitPerIndex, nil
	created := create(t, r, job)
	until(t, "index 2 runs", func() bool {
		_, err := os.Stat(filepath.Join(dir, "first"))
		return err == nil
	})
	killHolder(t, r, "killed")
	got := waitJob(t, r, "killed").Status
	if got.CompletedIndexes != "0-3" || got.Failed != 1 {
		t.Errorf("status %+v", got)
	}
	if ran := string(read(t, filepath.Join(dir, "ran"))); ran != "0\n1\n2\n2\n3\n" && ran != "0\n1\n2\n3\n2\n" {
		t.Errorf("ran %q", ran)
	}
	if n := len(pods(t, r, "killed")); n != 5 {
		t.Errorf("%d pods, want 5", n)
	}
	until(t, "all are told of", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.jobs["killed"].succeeded) == 4
	})
	if n := len(r.SucceededIndexes(created.UID, 4)); n != 4 {
		t.Errorf("%d pods have succeeded, want 4", n)
	}
}
