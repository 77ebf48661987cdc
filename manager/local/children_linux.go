package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

// reapPause is the least time between two looks for orphans that have ended.
const reapPause = 100 * time.Millisecond

// children are the processes whose parent this process is: the containers'
// first ones, for which os/exec waits, and orphans, which the containers left
// behind and which only this one can reap.
type children struct {
	// mu is held while a container is started too: else its process would look
	// like an orphan until it is in running.
	mu      sync.Mutex
	running map[int]runningContainer // by the id of the first process
}

type runningContainer struct {
	pod  types.UID
	mark string
}

// adoptChildren makes this process the parent of every orphan below it, so that
// none escapes, whatever sessions and environments it goes through. The orphans
// that end are reaped until stop is called.
func adoptChildren() (c *children, stop func(), err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("become the parent of orphaned processes: %w", err)
	}
	c = &children{running: map[int]runningContainer{}}
	ended, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(ended, syscall.SIGCHLD)
	var wg sync.WaitGroup
	wg.Go(func() { c.reap(ended, done) })
	return c, func() { signal.Stop(ended); close(done); wg.Wait() }, nil
}

// reap reaps orphans when a child has ended, until done is closed.
func (c *children) reap(ended <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-ended:
			_, _ = c.sweep(false) // what cannot be listed now is tried again
		case <-done:
			return
		}
		select {
		case <-time.After(reapPause):
		case <-done:
			return
		}
	}
}

// start starts the first process of a container of the pod.
func (c *children) start(cmd *exec.Cmd, pod types.UID, mark string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.running[cmd.Process.Pid] = runningContainer{pod, mark}
	return nil
}

// wait reaps the container's first process. How it ended is in
// cmd.ProcessState.
func (c *children) wait(cmd *exec.Cmd) {
	_ = cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, cmd.Process.Pid)
}

// endOrphans kills the orphans, unless another container of the pod runs, and
// returns when none is left. Whose an orphan is cannot be told if it has left
// the container's process group and dropped the environment: it is killed when
// no container of some pod runs anymore. Those that are known to be of a running container
// are spared.
func (c *children) endOrphans(pod types.UID) error {
	const patience = 5 * time.Second
	// Twice none, because one that ends meanwhile may leave us another, of which
	// the list has been passed already.
	for start, clean := time.Now(), 0; clean < 2; {
		if c.runs(pod) {
			return nil
		}
		found, err := c.sweep(true)
		if err != nil {
			return err
		}
		if found == 0 {
			clean++
			continue
		}
		clean = 0
		if time.Since(start) > patience {
			return fmt.Errorf("%d processes that the container left behind, children of process %d, survived KILL for %v: end them by hand",
				found, os.Getpid(), patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// runs tells whether a container of the pod runs.
func (c *children) runs(pod types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.running {
		if r.pod == pod {
			return true
		}
	}
	return false
}

// sweep reaps the orphans that have ended, kills the others if kill is set, and
// says how many it killed. None can be confused with a stranger: its number is
// taken until it is reaped, which nobody else does.
func (c *children) sweep(kill bool) (killed int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if _, first := c.running[pid]; err != nil || first || s.parent != os.Getpid() {
			continue
		}
		if !s.alive() {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			continue
		}
		if !kill || c.owned(pid, s) {
			continue
		}
		killed++
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return killed, fmt.Errorf("kill leftover process %d: %w", pid, err)
		}
	}
	return killed, nil
}

// owned, called with mu held, tells whether the process is known to be of a
// running container.
func (c *children) owned(pid int, s procStat) bool {
	if _, ok := c.running[s.group]; ok {
		return true
	}
	env := strings.Split(environ(pid), "\x00")
	for _, r := range c.running {
		if slices.Contains(env, r.mark) {
			return true
		}
	}
	return false
}
