package jobapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// openStore returns a store on an empty database.
func openStore(t *testing.T, cfg db.Config) *dao.Store {
	t.Helper()
	gdb, err := db.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	return dao.New(gdb)
}

// onEach runs a test on SQLite and on MariaDB.
func onEach(t *testing.T, test func(t *testing.T, store *dao.Store)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, openStore(t, db.Config{Driver: db.SQLite, Path: filepath.Join(t.TempDir(), "test.db")}))
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		test(t, openStore(t, db.Config{Driver: db.MySQL, DSN: mariadb.Database(t)}))
	})
}

// Of 200 starts at once, by users with ideas of their own, each gets what it would get
// alone.
func TestStartsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, store *dao.Store) {
		b := setup(t, testConfig(), store, nil)
		apply(t, b, chain)
		apply(t, b, strings.Replace(chain, "nightly", "weekly", 1))
		const kinds, each = 8, 25
		type outcome struct {
			id  uint64
			err error
		}
		var got [kinds][each]outcome
		var calls sync.WaitGroup
		for kind := range kinds {
			for i := range each {
				name, own := fmt.Sprintf("run %d of kind %d", i, kind), fmt.Sprintf(`{"run": "%d of %d"}`, i, kind)
				req := &pb.WorkflowStartRequest{WorkflowName: "nightly", ExecName: name, Input: []byte(own)}
				switch kind {
				case 1:
					req.WorkflowName = "weekly"
				case 2, 3: // the same start twice
					req.ExecName, req.RequestId, req.Input = "twice", fmt.Sprint("twice ", i), nil
				case 4: // one id for all, and no two are the same
					req.RequestId = "one for all"
				case 5:
					req.Input = []byte("{")
				case 6:
					req.WorkflowName = "yearly"
				case 7:
					req.WorkflowName, req.RequestId = "weekly", "of another workflow "+fmt.Sprint(i)
				}
				calls.Go(func() {
					res, err := b.client.StartWorkflow(asUser(t), req)
					got[kind][i] = outcome{res.GetId(), err}
				})
			}
		}
		calls.Wait()
		started, refused := map[uint64]bool{}, 0
		for kind := range kinds {
			for i, o := range got[kind] {
				switch {
				case kind == 4 && o.err != nil:
					wantCode(t, o.err, codes.AlreadyExists)
					refused++
					continue
				case kind == 5:
					wantCode(t, o.err, codes.InvalidArgument)
					continue
				case kind == 6:
					wantCode(t, o.err, codes.NotFound)
					continue
				case kind == 3 && o.id != got[2][i].id:
					t.Errorf("start %d has become executions %d and %d", i, got[2][i].id, o.id)
				}
				wantName, wantInput := fmt.Sprintf("run %d of kind %d", i, kind), fmt.Sprintf(`{"run": "%d of %d"}`, i, kind)
				if kind == 2 || kind == 3 {
					wantName, wantInput = "twice", "{}"
				}
				e, err := store.Execution(t.Context(), o.id)
				if o.err != nil || err != nil || e.Name != wantName || e.Input != wantInput || e.WorkflowName == "weekly" != (kind == 1 || kind == 7) {
					t.Errorf("%s: %v; execution %d is %+v, %v", wantName, o.err, o.id, e, err)
				}
				if started[o.id] && kind != 3 {
					t.Errorf("execution %d has been started twice", o.id)
				}
				started[o.id] = true
			}
		}
		if refused != each-1 {
			t.Errorf("%d of %d different starts with one request id were refused, want all but one", refused, each)
		}
		all, err := store.Executions(t.Context(), dao.ExecutionFilter{Limit: 1000})
		if want := 4*each + 1; err != nil || len(all) != want || len(started) != want {
			t.Errorf("%d executions, of which clients know %d (%v); want %d", len(all), len(started), err, want)
		}
	})
}

