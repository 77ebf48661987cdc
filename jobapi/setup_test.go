package jobapi

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/jobapi/token"
	pb "github.com/jobnetes/jobnetes/proto"
)

var (
	testKey = bytes.Repeat([]byte{1}, token.MinKeyBytes)
	start   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// chain is a definition of two jobs, one after the other.
const chain = `{"name": "nightly", "tasks": [
  {"name": "extract", "type": "kube-job", "next": "load", "job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}}},
  {"name": "load", "type": "kube-job", "job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}}}]}`

func testConfig() Config {
	return Config{
		Username: "admin", Password: "secret", TokenKey: testKey,
		MaxInputBytes: 1000, MaxOutputBytes: 1000,
		WatchInterval: time.Millisecond, HealthInterval: time.Millisecond,
		Now: func() time.Time { return start },
	}
}

// bundle is a server that runs, and what a test needs of it.
type bundle struct {
	server *Server
	conn   *grpc.ClientConn
	client pb.JobapiClient
	log    *logBuffer
	stop   func() error // ends the server and waits for it
}

// setupStore returns a store on a fresh database.
func setupStore(t testing.TB) *dao.Store {
	t.Helper()
	gdb, err := db.Open(t.Context(), db.Config{Driver: db.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(gdb) })
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	return dao.New(gdb)
}

func setup(t *testing.T, cfg Config, store Store, logs Logs) *bundle {
	t.Helper()
	b := &bundle{log: &logBuffer{}}
	var err error
	b.server, err = New(cfg, store, logs, slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	lis := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.server.Serve(ctx, lis) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	b.conn, err = grpc.NewClient("passthrough:///test",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	b.client = pb.NewJobapiClient(b.conn)
	t.Cleanup(func() {
		_ = b.conn.Close()
		if err := b.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return b
}

// asUser returns a context of calls with the right username and password.
func asUser(t *testing.T) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "username", "admin", "password", "secret")
}

// asTask returns a context of calls with the token of a task.
func asTask(t *testing.T, taskID uint64) context.Context {
	t.Helper()
	tokens, err := token.NewTokens(testKey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tokens.Sign(taskID, start)
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+signed)
}

func apply(t *testing.T, b *bundle, definition string) *pb.Workflow {
	t.Helper()
	res, err := b.client.ApplyWorkflow(asUser(t), &pb.ApplyWorkflowRequest{Definition: []byte(definition)})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetWorkflow()
}

func startWorkflow(t *testing.T, b *bundle, req *pb.WorkflowStartRequest) uint64 {
	t.Helper()
	res, err := b.client.StartWorkflow(asUser(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return res.GetId()
}

// mover moves an execution as the manager that holds its lease does.
type mover struct {
	t         testing.TB
	store     *dao.Store
	lease     dao.Lease
	execution dao.WorkflowExecution
}

func claim(t testing.TB, store *dao.Store, executionID uint64) *mover {
	t.Helper()
	leases, err := store.ClaimScheduled(t.Context(), dao.Claimant{Owner: "manager-1"}, start.Add(time.Second), start.Add(time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases {
		if l.ExecutionID == executionID {
			e, err := store.Execution(t.Context(), executionID)
			if err != nil {
				t.Fatal(err)
			}
			return &mover{t: t, store: store, lease: l, execution: e}
		}
	}
	t.Fatalf("execution %d could not be claimed", executionID)
	return nil
}

// begin starts the execution, unless it has begun, and one task of it, and
// returns the task.
func (m *mover) begin(name, taskType string, change ...func(*dao.TaskExecution)) *dao.TaskExecution {
	m.t.Helper()
	if m.execution.Status == dao.ExecutionScheduled {
		m.execution.Status, m.execution.StartedAt = dao.ExecutionRunning, &start
		m.commit(dao.Transition{Type: dao.EventExecutionStarted})
	}
	task := &dao.TaskExecution{TaskName: name, TaskType: taskType, Attempt: 1, Input: "{}", Output: "{}", StartedAt: start}
	if taskType == "kube-job" {
		task.JobUID = new("uid")
	}
	for _, c := range change {
		c(task)
	}
	m.commit(dao.Transition{Type: dao.EventTaskStarted, Task: task})
	return task
}

// fail ends the task and the execution.
func (m *mover) fail(task *dao.TaskExecution) {
	m.t.Helper()
	end := start.Add(time.Minute)
	row, err := m.store.Task(m.t.Context(), task.ID)
	if err != nil {
		m.t.Fatal(err)
	}
	row.Status, row.ErrorReason, row.ErrorMsg, row.EndedAt, row.ElapsedSec = dao.TaskFailed, "JobFailed", "exit code 1", &end, 60
	m.execution.Status, m.execution.ErrorMsg, m.execution.EndedAt = dao.ExecutionFailed, "task extract failed: exit code 1", &end
	m.commit(
		dao.Transition{Type: dao.EventTaskFailed, Task: &row, Reason: "JobFailed", Message: "exit code 1"},
		dao.Transition{Type: dao.EventExecutionFailed, Message: "task extract failed: exit code 1"})
}

func (m *mover) commit(ts ...dao.Transition) {
	m.t.Helper()
	if err := m.store.Commit(m.t.Context(), m.lease, &m.execution, ts, start); err != nil {
		m.t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("code %v, want %v (%v)", got, want, err)
	}
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
