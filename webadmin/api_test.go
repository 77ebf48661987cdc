package webadmin

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// object is JSON as clients see it: what is missing differs from what is null.
type object = map[string]any

// The names and types are those of the original: its clients work unchanged.
func TestAPIExecution(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.begin(b.schedule(b.apply("single", single), "tuesday", `{"n": 1}`))
	r.pass(time.Second)
	first := r.start("main", "kube-job", nil, nil, 0, `{"n": 1}`)
	r.pass(2 * time.Second)
	r.succeed(first, `{"ok": true}`)
	r.start("after", "kube-job", first, nil, 0, `{"ok": true}`)
	task := func(id, prev, next float64, name string, more object) object {
		o := object{
			"id": id, "parentId": 0.0, "nextId": next, "prevId": prev, "executionName": "single-" + name + "-" + strconv.Itoa(int(id)) + "-1", "taskName": name, "taskType": "kube-job",
			"startedAt": "2026-11-23T04:00:01Z", "endedAt": "2026-11-23T04:00:03Z", "elapsedSec": 2.0, "status": 1.0,
			"input": `{"n": 1}`, "output": `{"ok": true}`, "errorReason": "", "errorMsg": "",
		}
		for k, v := range more {
			o[k] = v
		}
		return o
	}
	want := object{"item": object{
		"id": 1.0, "workflow": object{"id": 1.0, "name": "single", "definition": single}, "name": "tuesday",
		"startedAt": "2026-11-23T04:00:00Z", "endedAt": nil, "status": 1.0, "input": `{"n": 1}`, "output": "{}",
		"definition": single, "attempt": 1.0, "errorMsg": "",
		"taskExecutions": []any{
			task(1, 0, 2, "main", nil),
			task(2, 1, 0, "after", object{"startedAt": "2026-11-23T04:00:03Z", "endedAt": nil, "elapsedSec": 0.0, "status": 0.0, "input": `{"ok": true}`, "output": "{}"}),
		},
	}}
	var got object
	b.decode("/api/v1/workflow/execution/1", &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// The list has the same, but for the tasks.
	item := want["item"].(object)
	item["taskExecutions"] = nil
	got = nil
	b.decode("/api/v1/workflow/execution", &got)
	if diff := cmp.Diff(object{"items": []any{item}}, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// An execution keeps the definition that it was started with; YAML becomes JSON.
func TestAPIDefinition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.schedule(b.apply("single", single), "", "{}")
	b.apply("single", "name: single\ntasks: []\n")
	var got struct {
		Item struct {
			Definition string
			Workflow   struct{ Definition string }
		}
	}
	b.decode("/api/v1/workflow/execution/1", &got)
	if got.Item.Definition != single || got.Item.Workflow.Definition != `{"name":"single","tasks":[]}` {
		t.Errorf("definitions %+v", got.Item)
	}
}

func TestAPIExecutionFilter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, other := b.apply("single", single), b.apply("other", single)
	b.runSingle(b.schedule(one, "", "{}"), "Failed", "x")
	b.runSingle(b.schedule(other, "", "{}"), "", "")
	b.schedule(one, "", "{}")
	b.schedule(one, "", "{}")
	cases := map[string]struct {
		query string
		want  []uint64
	}{
		"all":              {"", []uint64{4, 3, 2, 1}},
		"status":           {"?status=failed&status=success", []uint64{2, 1}},
		"workflow":         {"?workflow=single", []uint64{4, 3, 1}},
		"limit":            {"?limit=2", []uint64{4, 3}},
		"before":           {"?limit=2&before=3", []uint64{2, 1}},
		"together":         {"?workflow=single&status=scheduled&before=4", []uint64{3}},
		"unknown workflow": {"?workflow=nothing", []uint64{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, b.ids("/api/v1/workflow/execution"+tc.query)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func (b *bundle) ids(path string) []uint64 {
	b.t.Helper()
	var list struct{ Items []struct{ ID uint64 } }
	b.decode(path, &list)
	ids := []uint64{}
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

// A list of large executions ends early, and goes on where it ended.
func TestAPIListIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.apply("single", single)
	large := `"` + strings.Repeat("x", apiBytes/3) + `"`
	for range 5 {
		b.schedule(w, "", large)
	}
	if diff := cmp.Diff([]uint64{5, 4, 3}, b.ids("/api/v1/workflow/execution")); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{2, 1}, b.ids("/api/v1/workflow/execution?before=3")); diff != "" {
		t.Errorf("then (-want +got):\n%s", diff)
	}
}

func TestAPIWorkflows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.apply("b", single)
	b.apply("a", nightly)
	var got object
	b.decode("/api/v1/workflow", &got)
	want := object{"items": []any{
		object{"id": 2.0, "name": "a", "definition": nightly},
		object{"id": 1.0, "name": "b", "definition": single},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{1}, b.ids("/api/v1/workflow?after=a&limit=1")); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
}

func TestAPIPods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.failed()
	older, newer := finishedPod("older", "Error", 1, begin), finishedPod("newer", "Error", 1, begin.Add(time.Minute))
	newer.Spec.Containers = append(newer.Spec.Containers, corev1.Container{Name: "side"})
	pending := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pending", CreationTimestamp: metav1.NewTime(begin.Add(2 * time.Minute))},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}},
	}
	b.pods.byJob[*task.ExecutionName] = []corev1.Pod{older, pending, newer}
	var got object
	b.decode("/api/v1/task/1/pod", &got)
	want := object{"items": []any{
		object{"podName": "pending", "startTime": nil, "containers": []any{"main"}},
		object{"podName": "newer", "startTime": "2026-11-23T04:01:00Z", "containers": []any{"main", "side"}},
		object{"podName": "older", "startTime": "2026-11-23T04:00:00Z", "containers": []any{"main"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPILog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.failed()
	b.addPod(task, "one\nbad \xff <b>\n")
	path := "/api/v1/task/1/pod/" + podName(task) + "/main/log"
	var got object
	b.decode(path, &got)
	if diff := cmp.Diff(object{"item": "one\nbad \uFFFD <b>\n"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPIEmptyLists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.begin(b.schedule(b.apply("nightly", nightly), "", "{}"))
	r.start("fan", "parallel", nil, nil, 0, "{}")
	for _, path := range []string{"/api/v1/task/1/pod", "/api/v1/workflow/execution?status=failed", "/api/v1/workflow?after=z"} {
		if got := b.body(path); got != "{\"items\":[]}\n" {
			t.Errorf("%s: %q, want an empty list", path, got)
		}
	}
	if !json.Valid([]byte(b.body("/api/v1/workflow/execution/1"))) {
		t.Error("the execution is no JSON")
	}
}
