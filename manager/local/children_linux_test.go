package local

import (
	"path/filepath"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
)

// daemon is the script of a process that has left everything by which it could
// be known, and writes its id to the file $1/NAME.
func daemon(name string) string {
	return `env -i setsid setsid sh -c 'echo $$ > "$1"; exec sleep 1000' sh "$1/` + name + `" &
		until [ -s "$1/` + name + `" ]; do sleep 0.01; done
		`
}

// TestDaemonsEnd: nothing that a container left behind outlives the pod.
func TestDaemonsEnd(t *testing.T) {
	t.Parallel()
	r, dir := setup(t), t.TempDir()
	a := shell("a", daemon("one"))
	b := shell("b", `until [ -s "$1/one" ]; do sleep 0.01; done; `+daemon("two"))
	init := shell("init", daemon("init"))
	a.Args, b.Args, init.Args = []string{"sh", dir}, []string{"sh", dir}, []string{"sh", dir}
	job := newJob("daemons", a, b)
	job.Spec.Template.Spec.InitContainers = append(job.Spec.Template.Spec.InitContainers, init)
	create(t, r, job)
	checkConditions(t, waitJob(t, r, "daemons"), batchv1.JobReasonCompletionsReached)
	for _, name := range []string{"init", "one", "two"} {
		if pid := waitFile(t, filepath.Join(dir, name)); isAlive(pid) {
			t.Errorf("process %s, %q, has outlived the job", pid, name)
			waitGone(t, pid)
		}
	}
}

// TestOrphansOfOthersLive: the end of one pod ends no orphan that is known to be
// of another.
func TestOrphansOfOthersLive(t *testing.T) {
	t.Parallel()
	r, dir := setup(t), t.TempDir()
	// The first pod leaves its parent one orphan that is known by its
	// environment, and one by its process group.
	c := shell("c", `
		if mkdir "$1/first"; then
			setsid setsid sh -c 'echo $$ > "$1/marked"; exec sleep 1000' sh "$1" &
			(env -i sh -c 'echo $$ > "$1/grouped"; exec sleep 1000' sh "$1" &)
			until [ -e "$1/go" ]; do sleep 0.01; done
		fi
		until [ -s "$1/marked" ] && [ -s "$1/grouped" ]; do sleep 0.01; done`)
	c.Args = []string{"sh", dir}
	job := newJob("orphans", c)
	job.Spec.Completions, job.Spec.Parallelism = new(int32(2)), new(int32(2))
	create(t, r, job)
	until(t, "the end of the second pod", func() bool { return r.Cached("orphans").Status.Succeeded == 1 })
	marked, grouped := waitFile(t, filepath.Join(dir, "marked")), waitFile(t, filepath.Join(dir, "grouped"))
	if !isAlive(marked) || !isAlive(grouped) {
		t.Error("the end of one pod ended another's processes")
	}
	touch(t, filepath.Join(dir, "go"))
	checkConditions(t, waitJob(t, r, "orphans"), batchv1.JobReasonCompletionsReached)
	if isAlive(marked) || isAlive(grouped) {
		t.Error("processes have outlived the job")
	}
}

// TestOrphansAreReaped: a container whose processes leave many behind does not
// fill the process table while it runs.
func TestOrphansAreReaped(t *testing.T) {
	t.Parallel()
	r, dir := setup(t), t.TempDir()
	c := shell("c", `(sh -c 'echo $$ > "$1/short"' sh "$1" &); until [ -e "$1/go" ]; do sleep 0.01; done`)
	c.Args = []string{"sh", dir}
	create(t, r, newJob("short", c))
	pid := waitFile(t, filepath.Join(dir, "short"))
	until(t, "the orphan to be reaped", func() bool { return !exists(pid) })
	touch(t, filepath.Join(dir, "go"))
	checkConditions(t, waitJob(t, r, "short"), batchv1.JobReasonCompletionsReached)
}