// Of outputs at once, each is its task's, or is refused for its own reason.
func TestOutputsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, store *dao.Store) {
		b := setup(t, testConfig(), store, nil)
		apply(t, b, chain)
		m := claim(t, store, startWorkflow(t, b, &pb.WorkflowStartRequest{WorkflowName: "nightly"}))
		var ids []uint64
		for i := range 20 {
			ids = append(ids, m.begin(fmt.Sprint("task ", i), "kube-job").ID)
		}
		fan := m.begin("fan", "parallel").ID
		var calls sync.WaitGroup
		for range 3 {
			for _, id := range ids {
				calls.Go(func() {
					if _, err := b.client.RecordTaskOutput(asTask(t, id), &pb.TaskOutputRecordRequest{TaskId: id, Data: fmt.Append(nil, id)}); err != nil {
						t.Errorf("task %d: %v", id, err)
					}
				})
			}
			for id, want := range map[uint64]codes.Code{fan: codes.FailedPrecondition, 999: codes.NotFound} {
				calls.Go(func() {
					_, err := b.client.RecordTaskOutput(asTask(t, id), &pb.TaskOutputRecordRequest{TaskId: id, Data: []byte("1")})
					wantCode(t, err, want)
				})
			}
		}
		calls.Wait()
		for _, id := range ids {
			row, err := store.Task(t.Context(), id)
			if err != nil || row.RecordedOutput == nil || *row.RecordedOutput != fmt.Sprint(id) || row.RecordedRev != 3 {
				t.Errorf("task %d is %+v, %v; want its id, recorded 3 times", id, row, err)
			}
		}
	})
}

// Managers are told once of what is written together, not once of each.
func TestManagersAreToldOnceOfABatch(t *testing.T) {
	t.Parallel()
	m, cfg := &told{}, testConfig()
	cfg.Managers = m
	b := setup(t, cfg, setupStore(t), nil)
	apply(t, b, chain)
	calls := make([]*batchCall[dao.NewExecution, uint64], 10)
	for i := range calls {
		calls[i] = &batchCall[dao.NewExecution, uint64]{ctx: t.Context(), answer: make(chan answer[uint64], 1)}
	}
	b.server.starts.answer(workflowKey{name: "nightly"}, calls)
	for i, c := range calls {
		if a := <-c.answer; a.err != nil || a.value == 0 {
			t.Errorf("start %d is execution %d: %v", i, a.value, a.err)
		}
	}
	if len(m.started) != 1 {
		t.Errorf("told %d times, want once", len(m.started))
	}
}

// cutter is a way to a database that breaks where it is asked to.
type cutter struct {
	net.Listener
	target string
	// before cuts a connection when that is sent, and after when it has been answered.
	before, after atomic.Pointer[string]
	cuts          atomic.Int64
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: lis, target: target}
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		for near, err := lis.Accept(); err == nil; near, err = lis.Accept() {
			go c.carry(near)
		}
	}()
	return c
}

