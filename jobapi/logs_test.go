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

	"github.com/jobnetes/jobnetes/dao"
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

// setupLogs returns a server with one task, and that task's id and Job. kept are
// logs of the task.
func setupLogs(t *testing.T, logs Logs, kept ...dao.TaskLog) (*bundle, uint64, string) {
	t.Helper()
	store := setupStore(t)
	b := setup(t, testConfig(), store, logs)
	apply(t, b, chain)
	task := claim(t, store, startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"})).begin("extract", "kube-job")
	for i := range kept {
		kept[i].TaskExecutionID, kept[i].Position = task.ID, i
	}
	if err := store.KeepLogs(t.Context(), kept, start); err != nil {
		t.Fatal(err)
	}
	return b, task.ID, *task.ExecutionName
}

// readLogs returns what the stream sends, one "pod/container: length" for each
// container, with what it says of the log's origin, the whole data, and the
// stream's error.
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
		if m.GetKept() {
			key += " kept"
		}
		if m.GetTruncated() {
			key += " truncated"
		}
		if m.GetWaiting() != "" {
			key += " waits"
		}
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
		"all": {"", "", []string{
			"z-older/init: 0", "z-older/main: 100000", "z-older/side: 0", "a-younger/init: 0", "a-younger/main: 11", "a-younger/side waits: 0",
			"b-pending/init waits: 0", "b-pending/main waits: 0", "b-pending/side waits: 0",
		}, long + "\xff\x00 not text"},
		"one pod":       {"a-younger", "", []string{"a-younger/init: 0", "a-younger/main: 11", "a-younger/side waits: 0"}, "\xff\x00 not text"},
		"one container": {"", "main", []string{"z-older/main: 100000", "a-younger/main: 11", "b-pending/main waits: 0"}, long + "\xff\x00 not text"},
		"not started":   {"a-younger", "side", []string{"a-younger/side waits: 0"}, ""},
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

// What a pod cannot give anymore is sent as it was kept.
func TestGetTaskLogsKept(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 5_000) // two messages
	failure := errors.New(secretText)
	done := map[string]corev1.ContainerState{"init": terminated, "main": terminated, "side": terminated}
	there := []corev1.Pod{pod("b-there", 2, corev1.PodFailed, done)}
	whole := func(text string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	}
	closed := func() (io.ReadCloser, error) { return nil, failure }
	broken := func(text string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(failure))), nil
		}
	}
	type live = map[string]func() (io.ReadCloser, error)
	all := live{"init": whole("i"), "main": whole("live"), "side": whole("s")}
	gone := []string{"z-gone/init kept: 0", "z-gone/main kept truncated: 50000"}
	onlyKept := append(slices.Clone(gone), "b-there/main kept: 4")
	tests := map[string]struct {
		pods           []corev1.Pod
		podsErr        error
		live           live
		pod, container string
		want           []string
		wantData       string
		wantCode       codes.Code
	}{
		"gone pods come first, there the pod's own log counts": {
			pods: there, live: all,
			want: append(slices.Clone(gone), "b-there/init: 1", "b-there/main: 4", "b-there/side: 1"), wantData: long + "ilives",
		},
		"all pods gone":      {want: onlyKept, wantData: long + "kept"},
		"pods cannot be had": {podsErr: failure, want: onlyKept, wantData: long + "kept"},
		"a log cannot be opened": {
			pods: there, live: live{"main": closed}, container: "main",
			want: []string{"z-gone/main kept truncated: 50000", "b-there/main kept: 4"}, wantData: long + "kept",
		},
		"a log breaks before its first byte": {
			pods: there, live: live{"main": broken("")}, pod: "b-there", container: "main",
			want: []string{"b-there/main kept: 4"}, wantData: "kept",
		},
		"a log breaks later, and is not sent twice": {
			pods: there, live: live{"main": broken("half")}, pod: "b-there", container: "main",
			want: []string{"b-there/main: 4"}, wantData: "half", wantCode: codes.Unavailable,
		},
		"of what cannot be read nothing was kept": {
			pods: there, live: live{"side": closed}, pod: "b-there", container: "side", wantCode: codes.Unavailable,
		},
		"one gone pod":                        {pods: there, pod: "z-gone", want: gone, wantData: long},
		"unknown pod":                         {pods: there, pod: "x", wantCode: codes.NotFound},
		"unknown container":                   {pods: there, container: "x", wantCode: codes.NotFound},
		"pod that may be where nobody looks":  {podsErr: failure, pod: "x", wantCode: codes.Unavailable},
		"container that may be there as well": {podsErr: failure, container: "x", wantCode: codes.Unavailable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := NewMockLogs(gomock.NewController(t))
			b, taskID, job := setupLogs(t, logs, keptLogs(long)...)
			logs.EXPECT().Pods(gomock.Any(), job).Return(tc.pods, tc.podsErr)
			logs.EXPECT().Logs(gomock.Any(), "b-there", gomock.Any()).Times(len(tc.live)).DoAndReturn(
				func(_ context.Context, _, container string) (io.ReadCloser, error) { return tc.live[container]() })
			got, data, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: taskID, Pod: tc.pod, Container: tc.container})
			wantCode(t, err, tc.wantCode)
			if !slices.Equal(got, tc.want) || data != tc.wantData {
				t.Errorf("got %v with %d bytes, want %v with %d", got, len(data), tc.want, len(tc.wantData))
			}
			failed := tc.podsErr != nil || tc.live["main"] != nil && len(tc.live) == 1 || tc.wantCode == codes.Unavailable
			if logged := strings.Contains(b.log.String(), secretText); logged != failed {
				t.Errorf("the log tells of a failure: %t, want %t:\n%s", logged, failed, b.log)
			}
		})
	}
}

