package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/dao"
)

func viewTime(seconds int) *timestamppb.Timestamp {
	return timestamppb.New(began.Add(time.Duration(seconds) * time.Second))
}

// memoryLogs are logs by Job, then container.
type memoryLogs map[string]map[string]string

func (m memoryLogs) Pods(_ context.Context, job string) ([]corev1.Pod, error) {
	if m[job] == nil {
		return nil, nil
	}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: job}}
	for name := range m[job] {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name})
	}
	slices.SortFunc(pod.Spec.Containers, func(a, b corev1.Container) int { return strings.Compare(a.Name, b.Name) })
	return []corev1.Pod{pod}, nil
}

func (m memoryLogs) Logs(_ context.Context, pod, container string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(m[pod][container])), nil
}

func TestLogs(t *testing.T) {
	t.Parallel()
	logs := memoryLogs{
		"nightly-extract-1-1": {"main": "one\ntwo\n", "side": "no newline"},
		"nightly-load-2-1":    {"main": "three\n"},
	}
	s := setup(t, logs)
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	m := claim(s)
	extract := m.begin("extract", "kube-job")
	load := m.begin("load", "kube-job")
	m.begin("fan", "parallel")
	if *extract.ExecutionName != "nightly-extract-1-1" || *load.ExecutionName != "nightly-load-2-1" {
		t.Fatalf("the Jobs are %s and %s", *extract.ExecutionName, *load.ExecutionName)
	}
	const (
		extractMain = "==> extract (task 1), pod nightly-extract-1-1, container main <==\none\ntwo\n"
		extractSide = "==> extract (task 1), pod nightly-extract-1-1, container side <==\nno newline\n"
		loadMain    = "==> load (task 2), pod nightly-load-2-1, container main <==\nthree\n"
	)
	tests := map[string]struct {
		args []string
		want string
	}{
		"all":           {[]string{"1"}, extractMain + extractSide + loadMain},
		"of a task":     {[]string{"1", "--task", "load"}, loadMain},
		"one container": {[]string{"1", "--container", "main"}, extractMain + loadMain},
		"by task id":    {[]string{"--task-id", "2"}, strings.Replace(loadMain, "load (task 2)", "task 2", 1)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := s.mustRun(append([]string{"logs"}, tc.args...)...); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(s.mustRun("logs", "1", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[1]["container"] != "side" || got[1]["log"] != "no newline" || got[2]["taskName"] != "load" || got[2]["taskId"] != 2.0 {
		t.Errorf("got %v", got)
	}

	for _, args := range [][]string{nil, {"1", "--task-id", "1"}, {"--task-id", "1", "--task", "x"}} {
		_, _, err := s.run(append([]string{"logs"}, args...)...)
		wantError(t, err, "whose logs?")
	}
	_, _, err := s.run("logs", "1", "--task", "fan")
	wantError(t, err, `no kube-job task "fan"`)
	_, _, err = s.run("logs", "99")
	wantError(t, err, "there is no execution 99")
}

// A log that was kept is printed as such.
func TestKeptLogs(t *testing.T) {
	t.Parallel()
	s := setup(t, memoryLogs{"nightly-extract-1-1": {"main": "live\n"}})
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	extract := claim(s).begin("extract", "kube-job")
	err := s.store.KeepLogs(t.Context(), []dao.TaskLog{
		{TaskExecutionID: extract.ID, Pod: "gone", Container: "init", Position: 0, Text: []byte("all\n")},
		{TaskExecutionID: extract.ID, Pod: "gone", Container: "main", Position: 1, Text: []byte("the end"), Truncated: true},
	}, began)
	if err != nil {
		t.Fatal(err)
	}
	const want = "==> extract (task 1), pod gone, container init, kept <==\nall\n" +
		"==> extract (task 1), pod gone, container main, kept, only the end <==\nthe end\n" +
		"==> extract (task 1), pod nightly-extract-1-1, container main <==\nlive\n"
	if got := s.mustRun("logs", "1"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var got []struct {
		Log             string
		Kept, Truncated bool
	}
	if err := json.Unmarshal([]byte(s.mustRun("logs", "1", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(got); text != "[{all\n true false} {the end true true} {live\n false false}]" {
		t.Errorf("-o json: %s", text)
	}
}

// waitingLogs are those of a pod whose first container has begun to write, while
// the others wait.
type waitingLogs struct{}

func (waitingLogs) Pods(_ context.Context, job string) ([]corev1.Pod, error) {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: job}, Status: corev1.PodStatus{Phase: corev1.PodPending}}
	for name, state := range map[string]corev1.ContainerState{
		"a": {Running: &corev1.ContainerStateRunning{}},
		"b": {Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image \"x\""}},
	} {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, State: state})
	}
	pod.Spec.Containers = []corev1.Container{{Name: "a"}, {Name: "b"}}
	return []corev1.Pod{pod}, nil
}

func (waitingLogs) Logs(context.Context, string, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("half a line")), nil
}

// A container that has not started is no empty log: stderr says why it waits.
func TestLogsOfOneThatWaits(t *testing.T) {
	t.Parallel()
	s := setup(t, waitingLogs{})
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	claim(s).begin("extract", "kube-job")
	const why = `ImagePullBackOff: Back-off pulling image "x"`
	var terminal strings.Builder
	err := execute(t.Context(), "", &terminal, &terminal, "logs", "1", "--endpoint", s.endpoint, "--username", "admin", "--password", "secret")
	want := "==> extract (task 1), pod nightly-extract-1-1, container a <==\nhalf a line\n" +
		"extract (task 1), pod nightly-extract-1-1, container b waits: " + why + "\n"
	if err != nil || terminal.String() != want {
		t.Errorf("got\n%s%v\nwant\n%s", terminal.String(), err, want)
	}
	stdout, stderr, err := s.run("logs", "1", "--container", "b")
	if err != nil || stdout != "" || !strings.HasSuffix(stderr, "container b waits: "+why+"\n") {
		t.Errorf("stdout %q, stderr %q, error %v", stdout, stderr, err)
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(s.mustRun("logs", "1", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0]["waiting"] != "" || got[0]["log"] != "half a line" || got[1]["waiting"] != why || got[1]["log"] != "" {
		t.Errorf("got %v", got)
	}
}

// Where there is no task with logs, stderr says why.
func TestLogsWithoutTasks(t *testing.T) {
	t.Parallel()
	for want, reach := range map[string]func(*mover){
		"it waits for a manager, or for its turn": func(*mover) {},
		"none of its tasks that have begun":       func(m *mover) { m.begin("fan", "parallel") },
		"it ended without a kube-job":             func(m *mover) { m.finish(dao.ExecutionFailed) },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := setup(t, nil)
			s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
			s.mustRun("start", "nightly")
			reach(claim(s))
			stdout, stderr, err := s.run("logs", "1")
			if err != nil || stdout != "" || !strings.Contains(stderr, "execution 1 has no logs: "+want) {
				t.Errorf("stdout %q, stderr %q, error %v", stdout, stderr, err)
			}
		})
	}
}

// A task whose pods are gone does not hide what the others wrote.
func TestLogsGoOn(t *testing.T) {
	t.Parallel()
	s := setup(t, memoryLogs{"nightly-load-2-1": {"main": "three\n"}})
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly))
	s.mustRun("start", "nightly")
	m := claim(s)
	m.end(m.begin("extract", "kube-job"), dao.TaskFailed)
	m.begin("load", "kube-job")
	stdout, stderr, err := s.run("logs", "1")
	if !errors.Is(err, errSaid) || !strings.Contains(stdout, "three\n") || !strings.Contains(stderr, "logs of extract (task 1): ") {
		t.Errorf("stdout %q, stderr %q, error %v", stdout, stderr, err)
	}
}
