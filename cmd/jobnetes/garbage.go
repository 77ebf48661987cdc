package main

import (
	"os"
	"runtime/debug"
)

// garbage says how often a service has garbage collected.
type garbage struct {
	// percent is how much is allocated between two collections, of what is in use. Go's
	// own is 100. GOGC, if it is set, counts instead.
	percent int
	// limit is from how many bytes on it is collected as often as it must; zero: no limit.
	// A soft one: what Go does not count, and what is allocated while it collects, has to fit
	// between it and the limit of the pod (setting/k8s/base). GOMEMLIMIT, if it is set,
	// counts instead.
	limit int64
}

// ofJobapi is for who keeps little between calls: under load a heap of twice that is full
// 30 times a second.
func ofJobapi() garbage { return garbage{percent: 400, limit: 384 << 20} }

// ofManager is for who keeps what it knows of tasks that run, most of the time for nothing
// but to wait: that counts more than the few milliseconds of a collection.
func ofManager() garbage { return garbage{percent: 50} }

// collect makes it so, for the whole process.
func (g garbage) collect() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(g.percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" && g.limit > 0 {
		debug.SetMemoryLimit(g.limit)
	}
}
