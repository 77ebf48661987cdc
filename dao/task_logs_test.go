package dao

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

func (s bundle) keep(t *testing.T, logs ...TaskLog) {
	t.Helper()
	if err := s.KeepLogs(t.Context(), logs, now); err != nil {
		t.Fatal(err)
	}
}

func (s bundle) kept(t *testing.T, taskID uint64) []TaskLog {
	t.Helper()
	logs, err := s.TaskLogs(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

// task starts an execution with a task and returns the task's id.
func (s bundle) task(t *testing.T) uint64 {
	t.Helper()
	l, e := s.claimed(t)
	return s.start(t, l, e).ID
}

func TestKeepLogs(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.task(t)
		if logs := s.kept(t, id); len(logs) != 0 {
			t.Errorf("before any is kept: %v", logs)
		}
		log := func(position int, pod, container, text string) TaskLog {
			return TaskLog{TaskExecutionID: id, Pod: pod, Container: container, Position: position, Truncated: position == 1, Text: []byte(text)}
		}
		a, b, c := log(0, "z", "init", ""), log(1, "z", "main", "no UTF-8: \xff\xfe, a NUL: \x00, a quote: '\n"), log(2, "a", "main", "one line\n")
		s.keep(t, c, b, a)
		if diff := cmp.Diff([]TaskLog{a, b, c}, s.kept(t, id)); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
		b.Text, b.Truncated = []byte("again"), false
		s.keep(t, b)
		if diff := cmp.Diff([]TaskLog{a, b, c}, s.kept(t, id)); diff != "" {
			t.Errorf("replaced (-want +got):\n%s", diff)
		}
		s.keep(t) // none is no error
	})
}

func TestTasksWithLogs(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		l, e := s.claimed(t)
		a, b := s.start(t, l, e), newTask("b", "kube-job")
		if err := s.Commit(t.Context(), l, e, []Transition{{Type: EventTaskStarted, Task: b}}, now); err != nil {
			t.Fatal(err)
		}
		s.keep(t, TaskLog{TaskExecutionID: b.ID, Pod: "p", Container: "c"}, TaskLog{TaskExecutionID: b.ID, Pod: "p", Container: "d", Position: 1})
		got, err := s.TasksWithLogs(t.Context(), []uint64{a.ID, b.ID, 99})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[uint64]bool{b.ID: true}, got); diff != "" {
			t.Errorf("with logs (-want +got):\n%s", diff)
		}
	})
}

// A log that is refused leaves those beside it unkept, too.
func TestKeepLogsRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.task(t)
		good := TaskLog{TaskExecutionID: id, Pod: "p", Container: "a", Text: []byte("x")}
		cases := map[string]TaskLog{
			"too long":            {TaskExecutionID: id, Pod: "p", Container: "b", Text: make([]byte, MaxLogBytes+1)},
			"of no task":          {TaskExecutionID: 99, Pod: "p", Container: "b"},
			"without a pod":       {TaskExecutionID: id, Container: "b"},
			"without a container": {TaskExecutionID: id, Pod: "p"},
		}
		for name, bad := range cases {
			if err := s.KeepLogs(t.Context(), []TaskLog{good, bad}, now); !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v, want ErrRefused", name, err)
			}
		}
		if logs := s.kept(t, id); len(logs) != 0 {
			t.Errorf("kept beside a refused one: %v", logs)
		}
		good.Text = noise(MaxLogBytes)
		s.keep(t, good)
		if logs := s.kept(t, id); len(logs) != 1 || !bytes.Equal(logs[0].Text, good.Text) {
			t.Error("the longest log, which nothing compresses, is not what was kept")
		}
	})
}

// noise is what does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// What is read is bounded, whoever wrote it.
func TestTaskLogsAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, s bundle) {
		id := s.task(t)
		for i := range maxTaskLogs + 3 {
			s.keep(t, TaskLog{TaskExecutionID: id, Pod: fmt.Sprintf("p%d", i), Container: "c", Position: i})
		}
		if logs := s.kept(t, id); len(logs) != maxTaskLogs || logs[0].Pod != "p0" {
			t.Errorf("%d logs were read, from %s", len(logs), logs[0].Pod)
		}
		cases := map[string][]byte{
			"too short to have a length": {1, 2},
			"no zlib":                    []byte("\x05\x00\x00\x00hello"),
			"a length over the limit":    append([]byte{0, 0, 0x11, 0}, compress([]byte("x"))[lengthBytes:]...),
			"less than its length":       append([]byte{9, 0, 0, 0}, compress([]byte("x"))[lengthBytes:]...),
		}
		for name, content := range cases {
			s.exec(t, "UPDATE task_logs SET content = ? WHERE pod = 'p1'", content)
			if logs, err := s.TaskLogs(t.Context(), id); err == nil {
				t.Errorf("%s was read as %q", name, logs[1].Text)
			}
		}
	})
}

// Logs are in the format of COMPRESS() and UNCOMPRESS().
func TestCompressIsSQLs(t *testing.T) {
	t.Parallel()
	s := open(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)})
	id := s.task(t)
	if packed := compress([]byte{0x1f}); !bytes.HasSuffix(packed, []byte(" .")) {
		t.Errorf("a stream that ends with a space has no full stop after it: %q", packed)
	}
	cases := map[string][]byte{
		"empty":                     {},
		"a line":                    []byte("a line\n"),
		"no UTF-8, and a NUL":       []byte("\xff\x00\xfe"),
		"a stream that ends in ' '": {0x1f}, // the checksum that ends the stream
		"what does not compress":    noise(70_000),
	}
	for name, text := range cases {
		s.keep(t, TaskLog{TaskExecutionID: id, Pod: "p", Container: "ours", Text: text})
		var got []byte
		if err := s.gdb.Raw("SELECT UNCOMPRESS(content) FROM task_logs WHERE container = 'ours'").Row().Scan(&got); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: UNCOMPRESS gives %q, %v", name, got, err)
		}
		s.exec(t, "REPLACE INTO task_logs (task_execution_id, pod, container, position, truncated, content) VALUES (?, 'p', 'theirs', 1, 0, COMPRESS(UNHEX(?)))", id, fmt.Sprintf("%x", text))
		if logs := s.kept(t, id); !bytes.Equal(logs[1].Text, text) {
			t.Errorf("%s: of COMPRESS we read %q", name, logs[1].Text)
		}
		var ours, theirs int
		if err := s.gdb.Raw("SELECT LENGTH(o.content), LENGTH(t.content) FROM task_logs o, task_logs t WHERE o.container = 'ours' AND t.container = 'theirs'").Row().Scan(&ours, &theirs); err != nil || (ours == 0) != (theirs == 0) {
			t.Errorf("%s: %d bytes, and %d by COMPRESS, %v", name, ours, theirs, err)
		}
	}
}
