package jobapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/golang/mock/gomock"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	pb "github.com/jobnetes/jobnetes/proto"
)

var (
	waiting    = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	running    = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	terminated = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
)

// pod returns a pod that is so many minutes younger than the first.
func pod(name string, minute int, phase corev1.PodPhase, states map[string]corev1.ContainerState) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(start.Add(time.Duration(minute) * time.Minute))},
		Spec:       corev1.PodSpec{InitContainers: []corev1.Container{{Name: "init"}}, Containers: []corev1.Container{{Name: "main"}, {Name: "side"}}},
		Status:     corev1.PodStatus{Phase: phase},
	}
	for name, state := range states {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, State: state})
	}
	return p
}

// setupLogs returns a server with one task, and that task's id and Job.
func setupLogs(t *testing.T, logs Logs) (*bundle, uint64, string) {
	t.Helper()
	store := setupStore(t)
	b := setup(t, testConfig(), store, logs)
	apply(t, b, chain)
	task := claim(t, store, startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})).begin("extract", "kube-job")
	return b, task.ID, *task.ExecutionName
}

// readLogs returns what the stream sends, one "pod/container: length" for each
// container, the whole data, and the stream's error.
func readLogs(t *testing.T, b *bundle, req *pb.GetTaskLogsRequest) ([]string, string, error) {
	t.Helper()
	stream, err := b.client.GetTaskLogs(asUser(t), req)
	if err != nil {
		t.Fatal(err)
	}
	var (
		order []string
		data  strings.Builder
		size  = map[string]int{}
	)
	for {
		m, err := stream.Recv()
		if err != nil {
			for i, key := range order {
				order[i] = fmt.Sprintf("%s: %d", key, size[key])
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return order, data.String(), err
		}
		if len(m.GetData()) > logChunk {
			t.Errorf("a message of %d bytes", len(m.GetData()))
		}
		key := m.GetPod() + "/" + m.GetContainer()
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
		size[key] += len(m.GetData())
		data.Write(m.GetData())
	}
}

func TestGetTaskLogs(t *testing.T) {
	t.Parallel()
	done := map[string]corev1.ContainerState{"init": terminated, "main": terminated, "side": terminated}
	younger := pod("a-younger", 2, corev1.PodRunning, map[string]corev1.ContainerState{"init": terminated, "main": running, "side": waiting})
	pods := []corev1.Pod{younger, pod("z-older", 1, corev1.PodFailed, done), pod("b-pending", 3, corev1.PodPending, nil)}
	long := strings.Repeat("0123456789", 10_000) // several messages

	logs := NewMockLogs(gomock.NewController(t))
	b, taskID, job := setupLogs(t, logs)
	logs.EXPECT().Pods(gomock.Any(), job).AnyTimes().DoAndReturn(func(context.Context, string) ([]corev1.Pod, error) { return slices.Clone(pods), nil })
	logs.EXPECT().Logs(gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, pod, container string) (io.ReadCloser, error) {
		text := map[string]string{"z-older/main": long, "a-younger/main": "\xff\x00 not text"}[pod+"/"+container]
		return io.NopCloser(strings.NewReader(text)), nil
	})
	tests := map[string]struct {
		pod, container string
		want           []string
		wantData       string
	}{
		"all":           {"", "", []string{"z-older/init: 0", "z-older/main: 100000", "z-older/side: 0", "a-younger/init: 0", "a-younger/main: 11"}, long + "\xff\x00 not text"},
		"one pod":       {"a-younger", "", []string{"a-younger/init: 0", "a-younger/main: 11"}, "\xff\x00 not text"},
		"one container": {"", "main", []string{"z-older/main: 100000", "a-younger/main: 11"}, long + "\xff\x00 not text"},
		"not started":   {"a-younger", "side", nil, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, data, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: taskID, Pod: tc.pod, Container: tc.container})
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
			if data != tc.wantData {
				t.Errorf("data of %d bytes, want %d", len(data), len(tc.wantData))
			}
		})
	}

	refused := map[string]struct {
		req  *pb.GetTaskLogsRequest
		text string
	}{
		"no such task":      {&pb.GetTaskLogsRequest{TaskId: 99}, "there is no task 99"},
		"no such pod":       {&pb.GetTaskLogsRequest{TaskId: taskID, Pod: "x"}, `has no pod "x"`},
		"no such container": {&pb.GetTaskLogsRequest{TaskId: taskID, Container: "x"}, `it has init, main, side`},
	}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readLogs(t, b, tc.req)
			wantCode(t, err, codes.NotFound)
			if !strings.Contains(status.Convert(err).Message(), tc.text) {
				t.Errorf("message %q, want one with %q", status.Convert(err).Message(), tc.text)
			}
		})
	}
}

// One log that cannot be read does not hide the others.
func TestGetTaskLogsGoesOn(t *testing.T) {
	t.Parallel()
	failure := errors.New(secretText)
	logs := NewMockLogs(gomock.NewController(t))
	b, taskID, job := setupLogs(t, logs)
	logs.EXPECT().Pods(gomock.Any(), job).Return([]corev1.Pod{pod("p", 0, corev1.PodFailed, nil)}, nil)
	logs.EXPECT().Logs(gomock.Any(), "p", "init").Return(nil, failure)
	logs.EXPECT().Logs(gomock.Any(), "p", "main").Return(io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(failure))), nil)
	logs.EXPECT().Logs(gomock.Any(), "p", "side").Return(io.NopCloser(strings.NewReader("whole")), nil)
	_, data, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: taskID})
	wantHidden(t, b, err, codes.Unavailable)
	if data != "halfwhole" {
		t.Errorf("data %q", data)
	}
}

func TestGetTaskLogsWithoutPods(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		code codes.Code
	}{
		"none":         {nil, codes.NotFound},
		"cluster away": {errors.New(secretText), codes.Unavailable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := NewMockLogs(gomock.NewController(t))
			b, taskID, job := setupLogs(t, logs)
			logs.EXPECT().Pods(gomock.Any(), job).Return(nil, tc.err)
			_, _, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: taskID})
			wantCode(t, err, tc.code)
		})
	}
}

func TestGetTaskLogsPreconditions(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	apply(t, b, chain)
	m := claim(t, store, startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"}))
	tests := map[string]struct {
		taskID uint64
		text   string
	}{
		"no source":      {m.begin("extract", "kube-job").ID, "no way to the logs"},
		"not a kube-job": {m.begin("fan", "parallel").ID, "is a parallel"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: tc.taskID})
			wantCode(t, err, codes.FailedPrecondition)
			if !strings.Contains(status.Convert(err).Message(), tc.text) {
				t.Errorf("message %q, want one with %q", status.Convert(err).Message(), tc.text)
			}
		})
	}
}
