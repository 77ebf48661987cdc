package dao

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"github.com/jobnetes/jobnetes/dao/gather"
)

// What has waited for a lock, say, is no sign that the database is away: what shared its
// transaction is carried out by itself.
func TestIsAway(t *testing.T) {
	t.Parallel()
	my := func(n uint16) error { return translate(&mysqldriver.MySQLError{Number: n, Message: "x"}, "do it") }
	cases := map[string]struct {
		err  error
		want bool
	}{
		"a lock that is not got":    {my(mysqlLockWait), false},
		"a lock that is held":       {my(mysqlNoWait), false},
		"a deadlock":                {my(mysqlDeadlock), false},
		"rows that stay locked":     {translate(gather.ErrLeft, "do it"), false},
		"a query killed":            {my(mysqlInterrupted), false},
		"a query too long":          {my(mysqlTooLong), false},
		"a query too long, MariaDB": {my(mariadbTooLong), false},
		"a CHECK":                   {my(mysqlCheck), false},
		"a connection killed":       {my(mariadbKilled), true},
		"a node without others":     {my(mysqlNotReady), true},
		"a server that is going":    {my(mysqlShutdown), true},
		"a broken connection":       {translate(driver.ErrBadConn, "do it"), true},
		"a caller whose time is up": {translate(context.DeadlineExceeded, "do it"), true},
	}
	for name, tc := range cases {
		if got := isAway(tc.err); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	my := func(n uint16) error { return fmt.Errorf("exec: %w", &mysqldriver.MySQLError{Number: n, Message: "x"}) }
	cases := map[string]struct{ err, want error }{
		"a deadlock":             {my(mysqlDeadlock), ErrUnavailable},
		"a lock that is not got": {my(mysqlLockWait), ErrUnavailable},
		"a primary gone":         {my(mysqlReadOnly), ErrUnavailable},
		"too many connections":   {my(mysqlTooManyConn), ErrUnavailable},
		"too many of a user":     {my(1203), ErrUnavailable},
		"a node without others":  {my(1047), ErrUnavailable},
		"a host that is blocked": {my(1129), ErrUnavailable},
		"a query killed":         {my(1317), ErrUnavailable},
		"a connection killed":    {my(1927), ErrUnavailable},
		"a query too long":       {my(3024), ErrUnavailable},
		"the same of MariaDB":    {my(1969), ErrUnavailable},
		"a broken connection":    {driver.ErrBadConn, ErrUnavailable},
		"a timeout":              {context.DeadlineExceeded, ErrUnavailable},
		"a packet too large":     {my(mysqlPacketTooLarge), ErrRefused},
		"a value too long":       {my(mysqlDataTooLong), ErrRefused},
		"bytes that are no text": {my(mysqlWrongValue), ErrRefused},
		"a CHECK":                {my(mysqlCheck), ErrRefused},
		"a CHECK of MariaDB":     {my(mariadbCheck), ErrRefused},
		"a conflict":             {ErrConflict, ErrConflict},
	}
	for name, tc := range cases {
		err := translate(tc.err, "do %s", "it")
		if !errors.Is(err, tc.want) || !strings.HasPrefix(err.Error(), "do it: ") {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		for _, other := range []error{ErrNotFound, ErrDuplicate, ErrConflict, ErrUnavailable, ErrRefused} {
			if !errors.Is(other, tc.want) && errors.Is(err, other) {
				t.Errorf("%s: is also %v", name, other)
			}
		}
	}
	_, err := os.Stat(t.TempDir() + "/jobnetes.db")
	if err = fmt.Errorf("db.path: %w", err); IsUnavailable(err) {
		t.Errorf("a file that is missing does not come by itself: %v", err)
	}
	if err = (&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}); !IsUnavailable(err) {
		t.Errorf("a server that is away comes back: %v", err)
	}
	if err := translate(my(1064), "do it"); errors.Is(err, ErrRefused) || errors.Is(err, ErrUnavailable) {
		t.Errorf("a syntax error is our bug, not what a value did: %v", err)
	}
}

// What the databases themselves refuse is told as such.
func TestRefusals(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a := s.start(t, l, e)
		end := now
		a.Status, a.EndedAt = TaskFailed, &end // without a reason
		err := s.Commit(t.Context(), l, e, []Transition{{Type: EventTaskFailed, Task: a}}, now)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("Commit: %v, want ErrRefused", err)
		}
	})
}

// A commit that loses a deadlock is written by its next try, and its rows have the ids
// and names of that.
func TestCommitAfterADeadlock(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		tries := 0
		err := s.gdb.Callback().Create().Before("gorm:create").Register("deadlock", func(tx *gorm.DB) {
			if tx.Statement.Table != "execution_events" {
				return
			}
			if tries++; tries == 1 { // all else is written by then
				_ = tx.AddError(&mysqldriver.MySQLError{Number: mysqlDeadlock})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		at := now
		e.Status, e.StartedAt = ExecutionRunning, &at
		set, branch, job := newTask("p", "parallel"), newTask("b", "branch"), newTask("a", "kube-job")
		set.EndedAt = nil
		index := uint32(0)
		branch.SetIndex, branch.Scope = &index, "p[0]"
		err = s.Commit(t.Context(), l, e, []Transition{
			{Type: EventExecutionStarted}, {Type: EventTaskStarted, Task: set}, {Type: EventTaskStarted, Task: branch, Parent: set}, {Type: EventTaskStarted, Task: job},
		}, now)
		if err != nil || tries != 2 {
			t.Fatalf("%v after %d tries", err, tries)
		}
		tasks, err := s.Tasks(t.Context(), e.ID)
		if err != nil || len(tasks) != 3 {
			t.Fatalf("%d tasks, %v", len(tasks), err)
		}
		for i, want := range []*TaskExecution{set, branch, job} {
			got := tasks[i]
			if got.ID != want.ID || got.TaskName != want.TaskName {
				t.Errorf("task %d is %s, in memory %d, %s", got.ID, got.TaskName, want.ID, want.TaskName)
			}
		}
		if p := tasks[1].ParentTaskExecutionID; p == nil || *p != set.ID {
			t.Errorf("the branch's parent is %v, want %d", p, set.ID)
		}
		if name := tasks[2].ExecutionName; name == nil || *name != *job.ExecutionName || !strings.HasSuffix(*name, fmt.Sprintf("-%d-1", job.ID)) {
			t.Errorf("the Job of task %d is called %v", job.ID, name)
		}
	})
}

// A start that races an apply must not bring an old definition back.
func TestStartRacesApply(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.workflow(t)
		const applies = 40
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range applies {
				if _, _, err := s.ApplyWorkflow(context.WithoutCancel(t.Context()), "w", fmt.Sprintf("definition %d", i), DefaultUserID, now); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		for racing := true; racing; {
			select {
			case <-done:
				racing = false
			default:
				s.execution(t, id)
			}
		}
		w, err := s.Workflow(t.Context(), id)
		if err != nil || w.Version != applies+1 {
			t.Fatalf("version %d, %v; want %d", w.Version, err, applies+1)
		}
		vs, err := s.WorkflowVersions(t.Context(), id, 1)
		if err != nil {
			t.Fatal(err)
		}
		last, err := s.WorkflowVersion(t.Context(), vs[0].ID)
		if err != nil || last.Definition != w.Definition {
			t.Errorf("the newest version is %q, the workflow is %q (%v)", last.Definition, w.Definition, err)
		}
	})
}
