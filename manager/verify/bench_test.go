package verify

import (
	"testing"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// BenchmarkAll looks at 10,000 executions that have ended (seven tasks each), and
// their Jobs and audit log.
func BenchmarkAll(b *testing.B) {
	const executions = 10_000
	for name, cfg := range map[string]func() db.Config{
		"sqlite":  func() db.Config { return db.Config{Driver: db.SQLite, Path: b.TempDir() + "/jobnetes.db"} },
		"mariadb": func() db.Config { return db.Config{Driver: db.MySQL, DSN: mariadb.Database(b)} },
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, cfg())
			for range executions {
				w.run(w.start(all, "{}"), well)
			}
			b.ReportAllocs()
			for b.Loop() {
				if r := w.verify(); len(r.Findings) > 0 || r.Counts.Replayed != executions {
					b.Fatalf("%+v", r)
				}
			}
		})
	}
}
