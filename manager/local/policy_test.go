package local

import (
	"math"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		spec     batchv1.JobSpec
		status   batchv1.JobStatus
		restarts int32
		after    time.Duration // since the start
		want     string        // type and reason
	}{
		"nothing yet":            {spec: batchv1.JobSpec{Completions: new(int32(1))}, want: ""},
		"failures at the limit":  {spec: batchv1.JobSpec{Completions: new(int32(1)), BackoffLimit: new(int32(2))}, status: batchv1.JobStatus{Failed: 2}, want: ""},
		"failures over it":       {spec: batchv1.JobSpec{BackoffLimit: new(int32(2))}, status: batchv1.JobStatus{Failed: 3}, want: "FailureTarget BackoffLimitExceeded"},
		"restarts at the limit":  {spec: batchv1.JobSpec{Completions: new(int32(1)), BackoffLimit: new(int32(2))}, restarts: 2, want: ""},
		"restarts over it":       {spec: batchv1.JobSpec{BackoffLimit: new(int32(2))}, restarts: 3, want: "FailureTarget BackoffLimitExceeded"},
		"before the deadline":    {spec: batchv1.JobSpec{Completions: new(int32(1)), ActiveDeadlineSeconds: new(int64(5))}, after: 4999 * time.Millisecond, want: ""},
		"at the deadline":        {spec: batchv1.JobSpec{Completions: new(int32(1)), ActiveDeadlineSeconds: new(int64(5))}, after: 5 * time.Second, want: "FailureTarget DeadlineExceeded"},
		"enough succeeded":       {spec: batchv1.JobSpec{Completions: new(int32(2))}, status: batchv1.JobStatus{Succeeded: 2}, want: "SuccessCriteriaMet CompletionsReached"},
		"one short":              {spec: batchv1.JobSpec{Completions: new(int32(2))}, status: batchv1.JobStatus{Succeeded: 1}, want: ""},
		"nothing to do":          {spec: batchv1.JobSpec{Completions: new(int32(0))}, want: "SuccessCriteriaMet CompletionsReached"},
		"an index failed":        {spec: indexSpec(3), status: batchv1.JobStatus{Succeeded: 1, Active: 1, Failed: 1, FailedIndexes: new("0")}, want: ""},
		"the others succeeded":   {spec: indexSpec(3), status: batchv1.JobStatus{Succeeded: 2, Failed: 1, FailedIndexes: new("0")}, want: "FailureTarget FailedIndexes"},
		"all indexes succeeded":  {spec: indexSpec(3), status: batchv1.JobStatus{Succeeded: 3, Failed: 9, FailedIndexes: new("")}, want: "SuccessCriteriaMet CompletionsReached"},
		"as many as may fail":    {spec: indexSpec(9, 2), status: batchv1.JobStatus{Active: 1, Failed: 2, FailedIndexes: new("0-1")}, want: ""},
		"more than may fail":     {spec: indexSpec(9, 2), status: batchv1.JobStatus{Active: 1, Failed: 3, FailedIndexes: new("0,3-4")}, want: "FailureTarget MaxFailedIndexesExceeded"},
		"work queue, one active": {status: batchv1.JobStatus{Succeeded: 1, Active: 1}, want: ""},
		"work queue, none":       {status: batchv1.JobStatus{Succeeded: 1}, want: "SuccessCriteriaMet CompletionsReached"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.spec.BackoffLimit == nil {
				tc.spec.BackoffLimit = new(int32(6))
			}
			if isIndexed(&tc.spec) {
				tc.spec.BackoffLimit = new(int32(math.MaxInt32))
			}
			tc.status.StartTime = new(metav1.NewTime(start))
			got := ""
			if c := verdict(&tc.spec, &tc.status, tc.restarts, start.Add(tc.after)); c != nil {
				got = string(c.Type) + " " + c.Reason
			}
			if got != tc.want {
				t.Errorf("verdict = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestPodsToStart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		completions, parallelism int32 // completions -1: none given
		active, succeeded        int32
		want                     int32
	}{
		"the only one":                {1, 1, 0, 0, 1},
		"it runs":                     {1, 1, 1, 0, 0},
		"as many as at once":          {5, 2, 0, 0, 2},
		"one ended":                   {5, 2, 1, 1, 1},
		"no more than needed":         {5, 3, 1, 3, 1},
		"all done":                    {5, 2, 0, 5, 0},
		"work queue":                  {-1, 3, 1, 0, 2},
		"work queue, after a success": {-1, 3, 1, 1, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := batchv1.JobSpec{Parallelism: &tc.parallelism}
			if tc.completions >= 0 {
				spec.Completions = &tc.completions
			}
			if got := podsToStart(&spec, &batchv1.JobStatus{Active: tc.active, Succeeded: tc.succeeded}); got != tc.want {
				t.Errorf("podsToStart = %d, want %d", got, tc.want)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		0: 0, 1: 10 * time.Second, 2: 20 * time.Second, 3: 40 * time.Second,
		6: 320 * time.Second, 7: maxBackoff, 1000: maxBackoff,
	} {
		if got := backoff(10*time.Second, failures); got != want {
			t.Errorf("backoff after %d failures = %v, want %v", failures, got, want)
		}
	}
}
