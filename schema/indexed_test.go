package schema

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
)

// indexedWith is a workflow of one indexed task whose pod and Job have more.
func indexedWith(pod, spec string) string {
	return workflow(`{"name":"a","type":"kube-job","indexed":true,"job":{"spec":{` + spec + `"template":{"spec":{` + pod + `"containers":[{"name":"c","image":"busybox"}]}}}}}`)
}

func TestParseIndexed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		doc                                   string
		indexes                               uint32
		parallelism, backoff, totalMax, maxAt int32 // -1: none
	}{
		"defaults":                  {indexedWith(``, `"completions":3,`), 3, 3, 6, -1, -1},
		"many":                      {indexedWith(``, `"completions":100000,`), 100_000, DefaultParallelism, 6, -1, -1},
		"backoffLimit is per index": {indexedWith(``, `"completions":5,"parallelism":2,"backoffLimit":0,`), 5, 2, 0, -1, -1},
		"both limits":               {indexedWith(``, `"completions":5,"backoffLimit":9,"backoffLimitPerIndex":1,`), 5, 5, 1, 9, -1},
		"all given": {indexedWith(`"restartPolicy":"Never",`, `"completionMode":"Indexed","completions":5,"parallelism":100000,"backoffLimitPerIndex":2,"maxFailedIndexes":5,
			"successPolicy":{"rules":[{"succeededCount":2}]},"podFailurePolicy":{"rules":[]},`), 5, 100_000, 2, -1, 5},
	}
	value := func(p *int32) int32 {
		if p == nil {
			return -1
		}
		return *p
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse([]byte(tc.doc))
			if err != nil {
				t.Fatal(err)
			}
			task, spec := d.Task("a"), d.Task("a").Job.Spec
			if task.Indexes != tc.indexes || *spec.CompletionMode != batchv1.IndexedCompletion {
				t.Errorf("%d indexes, %s; want %d, Indexed", task.Indexes, *spec.CompletionMode, tc.indexes)
			}
			got := [...]int32{value(spec.Parallelism), value(spec.BackoffLimitPerIndex), value(spec.BackoffLimit), value(spec.MaxFailedIndexes)}
			if want := [...]int32{tc.parallelism, tc.backoff, tc.totalMax, tc.maxAt}; got != want {
				t.Errorf("parallelism, backoffLimitPerIndex, backoffLimit, maxFailedIndexes = %d, want %d", got, want)
			}
		})
	}
}

func TestParseLeavesOtherJobsAlone(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(strings.Replace(indexedWith(``, `"completionMode":"Indexed","completions":3,`), `"indexed":true`, `"indexed":false`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if task := d.Task("a"); task.Indexes != 0 || task.Job.Spec.Parallelism != nil || task.Job.Spec.BackoffLimitPerIndex != nil {
		t.Errorf("a task that is not indexed: %+v", task.Job.Spec)
	}
}

func TestParseRejectsIndexed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ doc, want string }{
		"no boolean":             {strings.Replace(indexedWith(``, `"completions":3,`), "true", `"yes"`, 1), `$.tasks[0].indexed: is a string; it must be true or false`},
		"a parallel":             {workflow(`{"name":"p","type":"parallel","indexed":true,"task-sets":[]}`), `$.tasks[0].indexed: a parallel does not use "indexed", only a kube-job does`},
		"no completions":         {indexedWith(``, ``), `$.tasks[0].job.spec: the Job of an indexed task needs "completions": give the number of indexes, from 1 to 100,000`},
		"no index":               {indexedWith(``, `"completions":0,`), `$.tasks[0].job.spec.completions: is 0; an indexed task has at least one index: give their number, from 1 to 100,000`},
		"negative":               {indexedWith(``, `"completions":-1,`), `$.tasks[0].job.spec.completions: is -1; it must not be negative`},
		"too many":               {indexedWith(``, `"completions":100001,`), `$.tasks[0].job.spec.completions: is 100001; an indexed task has at most 100000 indexes`},
		"suspended":              {indexedWith(``, `"completions":3,"suspend":true,`), `$.tasks[0].job.spec.suspend: is true; no index would ever run: leave it out`},
		"none at once":           {indexedWith(``, `"completions":3,"parallelism":0,`), `$.tasks[0].job.spec.parallelism: is 0; no index would ever run`},
		"too many at once":       {indexedWith(``, `"completions":3,"parallelism":100001,`), `$.tasks[0].job.spec.parallelism: is 100001; Kubernetes runs at most 100000`},
		"another mode":           {indexedWith(``, `"completions":3,"completionMode":"NonIndexed",`), `$.tasks[0].job.spec.completionMode: is "NonIndexed"`},
		"more failed than there": {indexedWith(``, `"completions":3,"maxFailedIndexes":4,`), `$.tasks[0].job.spec.maxFailedIndexes: is 4, and there are 3 indexes`},
		"below job":              {workflow(`{"name":"a","type":"kube-job","job":{"indexed":true,"spec":{"indexed":true}}}`), `$.tasks[0].job.indexed: unknown field; "indexed" belongs to the task, beside "job"`},
		"below spec":             {workflow(`{"name":"a","type":"kube-job","job":{"spec":{"indexed":true}}}`), `$.tasks[0].job.spec.indexed: unknown field; "indexed" belongs to the task, beside "job"`},
		"OnFailure":              {indexedWith(`"restartPolicy":"OnFailure",`, `"completions":3,`), `$.tasks[0].job.spec.template.spec.restartPolicy: is OnFailure; an indexed task needs Never`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tc.doc))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Parse = %v, want %q", err, tc.want)
			}
		})
	}
}
