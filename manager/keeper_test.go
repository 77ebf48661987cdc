package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/mock/gomock"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// shelf is a database and a cluster with the finished Jobs of ended tasks, whose
// pods have two containers each. It is what the retention pass sees.
type shelf struct {
	*mocked
	hangs  map[uint64]bool // whose logs hang
	breaks map[uint64]bool // and panic

	mu      sync.Mutex
	jobs    map[uint64]*batchv1.Job
	kept    map[uint64][]dao.TaskLog
	tries   map[uint64]int
	began   time.Time
	deleted map[uint64]time.Duration // after began
}

// newShelf has one Job of each condition, of task 1 and so on, which finished when
// it began.
func newShelf(t *testing.T, conditions ...batchv1.JobConditionType) *shelf {
	t.Helper()
	s := &shelf{mocked: newMocked(t), jobs: map[uint64]*batchv1.Job{}, kept: map[uint64][]dao.TaskLog{}, tries: map[uint64]int{}, deleted: map[uint64]time.Duration{}, began: time.Now()}
	s.cfg.KeptLogBytes, s.cfg.JobRetention, s.cfg.Now = 1<<16, 2*keepGrace, time.Now
	for i, c := range conditions {
		job := withConditions(runningJob(s.began), c)
		job.Name, job.Labels = fmt.Sprint("job-", i+1), map[string]string{kube.LabelTaskID: strconv.Itoa(i + 1)}
		job.Status.Conditions[0].LastTransitionTime = metav1.Time{Time: s.began}
		s.jobs[uint64(i+1)] = job
	}
	s.isCluster()
	s.isDatabase()
	return s
}

// number is the task of a Job, or of its pod.
func number(name string) uint64 {
	id, _ := strconv.ParseUint(strings.TrimPrefix(name, "job-"), 10, 64)
	return id
}

func (s *shelf) isCluster() {
	s.mocked.jobs.EXPECT().List().AnyTimes().DoAndReturn(func() []*batchv1.Job {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Collect(maps.Values(s.jobs))
	})
	s.mocked.jobs.EXPECT().Pods(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, job string) ([]corev1.Pod, error) {
		return []corev1.Pod{twoContainers(job)}, nil
	})
	s.mocked.jobs.EXPECT().LogTail(gomock.Any(), gomock.Any(), gomock.Any(), 1<<16).AnyTimes().DoAndReturn(func(ctx context.Context, pod, container string, limit int) ([]byte, bool, error) {
		id := number(pod)
		s.mu.Lock()
		s.tries[id]++
		s.mu.Unlock()
		switch {
		case s.hangs[id]:
			return hang(ctx, pod, container, limit)
		case s.breaks[id]:
			panic("a bug")
		default:
			return []byte(container), false, nil
		}
	})
	s.mocked.jobs.EXPECT().Delete(gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, job string, _ types.UID) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.deleted[number(job)] = time.Since(s.began)
		delete(s.jobs, number(job))
		return nil
	})
}

func (s *shelf) isDatabase() {
	s.store.EXPECT().EndedTasks(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, ids []uint64) (map[uint64]dao.EndedTask, error) {
		over := map[uint64]dao.EndedTask{}
		for _, id := range ids {
			over[id] = dao.EndedTask{JobName: fmt.Sprint("job-", id)}
		}
		return over, nil
	})
	s.store.EXPECT().TasksWithLogs(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, ids []uint64) (map[uint64]bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		with := map[uint64]bool{}
		for _, id := range ids {
			if len(s.kept[id]) > 0 {
				with[id] = true
			}
		}
		return with, nil
	})
	s.store.EXPECT().TaskLogs(gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, id uint64) ([]dao.TaskLog, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.kept[id], nil
	})
	s.store.EXPECT().KeepLogs(gomock.Any(), gomock.Any(), gomock.Any()).AnyTimes().DoAndReturn(func(_ context.Context, logs []dao.TaskLog, _ time.Time) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range logs {
			s.kept[l.TaskExecutionID] = append(s.kept[l.TaskExecutionID], l)
		}
		return nil
	})
}

// twoContainers is the pod of a Job, in which c and d have run.
func twoContainers(job string) corev1.Pod {
	p := podOf(time.Now(), runs)
	p.Name = job
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d"})
	p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "d", State: runs})
	return p
}

// names says which logs of a task are kept, in the order in which they were.
func (s *shelf) names(taskID uint64) string {
	var names []string
	for _, l := range s.kept[taskID] {
		names = append(names, fmt.Sprint(l.Position, l.Container))
	}
	return strings.Join(names, " ")
}

