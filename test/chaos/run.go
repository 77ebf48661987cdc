package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// settleTimeout is how long it may take from the last fault to the last end. On a
// machine with much else to do, what waits for slots has taken 100 s.
const settleTimeout = 5 * time.Minute

// The seed's streams of random numbers, so that what one part takes of them does
// not change the others'.
const (
	loadStream uint64 = iota
	wireStream
	clusterStream
	databaseStream
	serviceStream // and those after it: one each
)

func (w *world) random(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.report.Seed, stream))
}

// run lets executions run, and everything go wrong, for a duration; then faults
// cease, and all comes to its end. The error is what kept it from that.
func (w *world) run(ctx context.Context, duration time.Duration) error {
	first := w.build(true)
	if err := w.migrate(ctx, first); err != nil {
		return err
	}
	if err := noteUnleased(ctx, w.db); err != nil {
		return err
	}
	if err := w.startAll(ctx, first); err != nil {
		return err
	}
	life, end := context.WithTimeout(ctx, duration+settleTimeout)
	var background sync.WaitGroup
	defer background.Wait()
	defer end()
	background.Go(func() { w.reporter.run(life) })
	background.Go(func() {
		if err := w.watch.run(life, w.cluster.Client, w.namespace); err != nil {
			w.report.problem("%v", err)
		}
	})
	faults, cease := context.WithTimeout(life, duration)
	defer cease()
	for _, s := range w.services {
		background.Go(func() { s.live(faults, life) })
	}
	var breaking sync.WaitGroup
	breaking.Go(func() { w.client.run(faults, life, w.random(loadStream), w.countOpen) })
	background.Go(func() { w.watchSlots(life) })
	breaking.Go(func() { breakWires(faults, w.random(wireStream), w.report, w.wires) })
	breaking.Go(func() { breakServers(faults, life, w.random(clusterStream), w.report, w.apiServer(), w.etcd()) })
	breaking.Go(func() {
		w.upgrade(faults, life, duration/8)
		breakServers(faults, life, w.random(databaseStream), w.report, w.mariadb())
	})
	<-faults.Done()
	ceased := time.Now()
	breaking.Wait()
	w.healed.Store(true)
	w.report.history.Info("nothing is wrong any more")
	return w.settle(life, ceased)
}

// startAll starts the services and applies the workflows.
func (w *world) startAll(ctx context.Context, b build) error {
	for i, s := range w.services {
		s.rng = w.random(serviceStream + uint64(i))
		if !s.start(b) {
			return errors.New("no service, no chaos")
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
	if !w.client.apply(ctx) {
		return errors.New("no workflow, no chaos")
	}
	return nil
}

// upgrade migrates the database with the present build while services of the
// previous one run. Before, the present build's do not start. The migration is
// killed again and again, each time a little later, until one gets to its end.
func (w *world) upgrade(faults, ctx context.Context, after time.Duration) {
	if w.previous == nil {
		return
	}
	wait(faults, after)
	began, kills := time.Now(), 0
	for life := 10 * time.Millisecond; ; life += life / 4 {
		run, end := context.WithTimeout(ctx, life)
		err := w.migrate(run, w.present)
		killed := run.Err() != nil && ctx.Err() == nil
		end()
		if err == nil {
			break
		}
		if !killed {
			w.report.problem("%v", err)
			return
		}
		kills++
	}
	w.migrated.Store(true)
	w.report.history.Info("migrated under load", "in", time.Since(began).String(), "kills", kills)
}

func (w *world) apiServer() server {
	return server{"apiserver", w.cluster.StopAPIServer, func(ctx context.Context) error {
		return errors.Join(w.cluster.ReviveAPIServer(ctx), w.cluster.RestartControllers())
	}}
}

func (w *world) etcd() server {
	return server{"etcd", w.cluster.StopEtcd, func(ctx context.Context) error {
		return errors.Join(w.cluster.ReviveEtcd(ctx), w.cluster.RestartControllers())
	}}
}

func (w *world) mariadb() server {
	return server{"database", w.database.Kill, w.database.Revive}
}

// settle waits until every execution has ended, and with it every Job.
func (w *world) settle(ctx context.Context, ceased time.Time) error {
	for {
		open, err := w.countOpen(ctx)
		var running []string
		if err == nil && open == 0 {
			running, err = w.watch.list(ctx, w.cluster.Client, w.namespace)
		}
		if err == nil && open == 0 && len(running) == 0 {
			w.report.count(func(r *Result) { r.SettleSeconds = time.Since(ceased).Seconds() })
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d executions have not ended %s after the last fault, and %d Jobs run: %q (%w)", open, time.Since(ceased).Round(time.Second), len(running), running, err)
		}
		wait(ctx, 200*time.Millisecond)
	}
}

// verify checks what there is in the end, when no service runs any more.
func (w *world) verify(t testing.TB) error {
	ctx, cancel := context.WithTimeout(t.Context(), settleTimeout)
	defer cancel()
	rows, err := readRows(ctx, w.db)
	if err != nil {
		return err
	}
	verifyExecutions(rows, w.client.all(), w.report)
	verifyJobs(w.watch.seen, w.report)
	w.reporter.verifyCutOff(rows.tasks)
	if err := verifyLeases(ctx, w.db, w.report); err != nil {
		return err
	}
	return w.judge(ctx, w.cluster.AuditLog(t))
}
