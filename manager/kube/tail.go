package kube

import (
	"bytes"
	"math"
)

const (
	// lineBytes is how long a line is at the most, its end included: runtimes split
	// longer ones. https://github.com/containerd/containerd/blob/main/docs/cri/config.md
	// (max_container_log_line_size; CRI-O splits at 8 KiB).
	lineBytes = 16<<10 + 1
	// tailFactor bounds one answer to that many times the bytes that are wanted, if
	// that holds a line.
	tailFactor = 4
	// tailTries bounds how many answers are asked for, so that a search reads at
	// the most tailTries * tailFactor times what is wanted. Mostly it is two.
	tailTries = 8
)

// answerLimit is how many bytes one answer may have where want are wanted.
func answerLimit(want int) int { return max(tailFactor*want, 2*lineBytes) }

// searchTail finds by read, which gives the first limit bytes of the last lines
// of a log, the last want bytes. As many lines as bytes are enough, since each
// has one at least, so a log that is short is had at once, and known to be all.
//
// An answer of limit bytes has lost its end, and is not returned. Fewer lines are
// asked for then: by the length of those that were seen, next between what is too
// many and what fits, which as many as lineBytes goes into the limit always do.
// If tries run out, the tail is shorter than it could be. Only if the runtime does
// not split lines and the last one alone is over the limit, its beginning is all
// there is.
func searchTail(want int, read func(lines, limit int64) ([]byte, error)) (tail []byte, truncated bool, err error) {
	limit := answerLimit(want)
	few, lines, many := (limit-1)/lineBytes, want+1, want+2 // few fit, many do not
	var best []byte                                         // what the few are, once they were asked for
	for tries := 1; ; tries++ {
		text, err := read(int64(lines), int64(limit))
		if err != nil {
			return nil, false, err
		}
		cut := len(text) >= limit
		switch {
		case !cut && (len(text) >= want || lines > want):
			tail, over := lastBytes(text, want)
			return tail, over || lines <= want, nil
		case !cut:
			best, few = text, lines
		case lines == 1:
			tail, _ = lastBytes(text, want)
			return tail, true, nil
		case lines <= few: // lines are not split
			few, many = 1, lines
		default:
			many = lines
		}
		switch found := few+1 >= many; {
		case best != nil && (found || tries == tailTries):
			tail, _ = lastBytes(best, want)
			return tail, true, nil
		case best == nil && (found || tries >= tailTries-2): // two are left: for the few, and for one line
			lines = few
			continue
		}
		seen := lines
		if cut {
			seen = bytes.Count(text, []byte("\n"))
		}
		lines = 2 * want * seen / max(len(text), 1)
		if lines <= few || lines >= many || cut && tries > 1 { // lengths differ: halve, as to digits
			lines = max(int(math.Sqrt(float64(few)*float64(many))), few+1)
		}
	}
}

// lastBytes returns the last n bytes of text, from a line's beginning if there
// is one among them, and whether there is more before.
func lastBytes(text []byte, n int) (tail []byte, over bool) {
	start := len(text) - n
	if start <= 0 {
		return text, false
	}
	if i := bytes.IndexByte(text[start-1:len(text)-1], '\n'); i >= 0 {
		start += i
	}
	return text[start:], true
}
