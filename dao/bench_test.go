package dao

import (
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// BenchmarkClaim claims one, and 100, of 100 executions that wait, on MariaDB.
func BenchmarkClaim(b *testing.B) {
	gdb, err := db.Open(b.Context(), db.Config{Driver: db.MySQL, DSN: mariadb.Database(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(b.Context(), gdb); err != nil {
		b.Fatal(err)
	}
	s := New(gdb)
	w, _, err := s.ApplyWorkflow(b.Context(), "w", definition, DefaultUserID, now)
	if err != nil {
		b.Fatal(err)
	}
	for range 100 {
		if _, err := s.CreateExecution(b.Context(), NewExecution{WorkflowID: w.ID, Name: "run", Input: "{}", Actor: "bench"}, now); err != nil {
			b.Fatal(err)
		}
	}
	for name, size := range map[string]int{"1": 1, "100": 100} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				leases, err := s.ClaimScheduled(b.Context(), by("bench"), now, now.Add(time.Minute), size)
				if err != nil || len(leases) != size {
					b.Fatalf("claimed %d, want %d: %v", len(leases), size, err)
				}
				b.StopTimer()
				err = gdb.Exec("UPDATE workflow_executions SET lease_owner = NULL, lease_until = NULL, wake_at = ? WHERE lease_owner IS NOT NULL", now).Error
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
