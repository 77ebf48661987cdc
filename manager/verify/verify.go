// Package verify finds what should not be: it compares definitions, rows, events,
// Jobs and the API server's audit log, and says what differs, why that may be, and
// what to do. It is what `jobnetes verify` runs.
//
// Since the engine is pure, an execution can be played again: the definition, the
// input, and what became of the Jobs must give the very rows that there are. That
// no step is lost or doubled is checked so; that no attempt had two Jobs, by the
// audit log.
//
// Rows and Jobs of a live system cannot be read at one instant. So what looks wrong
// is looked at once more after a while, and only what is still so is reported. It
// changes nothing unless it is told to repair.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
)

// Rows is what is read of the database; *dao.Store is one.
type Rows interface {
	ExecutionIDs(ctx context.Context, open bool, afterID uint64, limit int) ([]uint64, error)
	Histories(ctx context.Context, ids []uint64) ([]*dao.History, error)
	WorkflowVersion(ctx context.Context, id uint64) (dao.WorkflowVersion, error)
	TasksOfJobs(ctx context.Context, names []string, ids []uint64) ([]*dao.TaskExecution, error)
	ManagerSeen(ctx context.Context) (time.Time, error)
}

// Repairs is what a repair writes to the database; *dao.Store is one.
type Repairs interface {
	// Ping asks the database whether it takes writes: a replica may lag, and its rows
	// not know of Jobs that are in use.
	Ping(ctx context.Context) error
	Wake(ctx context.Context, executionID uint64, actor, message string, now time.Time) error
	NoteJobDeleted(ctx context.Context, executionID, taskID uint64, actor, message string, now time.Time) error
}

// Jobs is the cluster; *kube.Client is one. Errors are those of
// k8s.io/apimachinery/pkg/api/errors.
type Jobs interface {
	// EachJob reads the Jobs with this installation's label; executionID 0: all.
	EachJob(ctx context.Context, executionID uint64, each func(job *batchv1.Job)) error
	// Get reads one Job. IsNotFound if there is none.
	Get(ctx context.Context, name string) (*batchv1.Job, error)
	// Delete removes the Job with that UID and its pods. It is no error if there is
	// none.
	Delete(ctx context.Context, name string, uid types.UID) error
}

// Config says what to look at; New fills in what is zero.
type Config struct {
	// Installation names the database, in the labels of Jobs.
	Installation string
	// Namespace is where the Jobs are.
	Namespace string
	// All has executions looked at that have ended, too.
	All bool
	// ExecutionID, unless it is 0, is the only execution to look at.
	ExecutionID uint64
	// Actor is who repairs, for the events of executions; empty: nothing is repaired.
	Actor string
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Wait passes the time between the two looks; default 5 s.
	Wait func(ctx context.Context) error
}

// secondLook is how long after the first look the second one is: managers are told
// of changes within a second, and look by themselves every second.
const secondLook = 5 * time.Second

// Log is an audit log of the API server, as JSON lines, perhaps compressed by gzip.
type Log struct {
	Name string // for messages
	io.Reader
}

// Verifier compares. It is made by New, and serves one Run.
type Verifier struct {
	cfg     Config
	rows    Rows
	repairs Repairs
	jobs    Jobs // nil: the cluster is not looked at
	defs    definitions
	report  Report
}

// New returns a verifier, which does nothing until it is run. jobs may be nil: then
// only rows are looked at.
func New(cfg Config, rows Rows, repairs Repairs, jobs Jobs) *Verifier {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wait == nil {
		cfg.Wait = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(secondLook):
				return nil
			}
		}
	}
	return &Verifier{cfg: cfg, rows: rows, repairs: repairs, jobs: jobs, defs: definitions{rows: rows}}
}

// Run looks, compares with the logs, and repairs if it is to. The error says why it
// could not look; findings are no error.
func (v *Verifier) Run(ctx context.Context, logs []Log) (*Report, error) {
	if err := v.checkExists(ctx); err != nil {
		return nil, err
	}
	if v.cfg.Actor != "" {
		if err := v.repairs.Ping(ctx); err != nil {
			return nil, fmt.Errorf("repairs go by the rows of the primary, which db.host has to name: %w", err)
		}
	}
	first, err := v.lookAtAll(ctx, len(logs) > 0)
	if err != nil {
		return nil, err
	}
	v.report.Counts = first.counts
	if v.report.Findings, err = v.persistent(ctx, first); err != nil {
		return nil, err
	}
	// After the rows: a Job that a row knows must be in the log by now.
	if len(logs) > 0 {
		if err := v.compareWithLogs(ctx, logs, first); err != nil {
			return nil, err
		}
	}
	v.report.doubtRows()
	v.report.sort()
	if v.cfg.Actor != "" {
		v.repair(ctx)
	}
	v.conclude(&first.replays)
	return &v.report, nil
}

// checkExists wants that the one execution to look at is there.
func (v *Verifier) checkExists(ctx context.Context) error {
	if v.cfg.ExecutionID == 0 {
		return nil
	}
	hs, err := v.rows.Histories(ctx, []uint64{v.cfg.ExecutionID})
	if err == nil && len(hs) == 0 {
		return fmt.Errorf("there is no execution %d", v.cfg.ExecutionID)
	}
	return err
}

// persistent returns those findings of the first look that a second one has, too.
func (v *Verifier) persistent(ctx context.Context, first *look) ([]Finding, error) {
	if len(first.findings) == 0 {
		return nil, nil
	}
	if err := v.cfg.Wait(ctx); err != nil {
		return nil, errors.Join(errors.New("interrupted before what looked wrong could be looked at again"), err)
	}
	second, err := v.lookAgain(ctx, first)
	if err != nil {
		return nil, err
	}
	still := make(map[subject]bool, len(second.findings))
	for _, f := range second.findings {
		still[f.subject()] = true
	}
	return slices.DeleteFunc(first.findings, func(f Finding) bool { return !still[f.subject()] }), nil
}
