package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// talking is Jobs whose containers' logs are what says, as where pods are played
// and no kubelet has any.
type talking struct {
	Jobs
	says func(ctx context.Context) (string, error)
}

func (j talking) LogTail(ctx context.Context, _, _ string, _ int) ([]byte, bool, error) {
	text, err := j.says(ctx)
	return []byte(text), false, err
}

// chatty makes jobs' containers say what echo says in the scripts.
func (w *world) chatty(text string) Jobs {
	if w.config == nil {
		return w.jobs
	}
	return talking{w.jobs, func(context.Context) (string, error) { return text, nil }}
}

func keeping(jobs Jobs) func(*Config, *Store, *Jobs) {
	return func(c *Config, _ *Store, j *Jobs) { c.KeptLogBytes, *j = 1<<16, jobs }
}

// logs returns the kept logs of a task.
func (w *world) logs(t *testing.T, taskID uint64) []dao.TaskLog {
	t.Helper()
	logs, err := w.TaskLogs(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

var podsDoNotMatter = cmpopts.IgnoreFields(dao.TaskLog{}, "Pod")

// The log of a task that succeeded is kept soon after; that of one that failed,
// before it has ended, and its last lines tell why.
func TestLogsAreKept(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		run(t, w.manager(t, "m1", keeping(w.chatty("one\ntwo\n"))))
		id := w.start(t, workflow(w.job("good", "bad", "echo one; echo two"), w.job("bad", "", "echo one; echo two; exit 3")), "{}")
		w.ended(t, id)
		good, bad := w.task(t, id, "good"), w.task(t, id, "bad")

		want := dao.TaskLog{TaskExecutionID: bad.ID, Container: "c", Text: []byte("one\ntwo\n")}
		if diff := cmp.Diff([]dao.TaskLog{want}, w.logs(t, bad.ID), podsDoNotMatter); diff != "" {
			t.Errorf("of the one that failed (-want +got):\n%s", diff)
		}
		if !strings.Contains(bad.ErrorMsg, "container c exited with code 3; last lines of the log of container c of pod ") || !strings.HasSuffix(bad.ErrorMsg, ":\none\ntwo") {
			t.Errorf("error_msg: %s", bad.ErrorMsg)
		}
		await(t, "the log of the one that succeeded", func() bool { return len(w.logs(t, good.ID)) > 0 })
		want.TaskExecutionID = good.ID
		if diff := cmp.Diff([]dao.TaskLog{want}, w.logs(t, good.ID), podsDoNotMatter); diff != "" {
			t.Errorf("of the one that succeeded (-want +got):\n%s", diff)
		}
	})
}

// With kept-log-bytes 0 none are kept, but failures still tell why.
func TestLogsAreNotKept(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		m := w.manager(t, "m1", func(_ *Config, _ *Store, j *Jobs) { *j = w.chatty("one\ntwo\n") })
		run(t, m)
		id := w.start(t, workflow(w.job("good", "bad", "echo one; echo two"), w.job("bad", "", "echo one; echo two; exit 3")), "{}")
		w.ended(t, id)
		if bad := w.task(t, id, "bad"); len(w.logs(t, bad.ID)) > 0 || !strings.HasSuffix(bad.ErrorMsg, ":\none\ntwo") {
			t.Errorf("logs %v, error_msg %s", w.logs(t, bad.ID), bad.ErrorMsg)
		}
		if good := w.task(t, id, "good"); len(m.keeper.queue) > 0 || len(w.logs(t, good.ID)) > 0 {
			t.Error("the log of the task that succeeded is kept")
		}
	})
}

// Success does not wait for logs.
func TestSuccessDoesNotWaitForLogs(t *testing.T) {
	t.Parallel()
	w := newLocal(t)
	release := make(chan struct{})
	slow := talking{w.jobs, func(context.Context) (string, error) { <-release; return "late\n", nil }}
	run(t, w.manager(t, "m1", keeping(slow)))
	id := w.start(t, workflow(w.job("a", "b", ""), w.job("b", "", "")), "{}")
	if e := w.ended(t, id); e.Status != dao.ExecutionSuccess {
		t.Errorf("%s: %s", e.Status, e.ErrorMsg)
	}
	a := w.task(t, id, "a").ID
	if len(w.logs(t, a)) > 0 {
		t.Error("the log is kept although nobody could read it")
	}
	close(release)
	await(t, "the log", func() bool { return len(w.logs(t, a)) > 0 })
}

// Logs that cannot be read do not keep a task from failing.
func TestUnreadableLogsOfAFailure(t *testing.T) {
	t.Parallel()
	w := newLocal(t)
	unreadable := talking{w.jobs, func(context.Context) (string, error) { return "", errors.New("the node is away") }}
	run(t, w.manager(t, "m1", keeping(unreadable)))
	id := w.start(t, workflow(w.job("a", "", "exit 3")), "{}")
	if e := w.ended(t, id); e.Status != dao.ExecutionFailed || !strings.Contains(e.ErrorMsg, "exited with code 3") || strings.Contains(e.ErrorMsg, "last lines") {
		t.Errorf("%s: %s", e.Status, e.ErrorMsg)
	}
}