func (c *cutter) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	var mute atomic.Bool // the next answer gets lost
	go func() {
		defer func() { _ = near.Close() }()
		buf := make([]byte, 1<<16)
		for n, err := far.Read(buf); err == nil && !mute.Load(); n, err = far.Read(buf) {
			if _, err := near.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for n, err := near.Read(buf); err == nil; n, err = near.Read(buf) {
		if s := c.before.Load(); s != nil && bytes.Contains(buf[:n], []byte(*s)) {
			c.cuts.Add(1)
			return
		}
		if s := c.after.Load(); s != nil && bytes.Contains(buf[:n], []byte(*s)) {
			c.cuts.Add(1)
			mute.Store(true)
		}
		if _, err := io.Copy(far, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}

// A connection that is lost in the midst of a batch leaves each caller with Unavailable
// or with its own execution, and whoever tries again with the same request id gets it.
func TestConnectionLostInABatch(t *testing.T) {
	t.Parallel()
	const commit = "\x03COMMIT" // as a command's beginning: a new session's READ COMMITTED is none
	tests := map[string]struct {
		arm         func(c *cutter, statement *string)
		statement   string
		wantWritten bool // though nobody was told
	}{
		"before the insert": {func(c *cutter, s *string) { c.before.Store(s) }, "INSERT INTO workflow_executions", false},
		"after the insert":  {func(c *cutter, s *string) { c.after.Store(s) }, "INSERT INTO workflow_executions", false},
		"before the events": {func(c *cutter, s *string) { c.before.Store(s) }, "execution_events", false},
		"before the commit": {func(c *cutter, s *string) { c.before.Store(s) }, commit, false},
		"after the commit":  {func(c *cutter, s *string) { c.after.Store(s) }, commit, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			access, err := mysql.ParseDSN(mariadb.Database(t))
			if err != nil {
				t.Fatal(err)
			}
			c := newCutter(t, access.Addr)
			access.Addr = c.Addr().String()
			store := openStore(t, db.Config{Driver: db.MySQL, DSN: access.FormatDSN()})
			b := setup(t, testConfig(), store, nil)
			apply(t, b, chain)
			known(t, b.server, false)
			tc.arm(c, &tc.statement)
			first := startMany(t, b, false)
			c.before.Store(nil)
			c.after.Store(nil)
			for i, o := range first {
				if status.Code(o.err) != codes.Unavailable {
					t.Errorf("start %d: execution %d, %v; want Unavailable", i, o.id, o.err)
				}
			}
			if c.cuts.Load() == 0 {
				t.Fatal("no connection was cut")
			}
			written := executionsOf(t, store)
			if (len(written) > 0) != tc.wantWritten {
				t.Errorf("%d executions were written", len(written))
			}
			for i, o := range startMany(t, b, true) {
				e, err := store.Execution(t.Context(), o.id)
				if want := fmt.Sprint("run ", i); o.err != nil || err != nil || e.Name != want {
					t.Errorf("%s, again: %v; execution %d is %q, %v", want, o.err, o.id, e.Name, err)
				}
				if id, known := written[e.Name]; known && id != o.id {
					t.Errorf("%s was execution %d, and is %d when it is asked for again", e.Name, id, o.id)
				}
			}
			if all := executionsOf(t, store); len(all) != len(first) {
				t.Errorf("there are %d executions, want one of each of %d starts", len(all), len(first))
			}
		})
	}
}

type started struct {
	id  uint64
	err error
}

// startMany makes 30 starts at once, each with a request id; with again until the
// database is there.
func startMany(t *testing.T, b *bundle, again bool) []started {
	t.Helper()
	got := make([]started, 30)
	var calls sync.WaitGroup
	for i := range got {
		calls.Go(func() {
			name := fmt.Sprint("run ", i)
			ctx, cancel := context.WithTimeout(asUser(t), 20*time.Second)
			defer cancel()
			res, err := b.client.StartWorkflow(ctx, &pb.WorkflowStartRequest{WorkflowName: "nightly", ExecName: name, RequestId: name})
			for again && status.Code(err) == codes.Unavailable && ctx.Err() == nil { // as clients do
				time.Sleep(10 * time.Millisecond)
				res, err = b.client.StartWorkflow(ctx, &pb.WorkflowStartRequest{WorkflowName: "nightly", ExecName: name, RequestId: name})
			}
			got[i] = started{res.GetId(), err}
		})
	}
	calls.Wait()
	return got
}

// executionsOf returns the ids of all executions by their names, each of which there is
// once.
func executionsOf(t *testing.T, store *dao.Store) map[string]uint64 {
	t.Helper()
	all, err := store.Executions(t.Context(), dao.ExecutionFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]uint64{}
	for _, e := range all {
		if other, known := ids[e.Name]; known {
			t.Errorf("executions %d and %d are both %q", other, e.ID, e.Name)
		}
		ids[e.Name] = e.ID
	}
	return ids
}
