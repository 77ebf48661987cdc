package jobapi

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/golang/mock/gomock"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// waits is the state of a container that cannot start.
func waits(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// unscheduled returns a pod that has no node, and why.
func unscheduled(reason, message string) corev1.Pod {
	p := pod("p", 0, corev1.PodPending, nil)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message}}
	return p
}

// A container that has not started says why, in one message without data.
func TestGetTaskLogsWaiting(t *testing.T) {
	t.Parallel()
	scheduled := pod("p", 0, corev1.PodPending, map[string]corev1.ContainerState{"main": waits("ImagePullBackOff", "Back-off pulling image \"x\"")})
	scheduled.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	tests := map[string]struct {
		pod  corev1.Pod
		want string
	}{
		"image":               {scheduled, `ImagePullBackOff: Back-off pulling image "x"`},
		"only a reason":       {pod("p", 0, corev1.PodPending, map[string]corev1.ContainerState{"main": waits("ContainerCreating", "")}), "ContainerCreating"},
		"only a message":      {pod("p", 0, corev1.PodPending, map[string]corev1.ContainerState{"main": waits("", "soon")}), "soon"},
		"control characters":  {pod("p", 0, corev1.PodPending, map[string]corev1.ContainerState{"main": waits("Bad", "a\x1b[31m\u202eb\r\n\tc\xff")}), "Bad: a[31mb c\uFFFD"},
		"no node":             {unscheduled("Unschedulable", "0/3 nodes are available"), "Unschedulable: 0/3 nodes are available"},
		"nothing known":       {pod("p", 0, corev1.PodPending, nil), "it has not started yet"},
		"its node says more":  {pod("p", 0, corev1.PodRunning, map[string]corev1.ContainerState{"main": waits("CreateContainerConfigError", `secret "s" not found`)}), `CreateContainerConfigError: secret "s" not found`},
		"a condition is mute": {unscheduled("", ""), "it has not started yet"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := NewMockLogs(gomock.NewController(t))
			b, taskID, job := setupLogs(t, logs)
			logs.EXPECT().Pods(gomock.Any(), job).Return([]corev1.Pod{tc.pod}, nil)
			stream, err := b.client.GetTaskLogs(asUser(t), &pb.GetTaskLogsRequest{TaskId: taskID, Container: "main"})
			if err != nil {
				t.Fatal(err)
			}
			m, err := stream.Recv()
			if err != nil || m.GetPod() != "p" || m.GetContainer() != "main" || m.GetWaiting() != tc.want || len(m.GetData()) > 0 {
				t.Errorf("got %v, %v, want one that waits by %q", m, err, tc.want)
			}
			if m, err := stream.Recv(); err == nil {
				t.Errorf("one more message: %v", m)
			}
		})
	}
}

// What was kept of a log says more than that its container waits.
func TestGetTaskLogsKeptOfOneThatWaits(t *testing.T) {
	t.Parallel()
	logs := NewMockLogs(gomock.NewController(t))
	b, taskID, job := setupLogs(t, logs, dao.TaskLog{Pod: "p", Container: "main", Text: []byte("kept")})
	logs.EXPECT().Pods(gomock.Any(), job).Return([]corev1.Pod{unscheduled("Unschedulable", "")}, nil)
	got, data, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: taskID, Container: "main"})
	if err != nil || !slices.Equal(got, []string{"p/main kept: 4"}) || data != "kept" {
		t.Errorf("got %v, %q, %v", got, data, err)
	}
}

// Where there is nothing to send, the error says what may be the reason.
func TestGetTaskLogsOfWhatNeverRan(t *testing.T) {
	t.Parallel()
	ended := pod("p", 0, corev1.PodFailed, map[string]corev1.ContainerState{"main": waits("PodInitializing", ""), "side": terminated})
	tests := map[string]struct {
		failed    bool
		pods      []corev1.Pod
		container string
		want      []string // parts of the message
	}{
		"failed, and no pods":  {failed: true, want: []string{"has no pods", "JobFailed", "`jobnetes execution 1` has the message", "before a container of it ran"}},
		"running, and no pods": {want: []string{"has no pods", "has not started one yet", "none of its containers ever started"}},
		"its pod ended before": {failed: true, pods: []corev1.Pod{ended}, container: "main", want: []string{"the pod ended before the container ran", "`jobnetes execution 1`"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, logs := setupStore(t), NewMockLogs(gomock.NewController(t))
			b := setup(t, testConfig(), store, logs)
			apply(t, b, chain)
			m := claim(t, store, startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"}))
			task := m.begin("extract", "kube-job")
			if tc.failed {
				m.fail(task)
			}
			logs.EXPECT().Pods(gomock.Any(), *task.ExecutionName).Return(tc.pods, nil)
			got, _, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: task.ID, Container: tc.container})
			wantCode(t, err, codes.NotFound)
			for _, part := range tc.want {
				if text := status.Convert(err).Message(); !strings.Contains(text, part) {
					t.Errorf("message %q, want one with %q", text, part)
				}
			}
			if len(got) > 0 {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNoLogsOfOneThatWaits(t *testing.T) {
	t.Parallel()
	for want, slot := range map[string]uint8{"waits for its turn": dao.SlotWaiting, "its job w-a-1-1 is not created yet": dao.SlotGranted} {
		err := noLogs("", dao.TaskExecution{ID: 1, TaskName: "a", ExecutionName: new("w-a-1-1"), Slot: &slot})
		if !errors.Is(err, dao.ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
