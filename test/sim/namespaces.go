package sim

import (
	"slices"

	"github.com/jobnetes/jobnetes/dao"
)

// elsewhere says whether an execution has a running task whose Job may be in another
// namespace than a manager's.
func (db *database) elsewhere(by dao.Claimant, execution uint64) bool {
	return slices.ContainsFunc(db.tasksOf[execution], func(id uint64) bool {
		row := db.tasks[id]
		return !row.Status.Ended() && row.Elsewhere(by.Namespace)
	})
}

// claimable returns those of the executions that a manager may claim.
func (db *database) claimable(by dao.Claimant, ids []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return db.elsewhere(by, id) })
}
