package manager

import (
	"context"
	"sync"

	"github.com/jobnetes/jobnetes/dao"
)

// Most jobs leave their output with their pod, and record none. So nobody asks what a
// task's job has recorded before one of the same definition has: Commit finds it out, as
// a conflict, and the rows are read again. From then on it is asked before each commit.

// maxRecorders is how many versions of workflows are remembered whose jobs record.
const maxRecorders = 1024

// recorders are the versions of workflows whose jobs record outputs.
type recorders struct {
	mu       sync.Mutex
	versions map[uint64]bool
}

func newRecorders() *recorders { return &recorders{versions: map[uint64]bool{}} }

func (r *recorders) has(versionID uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.versions[versionID]
}

// note looks for recorded outputs among the tasks of an execution of a version.
func (r *recorders) note(versionID uint64, tasks []*dao.TaskExecution) {
	for _, t := range tasks {
		if t.RecordedRev == 0 {
			continue
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.versions) == maxRecorders { // what is forgotten costs one conflict
			clear(r.versions)
		}
		r.versions[versionID] = true
		return
	}
}

// addRecorded adds what the jobs have recorded. Commit refuses what a job has recorded
// since.
func (m *Manager) addRecorded(ctx context.Context, h *held, seen []observed) error {
	if len(seen) == 0 {
		return nil
	}
	ids, recorded := make([]uint64, len(seen)), make(map[uint64]dao.Recorded, len(seen))
	for i, o := range seen {
		row := h.x.RunningJob(o.TaskID)
		ids[i], recorded[o.TaskID] = o.TaskID, dao.Recorded{Output: row.RecordedOutput, Rev: row.RecordedRev}
	}
	if m.recorders.has(*h.x.Row().WorkflowVersionID) {
		var err error
		if recorded, err = m.store.RecordedOutputs(ctx, ids); err != nil {
			return err
		}
	}
	for i := range seen {
		o, r := &seen[i], recorded[seen[i].TaskID]
		o.Recorded, o.RecordedRev = r.Output, r.Rev
		if r.Output == nil && o.note != "" {
			o.Message = "no output was taken: " + o.note
		}
	}
	return nil
}
