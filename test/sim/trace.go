package sim

import (
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"strings"
)

// trace is what happened, in order: always as a hash, as lines if they are
// wanted.
type trace struct {
	hash    hash.Hash64
	verbose bool
	lines   []string
}

func newTrace(verbose bool) *trace { return &trace{hash: fnv.New64a(), verbose: verbose} }

// add notes a step.
func (t *trace) add(w *world, words ...string) {
	for _, s := range words {
		_, _ = io.WriteString(t.hash, s)
		_, _ = t.hash.Write([]byte{0})
	}
	if t.verbose && !routine(words) {
		t.lines = append(t.lines, fmt.Sprintf("%4ds  %s", w.seconds(), strings.Join(words, " ")))
	}
}

// routine says whether a step is what all managers do all the time, and nothing
// happened to it.
func routine(words []string) bool {
	if len(words) > 1 {
		return false
	}
	_, what, _ := strings.Cut(words[0], " ")
	return what == "" || what == "claimDue Due" || what == "renew Heartbeat" || what == "renew Renew" || what == "deleteKept EndedTasks" ||
		what == "pingDatabase Ping" || what == "Run Ping"
}