// A Job that its deadline ended tells what it last said.
func TestDeadlineTellsTheLastLines(t *testing.T) {
	t.Parallel()
	w := newLocal(t)
	run(t, w.manager(t, "m1", keeping(w.jobs)))
	id := w.start(t, workflow(`{"name": "a", "type": "kube-job", "job": {"spec": {"activeDeadlineSeconds": 1, "template": {"spec": {"restartPolicy": "Never", "containers": [
		{"name": "c", "command": ["sh", "-c", "echo at work; exec sleep 300"]}]}}}}}`), "{}")
	w.ended(t, id)
	a := w.task(t, id, "a")
	if a.ErrorReason != "DeadlineExceeded" || !strings.HasSuffix(a.ErrorMsg, ":\nat work") || len(w.logs(t, a.ID)) != 1 {
		t.Errorf("%s: %s, %d logs", a.ErrorReason, a.ErrorMsg, len(w.logs(t, a.ID)))
	}
}

// unkept is a world in which a task has succeeded whose logs nobody has kept, as
// after a crash, and managers of it that are to be driven by hand.
func unkept(t *testing.T) (w *world, taskID uint64, job string) {
	t.Helper()
	w = newLocal(t)
	run(t, w.manager(t, "crashes"))
	id := w.start(t, workflow(w.job("a", "", "echo one")), "{}")
	w.ended(t, id)
	a := w.task(t, id, "a")
	return w, a.ID, *a.ExecutionName
}

// after makes a manager whose clock is ahead, and whose containers say that.
func (w *world) after(t *testing.T, d time.Duration, says func(context.Context) (string, error)) *Manager {
	t.Helper()
	return w.manager(t, "m2", keeping(talking{w.jobs, says}), func(c *Config, _ *Store, _ *Jobs) {
		c.JobRetention, c.Now = time.Hour, func() time.Time { return time.Now().Add(d) }
	})
}

func one(context.Context) (string, error) { return "one\n", nil }

