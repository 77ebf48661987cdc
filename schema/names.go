package schema

import (
	"strconv"
	"strings"
)

const (
	// MaxNameLength is the longest name of a workflow or task, in characters.
	MaxNameLength = 255
	// maxJobName leaves room in a DNS label (63) for what Kubernetes appends to
	// the Job's name to get a pod's host name: "-" and an index below 2^31.
	maxJobName = 63 - 11
)

// JobName returns the name of the Job of one attempt at a task:
// <workflow>-<task>-<task execution id>-<attempt>. It is deterministic and
// always a DNS label (RFC 1123) with room for the suffix of an indexed Job's
// pods. The ids are kept whole; the names are lower-cased, given '-' for what
// a label cannot hold, and shortened, the longer one first, to fit.
func JobName(workflow, task string, taskExecutionID uint64, attempt int) string {
	ids := "-" + strconv.FormatUint(taskExecutionID, 10) + "-" + strconv.Itoa(attempt)
	w, t := labelPart(workflow, "workflow"), labelPart(task, "task")
	room := maxJobName - len(ids) - len("-")
	// Each has a right to half of the room, and to what the other leaves.
	half := room / 2
	w, t = shorten(w, max(half, room-len(t))), shorten(t, max(room-half, room-len(w)))
	return w + "-" + t + ids
}

// labelPart maps a name to what it contributes to a DNS label. fallback stands
// for a name without any usable character, which Parse does not let through.
func labelPart(name, fallback string) string {
	label := strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c - 'A' + 'a'
		case isAlphanumeric(c):
			return c
		}
		return '-'
	}, name)
	if label = strings.Trim(label, "-"); label == "" {
		return fallback
	}
	return label
}

func shorten(label string, length int) string {
	if len(label) <= length {
		return label
	}
	return strings.TrimRight(label[:length], "-")
}

func isAlphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// checkName reports a name that could not become part of a Job's name.
func checkName(r *report, at *path, name string) {
	if name == "" {
		r.add(at, "the name is empty; give it one")
		return
	}
	if len(name) > MaxNameLength {
		r.add(at, "the name has %d bytes; at most %d are allowed", len(name), MaxNameLength)
		return
	}
	for _, c := range name {
		if !isAlphanumeric(c) && !strings.ContainsRune("-_. ", c) {
			r.add(at, "the name %q has the character %q; it becomes part of a Job's name, so use ASCII letters, digits, '-', '_', '.' and spaces", name, c)
			return
		}
	}
	if first, last := rune(name[0]), rune(name[len(name)-1]); !isAlphanumeric(first) || !isAlphanumeric(last) {
		r.add(at, "the name %q becomes part of a Job's name; it must begin and end with a letter or digit", name)
	}
}
