package webadmin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/golang/mock/gomock"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobnetes/jobnetes/dao"
)

// keep keeps logs of a task, in that order.
func (b *bundle) keep(task *dao.TaskExecution, logs ...dao.TaskLog) {
	b.t.Helper()
	for i := range logs {
		logs[i].TaskExecutionID, logs[i].Position = task.ID, i
	}
	if err := b.store.KeepLogs(b.t.Context(), logs, b.now); err != nil {
		b.t.Fatal(err)
	}
}

func kept(pod, container, text string) dao.TaskLog {
	return dao.TaskLog{Pod: pod, Container: container, Text: []byte(text)}
}

// keptEnd is the end of the log of a container named main.
func keptEnd(pod, text string) dao.TaskLog {
	return dao.TaskLog{Pod: pod, Container: "main", Text: []byte(text), Truncated: true}
}

// What is left of the logs is shown, and the page says where it is from.
func TestKeptLogs(t *testing.T) {
	t.Parallel()
	const (
		away     = "The pods could not be read: whatever runs the Jobs did not answer. Load the page again soon; webadmin's log has the reason."
		podsGone = "The pods are gone: they are deleted with their Job, after k8s.job-retention, or when Kubernetes ends them, as at a deadline. Their logs are shown as they were kept in the database."
		onlyEnd  = "Only the end of the log was kept: manager.kept-log-bytes says how much."
		head     = "Log kept in the database all that was kept"
	)
	unreadable := errors.New("dial tcp 10.0.0.7:10250: i/o timeout")
	cases := map[string]struct {
		change    func(b *bundle, task *dao.TaskExecution)
		wantPods  []string // their summaries
		wantHeads []string // of the logs
		wantLogs  []string
		wantNotes []string
	}{
		"all pods gone": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.keep(task, kept("older", "main", ""), kept("newer", "prepare", "ready\n"), keptEnd("newer", "\x1b[31mtwo\x1b[0m <b>\xff\n"))
			},
			wantPods:  []string{"newer gone logs kept in the database", "older gone logs kept in the database"},
			wantHeads: []string{head, head, head},
			wantLogs:  []string{"ready\n", "two <b>\uFFFD\n"},
			wantNotes: []string{podsGone, onlyEnd, "The log was empty."},
		},
		"one of two gone": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.addPod(task, "live\n")
				b.keep(task, kept("older", "main", "old\n"), kept(podName(task), "main", "not this\n"))
			},
			wantPods:  []string{"single-main-1-1-abcde failed started 2026-11-23 04:00:00", "older gone logs kept in the database"},
			wantHeads: []string{"Log whole log", head},
			wantLogs:  []string{"live\n", "old\n"},
		},
		"cluster away": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.pods.podsErr = unreadable
				b.keep(task, kept(podName(task), "main", "kept\n"))
			},
			wantPods:  []string{"single-main-1-1-abcde unknown logs kept in the database"},
			wantHeads: []string{head},
			wantLogs:  []string{"kept\n"},
			wantNotes: []string{away + " Until then only the logs that were kept in the database are shown."},
		},
		"cluster away, nothing kept": {
			change:    func(b *bundle, _ *dao.TaskExecution) { b.pods.podsErr = unreadable },
			wantNotes: []string{away},
		},
		"node away": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.addPod(task, "")
				b.pods.logsErr = unreadable
				b.keep(task, keptEnd(podName(task), "kept\n"))
			},
			wantPods:  []string{"single-main-1-1-abcde failed started 2026-11-23 04:00:00"},
			wantHeads: []string{head},
			wantLogs:  []string{"kept\n"},
			wantNotes: []string{"The pod's log could not be read; webadmin's log has the reason. This is what was kept of it in the database. " + onlyEnd},
		},
		"log gone before its pod": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.addPod(task, "")
				clear(b.pods.logs)
				b.keep(task, kept(podName(task), "main", "kept\n"))
			},
			wantPods:  []string{"single-main-1-1-abcde failed started 2026-11-23 04:00:00"},
			wantHeads: []string{head},
			wantLogs:  []string{"kept\n"},
			wantNotes: []string{"The pod's log is gone. This is what was kept of it in the database."},
		},
		"more pods than are shown": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.addPod(task, "live\n")
				b.keep(task, kept("first", "main", "1\n"), kept("second", "main", "2\n"), kept("third", "main", "3\n"))
			},
			wantPods: []string{
				"single-main-1-1-abcde failed started 2026-11-23 04:00:00", "third gone logs kept in the database",
				"second gone logs kept in the database", "first gone logs kept in the database",
			},
			wantHeads: []string{"Log whole log", head, head, head},
			wantLogs:  []string{"live\n", "3\n", "2\n"},
			wantNotes: []string{"An older pod: its log is not shown on this page."},
		},
		"more kept than is shown": {
			change: func(b *bundle, task *dao.TaskExecution) {
				b.keep(task, kept("p", "main", "first\n"+strings.Repeat("x", logTail-1)+"\n"))
			},
			wantPods:  []string{"p gone logs kept in the database"},
			wantHeads: []string{head},
			wantLogs:  []string{strings.Repeat("x", logTail-1) + "\n"},
			wantNotes: []string{podsGone, "Only the end is shown."},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tc.change(b, b.failed())
			doc := b.page("/tasks/1")
			wantTexts(t, doc, ".pod summary", tc.wantPods...)
			wantTexts(t, doc, ".container h4", tc.wantHeads...)
			wantTexts(t, doc, ".note", tc.wantNotes...)
			var logs []string
			for _, n := range doc.Find(".log").EachIter() {
				logs = append(logs, n.Text())
			}
			if diff := cmp.Diff(tc.wantLogs, logs); diff != "" {
				t.Errorf("logs (-want +got):\n%s", diff)
			}
		})
	}
}

