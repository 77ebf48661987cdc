package chaos

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/test/cluster"
	"github.com/jobnetes/jobnetes/test/machine"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

const (
	managers = 3
	jobapis  = 2
	// lease is short, so that it is often lost.
	lease = 3 * time.Second
	// retention is how long finished Jobs stay; longer than any server is away, so
	// that jobWatch sees each.
	retention = 3 * time.Minute
	username  = "chaos"
)

// world is all that runs.
type world struct {
	report   *report
	dir      string // of logs
	present  build
	previous *build      // nil: not to be had
	migrated atomic.Bool // the schema is the present build's
	healed   atomic.Bool // the faults have ceased, and all servers are back

	database  *mariadb.Server
	access    *mysql.Config
	db        *sql.DB // not by a wire
	cluster   *cluster.Private
	namespace string
	password  string

	services []*service
	wires    []*wire
	client   *client
	reporter *reporter
	watch    *jobWatch
	upgrades sync.Once // closes client.upgraded
}

// newWorld starts the servers and makes the services, which it does not start.
func newWorld(t *testing.T, r *report, dir string) *world {
	t.Helper()
	w := &world{report: r, dir: dir, password: rand.Text(), watch: &jobWatch{seen: uids{}}}
	var g errgroup.Group
	g.Go(func() (err error) {
		w.present, err = buildPresent(t.Context(), dir)
		return err
	})
	g.Go(func() error { return w.findPrevious(t) })
	w.database = mariadb.Start(t)
	w.cluster = cluster.StartPrivate(t)
	w.cluster.Simulate(t, 2, stages)
	w.namespace = w.cluster.Namespace(t)
	w.open(t)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := w.connect(t); err != nil {
		t.Fatal(err)
	}
	w.reporter = &reporter{report: r, client: w.cluster.Client, namespace: w.namespace, jobapis: map[string]pb.JobapiClient{}, played: map[types.UID]bool{}, ended: map[string]string{}}
	return w
}

func (w *world) findPrevious(t *testing.T) error {
	b, err := buildPrevious(t.Context())
	if errors.Is(err, errNoHistory) {
		t.Logf("NO ROLLING UPGRADES in this run, only the present build: %v", err)
		return nil
	}
	w.previous = &b
	return err
}

func (w *world) open(t *testing.T) {
	t.Helper()
	dsn := w.database.Database(t)
	var err error
	if w.access, err = mysql.ParseDSN(dsn); err != nil {
		t.Fatal(err)
	}
	config := w.access.Clone()
	config.Logger = &mysql.NopLogger{} // the database is killed: its idle connections break
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	w.db = sql.OpenDB(connector)
	t.Cleanup(func() { _ = w.db.Close() })
}

// connect makes the services, and the wires between all that talks.
func (w *world) connect(t *testing.T) error {
	config, err := clientcmd.LoadFromFile(w.cluster.Kubeconfig)
	if err != nil {
		return err
	}
	server, err := url.Parse(config.Clusters[config.Contexts[config.CurrentContext].Cluster].Server)
	if err != nil {
		return err
	}
	var endpoints []string // of jobapis, for jobs
	w.client = &client{report: w.report, db: w.db, username: username, password: w.password, upgraded: make(chan struct{})}
	for i := range jobapis {
		s, port, err := w.add(t, "jobapi", i+1, server.Host)
		if err != nil {
			return err
		}
		s.env = append(s.env, "JOBNETES_JOBAPI_PASSWORD="+w.password, "JOBNETES_JOBAPI_USERNAME="+username)
		if i == jobapis-1 {
			s.builds, s.starting = func(bool) build { return w.build(false) }, w.noteUpgrade
		}
		for _, from := range []string{"client", "jobs"} {
			wire, err := w.wire(t, from+"-"+s.name, net.JoinHostPort("127.0.0.1", port))
			if err != nil {
				return err
			}
			if from == "jobs" {
				endpoints = append(endpoints, wire.address())
				continue
			}
			conn, err := dial(wire.address())
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = conn.Close() })
			w.client.jobapis = append(w.client.jobapis, pb.NewJobapiClient(conn))
		}
	}
	for i := range managers {
		s, _, err := w.add(t, "manager", i+1, server.Host)
		if err != nil {
			return err
		}
		s.env = append(s.env,
			"JOBNETES_MANAGER_LEASE="+lease.String(), "JOBNETES_MANAGER_POLL_INTERVAL=300ms", "JOBNETES_K8S_RELIST_INTERVAL=5s",
			"JOBNETES_K8S_JOB_RETENTION="+retention.String(), "JOBNETES_MANAGER_KEPT_LOG_BYTES=0", // simulated pods have no logs
			fmt.Sprint("JOBNETES_MANAGER_MAX_RUNNING_JOBS=", maxJobs),
			"JOBNETES_JOBAPI_ENDPOINT="+endpoints[i%jobapis])
	}
	return nil
}