func (w *world) there(t *testing.T, job string) bool {
	t.Helper()
	_, err := w.jobs.Get(t.Context(), job)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

// What a crash has left unkept the retention pass of any manager keeps, but not
// while the one that saw the end may still be at it.
func TestMissingLogsAreKept(t *testing.T) {
	t.Parallel()
	w, task, job := unkept(t)
	w.after(t, keepGrace/2, one).deleteJobs(t.Context())
	if len(w.logs(t, task)) > 0 {
		t.Error("kept before the grace has passed")
	}
	w.after(t, keepGrace+2*time.Second, one).deleteJobs(t.Context())
	if logs := w.logs(t, task); len(logs) != 1 || string(logs[0].Text) != "one\n" {
		t.Errorf("kept: %v", logs)
	}
	if !w.there(t, job) {
		t.Error("the Job is deleted before its retention has passed")
	}
	again := w.after(t, keepGrace+2*time.Second, func(context.Context) (string, error) { return "twice\n", nil })
	again.deleteJobs(t.Context())
	if logs := w.logs(t, task); string(logs[0].Text) != "one\n" {
		t.Error("what is kept was kept once more")
	}
}

// A Job is not deleted before its logs are kept.
func TestJobWaitsForItsLogs(t *testing.T) {
	t.Parallel()
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "p")
	away := errors.New("the node is away")
	cases := map[string]struct {
		says      func(pass int) (string, error)
		wantPass  int // in which it is deleted
		wantLogs  int
		wantError string // in the manager's log
	}{
		"that can be read":         {func(int) (string, error) { return "one\n", nil }, 1, 1, ""},
		"that are gone":            {func(int) (string, error) { return "", fmt.Errorf("read: %w", gone) }, 1, 0, ""},
		"that can be read later":   {func(pass int) (string, error) { return "one\n", map[int]error{1: away, 2: away}[pass] }, 3, 1, ""},
		"but not for ever":         {func(int) (string, error) { return "", away }, keepTries, 0, "given up"},
		"that are gone in the end": {func(pass int) (string, error) { return "", map[int]error{1: away, 2: gone}[pass] }, 2, 0, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, task, job := unkept(t)
			pass := 0
			m := w.after(t, 0, func(context.Context) (string, error) { return tc.says(pass) })
			m.cfg.Now = func() time.Time { return time.Now().Add(time.Hour + time.Duration(pass)*keepPause<<keepTries) }
			var log bytes.Buffer
			m.log = slog.New(slog.NewTextHandler(&log, nil))
			for pass = 1; w.there(t, job); pass++ {
				if pass > tc.wantPass {
					t.Fatalf("not deleted by pass %d", tc.wantPass)
				}
				m.deleteJobs(t.Context())
			}
			if pass-1 != tc.wantPass || len(w.logs(t, task)) != tc.wantLogs {
				t.Errorf("deleted by pass %d with %d logs kept; want %d, %d", pass-1, len(w.logs(t, task)), tc.wantPass, tc.wantLogs)
			}
			if tc.wantError != "" && !strings.Contains(log.String(), tc.wantError) || tc.wantError == "" && strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

// If one log cannot be read yet, none is kept, so that all are tried again; the
// last try keeps what there is.
func TestLogsAreKeptTogether(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.cfg.KeptLogBytes = 1 << 16
	p := podOf(m.now, runs)
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d"})
	p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "d", State: runs})
	m.jobs.EXPECT().LogTail(gomock.Any(), p.Name, "c", 1<<16).Times(2).Return([]byte("one\n"), false, nil)
	away := errors.New("the node is away")
	m.jobs.EXPECT().LogTail(gomock.Any(), p.Name, "d", 1<<16).Times(2).Return(nil, false, away)
	e := endedTask{taskID: 5, job: runningJob(m.now), pods: []corev1.Pod{p}}
	if err := m.keepLogs(t.Context(), e, nil, false); !errors.Is(err, away) {
		t.Errorf("error %v", err)
	}
	m.store.EXPECT().KeepLogs(gomock.Any(), []dao.TaskLog{{TaskExecutionID: 5, Pod: p.Name, Container: "c", Text: []byte("one\n")}}, gomock.Any()).Return(nil)
	if err := m.keepLogs(t.Context(), e, nil, true); !errors.Is(err, away) {
		t.Errorf("error of the last try: %v", err)
	}
}

// What waits to be kept is bounded; what does not fit the retention pass finds.
func TestKeepLaterIsBounded(t *testing.T) {
	t.Parallel()
	m := newMocked(t)
	m.cfg.KeptLogBytes = 1 << 16
	job := runningJob(m.now)
	for i := range keepQueue + 5 {
		m.keepLater(endedTask{taskID: uint64(i), job: job})
	}
	if len(m.keeper.queue) != keepQueue {
		t.Errorf("%d wait", len(m.keeper.queue))
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	row := func(position int, pod, text string) dao.TaskLog {
		return dao.TaskLog{TaskExecutionID: 7, Pod: pod, Container: "c", Position: position, Text: []byte(text)}
	}
	logs := func(pods ...string) (logs []kube.Log) {
		for _, pod := range pods {
			logs = append(logs, kube.Log{Pod: pod, Container: "c", Text: []byte(pod)})
		}
		return logs
	}
	cases := map[string]struct {
		before             []dao.TaskLog
		logs, read         []kube.Log
		wantFresh, wantAll []dao.TaskLog
	}{
		"all are read":                      {nil, logs("p", "q"), logs("p", "q"), []dao.TaskLog{row(0, "p", "p"), row(1, "q", "q")}, []dao.TaskLog{row(0, "p", "p"), row(1, "q", "q")}},
		"one is not":                        {nil, logs("p", "q"), logs("q"), []dao.TaskLog{row(1, "q", "q")}, []dao.TaskLog{row(1, "q", "q")}},
		"but later":                         {[]dao.TaskLog{row(1, "q", "q")}, logs("p", "q"), logs("p"), []dao.TaskLog{row(0, "p", "p")}, []dao.TaskLog{row(0, "p", "p"), row(1, "q", "q")}},
		"one is read again":                 {[]dao.TaskLog{row(0, "p", "p"), row(1, "q", "before")}, logs("p", "q"), logs("q"), []dao.TaskLog{row(1, "q", "q")}, []dao.TaskLog{row(0, "p", "p"), row(1, "q", "q")}},
		"a new one beside one that is gone": {[]dao.TaskLog{row(0, "p", "p"), row(1, "q", "before")}, logs("q", "r"), logs("q", "r"), []dao.TaskLog{row(1, "q", "q"), row(2, "r", "r")}, []dao.TaskLog{row(0, "p", "p"), row(1, "q", "q"), row(2, "r", "r")}},
		"none":                              {[]dao.TaskLog{row(0, "p", "p")}, logs("p"), nil, nil, []dao.TaskLog{row(0, "p", "p")}},
	}
	for name, tc := range cases {
		fresh, all := merge(7, tc.before, tc.logs, tc.read)
		if diff := cmp.Diff(tc.wantFresh, fresh); diff != "" {
			t.Errorf("%s: fresh (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tc.wantAll, all); diff != "" {
			t.Errorf("%s: all (-want +got):\n%s", name, diff)
		}
	}
}
