package dao

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// change is what is to become of a row.
type change struct {
	id  uint64
	set map[string]any // by column
}

// changeRows changes rows, each in its way, by one statement. ErrConflict if one of
// them is not what where asks for.
func changeRows(tx *gorm.DB, table string, changes []change, where string, args ...any) error {
	if len(changes) == 0 {
		return nil
	}
	var (
		ids     []uint64
		columns []string
		sets    []string
		values  []any
	)
	for _, c := range changes {
		ids = append(ids, c.id)
		columns = append(columns, slices.Collect(maps.Keys(c.set))...)
	}
	slices.Sort(columns)
	for _, column := range slices.Compact(columns) {
		value, of := caseOf(column, changes)
		sets, values = append(sets, column+" = "+value), append(values, of...)
	}
	values = append(append(values, ids), args...)
	res := tx.Exec("UPDATE "+table+" SET "+strings.Join(sets, ", ")+" WHERE id IN ? AND "+where, values...)
	if res.Error == nil && res.RowsAffected != int64(len(changes)) {
		return ErrConflict
	}
	return res.Error
}

// batches returns all in pieces, each fit for one statement: of so many rows at the most,
// and of insertBytes, which one row alone may exceed.
func batches[T any](all []T, rows int, size func(T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n, bytes := 0, 0
			for n < min(len(all), rows) && (n == 0 || bytes+size(all[n]) <= insertBytes) {
				bytes += size(all[n])
				n++
			}
			if !yield(all[:n:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// caseOf is what a column is to be in each row: as it is, if there is no change to it.
func caseOf(column string, changes []change) (expression string, args []any) {
	if len(changes) == 1 {
		return "?", []any{changes[0].set[column]}
	}
	var cases strings.Builder
	for _, c := range changes {
		if value, ok := c.set[column]; ok {
			cases.WriteString(" WHEN ? THEN ?")
			args = append(args, c.id, value)
		}
	}
	return "CASE id" + cases.String() + " ELSE " + column + " END", args
}