// add makes a service with wires to the servers, and gives its first port.
func (w *world) add(t *testing.T, kind string, n int, apiServer string) (s *service, port string, err error) {
	said := map[string]string{"manager": "manager started", "jobapi": "jobapi listens"}[kind]
	s = &service{name: kind + strconv.Itoa(n), kind: kind, said: said, logs: w.dir, report: w.report, builds: w.build, healed: w.healed.Load}
	database, err := w.wire(t, s.name+"-database", w.access.Addr)
	if err != nil {
		return nil, "", err
	}
	api, err := w.wire(t, s.name+"-apiserver", apiServer)
	if err != nil {
		return nil, "", err
	}
	s.env = append(w.environment(database.address(), "https://"+api.address()), "JOBNETES_JOBAPI_BIND_ADDRESS=127.0.0.1", "JOBNETES_MANAGER_BIND_ADDRESS=127.0.0.1")
	for _, key := range []string{"JOBAPI_METRICS_PORT", "MANAGER_METRICS_PORT", "JOBAPI_PORT"} {
		free, err := machine.Port()
		if err != nil {
			return nil, "", err
		}
		port = strconv.Itoa(free)
		s.env = append(s.env, "JOBNETES_"+key+"="+port)
	}
	t.Cleanup(func() {
		if s.process != nil { // the run was cut off
			s.process.Kill()
		}
	})
	w.services = append(w.services, s)
	return s, port, nil
}

// environment is that of a command which reaches the database at an address, and
// the API server at a URL; empty: at its own.
func (w *world) environment(database, apiServer string) []string {
	host, port, err := net.SplitHostPort(database)
	if err != nil {
		panic(err) // a test server's own address
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, // has no config.yaml
		"JOBNETES_LOG_FORMAT=json", "JOBNETES_DB_HOST=" + host, "JOBNETES_DB_PORT=" + port,
		"JOBNETES_DB_USER=" + w.access.User, "JOBNETES_DB_PASSWORD=" + w.access.Passwd, "JOBNETES_DB_NAME=" + w.access.DBName,
		"JOBNETES_K8S_CONFIG_PATH=" + w.cluster.Kubeconfig, "JOBNETES_K8S_MASTER_URL=" + apiServer, "JOBNETES_K8S_JOB_NAMESPACE=" + w.namespace,
	}
}

func (w *world) wire(t *testing.T, name, target string) (*wire, error) {
	wire, err := newWire(name, target)
	if err != nil {
		return nil, err
	}
	t.Cleanup(wire.close)
	w.wires = append(w.wires, wire)
	return wire, nil
}

// build gives the build to start: the previous one as long as the schema is its own.
func (w *world) build(previous bool) build {
	if w.previous != nil && (previous || !w.migrated.Load()) {
		return *w.previous
	}
	return w.present
}

// noteUpgrade tells the client that the last jobapi is of the present build, and
// stays so.
func (w *world) noteUpgrade(b build) {
	if b == w.present {
		w.upgrades.Do(func() { close(w.client.upgraded) })
	}
}

// migrate migrates the database with a build.
func (w *world) migrate(ctx context.Context, b build) error {
	cmd := exec.CommandContext(ctx, b.path, "migrate")
	cmd.Env = w.environment(w.access.Addr, "")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate with the %s build: %w: %s", b.name, err, out)
	}
	return nil
}

// countOpen says how many executions have not ended.
func (w *world) countOpen(ctx context.Context) (open int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = w.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM workflow_executions WHERE status IN (0, 1)").Scan(&open)
	return open, err
}
