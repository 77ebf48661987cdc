package kube

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/jobnetes/jobnetes/schema"
)

// FuzzTerminationMessage checks that whatever a container leaves is an output
// that the database takes, or explained by a note, and that what a message has of
// it when it fails is text of bounded size.
func FuzzTerminationMessage(f *testing.F) {
	for _, message := range []string{
		"", " ", `{"x":1}`, "{\"x\":1}\n", "[1]", "{", `{"x":"` + strings.Repeat("y", 5000), "\xff", "{\"x\":\"\xff\"}", "{\"x\":\"\x00\"}",
		`{"a":1,"a":2}`, "\ufeff{}", "\u2028{}", "\x1b[31mred\u202e", `{"x":"\ud800"}`, strings.Repeat(`{"":`, 1001) + "1" + strings.Repeat("}", 1001),
	} {
		f.Add(message, "line 1\n"+message+"\n", int32(1))
	}
	f.Fuzz(func(t *testing.T, message, log string, code int32) {
		if len(message) > terminationLimit {
			message = message[:terminationLimit] // as a kubelet does
		}
		done := jobWith(batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue})
		wantOutput(t, message, OutcomeOf(done, []corev1.Pod{pod("p", corev1.PodSucceeded, ended("c", 0, "Completed", message))}, nil))

		failed := jobWith(batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonBackoffLimitExceeded})
		pods := []corev1.Pod{pod("p", corev1.PodFailed, ended("c", code, "Error", message))}
		wantReason(t, OutcomeOf(failed, pods, []Log{{Pod: "p", Container: "c", Text: []byte(log)}}))
	})
}

func wantOutput(t *testing.T, message string, o Outcome) {
	t.Helper()
	switch {
	case !o.Succeeded:
		t.Fatalf("a complete Job has not succeeded: %+v", o)
	case o.Output == "":
		if (o.Note == "") != (strings.TrimSpace(message) == "") {
			t.Errorf("message %q: no output, and the note is %q", message, o.Note)
		}
		wantText(t, o.Note, 2*maxHead)
	case o.Note != "":
		t.Errorf("message %q: an output, and yet the note %q", message, o.Note)
	default:
		var object map[string]any
		if err := json.Unmarshal([]byte(o.Output), &object); err != nil || object == nil {
			t.Errorf("output %q is no JSON object: %v", o.Output, err)
		}
		wantText(t, o.Output, terminationLimit)
		if o.Output != strings.TrimSpace(message) {
			t.Errorf("output %q is not the message %q", o.Output, message)
		}
	}
}

func wantReason(t *testing.T, o Outcome) {
	t.Helper()
	if o.Succeeded || o.Output != "" || o.Reason == "" {
		t.Errorf("a failed Job: %+v", o)
	}
	wantText(t, o.Message, 4096)
	if clean([]byte(o.Message)) != strings.TrimSpace(o.Message) {
		t.Errorf("the message %q has control characters", o.Message)
	}
}

// wantText checks that a text can be kept in a column of the database.
func wantText(t *testing.T, text string, limit int) {
	t.Helper()
	if len(text) > limit || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		t.Errorf("%d bytes, at most %d: %q", len(text), limit, text)
	}
}

// FuzzBuild checks that the Jobs of every definition that can be applied have
// names, labels and variables that Kubernetes takes, whatever the input is.
func FuzzBuild(f *testing.F) {
	files, err := filepath.Glob("../../example/*.[jy]*")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples in example/: %v", err)
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc, `{"price":"$(HOME) $$5"}`, uint64(1), uint32(1))
	}
	f.Fuzz(func(t *testing.T, doc []byte, input string, id uint64, attempt uint32) {
		definition, err := schema.Parse(doc)
		if err != nil {
			return
		}
		definition.Walk(func(task, _ *schema.Task, _ int) {
			if task.Job == nil {
				return
			}
			before := task.Job.DeepCopy()
			// Ids have 63 bits, and attempts count from 1.
			in := Task{
				Job: task.Job, Name: schema.JobName(definition.Name, task.Name, id>>1, int(attempt>>1)), Namespace: "batch", Installation: "i1",
				Workflow: definition.Name, TaskName: task.Name, ExecutionID: id >> 1, TaskID: id >> 1, Attempt: attempt >> 1,
				Input: input, JobapiEndpoint: "jobapi:50051", Token: "token", Retention: time.Hour,
			}
			job := Build(in)
			wantValid(t, job, in)
			if !reflect.DeepEqual(job, Build(in)) || !reflect.DeepEqual(before, task.Job) {
				t.Error("Build gives another Job the second time, or changes the definition's")
			}
		})
	})
}

func wantValid(t *testing.T, job *batchv1.Job, in Task) {
	t.Helper()
	var wrong []string
	// The pods of an indexed Job add up to 11 characters for their host names.
	wrong = append(wrong, validation.IsDNS1123Label(job.Name+"-2147483647")...)
	for _, labels := range []map[string]string{job.Labels, job.Spec.Template.Labels} {
		for key, value := range labels {
			wrong = append(wrong, validation.IsQualifiedName(key)...)
			wrong = append(wrong, validation.IsValidLabelValue(value)...)
		}
		if labels[LabelManagedBy] != ManagedBy || labels[LabelInstallation] != in.Installation {
			t.Errorf("the labels %v do not lead back to jobnetes", labels)
		}
	}
	if len(wrong) > 0 {
		t.Errorf("Job %q, labels %v: %q", job.Name, job.Labels, wrong)
	}
	for _, c := range containersOf(corev1.Pod{Spec: job.Spec.Template.Spec}) {
		for _, e := range c.Env[6:] {
			if strings.HasPrefix(e.Name, schema.ReservedEnvPrefix) {
				t.Errorf("container %q has the variable %s twice", c.Name, e.Name)
			}
		}
		if got := expanded(c.Env[2].Value); c.Env[2].Name != EnvInput || got != in.Input {
			t.Errorf("container %q is given the input %q, not %q", c.Name, got, in.Input)
		}
	}
}

// expanded is what Kubernetes makes of a value without references.
func expanded(value string) string { return strings.ReplaceAll(value, "$$", "$") }
