package dao

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	my := func(n uint16) error { return fmt.Errorf("exec: %w", &mysqldriver.MySQLError{Number: n, Message: "x"}) }
	cases := map[string]struct{ err, want error }{
		"a deadlock":             {my(mysqlDeadlock), ErrUnavailable},
		"a lock that is not got": {my(mysqlLockWait), ErrUnavailable},
		"a primary gone":         {my(mysqlReadOnly), ErrUnavailable},
		"too many connections":   {my(mysqlTooManyConn), ErrUnavailable},
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