// keptLogs are those of a pod that is gone and of one that may be there.
func keptLogs(long string) []dao.TaskLog {
	return []dao.TaskLog{
		{Pod: "z-gone", Container: "init"},
		{Pod: "z-gone", Container: "main", Text: []byte(long), Truncated: true},
		{Pod: "b-there", Container: "main", Text: []byte("kept")},
	}
}

// Of what was kept only that is read which is sent: it may be large.
func TestGetTaskLogsReadsWhatItSends(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod, container string
		reads          []string // of what was kept
		err            error    // of reading it
		want           []string
		wantCode       codes.Code
	}{
		"all":                 {"", "", []string{"gone/main", "gone/side"}, nil, []string{"gone/main kept: 1", "gone/side kept: 1", "there/main: 4"}, codes.OK},
		"one container":       {"gone", "side", []string{"gone/side"}, nil, []string{"gone/side kept: 1"}, codes.OK},
		"a pod that is there": {"there", "", nil, nil, []string{"there/main: 4"}, codes.OK},
		"a broken row":        {"gone", "main", []string{"gone/main"}, errors.New(secretText), nil, codes.Internal},
		"database away":       {"gone", "main", []string{"gone/main"}, dao.ErrUnavailable, nil, codes.Unavailable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctrl, job := gomock.NewController(t), "job"
			store, logs := NewMockStore(ctrl), NewMockLogs(ctrl)
			store.EXPECT().Ping(gomock.Any()).AnyTimes()
			store.EXPECT().Task(gomock.Any(), uint64(1)).Return(dao.TaskExecution{ID: 1, ExecutionName: &job}, nil)
			store.EXPECT().TaskLogNames(gomock.Any(), uint64(1)).Return([]dao.TaskLogName{
				{Pod: "gone", Container: "main"}, {Pod: "gone", Container: "side"}, {Pod: "there", Container: "main"},
			}, nil)
			for _, read := range tc.reads {
				pod, container, _ := strings.Cut(read, "/")
				store.EXPECT().TaskLog(gomock.Any(), uint64(1), pod, container).Return(dao.TaskLog{Pod: pod, Container: container, Text: []byte("k")}, tc.err)
			}
			there := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "there"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}}}
			logs.EXPECT().Pods(gomock.Any(), job).Return([]corev1.Pod{there}, nil)
			logs.EXPECT().Logs(gomock.Any(), "there", "main").AnyTimes().Return(io.NopCloser(strings.NewReader("live")), nil)
			b := setup(t, testConfig(), store, logs)
			got, _, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: 1, Pod: tc.pod, Container: tc.container})
			wantCode(t, err, tc.wantCode)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// A jobapi that knows no cluster has what was kept.
func TestGetTaskLogsWithoutACluster(t *testing.T) {
	t.Parallel()
	b, taskID, _ := setupLogs(t, nil, keptLogs("end\n")...)
	got, data, err := readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: taskID})
	want := []string{"z-gone/init kept: 0", "z-gone/main kept truncated: 4", "b-there/main kept: 4"}
	if err != nil || !slices.Equal(got, want) || data != "end\nkept" {
		t.Errorf("got %v, %q, %v, want %v", got, data, err, want)
	}
	_, _, err = readLogs(t, b, &pb.GetTaskLogsRequest{TaskId: taskID, Pod: "x"})
	wantCode(t, err, codes.FailedPrecondition)
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