// The message of a container stands once, also beside a log that was kept.
func TestKeptLogWithMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.failed()
	b.addPod(task, "")
	clear(b.pods.logs)
	b.pods.byJob[*task.ExecutionName][0].Status.ContainerStatuses[0].State.Terminated.Message = "two"
	b.keep(task, kept(podName(task), "main", "one\ntwo\n"))
	wantTexts(t, b.page("/tasks/1"), ".container h4", "Log kept in the database it ends with the message that the container left all that was kept")
}

// A log's own address, and the JSON API, have what was kept if the pod's log
// cannot be had, and say so.
func TestKeptLogRaw(t *testing.T) {
	t.Parallel()
	away := errors.New("dial tcp 10.0.0.1:443")
	cases := map[string]struct {
		pod, container   string
		podsErr, logsErr error
		want             int
		wantText         string
		wantKept         string // the header
	}{
		"there":                    {"there", "main", nil, nil, 200, "live \xff\n", ""},
		"gone":                     {"gone", "prepare", nil, nil, 200, "all \xff\n", "whole"},
		"only the end":             {"gone", "main", nil, nil, 200, "end\n", "end"},
		"node away":                {"there", "main", nil, away, 200, "kept\n", "whole"},
		"node away, nothing kept":  {"there", "side", nil, away, 503, "", ""},
		"cluster away":             {"there", "main", away, nil, 200, "kept\n", "whole"},
		"cluster away, not kept":   {"gone", "side", away, nil, 503, "", ""},
		"no such container":        {"gone", "side", nil, nil, 404, "", ""},
		"another task's kept logs": {"other", "main", nil, nil, 404, "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			task, other := b.failed(), b.failed()
			b.keep(other, kept("other", "main", "other's\n"))
			b.keep(task, kept("gone", "prepare", "all \xff\n"), keptEnd("gone", "end\n"), kept("there", "main", "kept\n"))
			p := finishedPod("there", "Error", 1, begin)
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side"})
			b.pods.byJob[*task.ExecutionName] = []corev1.Pod{p}
			b.pods.logs["there/main"] = "live \xff\n"
			b.pods.podsErr, b.pods.logsErr = tc.podsErr, tc.logsErr

			raw := get(b.handler(), logURL(task.ID, tc.pod, tc.container))
			api := get(b.handler(), fmt.Sprintf("/api/v1/task/%d/pod/%s/%s/log", task.ID, tc.pod, tc.container))
			for _, rec := range []struct {
				code int
				kept string
			}{{raw.Code, raw.Header().Get(keptHeader)}, {api.Code, api.Header().Get(keptHeader)}} {
				if rec.code != tc.want || rec.kept != tc.wantKept {
					t.Errorf("status %d, header %q, want %d, %q", rec.code, rec.kept, tc.want, tc.wantKept)
				}
			}
			if tc.want != http.StatusOK {
				return
			}
			if raw.Body.String() != tc.wantText {
				t.Errorf("the text is %q, want %q", raw.Body, tc.wantText)
			}
			if want := fmt.Sprintf("{\"item\":%q}\n", strings.ToValidUTF8(tc.wantText, "\uFFFD")); api.Body.String() != want {
				t.Errorf("the API answers %q, want %q", api.Body, want)
			}
		})
	}
}

