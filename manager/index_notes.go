package manager

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/engine"
)

// notes say of indexes why what their pods left was not taken for an output.
type notes map[uint32]string

// notesShown is how many indexes are named in a message, and for how many it is
// remembered why.
const notesShown = 10

// add says why nothing was taken of an index. What is known of it stays: the watch and a
// list tell of the same pods.
func (n *notes) add(index uint32, note string) {
	if _, known := (*n)[index]; known || note == "" {
		return
	}
	if *n == nil {
		*n = notes{}
	}
	if len(*n) >= notesShown {
		note = "no JSON object"
	}
	(*n)[index] = note
}

// of returns what is to be said of those indexes that have no output for that; nothing
// of those that have recorded one.
func (n notes) of(outputs []dao.IndexOutput, count int) string {
	left := maps.Clone(n)
	for _, o := range outputs {
		if o.Output != engine.NoOutput {
			delete(left, o.Index)
		}
	}
	if len(left) == 0 {
		return ""
	}
	all := slices.Sorted(maps.Keys(left))
	var shown strings.Builder
	for i, index := range all {
		if i == notesShown {
			shown.WriteString(", …")
			break
		}
		if i > 0 {
			shown.WriteString(", ")
		}
		fmt.Fprint(&shown, index)
	}
	return fmt.Sprintf("%d of %d indexes (%s): %s", len(all), count, &shown, left[all[0]])
}
