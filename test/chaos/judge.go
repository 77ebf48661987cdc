package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/jobnetes/jobnetes/manager/verify"
)

// judge has the present build's `jobnetes verify` look at all there is, and takes
// its word for what was lost and doubled.
func (w *world) judge(ctx context.Context, auditLog string) error {
	cmd := exec.CommandContext(ctx, w.present.path, "verify", "--all", "--audit-log", auditLog, "-o", "json")
	cmd.Env = w.environment(w.access.Addr, "")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == foundSomething {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("jobnetes verify: %w: %s", err, errs.String())
	}
	if err := os.WriteFile(filepath.Join(w.dir, "verify.json"), out, 0o600); err != nil {
		return err
	}
	var found verify.Report
	if err := json.Unmarshal(out, &found); err != nil {
		return fmt.Errorf("jobnetes verify: %w: %s", err, out)
	}
	if (exit != nil) != (len(found.Findings) > 0) {
		return fmt.Errorf("jobnetes verify has %d findings, and its exit code is %d", len(found.Findings), cmd.ProcessState.ExitCode())
	}
	take(&found, w.report)
	return nil
}

// foundSomething is the command's exit code if it has findings.
const foundSomething = 2

// moreThanOnce are the findings of what is there though it should not be; all
// others are of what is missing, or came otherwise.
var moreThanOnce = []verify.Kind{
	verify.TaskUnexpected, verify.EventUnexpected, verify.JobOrphan, verify.JobDoubled, verify.LaunchedTwice, verify.CreatedUnknown,
}

// take takes what verify has found into the report.
func take(found *verify.Report, r *report) {
	for _, line := range slices.Concat(found.Proved, found.Unchecked) {
		r.t.Logf("jobnetes verify: %s", line)
	}
	for _, f := range found.Findings {
		tell := r.lost
		if slices.Contains(moreThanOnce, f.Kind) {
			tell = r.doubled
		}
		tell("jobnetes verify: %s: execution %d, task %d, Job %q: %s\n\twhy: %s\n\tdo:  %s", f.Kind, f.ExecutionID, f.TaskID, f.Job, f.What, f.Why, f.Do)
	}
	r.count(func(r *Result) {
		r.Findings = len(found.Findings)
		if a := found.Audit; a != nil {
			r.Jobs, r.Unlogged, r.Errored = a.Launched, a.Unlogged+a.Adopted, a.Errored
		}
	})
	if a := found.Audit; a == nil || a.Outside+a.Unattributed > 0 {
		r.problem("jobnetes verify could not judge all Jobs by the audit log: %+v", a)
	}
}
