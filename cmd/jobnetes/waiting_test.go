package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/db"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/reach"
	"github.com/jobnetes/jobnetes/setting"
	"github.com/jobnetes/jobnetes/test/machine"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// door is an address at which a database is only while the door is open.
type door struct {
	t            *testing.T
	port         int
	target, user string
	password     string
	database     string

	lis   net.Listener // nil: closed
	mu    sync.Mutex
	conns []net.Conn
}

// newDoor makes one, closed, to an empty database with the present schema.
func newDoor(t *testing.T) *door {
	t.Helper()
	dsn := mariadb.Database(t)
	gdb, err := db.Open(t.Context(), db.Config{Driver: db.MySQL, DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(gdb); err != nil {
		t.Fatal(err)
	}
	access, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, port: freePort(t), target: access.Addr, user: access.User, password: access.Passwd, database: access.DBName}
	t.Cleanup(d.close)
	return d
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := machine.Port()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (d *door) open() {
	d.t.Helper()
	lis, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", d.port))
	if err != nil {
		d.t.Fatal(err)
	}
	d.lis = lis
	go func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", d.target)
			if err != nil {
				_ = near.Close()
				continue
			}
			d.mu.Lock()
			d.conns = append(d.conns, near, far)
			d.mu.Unlock()
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
}

func (d *door) close() {
	if d.lis != nil {
		_ = d.lis.Close()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range d.conns {
		_ = conn.Close()
	}
}

// asCommand, in the environment, has the test binary be the command jobnetes: a
// service is a process, with signals and an exit code.
const asCommand = "JOBNETES_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// waiting is a service that runs.
type waiting struct {
	*machine.Process
	t       *testing.T
	monitor string // address of /readyz and /healthz
	jobapi  string // jobapi.port
	log     string // file
}

// settingsFile writes the settings of a service whose database is behind d; nobody
// is where the API server should be.
func settingsFile(t *testing.T, d *door, password string, port, jobapi int) string {
	t.Helper()
	kubeconfig := file(t, "kubeconfig", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:%d"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c"}}]}`, freePort(t)))
	return file(t, "config.yaml", fmt.Sprintf(`
log: {format: json}
db: {host: 127.0.0.1, port: %d, user: %q, password: %q, name: %q}
k8s: {config-path: %s}
manager: {bind-address: 127.0.0.1, metrics-port: %d}
jobapi: {bind-address: 127.0.0.1, metrics-port: %[6]d, port: %[7]d, password: secret}
webadmin: {bind-address: 127.0.0.1, port: %[6]d, password: secret}
`, d.port, d.user, password, d.database, kubeconfig, port, jobapi))
}

// startService starts a service.
func startService(t *testing.T, name string, d *door, password string) *waiting {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port, jobapi := freePort(t), freePort(t)
	cmd := exec.Command(self, name, "--config", settingsFile(t, d, password, port, jobapi))
	cmd.Env = append(os.Environ(), asCommand+"=1")
	w := &waiting{t: t, monitor: fmt.Sprintf("http://127.0.0.1:%d", port), jobapi: fmt.Sprintf("127.0.0.1:%d", jobapi), log: filepath.Join(t.TempDir(), "log")}
	if w.Process, err = machine.Start(cmd, w.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Kill)
	return w
}

// stop sends SIGTERM, which the service must end after without an error.
func (w *waiting) stop() {
	w.t.Helper()
	if err := w.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	if err := w.wait(); err != nil {
		w.t.Errorf("asked to end: %v", err)
	}
}

// wait waits until the service has ended; the error is that of its exit code.
func (w *waiting) wait() error {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	return w.Wait(ctx)
}

func (w *waiting) said() string {
	w.t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func (w *waiting) get(path string) (status int, text string) {
	res, err := http.Get(w.monitor + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// await waits until path answers with a status and all parts.
func (w *waiting) await(path string, want int, parts ...string) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err := w.Err(); err != nil {
			w.t.Fatal(err)
		}
		status, text := w.get(path)
		missing := 0
		for _, part := range parts {
			if !strings.Contains(text, part) {
				missing++
			}
		}
		if status == want && missing == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: %d %q, want %d with %q\n%s", path, status, text, want, parts, w.said())
		}
	}
}

// connect connects to jobapi.
func (w *waiting) connect() *grpc.ClientConn {
	w.t.Helper()
	conn, err := grpc.NewClient(w.jobapi, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// awaitHealth waits until jobapi says so of itself.
func (w *waiting) awaitHealth(want healthpb.HealthCheckResponse_ServingStatus) {
	w.t.Helper()
	health := healthpb.NewHealthClient(w.connect())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		res, err := health.Check(w.t.Context(), &healthpb.HealthCheckRequest{})
		if err == nil && res.GetStatus() == want {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("health is %v, %v; want %v", res, err, want)
		}
	}
}

func (w *waiting) listWorkflows() error {
	ctx := metadata.AppendToOutgoingContext(w.t.Context(), "username", "jobnetesadmin", "password", "secret")
	_, err := pb.NewJobapiClient(w.connect()).ListWorkflows(ctx, &pb.ListWorkflowsRequest{})
	return err
}

// Services that are started before their database wait for it, say so, and work
// once it is there; what goes away later is said as well.
func TestServicesWaitForTheirDatabase(t *testing.T) {
	t.Parallel()
	const (
		refused = "connection refused"
		hidden  = "it does not answer; webadmin's log has the reason"
		cluster = "\nAPI server: not ready since "
	)
	for name, tc := range map[string]struct {
		reason string
		then   int
		parts  []string // of what it says then
	}{
		"jobapi":   {refused, http.StatusOK, []string{"database: ok\n"}},
		"webadmin": {hidden, http.StatusOK, []string{"database: ok\n"}},
		"manager":  {refused, http.StatusServiceUnavailable, []string{"database: ok\n", cluster, refused}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := startService(t, name, d, d.password)
			w.await("/readyz", http.StatusServiceUnavailable, "database: not ready since ", tc.reason)
			w.await("/healthz", http.StatusOK, "ok\n")
			if name == "webadmin" {
				w.await("/", http.StatusServiceUnavailable, "waits for its database")
			}
			if name == "jobapi" {
				w.awaitHealth(healthpb.HealthCheckResponse_NOT_SERVING)
				if err := w.listWorkflows(); status.Code(err) != codes.Unavailable {
					t.Errorf("a call gives %v, want Unavailable", err)
				}
			}
			d.open()
			w.await("/readyz", tc.then, tc.parts...)
			if name == "webadmin" {
				w.await("/", http.StatusUnauthorized)
			}
			if name == "jobapi" {
				w.awaitHealth(healthpb.HealthCheckResponse_SERVING)
				if err := w.listWorkflows(); err != nil {
					t.Errorf("once the database is there, a call gives %v", err)
				}
			}
			if log := w.said(); strings.Count(log, "the database is away: waiting for it") != 1 || strings.Count(log, "the database answers") != 1 {
				t.Errorf("want one line for the wait, and one for its end:\n%s", log)
			}
			d.close()
			w.await("/readyz", http.StatusServiceUnavailable, "database: not ready since ")
			w.await("/healthz", http.StatusOK, "ok\n")
			w.stop()
			if strings.Contains(w.said(), d.password) {
				t.Error("the log tells the password")
			}
		})
	}
}

// SIGTERM ends a service that waits, and that is no error.
func TestAServiceThatWaitsIsAskedToEnd(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"jobapi", "webadmin", "manager"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &door{port: freePort(t), user: "u", database: "x"}
			w := startService(t, name, d, "p")
			w.await("/readyz", http.StatusServiceUnavailable, "database: not ready since ")
			w.stop()
		})
	}
}

// What does not pass by itself is not waited for.
func TestAWrongPasswordEndsAService(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"jobapi", "webadmin", "manager"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			d.open()
			w := startService(t, name, d, "wrong")
			if err := w.wait(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
				t.Errorf("it ends with %v, want exit status 1", err)
			}
			if log := w.said(); !strings.Contains(log, "Access denied") || strings.Contains(log, "waiting") {
				t.Errorf("want the reason, and no wait:\n%s", log)
			}
		})
	}
}

// A setting that cannot work is no outage: nobody waits, whether the database is
// there or not.
func TestSettingsAreCheckedBeforeTheDatabaseIsWaitedFor(t *testing.T) {
	t.Parallel()
	away := setting.DB{Driver: db.MySQL, Host: "127.0.0.1", Port: freePort(t), User: "u", Name: "x"}
	missing := setting.DB{Driver: db.SQLite, Path: filepath.Join(t.TempDir(), "missing.db")}
	users := setting.Jobapi{Username: "u", Password: "p"}
	cluster := setting.K8s{Mode: setting.ModeCluster, JobNamespace: "default", MasterURL: "http://127.0.0.1:1"}
	for name, tc := range map[string]struct {
		run  func(context.Context, setting.Settings, *slog.Logger) error
		s    setting.Settings
		says string
	}{
		"jobapi without a password":   {runJobapi, setting.Settings{DB: away, Jobapi: setting.Jobapi{Username: "u"}}, "jobapi.password"},
		"manager of local Jobs":       {runManager, setting.Settings{DB: away, K8s: setting.K8s{Mode: setting.ModeLocal}}, "k8s.mode"},
		"manager without a cluster":   {runManager, setting.Settings{DB: away, K8s: setting.K8s{Mode: setting.ModeCluster, ConfigPath: "/nowhere"}}, "k8s.config-path"},
		"webadmin without a password": {runWebadmin, setting.Settings{DB: away}, "webadmin.password"},
		"jobapi without a file":       {runJobapi, setting.Settings{DB: missing, Jobapi: users}, "jobnetes migrate"},
		"manager without a file":      {runManager, setting.Settings{DB: missing, K8s: cluster}, "jobnetes migrate"},
		"webadmin without a file":     {runWebadmin, setting.Settings{DB: missing, Webadmin: setting.Webadmin{BindAddress: "127.0.0.1", Username: "u", Password: "p"}}, "jobnetes migrate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := tc.run(ctx, tc.s, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("it ends with %v, want an error with %q at once", err, tc.says)
			}
		})
	}
}

// A database that lets connections hang is as good as away.
func TestWaitingForADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0") // connections are made, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lis.Close() }()
	s := setting.Settings{DB: setting.DB{Driver: db.MySQL, Host: "127.0.0.1", Port: lis.Addr().(*net.TCPAddr).Port, User: "u", Name: "x"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	ready := newReadiness()
	go func() {
		_, _, _, err := openStore(ctx, s, ready, slog.New(slog.DiscardHandler))
		ended <- err
	}()
	mux := http.NewServeMux()
	ready.handle(mux)
	if got, want := readyz(mux), "503 database: not asked yet\n"; got != want {
		t.Errorf("at first: %q, want %q", got, want)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(readyz(mux), "not ready since"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("readyz does not say that it hangs: %s", readyz(mux))
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cut off while it waits: %v", err)
	}
}

func readyz(mux http.Handler) string {
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return fmt.Sprint(rec.Code, " ", rec.Body)
}

func TestReadyz(t *testing.T) {
	t.Parallel()
	ready := newReadiness()
	mux := http.NewServeMux()
	ready.handle(mux)
	ready.set(func() []reach.State {
		return []reach.State{{Name: "database", Known: true}, {Name: "API server", Known: true}}
	})
	if got, want := readyz(mux), "200 database: ok\nAPI server: ok\n"; got != want {
		t.Errorf("all is well: %q, want %q", got, want)
	}
}
