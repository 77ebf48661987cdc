package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// containerAttr puts a container's process into a group of its own. It is
// killed when the thread that started it ends, so even kill -9 of RunJob takes
// it along; the starting goroutine must stay locked to its thread meanwhile.
func containerAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// waitEnd returns when the started cmd has ended. It is not reaped yet, so its
// number still stands for its process group.
func waitEnd(cmd *exec.Cmd) {
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// procStat is what /proc/PID/stat says of a process.
type procStat struct {
	state          string
	parent         int
	group, session int
	flags          uint64
	start          uint64 // clock ticks since the computer did
	// envEnd is where its environment ends in memory; 0 if it has none yet.
	envEnd uint64
}

// readStat numbers the fields as proc_pid_stat(5) does.
func readStat(pid int) (procStat, error) {
	data, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return procStat{}, err
	}
	// The second field is the command's name in parentheses, which may itself
	// hold blanks and parentheses.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 49 {
		return procStat{}, fmt.Errorf("%s has %d fields after the name, want 49 or more", procPath(pid, "stat"), len(fields))
	}
	var errs []error
	number := func(field int) uint64 {
		n, err := strconv.ParseUint(fields[field-3], 10, 64)
		errs = append(errs, err)
		return n
	}
	s := procStat{
		state:   fields[0],
		parent:  int(number(4)),
		group:   int(number(5)),
		session: int(number(6)),
		flags:   number(9),
		start:   number(22),
		envEnd:  number(51),
	}
	return s, errors.Join(errs...)
}

// alive tells whether it is a process that can still do something, other than
// one of the kernel's own.
func (s procStat) alive() bool {
	const kernelThread = 0x00200000 // PF_KTHREAD
	return s.state != "Z" && s.state != "X" && s.flags&kernelThread == 0
}

func procPath(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}

// identify describes the running process pid.
func identify(pid int) (process, error) {
	s, err := readStat(pid)
	return process{PID: pid, Session: s.session, Start: s.start, Boot: bootID()}, err
}

// endLeftovers kills every process of a container and returns when none is
// left. They are known by mark, a variable in their environment, or else by
// the process group and session of the container's first process, leader,
// which is zero if unknown.
func endLeftovers(mark string, leader process) error {
	grouped := leader.Boot != "" && leader.Boot == bootID()
	isLeftover := func(pid int) bool {
		s, err := readStat(pid)
		if err != nil || !s.alive() {
			return false
		}
		if grouped && s.group == leader.PID && s.session == leader.Session && s.start >= leader.Start {
			return true
		}
		return slices.Contains(strings.Split(environ(pid), "\x00"), mark)
	}
	const patience = 5 * time.Second
	for start := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		found, err := killAll(isLeftover)
		if err != nil || found == 0 {
			return err
		}
		if time.Since(start) > patience {
			return fmt.Errorf("%d processes with %s in their environment survived KILL for %v: end them by hand", found, mark, patience)
		}
	}
}

// environ is the environment of the process. It is empty if it cannot be read:
// then the process is another user's, or has ended.
func environ(pid int) string {
	const patience = 200 * time.Millisecond
	none := false // as far as seen
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		env, err := os.ReadFile(procPath(pid, "environ"))
		if err != nil || len(env) > 0 {
			return string(env)
		}
		// It may have none, or be executing a program at the moment: then the old
		// one is gone and the new one not there yet.
		s, err := readStat(pid)
		if err != nil || !s.alive() || none && s.envEnd != 0 || time.Since(start) > patience {
			return ""
		}
		none = s.envEnd != 0
	}
}

// killAll kills each process for which match holds and says how many did.
func killAll(match func(pid int) bool) (found int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !match(pid) {
			continue
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		// Matched again through the handle: the number may have changed hands.
		if match(pid) {
			found++
			if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return found, fmt.Errorf("kill leftover process %d: %w", pid, err)
			}
		}
		_ = p.Release()
	}
	return found, nil
}
