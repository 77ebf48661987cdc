package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// adopt is the environment variable that makes this test binary a pause to which
// processes without a parent fall, as those of a pod do to its first process.
const adopt = "JOBNETES_TEST_PAUSE"

func TestMain(m *testing.M) {
	if os.Getenv(adopt) == "" {
		os.Exit(m.Run())
	}
	if err := leaveOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	main()
}

// leaveOrphans starts two processes whose parent ends, one that has ended by
// then and one that goes on, and prints their ids.
func leaveOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopt orphans: %w", err)
	}
	cmd := exec.Command("sh", "-c", "true & echo $!; sleep 100 >/dev/null 2>&1 & echo $!")
	cmd.Stdout = os.Stdout
	return cmd.Run()
}

func TestPauseReapsUntilItIsTold(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), adopt+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if it has not ended by itself
	lines := bufio.NewReader(out)
	ended, sleeps := readID(t, lines), readID(t, lines)

	awaitGone(t, ended)
	if err := syscall.Kill(sleeps, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, sleeps)

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v, want pause to end well after SIGTERM", err)
	}
}

func readID(t *testing.T, lines *bufio.Reader) int {
	t.Helper()
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("read a process's id: %v", err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// awaitGone waits until not even a zombie is left of a process.
func awaitGone(t *testing.T, id int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Kill(id, 0)
		if errors.Is(err, syscall.ESRCH) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d is still there (%v), want it reaped", id, err)
		}
	}
}
