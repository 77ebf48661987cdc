package local

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestJobEnds runs Jobs to their end and looks at what is known of them then.
func TestJobEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		containers []corev1.Container
		// change completes the Job; dir is a folder for what its commands write.
		change func(job *batchv1.Job, dir string)

		wantReason string
		wantCounts string   // succeeded/failed
		wantEnds   []string // see ends: of the first pod
		wantLog    string   // of the first container of the first pod
		wantPod    string   // reason of the first pod
	}{
		"success": {
			containers: []corev1.Container{shell("c", "echo out; echo err >&2")},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{"c 0 Completed"},
			wantLog:    "out\nerr\n",
		},
		"output": {
			containers: []corev1.Container{shell("c", `echo '{"a": 1}' > "$JOBNETES_OUTPUT"`)},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{`c 0 Completed {"a": 1}`},
		},
		"output path is that of this attempt, whatever the job says": {
			containers: []corev1.Container{{
				Name:    "c",
				Command: []string{"sh", "-c", `test "$1" = "$JOBNETES_OUTPUT" && echo '{}' > "$COPY"`, "sh", "$(JOBNETES_OUTPUT)"},
				Env: []corev1.EnvVar{
					{Name: envOutput, Value: "/dev/termination-log"},
					{Name: "COPY", Value: "$(JOBNETES_OUTPUT)"},
				},
			}},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{"c 0 Completed {}"},
		},
		"exit code": {
			containers: []corev1.Container{shell("c", "exit 3")},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"c 3 Error"},
		},
		"ended by a signal": {
			containers: []corev1.Container{shell("c", "kill -KILL $$")},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"c 137 Error"},
		},
		"no such command": {
			containers: []corev1.Container{{Name: "c", Command: []string{"no-such-command"}}},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{`c 127 StartError exec: "no-such-command": not found in PATH: file does not exist`},
		},
		"command cannot be executed": {
			containers: []corev1.Container{{Name: "c", Command: []string{"/dev/null"}}},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{`c 126 StartError start "/dev/null" in WORK: fork/exec /dev/null: permission denied`},
		},
		"each retry is a new pod": {
			containers: []corev1.Container{shell("c", "exit 1")},
			change:     func(job *batchv1.Job, _ string) { job.Spec.BackoffLimit = new(int32(2)) },
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/3",
			wantEnds:   []string{"c 1 Error"},
		},
		"a retry succeeds": {
			containers: []corev1.Container{shell("c", `mkdir "$1/first" && exit 1; exit 0`)},
			change: func(job *batchv1.Job, dir string) {
				job.Spec.BackoffLimit = new(int32(1))
				job.Spec.Template.Spec.Containers[0].Args = []string{"sh", dir}
			},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/1",
			wantEnds:   []string{"c 1 Error"},
		},
		"OnFailure restarts in place": {
			containers: []corev1.Container{shell("c", "echo again; exit 1")},
			change: func(job *batchv1.Job, _ string) {
				job.Spec.BackoffLimit = new(int32(2))
				job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
			},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"c 1 Error restarts=2"},
			wantLog:    "again\nagain\nagain\n",
			wantPod:    batchv1.JobReasonBackoffLimitExceeded,
		},
		"OnFailure succeeds at last, with that attempt's output only": {
			containers: []corev1.Container{shell("c", `mkdir "$1/first" 2>/dev/null && { echo '{"bad": true}' > $JOBNETES_OUTPUT; exit 1; }; exit 0`)},
			change: func(job *batchv1.Job, dir string) {
				job.Spec.BackoffLimit = new(int32(2))
				job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
				job.Spec.Template.Spec.Containers[0].Args = []string{"sh", dir}
			},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{"c 0 Completed restarts=1"},
		},
		"the job's deadline": {
			containers: []corev1.Container{shell("c", "exec sleep 1000")},
			change:     func(job *batchv1.Job, _ string) { job.Spec.ActiveDeadlineSeconds = new(int64(1)) },
			wantReason: batchv1.JobReasonDeadlineExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"c 143 DeadlineExceeded"},
			wantPod:    reasonDeadline,
		},
		"a pod's deadline, for a command that minds no TERM": {
			containers: []corev1.Container{shell("c", "trap '' TERM; while :; do sleep 0.05; done")},
			change: func(job *batchv1.Job, _ string) {
				job.Spec.Template.Spec.ActiveDeadlineSeconds = new(int64(1))
				job.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(0))
			},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"c 137 DeadlineExceeded"},
			wantPod:    reasonDeadline,
		},
		"containers run at once, and one that fails does not end the others": {
			containers: []corev1.Container{
				shell("a", `until [ -e "$1/b" ]; do sleep 0.01; done; touch "$1/a"; exit 4`),
				shell("b", `touch "$1/b"; until [ -e "$1/a" ]; do sleep 0.01; done; echo '{}' > $JOBNETES_OUTPUT`),
			},
			change: func(job *batchv1.Job, dir string) {
				for i := range job.Spec.Template.Spec.Containers {
					job.Spec.Template.Spec.Containers[i].Args = []string{"sh", dir}
				}
			},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"a 4 Error", "b 0 Completed {}"},
		},
		"init containers run first, in order": {
			containers: []corev1.Container{shell("c", `cat "$1/order"`)},
			change: func(job *batchv1.Job, dir string) {
				pod := &job.Spec.Template.Spec
				pod.Containers[0].Args = []string{"sh", dir}
				pod.InitContainers = []corev1.Container{
					shell("one", `sleep 0.05; echo one >> "$1/order"`),
					shell("two", `echo two >> "$1/order"`),
				}
				pod.InitContainers[0].Args = pod.Containers[0].Args
				pod.InitContainers[1].Args = pod.Containers[0].Args
			},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{"one 0 Completed", "two 0 Completed", "c 0 Completed"},
			wantLog:    "one\ntwo\n",
		},
		"a failing init container": {
			containers: []corev1.Container{shell("c", "echo never")},
			change: func(job *batchv1.Job, _ string) {
				job.Spec.Template.Spec.InitContainers = []corev1.Container{shell("init", "exit 5")}
			},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"init 5 Error", "c waiting"},
		},
		"completions and parallelism": {
			containers: []corev1.Container{shell("c", "exit 0")},
			change: func(job *batchv1.Job, _ string) {
				job.Spec.Completions, job.Spec.Parallelism = new(int32(3)), new(int32(2))
			},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "3/0",
			wantEnds:   []string{"c 0 Completed"},
		},
		"environment": {
			containers: []corev1.Container{{
				Name:    "c",
				Command: []string{"sh", "-c", `echo "$NAME $APP $BOTH $1 $HOSTNAME ${DEV_SECRET-none}"`},
				Args:    []string{"sh", "$(BOTH)-$$(BOTH)"},
				Env: []corev1.EnvVar{
					{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}},
					{Name: "APP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['app']"}}},
					{Name: "BOTH", Value: "$(NAME).$(APP)"},
					{Name: "HOSTNAME", Value: "mine"},
				},
			}},
			change: func(job *batchv1.Job, _ string) {
				job.Namespace = "ns"
				job.Spec.Template.Labels = map[string]string{"app": "x"}
			},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{"c 0 Completed"},
			wantLog:    "ns x ns.x ns.x-$(BOTH) mine none\n",
		},
		"working directory": {
			containers: []corev1.Container{{Name: "c", Command: []string{"pwd"}, WorkingDir: "/"}},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{"c 0 Completed"},
			wantLog:    "/\n",
		},
		"the log as message of a failure": {
			containers: []corev1.Container{{
				Name: "c", Command: []string{"sh", "-c", "echo why; exit 1"},
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			}},
			wantReason: batchv1.JobReasonBackoffLimitExceeded,
			wantCounts: "0/1",
			wantEnds:   []string{"c 1 Error why"},
			wantLog:    "why\n",
		},
		"of a long message 4096 bytes remain, as with the kubelet the last ones": {
			containers: []corev1.Container{shell("c", `printf 'cut%04096d' 7 > $JOBNETES_OUTPUT`)},
			wantReason: batchv1.JobReasonCompletionsReached,
			wantCounts: "1/0",
			wantEnds:   []string{"c 0 Completed " + fmt.Sprintf("%04096d", 7)},
		},
	}
	r := setup(t)
	number := 0
	for name, tc := range tests {
		number++
		jobName := fmt.Sprintf("job-%d", number)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newJob(jobName, tc.containers...)
			if tc.change != nil {
				tc.change(job, t.TempDir())
			}
			create(t, r, job)
			got := waitJob(t, r, jobName)
			checkConditions(t, got, tc.wantReason)
			if counts := fmt.Sprintf("%d/%d", got.Status.Succeeded, got.Status.Failed); counts != tc.wantCounts || got.Status.Active != 0 {
				t.Errorf("succeeded/failed = %s, active = %d, want %s, 0", counts, got.Status.Active, tc.wantCounts)
			}
			pods := pods(t, r, jobName)
			if n := got.Status.Succeeded + got.Status.Failed; len(pods) != int(n) {
				t.Fatalf("%d pods, want %d", len(pods), n)
			}
			work := r.jobDir(jobName).pod(pods[0].Name).work("c")
			gotEnds := ends(&pods[0])
			for i := range gotEnds {
				gotEnds[i] = strings.ReplaceAll(gotEnds[i], work, "WORK")
			}
			if diff := cmp.Diff(tc.wantEnds, gotEnds); diff != "" {
				t.Errorf("ends (-want +got):\n%s", diff)
			}
			if log := logOf(t, r, pods[0].Name, tc.containers[0].Name); log != tc.wantLog {
				t.Errorf("log = %q, want %q", log, tc.wantLog)
			}
			if pods[0].Status.Reason != tc.wantPod {
				t.Errorf("reason of the pod = %q, want %q", pods[0].Status.Reason, tc.wantPod)
			}
		})
	}
}

