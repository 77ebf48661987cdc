package bench

import (
	"testing"
	"time"
)

// measureIdle measures what a manager uses when there is nothing to do, with a jobapi
// beside it and then, of SQL statements, without.
func measureIdle(t *testing.T, b *bench) {
	const work, settle, length = "idle manager", 10 * time.Second, 30 * time.Second
	w, ctx := newWorld(t)
	w.startManagers(1)
	if err := pause(ctx, settle); err != nil {
		t.Fatal(err)
	}
	pid := w.managers[0].Pid()
	before, err := w.read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	usedBefore, err := cpu(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := pause(ctx, length); err != nil {
		t.Fatal(err)
	}
	used, err := cpu(pid)
	if err != nil {
		t.Fatal(err)
	}
	after, err := w.read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	now, _, err := memory(pid)
	if err != nil {
		t.Fatal(err)
	}
	b.add(work, "SQL statements, with an idle jobapi's", "statements/s", only((after.statements-before.statements)/length.Seconds()), nil)
	b.add(work, "API requests", "requests/s", only((after.requests-before.requests)/length.Seconds()), nil)
	pings := after.since(before).byVerb[oursAccount+"-"+pingVerb]
	b.add(work, "looks whether the API server is there", "requests/s", only(pings/length.Seconds()), nil)
	b.add(work, "processor", "% of a core", only(100*(used-usedBefore)/length.Seconds()), nil)
	b.add(work, "memory", "MiB", only(now), nil)

	if err := w.jobapi.end(ctx); err != nil {
		t.Fatal(err)
	}
	first, _, err := w.statements(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := pause(ctx, length); err != nil {
		t.Fatal(err)
	}
	last, _, err := w.statements(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b.add(work, "SQL statements, its own", "statements/s", only((last-first)/length.Seconds()), nil)
}
