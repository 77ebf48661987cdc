package mariadb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/jobnetes/jobnetes/test/machine"
)

// Server is a private MariaDB server.
type Server struct {
	mariadbd string // path of the command
	folder   *machine.Folder
	port     int
	config   *mysql.Config
	options  []string // of the command, after its own
	process  *machine.Process
}

// Start starts a server for this test alone, which the test may kill;
// JOBNETES_TEST_DSN is not heeded. The test's end ends it. Options of mariadbd, such
// as "--sync-binlog=1", go before the server's own, which are for speed.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	s, err := start(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if err := s.folder.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Database makes an empty database on this server, as the function Database
// does.
func (s *Server) Database(t testing.TB) (dsn string) {
	t.Helper()
	return create(t, s.config)
}

// Pid gives the id of the server's process.
func (s *Server) Pid() int { return s.process.Pid() }

// Kill ends the server as a crash would. It is not asked to end, so connections
// break; what it has committed is kept.
func (s *Server) Kill() { s.process.Kill() }

// Restart starts the server after Kill, at the same address and with its data,
// and returns when it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.Revive(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Revive is Restart for whoever is not the test's own goroutine.
func (s *Server) Revive(ctx context.Context) error { return s.run(ctx) }

// start makes the data folder of a server and starts it.
func start(ctx context.Context, options ...string) (*Server, error) {
	mariadbd, err := require(ctx, "mariadbd")
	if err != nil {
		return nil, err
	}
	installDB, err := require(ctx, "mariadb-install-db")
	if err != nil {
		return nil, err
	}
	if _, err := require(ctx, "my_print_defaults"); err != nil { // mariadb-install-db calls it
		return nil, err
	}
	port, err := machine.Port()
	if err != nil {
		return nil, fmt.Errorf("start MariaDB: %w", err)
	}
	folder, err := machine.NewFolder("mariadb")
	if err != nil {
		return nil, fmt.Errorf("start MariaDB: %w", err)
	}
	s := &Server{mariadbd: mariadbd, folder: folder, port: port, config: access(port), options: options}
	if err := s.initialize(ctx, installDB); err != nil {
		return nil, errors.Join(fmt.Errorf("start MariaDB: %w", err), folder.Remove())
	}
	if err := s.run(ctx); err != nil {
		return nil, errors.Join(err, folder.Remove())
	}
	return s, nil
}

// require gives the path of a command of MariaDB's. The -core packages have no
// service to start.
func require(ctx context.Context, command string) (string, error) {
	path, err := machine.Require(ctx, command, "mariadb-server-core", "mariadb-client-core")
	if err != nil {
		return "", fmt.Errorf("start MariaDB: %w; or set %s to a running server", err, Variable)
	}
	return path, nil
}

// access gives access to a new server at port, by a user with a new password.
func access(port int) *mysql.Config {
	config := mysql.NewConfig()
	config.User = "jobnetes"
	config.Passwd = rand.Text()
	config.Net = "tcp"
	config.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return config
}

func (s *Server) path(name string) string { return filepath.Join(s.folder.Path, name) }

// initialize makes the system tables, and the file of statements that every
// start of the server runs.
func (s *Server) initialize(ctx context.Context, installDB string) error {
	// A server empties the temporary folder of its leftovers when it starts, so
	// servers must not share one.
	if err := os.Mkdir(s.path("tmp"), 0o700); err != nil {
		return fmt.Errorf("make its temporary folder: %w", err)
	}
	args := []string{"--no-defaults", "--datadir=" + s.path("data"), "--tmpdir=" + s.path("tmp"), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M"}
	cmd := exec.CommandContext(ctx, installDB, append(args, asRoot()...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make its data folder: %w:\n%s", err, out)
	}
	grant := fmt.Sprintf("CREATE USER IF NOT EXISTS %[1]s@'127.0.0.1' IDENTIFIED BY '%[2]s';\nGRANT ALL ON *.* TO %[1]s@'127.0.0.1' WITH GRANT OPTION;\n",
		s.config.User, s.config.Passwd)
	if err := os.WriteFile(s.path("init.sql"), []byte(grant), 0o600); err != nil {
		return fmt.Errorf("write its first statements: %w", err)
	}
	return nil
}

// run starts the server process and returns when it answers.
func (s *Server) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := []string{
		"--no-defaults",
		"--datadir=" + s.path("data"), "--tmpdir=" + s.path("tmp"),
		"--socket=" + s.path("socket"),
		"--pid-file=" + s.path("pid"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.port), "--skip-name-resolve",
		"--init-file=" + s.path("init.sql"),
		"--character-set-server=utf8mb4", // as Debian's own configuration has it
		"--max-connections=1000",
		// A crash of the server loses nothing that way, one of the machine may:
		// but then the test is gone, too.
		"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--sync-binlog=0",
		"--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M",
	}
	args = append(append(args, s.options...), asRoot()...)
	cmd := exec.Command(s.mariadbd, args...)
	s.process, err = machine.Start(cmd, s.path("mariadbd.log"))
	if err != nil {
		return err
	}
	err = s.process.Await(ctx, func(ctx context.Context) error { return execute(ctx, s.config, "DO 1") })
	if err != nil {
		s.process.Kill()
	}
	return err
}

// asRoot gives the option that lets root run the server: without it, mariadbd
// refuses.
func asRoot() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	return []string{"--user=root"}
}