// checkConditions checks that the job has ended for that reason, in
// Kubernetes' two steps.
func checkConditions(t *testing.T, job *batchv1.Job, reason string) {
	t.Helper()
	want := []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
	if reason == batchv1.JobReasonCompletionsReached {
		want = []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
	}
	var got []batchv1.JobConditionType
	for _, c := range job.Status.Conditions {
		got = append(got, c.Type)
		if c.Reason != reason || c.Message == "" {
			t.Errorf("condition %s has reason %q and message %q, want %q and a message", c.Type, c.Reason, c.Message, reason)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if job.Status.StartTime == nil {
		t.Error("no start time")
	}
	if completed := job.Status.CompletionTime != nil; completed != (want[1] == batchv1.JobComplete) {
		t.Errorf("completion time = %v", job.Status.CompletionTime)
	}
}

// ends says in words how the pod's containers ended.
func ends(pod *corev1.Pod) (list []string) {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range statuses {
			end := s.State.Terminated
			if end == nil {
				list = append(list, s.Name+" waiting")
				continue
			}
			text := fmt.Sprintf("%s %d %s %s", s.Name, end.ExitCode, end.Reason, end.Message)
			if s.RestartCount > 0 {
				text += fmt.Sprintf("restarts=%d", s.RestartCount)
			}
			list = append(list, strings.TrimSpace(text))
		}
	}
	return list
}

// TestWorkQueue has no completions: one pod that succeeds speaks for all.
func TestWorkQueue(t *testing.T) {
	t.Parallel()
	r := setup(t)
	job := newJob("queue", shell("c", "exit 0"))
	job.Spec.Parallelism = new(int32(2))
	create(t, r, job)
	got := waitJob(t, r, "queue")
	checkConditions(t, got, batchv1.JobReasonCompletionsReached)
	if got.Status.Succeeded < 1 || got.Status.Succeeded > 2 {
		t.Errorf("%d pods succeeded, want 1 or 2", got.Status.Succeeded)
	}
}

// TestContainerTakesItsProcessesAlong: what a command leaves behind ends with
// it, in its process group or not.
func TestContainerTakesItsProcessesAlong(t *testing.T) {
	t.Parallel()
	r, dir := setup(t), t.TempDir()
	c := shell("c", `
		sleep 1000 & echo $! > "$1/group"
		setsid sh -c 'echo $$ > "$1/session"; exec sleep 1000' sh "$1" &
		until [ -s "$1/session" ]; do sleep 0.01; done`)
	c.Args = []string{"sh", dir}
	create(t, r, newJob("leaver", c))
	checkConditions(t, waitJob(t, r, "leaver"), batchv1.JobReasonCompletionsReached)
	waitGone(t, waitFile(t, filepath.Join(dir, "group")))
	waitGone(t, waitFile(t, filepath.Join(dir, "session")))
}