func TestAPIKeptPods(t *testing.T) {
	t.Parallel()
	gone := object{"podName": "newer-gone", "startTime": nil, "containers": []any{"prepare", "main"}}
	older := object{"podName": "older-gone", "startTime": nil, "containers": []any{"main"}}
	unknown := object{"podName": "there", "startTime": nil, "containers": []any{"main"}}
	there := object{"podName": "there", "startTime": "2026-11-23T04:00:00Z", "containers": []any{"main"}}
	cases := map[string]struct {
		podsErr error
		want    []any
	}{
		"cluster there": {nil, []any{there, gone, older}},
		"cluster away":  {errors.New("dial tcp 10.0.0.1:443"), []any{unknown, gone, older}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			task := b.failed()
			b.keep(task, kept("older-gone", "main", ""), kept("newer-gone", "prepare", ""), kept("newer-gone", "main", ""), kept("there", "main", ""))
			if tc.podsErr == nil {
				b.pods.byJob[*task.ExecutionName] = []corev1.Pod{finishedPod("there", "Error", 1, begin)}
			}
			b.pods.podsErr = tc.podsErr
			var got object
			b.decode("/api/v1/task/1/pod", &got)
			if diff := cmp.Diff(object{"items": tc.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A cluster, or a node, that never answers leaves time to send what was kept.
func TestKeptLogInTime(t *testing.T) {
	t.Parallel()
	name := "single-main-1-1"
	blocked := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	cases := map[string]func(*MockPods){
		"cluster": func(pods *MockPods) {
			pods.EXPECT().Pods(gomock.Any(), name).Times(2).DoAndReturn(func(ctx context.Context, _ string) ([]corev1.Pod, error) { return nil, blocked(ctx) })
		},
		"node": func(pods *MockPods) {
			pods.EXPECT().Pods(gomock.Any(), name).Times(2).Return([]corev1.Pod{finishedPod("p", "Error", 1, begin)}, nil)
			pods.EXPECT().LogTail(gomock.Any(), "p", "main", gomock.Any()).Times(2).DoAndReturn(
				func(ctx context.Context, _, _ string, _ int) ([]byte, bool, error) { return nil, false, blocked(ctx) })
		},
	}
	for what, expect := range cases {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctrl := gomock.NewController(t)
				store, pods := NewMockStore(ctrl), NewMockPods(ctrl)
				expect(pods)
				store.EXPECT().Task(gomock.Any(), uint64(1)).Times(2).Return(dao.TaskExecution{ID: 1, TaskType: "kube-job", ExecutionName: &name}, nil)
				store.EXPECT().Execution(gomock.Any(), gomock.Any()).Return(dao.WorkflowExecution{}, nil)
				store.EXPECT().TaskLogNames(gomock.Any(), uint64(1)).Times(2).DoAndReturn(func(ctx context.Context, _ uint64) ([]dao.TaskLogName, error) {
					return []dao.TaskLogName{{Pod: "p", Container: "main"}}, ctx.Err()
				})
				store.EXPECT().TaskLog(gomock.Any(), uint64(1), "p", "main").Times(2).DoAndReturn(func(ctx context.Context, _ uint64, _, _ string) (dao.TaskLog, error) {
					return kept("p", "main", "kept"), ctx.Err()
				})
				h := newHandler(t, Config{}, store, pods)
				rec := get(h, "/api/v1/task/1/pod/p/main/log")
				if want := "{\"item\":\"kept\"}\n"; rec.Code != http.StatusOK || rec.Body.String() != want {
					t.Errorf("status %d, body %s", rec.Code, rec.Body)
				}
				wantTexts(t, parse(t, get(h, "/tasks/1").Body.String()), ".log", "kept")
			})
		})
	}
}

// A kept log that nobody can uncompress spoils nothing but itself: of the others
// only what is shown is read.
func TestBrokenKeptLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.failed()
	b.addPod(task, "live\n")
	b.keep(task, kept("oldest", "main", ""), kept("older", "main", ""), kept("newer", "prepare", "ready\n"), kept("newer", "main", ""), kept(podName(task), "main", ""))
	if err := b.gdb.Exec("UPDATE task_logs SET content = ? WHERE container = 'main' AND pod <> 'older'", []byte{1, 2}).Error; err != nil {
		t.Fatal(err)
	}
	doc := b.page("/tasks/1")
	wantTexts(t, doc, ".log", "live", "ready")
	wantTexts(t, doc, ".note", "What was kept of the log could not be read from the database; webadmin's log has the reason.",
		"The log was empty.", "An older pod: its log is not shown on this page.")
	answers := map[string]int{
		"/api/v1/task/1/pod":                                         200,
		"/api/v1/task/1/pod/newer/prepare/log":                       200,
		"/api/v1/task/1/pod/newer/main/log":                          500,
		fmt.Sprintf("/api/v1/task/1/pod/%s/main/log", podName(task)): 200,
		logURL(task.ID, "newer", "prepare"):                          200,
		logURL(task.ID, "newer", "main"):                             500,
	}
	for path, want := range answers {
		if rec := get(b.handler(), path); rec.Code != want {
			t.Errorf("%s: status %d, want %d", path, rec.Code, want)
		}
	}
}