// Of a task that failed, what could not be read when it ended is kept as long as
// its pods are there, unless the one who saw it has kept all.
func TestRestOfAFailuresLogsIsKept(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		condition batchv1.JobConditionType
		kept      string // when the task ended
		settled   bool
		want      string
		wantTries int
	}{
		"of a failure, the first is lacking": {batchv1.JobFailed, "d", false, "1d 0c", 1},
		"the last":                           {batchv1.JobFailed, "c", false, "0c 1d", 1},
		"both":                               {batchv1.JobFailed, "", false, "0c 1d", 2},
		"none":                               {batchv1.JobFailed, "cd", false, "0c 1d", 0},
		"none, as is known":                  {batchv1.JobFailed, "", true, "", 0},
		"of a success, all or none":          {batchv1.JobComplete, "c", false, "0c", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShelf(t, tc.condition)
				for _, c := range tc.kept {
					s.kept[1] = append(s.kept[1], dao.TaskLog{TaskExecutionID: 1, Pod: "job-1", Container: string(c), Position: int(c - 'c')})
				}
				if tc.settled {
					s.keeper.settle(1)
				}
				for range 2 {
					time.Sleep(keepGrace + time.Second)
					s.deleteJobs(t.Context())
					if got := s.names(1); got != tc.want || s.tries[1] != tc.wantTries {
						t.Errorf("kept %s by %d tries, want %s by %d", got, s.tries[1], tc.want, tc.wantTries)
					}
				}
				if len(s.jobs) > 0 {
					t.Error("the Job was not deleted when it was due")
				}
			})
		})
	}
}

// A task that failed is settled when all of its logs were kept at its end, and
// only then.
func TestFailureSettlesItsLogs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		want bool
	}{
		"all read":      {nil, true},
		"the rest gone": {errPodGone, true},
		"one not read":  {errors.New("the node is away"), false},
	}
	for name, tc := range cases {
		m, job := failing(t)
		m.pods(twoContainers("p"))
		m.store.EXPECT().TaskLogs(gomock.Any(), uint64(5)).Return(nil, nil)
		m.jobs.EXPECT().LogTail(gomock.Any(), "p", "d", 1<<16).Return([]byte("one"), false, nil)
		m.jobs.EXPECT().LogTail(gomock.Any(), "p", "c", 1<<16).Return(nil, false, tc.err)
		m.store.EXPECT().KeepLogs(gomock.Any(), gomock.Any(), gomock.Any()).Return(nil)
		m.fails(t, "DeadlineExceeded")
		*job = withConditions(runningJob(m.now), batchv1.JobFailed)
		m.reconcile(t.Context(), 1)
		if got := m.keeper.task(5).settled; got != tc.want {
			t.Errorf("%s: settled is %t", name, got)
		}
	}
}

// A node that is away, with the logs of 500 Jobs, holds up no other Job: what is
// kept is deleted when it is due, and what can be read is soon. The 500 are given up
// within the hour.
func TestLogsThatHangHoldUpNoOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const away, kept, healthy = 500, 501, 502
		s := newShelf(t, slices.Repeat([]batchv1.JobConditionType{batchv1.JobComplete}, healthy)...)
		s.kept[kept] = []dao.TaskLog{{TaskExecutionID: kept}}
		s.hangs = map[uint64]bool{}
		for id := range uint64(away) {
			s.hangs[id+1] = true
		}
		time.Sleep(s.cfg.JobRetention)
		longest := time.Duration(0)
		for len(s.jobs) > 0 && time.Since(s.began) < 3*time.Hour {
			time.Sleep(time.Second)
			began := time.Now()
			s.deleteJobs(t.Context())
			longest = max(longest, time.Since(began))
			time.Sleep(time.Until(began.Add(retentionInterval(time.Hour))))
		}
		if longest > passTimeout+keepTimeout {
			t.Errorf("a pass took %s", longest)
		}
		for id, limit := range map[uint64]time.Duration{kept: 2 * time.Second, healthy: 10 * time.Minute, away: time.Hour} {
			if took := s.deleted[id] - s.cfg.JobRetention; took <= 0 || took > limit {
				t.Errorf("the Job of task %d was deleted %s after it was due, want at most %s", id, took, limit)
			}
		}
		for id := uint64(1); id <= away; id++ {
			if s.tries[id] != keepTries || s.deleted[id]-s.cfg.JobRetention < 15*time.Minute {
				t.Fatalf("the log of task %d was tried %d times until %s after its Job was due", id, s.tries[id], s.deleted[id]-s.cfg.JobRetention)
			}
		}
	})
}

// A panic over one task's logs is that task's.
func TestPanicOverLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t, slices.Repeat([]batchv1.JobConditionType{batchv1.JobComplete}, 3)...)
		s.breaks = map[uint64]bool{1: true, 2: true}
		var log bytes.Buffer
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		ctx, stop := context.WithCancel(t.Context())
		go s.keepQueued(ctx)
		for id := range uint64(3) {
			s.keepLater(endedTask{taskID: id + 1, job: s.jobs[id+1], pods: []corev1.Pod{twoContainers(s.jobs[id+1].Name)}})
		}
		synctest.Wait()
		stop()
		synctest.Wait()
		if s.names(3) != "0c 1d" || s.keeper.task(1).settled || strings.Count(log.String(), "panicked: a bug") != 2 || !strings.Contains(log.String(), "task_id=2") {
			t.Errorf("of task 3 is kept %q; log: %s", s.names(3), log.String())
		}
		time.Sleep(s.cfg.JobRetention + time.Second)
		for range keepTries {
			s.deleteJobs(t.Context())
			time.Sleep(keepPause << keepTries)
		}
		if len(s.jobs) > 0 || !strings.Contains(log.String(), "given up") {
			t.Errorf("%d Jobs are left; log: %s", len(s.jobs), log.String())
		}
	})
}
