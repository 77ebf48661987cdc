package verify

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Finding is something that should not be.
type Finding struct {
	Kind Kind `json:"kind"`
	// ExecutionID, TaskID and Job say what it is about, as far as that is known.
	ExecutionID uint64    `json:"executionId,omitempty"`
	TaskID      uint64    `json:"taskId,omitempty"`
	Job         string    `json:"job,omitempty"`
	UID         types.UID `json:"uid,omitempty"`
	What        string    `json:"what"` // is wrong
	Why         string    `json:"why"`  // that may be
	Do          string    `json:"do"`   // about it
	// Repaired says that it was repaired, and Repair what was done, or why it could
	// not be; empty if nothing was tried.
	Repaired bool   `json:"repaired"`
	Repair   string `json:"repair,omitempty"`

	free   bool      // WakesLate: nobody holds the execution
	queued bool      // NotClaimed: it is new
	since  time.Time // NotClaimed: when it was due
}

// subject tells findings of two looks that are the same.
type subject struct {
	kind              Kind
	execution, taskID uint64
	job               string
	uid               types.UID
}

func (f *Finding) subject() subject {
	return subject{f.Kind, f.ExecutionID, f.TaskID, f.Job, f.UID}
}

// Counts are what was looked at.
type Counts struct {
	Executions int `json:"executions"`
	Open       int `json:"open"` // of them, those that have not ended
	Replayed   int `json:"replayed"`
	Tasks      int `json:"tasks"`
	KubeJobs   int `json:"kubeJobs"` // of the tasks
	// Elsewhere are those of them whose Jobs are in another namespace, where they are
	// not looked at.
	Elsewhere int `json:"elsewhere"`
	Events    int `json:"events"`
	Jobs      int `json:"jobs"`
}

// AuditCounts are what the audit logs say of the Jobs.
type AuditCounts struct {
	From    *time.Time `json:"from"` // the first event
	To      *time.Time `json:"to"`   // the last one
	Creates int        `json:"creates"`
	// Launched are the tasks whose row says that they have a Job, and Matched
	// those of them whose Job was created, with that UID, in the logs.
	Launched int `json:"launched"`
	Matched  int `json:"matched"`
	// Adopted are launched tasks whose creation the logs lack, but which have that
	// the API server refused to create the Job once more: it died, say, before it
	// could note the creation.
	Adopted int `json:"adopted"`
	// Unlogged are launched tasks whose creation the logs lack, though there is
	// other proof that the API server had made that Job: it is in the cluster, or the
	// logs have its deletion, with the UID that the row has.
	Unlogged int `json:"unlogged"`
	// Errored are those of Adopted and Unlogged of which the logs have a creation that
	// the API server answered with an error of its own, as when etcd was killed before
	// it had confirmed the Job.
	Errored int `json:"errored"`
	// Outside are launched tasks that began before the logs do, or after they end,
	// and have no creation there.
	Outside int `json:"outside"`
	// Unattributed are creations that do not say whose Job it is, since the log has
	// no answers (level Metadata), and whose name no task has.
	Unattributed int `json:"unattributed"`
	// Unreadable are lines that are no events.
	Unreadable int `json:"unreadable"`
	// Deletes are how many of the Jobs were deleted, by user.
	Deletes map[string]int `json:"deletes"`
}

// Report is what a Run has found.
type Report struct {
	Counts   Counts       `json:"counts"`
	Audit    *AuditCounts `json:"audit"` // null: no audit log was given
	Findings []Finding    `json:"findings"`
	// Proved says what holds of all that was looked at, and Unchecked what could not
	// be looked at.
	Proved    []string `json:"proved"`
	Unchecked []string `json:"unchecked"`
}

// Left is how many findings have not been repaired.
func (r *Report) Left() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Repaired {
			n++
		}
	}
	return n
}

func (r *Report) sort() {
	if r.Findings == nil {
		r.Findings = []Finding{} // [] in JSON
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.ExecutionID, b.ExecutionID), cmp.Compare(a.TaskID, b.TaskID), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Kind, b.Kind))
	})
}

// doubtRows has no finding about events say that rows are to be believed if there is a
// finding about the rows of that execution.
func (r *Report) doubtRows() {
	changed := map[uint64]bool{}
	for _, f := range r.Findings {
		changed[f.ExecutionID] = changed[f.ExecutionID] || slices.Contains(aboutRows, f.Kind)
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; changed[f.ExecutionID] && slices.Contains(aboutEvents, f.Kind) {
			f.Do = rowsChanged
		}
	}
}

// found says whether there is a finding of one of those kinds, repaired or not.
func (r *Report) found(kinds ...Kind) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return slices.Contains(kinds, f.Kind) })
}
