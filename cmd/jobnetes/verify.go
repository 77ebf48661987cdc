package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/manager/verify"
	"github.com/jobnetes/jobnetes/setting"
)

const verifyLong = `Compare definitions, rows, events and Jobs, and say what does not agree, why that
may be, and what to do.

Each execution is played again from its definition and the ends of its Jobs: that
must give the very rows that there are. With the API server's audit log it is
checked, too, that each attempt at a task had one Job at the most. It may run while
the services do: what looks wrong is looked at again after 5 s.

Nothing is changed, unless --repair is given. Like a manager it needs the settings
of the database (db.*) and the cluster (k8s.*), or --data for those of jobnetes dev.

Exit code 0: nothing was found, or all of it was repaired; 2: something was found;
1: it could not look, or the audit log has nothing about these Jobs.`

// errFindings is the error of a verification that has found something, and has
// printed it.
var errFindings = errors.New("verify has found something")

// verifyOptions are the command's flags.
type verifyOptions struct {
	config, data     string
	output           outputFormat
	auditLogs        []string
	all, rowsOnly    bool
	execution        executionID
	repair           bool
	stdout, messages io.Writer
}

// executionID is the flag's value; 0: all. An empty text, as of a variable that is not
// set, is refused: it must not mean all.
type executionID uint64

func (e *executionID) String() string { return "" } // of all
func (e *executionID) Type() string   { return "id" }

func (e *executionID) Set(arg string) error {
	id, err := parseID(arg)
	*e = executionID(id)
	return err
}

func newVerifyCommand() *cobra.Command {
	o := verifyOptions{output: outputText}
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that no step is lost and no Job launched twice, and find what has drifted",
		Long:  verifyLong,
		Args:  none("; one execution is verified by --execution ID"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.stdout, o.messages = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return runVerify(cmd.Context(), &o)
		},
	}
	configFlag(c, &o.config)
	f := c.Flags()
	f.VarP(&o.output, "output", "o", "how to print: text or json")
	f.StringArrayVar(&o.auditLogs, "audit-log", nil, "audit log `FILE` of the API server, JSON lines or gzip; may be repeated")
	f.BoolVar(&o.all, "all", false, "also executions that have ended (default: those that have not, and all Jobs)")
	f.Var(&o.execution, "execution", "only the execution with that `ID`")
	f.StringVar(&o.data, "data", "", "`DIR` of the data of a jobnetes dev: look at the rows there")
	f.BoolVar(&o.rowsOnly, "rows-only", false, "do not look at the cluster's Jobs")
	f.BoolVar(&o.repair, "repair", false, "repair what can be repaired while managers run")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(outputText), string(outputJSON)}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// settings reads those of the services, or of a dev.
func (o *verifyOptions) settings() (setting.Settings, error) {
	if o.data == "" {
		return setting.Load(o.config)
	}
	s, err := setting.LoadDev(o.data, o.config)
	if err != nil {
		return s, err
	}
	if _, err := os.Stat(s.DB.Path); err != nil {
		return s, fmt.Errorf("--data: %s is no folder of `jobnetes dev`: %w", o.data, err)
	}
	return s, nil
}

func runVerify(ctx context.Context, o *verifyOptions) error {
	s, err := o.settings()
	if err != nil {
		return err
	}
	log := newLogger(o.messages, s)
	slog.SetDefault(log) // for what libraries say
	logs, done, err := openLogs(o.auditLogs)
	if err != nil {
		return err
	}
	defer done()
	store, closeStore, err := openOnce(ctx, s)
	if err != nil {
		return err
	}
	defer closeStore()
	cfg := verify.Config{Namespace: s.K8s.JobNamespace, All: o.all, ExecutionID: uint64(o.execution)}
	if cfg.Installation, err = store.InstallationName(ctx); err != nil && !errors.Is(err, dao.ErrNotFound) {
		return err
	}
	if o.repair {
		cfg.Actor = "verify by " + userName()
	}
	var jobs verify.Jobs
	if !o.rowsOnly && o.data == "" {
		if jobs, err = newKubeClient(s, cfg.Installation, log); err != nil {
			return fmt.Errorf("%w (--rows-only looks at the database only)", err)
		}
	}
	report, err := verify.New(cfg, store, store, jobs).Run(ctx, logs)
	if err != nil {
		return err
	}
	if err := printReport(o, report); err != nil {
		return err
	}
	if report.Left() > 0 {
		return errFindings
	}
	return nil
}

// openLogs opens the audit logs before anything is looked at, which may take long.
func openLogs(names []string) (logs []verify.Log, done func(), err error) {
	var files []*os.File
	done = func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("--audit-log: %w", err)
		}
		files, logs = append(files, f), append(logs, verify.Log{Name: name, Reader: f})
	}
	return logs, done, nil
}

// userName is who runs this, for the events of what is repaired.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), "an unknown user") // in a container a user may have no name
}

func printReport(o *verifyOptions, r *verify.Report) error {
	if o.output == outputJSON {
		return printJSON(o.stdout, r)
	}
	var text strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&text, "%s\n  what:   %s\n  why:    %s\n  do:     %s\n", findingTitle(f), oneLine(f.What), f.Why, f.Do)
		if f.Repair != "" {
			fmt.Fprintf(&text, "  repair: %s\n", oneLine(f.Repair))
		}
		text.WriteByte('\n')
	}
	for _, line := range r.Proved {
		fmt.Fprintf(&text, "verified: %s\n", line)
	}
	for _, line := range r.Unchecked {
		fmt.Fprintf(&text, "not checked: %s\n", line)
	}
	if len(r.Findings) == 0 {
		text.WriteString("nothing found\n")
	} else {
		text.WriteString(foundLine(r))
	}
	_, err := io.WriteString(o.stdout, text.String())
	return err
}

// foundLine says how much was found and repaired, and whether --repair is of use.
func foundLine(r *verify.Report) string {
	executions := map[uint64]bool{}
	repairable := 0 // of what is left
	for _, f := range r.Findings {
		if f.ExecutionID != 0 {
			executions[f.ExecutionID] = true
		}
		if !f.Repaired && f.Repairable() {
			repairable++
		}
	}
	in := ""
	switch n := len(executions); {
	case n == 1:
		in = " in 1 execution"
	case n > 1:
		in = fmt.Sprintf(" in %d executions", n)
	}
	repaired, left := len(r.Findings)-r.Left(), ""
	switch {
	case r.Left() == 0:
	case repairable > 0:
		left = fmt.Sprintf(", %d can be repaired by --repair", repairable)
	case repaired > 0:
		left = ", none of the others can be repaired by --repair"
	default:
		left = ", none can be repaired by --repair"
	}
	return fmt.Sprintf("found: %d%s; repaired: %d%s\n", len(r.Findings), in, repaired, left)
}

// findingTitle says what sort of finding it is, and about what.
func findingTitle(f verify.Finding) string {
	title := string(f.Kind)
	if f.ExecutionID != 0 {
		title += fmt.Sprintf("  execution %d", f.ExecutionID)
	}
	if f.TaskID != 0 {
		title += fmt.Sprintf("  task %d", f.TaskID)
	}
	if f.Job != "" {
		title += "  Job " + oneLine(f.Job)
	}
	return title
}
