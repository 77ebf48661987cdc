package manager

import (
	"context"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
)

// in makes a manager of a namespace, whose Jobs are there.
func in(namespace string, jobs *heldJobs, limit int) func(*Config, *Store, *Jobs) {
	return func(c *Config, _ *Store, j *Jobs) {
		c.Namespace, *j, c.MaxRunningJobsPerNamespace = namespace, jobs, limit
	}
}

// looked waits until a manager has looked for executions some times.
type looked struct {
	Store
	looks chan struct{}
}

func (l looked) Due(ctx context.Context, by dao.Claimant, now, alive time.Time) (dao.Due, error) {
	select {
	case l.looks <- struct{}{}:
	default:
	}
	return l.Store.Due(ctx, by, now, alive)
}

func (l looked) wait(times int) {
	for range times {
		<-l.looks
	}
}

// An execution whose Job runs, noted or not, waits for a manager of the Job's
// namespace, with and without a limit; others take up what has no Job. To end it needs
// such a manager, too.
func TestTwoNamespaces(t *testing.T) {
	for name, tc := range map[string]struct {
		limit int
		note  string // what the row says of the Job
		end   string
	}{
		"noted":              {0, "job_uid = job_uid", "success"},
		"not noted":          {0, "job_uid = NULL", "success"},
		"noted, limited":     {1, "job_uid = job_uid", "success"},
		"not noted, limited": {1, "job_uid = NULL", "success"},
		"cancelled":          {0, "job_uid = job_uid", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			onEachBacklog(t, func(t *testing.T, b *backlog) {
				there, here := newHeldJobs(), newHeldJobs()
				b.add(t, 0)
				stop := run(t, b.manager(t, "m1", in("there", there, tc.limit)))
				await(t, "the Job", func() bool { return b.count(t, "task_executions WHERE job_uid IS NOT NULL") == 1 })
				stop()
				if err := b.gdb.Exec("UPDATE task_executions SET " + tc.note).Error; err != nil {
					t.Fatal(err)
				}
				if tc.end == "failed" {
					if err := b.RequestCancel(t.Context(), 1, "user ann", "", time.Now()); err != nil {
						t.Fatal(err)
					}
				}
				look := looked{looks: make(chan struct{})}
				run(t, b.manager(t, "m2", in("here", here, tc.limit), func(_ *Config, s *Store, _ *Jobs) { look.Store = *s; *s = look }))
				b.add(t, 0)
				await(t, "a Job of another execution", func() bool { _, n := here.state(); return n == 1 })
				look.wait(5)
				if e, err := b.Execution(t.Context(), 1); err != nil || e.Status != dao.ExecutionRunning || e.LeaseOwner != nil {
					t.Fatalf("with managers of another namespace only: %+v, %v; want it to wait", e, err)
				}
				if n := b.count(t, "v_tasks t JOIN task_executions r ON r.id = t.id WHERE t.status = 'running' AND r.namespace = 'there'"); n != 1 {
					t.Errorf("%d tasks run there, want 1", n)
				}
				run(t, b.manager(t, "m3", in("there", there, tc.limit)))
				if tc.end == "success" {
					await(t, "the Job to be noted", func() bool { return b.count(t, "task_executions WHERE job_uid IS NOT NULL") == 2 })
					there.end(1)
				}
				if e := b.ended(t, 1); e.Status.String() != tc.end {
					t.Errorf("it has ended as %s: %s", e.Status, e.ErrorMsg)
				}
				if order, _ := there.state(); len(order) != 1 {
					t.Errorf("%d Jobs were created there, want 1", len(order))
				}
				if order, _ := here.state(); len(order) != 1 || order[0] != 2 {
					t.Errorf("Jobs of the executions %v were created here, want one of 2", order)
				}
			})
		})
	}
}

// A task that waits for a slot has no Job, so it goes on in another namespace; unless
// it is given its slot there meanwhile.
func TestWaitingTaskMoves(t *testing.T) {
	for name, tc := range map[string]struct {
		limit   int
		granted bool
		moves   bool
	}{
		"with a limit":             {1, false, true},
		"without":                  {0, false, true},
		"it gets its slot there":   {1, true, false},
		"the same without a limit": {0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			onEachBacklog(t, func(t *testing.T, b *backlog) {
				there, here := newHeldJobs(), newHeldJobs()
				b.add(t, 0, 0)
				stop := run(t, b.manager(t, "m1", in("there", there, 1)))
				await(t, "one that waits", func() bool {
					return b.count(t, "v_tasks WHERE waiting = 1") == 1 && b.count(t, "task_executions WHERE job_uid IS NOT NULL") == 1
				})
				stop()
				store := granting{Store: b.Store, grant: func() {
					if tc.granted {
						there.end(1)
						if err := b.gdb.Exec("UPDATE task_executions SET slot = 1").Error; err != nil {
							t.Error(err)
						}
					}
				}}
				run(t, b.manager(t, "m2", in("here", here, tc.limit), func(_ *Config, s *Store, _ *Jobs) { *s = store }))
				if tc.moves {
					await(t, "the Job here", func() bool { _, n := here.state(); return n == 1 })
				} else {
					await(t, "it to be given back", func() bool {
						return b.count(t, "workflow_executions WHERE lease_epoch >= 2 AND lease_owner IS NULL") == 1
					})
				}
				run(t, b.manager(t, "m3", in("there", there, 1)))
				there.end(1)
				if !tc.moves {
					await(t, "the Job there", func() bool { order, _ := there.state(); return len(order) == 2 })
				}
				await(t, "the end of both", func() bool {
					there.end(1)
					here.end(1)
					return b.count(t, "workflow_executions WHERE status = 2") == 2
				})
				atThere, _ := there.state()
				if atHere, _ := here.state(); len(atHere)+len(atThere) != 2 || (len(atHere) == 1) != tc.moves {
					t.Errorf("Jobs of the executions %v were created here, of %v there", atHere, atThere)
				}
			})
		})
	}
}

// granting has something happen right before a manager takes up tasks.
type granting struct {
	Store
	grant func()
}

func (g granting) TakeTasks(ctx context.Context, l dao.Lease, namespace string, limited bool, tasks int, now time.Time) error {
	g.grant()
	return g.Store.TakeTasks(ctx, l, namespace, limited, tasks, now)
}
