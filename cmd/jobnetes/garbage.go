package main

import (
	"os"
	"runtime/debug"
)

// garbage says how often a service has garbage collected. GOGC and GOMEMLIMIT, if one
// of them is set, count instead.
type garbage struct {
	// percent is how much is allocated between two collections, of what is in use. Go's own is 100.
	percent int
	// limit is from how many bytes on it is collected as often as it must; zero: no limit.
	// A soft one: what Go does not count, and what is allocated while it collects, has to fit
	// between it and the limit of the pod (setting/k8s/base).
	limit int64
}

var (
	// A jobapi keeps little between calls, so that under load a heap of twice that is
	// full 30 times a second.
	jobapiGarbage = garbage{percent: 400, limit: 384 << 20}
	// A manager keeps what it knows of tasks that run, most of the time for nothing but
	// to wait: that counts more than the few milliseconds of a collection.
	managerGarbage = garbage{percent: 50}
)

func collectGarbage(g garbage) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(g.percent)
	if g.limit > 0 {
		debug.SetMemoryLimit(g.limit)
	}
}
