package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// crash is the environment variable that makes this test binary the process
// that TestNothingOutlivesAKilledProcess kills.
const crash = "JOBNETES_TEST_MACHINE_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(crash) != "" {
		if err := waitToBeKilled(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// waitToBeKilled makes a folder and starts a process, writes the folder's path
// to file descriptor 3, which the process inherits, and never returns.
func waitToBeKilled() error {
	folder, err := NewFolder("killed")
	if err != nil {
		return err
	}
	if _, err := Start(exec.Command("sleep", "600"), filepath.Join(folder.Path, "sleep.log")); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.NewFile(3, "ready"), folder.Path); err != nil {
		return err
	}
	select {}
}

func TestNothingOutlivesAKilledProcess(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crash+"=1", Keep+"=")
	cmd.ExtraFiles = []*os.File{write}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if err := read.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(read)
	folder, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("wait for the process to be ready: %v", err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error says that it was killed

	// The pipe ends when the last of its heirs has: the process, its child, and
	// the shell that removes the folder.
	if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want all processes to have ended", err)
	}
	if _, err := os.Stat(strings.TrimSpace(folder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for folder %s, want it to be gone", err, folder)
	}
}

func TestAwaitTellsHowTheProcessEnded(t *testing.T) {
	t.Parallel()
	p, err := Start(exec.Command("sh", "-c", "echo no space left >&2; exit 3"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	never := errors.New("not ready")
	err = p.Await(t.Context(), func(context.Context) error { return never })
	for _, want := range []string{"sh has ended", "exit status 3", "no space left"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want it to contain %q", err, want)
		}
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		script  string
		timeout time.Duration
		want    string // "" is no error
	}{
		"success": {script: "exit 0", timeout: time.Minute},
		"failure": {script: "echo does not compile; exit 2", timeout: time.Minute, want: "does not compile"},
		"timeout": {script: "exec sleep 600", timeout: time.Millisecond, want: "took too long"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Start(exec.Command("sh", "-c", tc.script), filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
			defer cancel()
			err = p.Wait(ctx)
			if got := fmt.Sprint(err); (err == nil) != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	p, err := Start(exec.Command("sleep", "600"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("got error %v of a process that runs, want none", err)
	}
	p.Kill()
	p.Kill() // does nothing
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("got error %v, want it to tell of SIGKILL", p.Err())
	}
}

func TestPortCanBeListenedOnAgain(t *testing.T) {
	t.Parallel()
	port, err := Port()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for range 2 { // the second time is a restart
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			t.Fatalf("%s accepts a connection although nobody listens", address)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockExcludes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	var holders atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			release, err := Lock(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if n := holders.Add(1); n != 1 {
				t.Errorf("%d hold the lock at once", n)
			}
			if _, err := os.ReadDir("/proc"); err != nil { // gives the others time to come in
				t.Error(err)
			}
			holders.Add(-1)
		})
	}
	group.Wait()
}

func TestRequireGivesAnInstalledCommand(t *testing.T) {
	t.Parallel()
	path, err := Require(t.Context(), "sh", "no-such-package")
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(path) || filepath.Base(path) != "sh" {
		t.Errorf("got %q, want the path of sh", path)
	}
}

func TestOutputIsIgnoredByGit(t *testing.T) {
	t.Parallel()
	dir, err := Output()
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	if string(ignored) != "*\n" {
		t.Errorf("git ignores %q in %s, want it to ignore everything", ignored, dir)
	}
}
