package bench

import (
	"context"
	"os"
	"time"
)

// counters are what has been used so far, by ours and by the floor.
type counters struct {
	requests, floorRequests float64 // to the API server, by the verbs of work
	statements, commits     float64
	cpu, floorCPU           float64            // seconds
	clusterCPU              map[string]float64 // the same of the cluster's processes, whoever made them work
	byVerb                  map[string]float64 // requests, as the function requests has them
}

// afterwards is how long after its end the costs of work are read: the Job
// controller, and what a manager does about it, is about a second late.
const afterwards = 2 * time.Second

// read gives the counters as they are. That of processor time of ours is of the
// managers, jobapi and MariaDB.
func (w *world) read(ctx context.Context) (counters, error) {
	var c counters
	counts, err := requests(ctx, w.cluster.Client, dispatched, "")
	if err != nil {
		return c, err
	}
	c.byVerb = counts
	for _, verb := range verbs {
		c.requests += counts[oursAccount+"-"+verb]
		c.floorRequests += counts[floorAccount+"-"+verb]
	}
	if c.statements, c.commits, err = w.statements(ctx); err != nil {
		return c, err
	}
	pids := []int{w.server.Pid(), w.jobapi.Pid()}
	for _, m := range w.managers {
		pids = append(pids, m.Pid())
	}
	for _, pid := range pids {
		used, err := cpu(pid)
		if err != nil {
			return c, err
		}
		c.cpu += used
	}
	c.clusterCPU = map[string]float64{}
	for name, pid := range w.cluster.Pids() {
		if c.clusterCPU[name], err = cpu(pid); err != nil {
			return c, err
		}
	}
	c.floorCPU, err = cpu(os.Getpid())
	return c, err
}

// since gives what was used between two readings.
func (after counters) since(before counters) (c counters) {
	c.requests = after.requests - before.requests
	c.floorRequests = after.floorRequests - before.floorRequests
	c.statements = after.statements - before.statements
	c.commits = after.commits - before.commits
	c.cpu = after.cpu - before.cpu
	c.floorCPU = after.floorCPU - before.floorCPU
	c.clusterCPU = moreThan(before.clusterCPU, after.clusterCPU)
	c.byVerb = moreThan(before.byVerb, after.byVerb)
	return c
}

// moreThan gives what has grown, and by how much.
func moreThan(before, after map[string]float64) map[string]float64 {
	grown := map[string]float64{}
	for key, value := range after {
		if more := value - before[key]; more > 0 {
			grown[key] = more
		}
	}
	return grown
}

// during gives what was used while do ran, and a little after.
func (w *world) during(ctx context.Context, do func() error) (counters, error) {
	before, err := w.read(ctx)
	if err != nil {
		return counters{}, err
	}
	if err := do(); err != nil {
		return counters{}, err
	}
	if err := pause(ctx, afterwards); err != nil {
		return counters{}, err
	}
	after, err := w.read(ctx)
	if err != nil {
		return counters{}, err
	}
	used := after.since(before)
	return used, w.pods.settle(ctx)
}

// addCosts adds what a run of some work has used.
func (b *bench) addCosts(work string, w *world, r race) error {
	each := func(of []counters, used func(counters) float64) (s sample) {
		for _, c := range of {
			s = append(s, used(c))
		}
		return s
	}
	perTask := func(of []counters, used func(counters) float64) sample {
		return each(of, used).each(func(total float64) float64 { return total / float64(r.tasks) })
	}
	b.add(work, requestsPerTask, "requests",
		perTask(r.oursUsed, func(c counters) float64 { return c.requests }),
		perTask(r.floorUsed, func(c counters) float64 { return c.floorRequests }))
	b.add(work, statementsPerTask, "statements", perTask(r.oursUsed, func(c counters) float64 { return c.statements }), nil)
	b.add(work, commitsPerTask, "transactions", perTask(r.oursUsed, func(c counters) float64 { return c.commits }), nil)
	b.add(work, cpuSeconds, "s",
		each(r.oursUsed, func(c counters) float64 { return c.cpu }),
		each(r.floorUsed, func(c counters) float64 { return c.floorCPU }))
	if !w.real { // else it is not this machine's alone
		cluster := func(c counters) (all float64) {
			for _, used := range c.clusterCPU {
				all += used
			}
			return all
		}
		b.add(work, clusterCPU, "s", each(r.oursUsed, cluster), each(r.floorUsed, cluster))
	}
	var most float64
	for _, m := range w.managers {
		_, peak, err := memory(m.Pid())
		if err != nil {
			return err
		}
		most = max(most, peak)
	}
	b.add(work, memoryPeak, "MiB", only(most), nil)
	return nil
}
