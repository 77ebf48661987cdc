//go:build !linux

package local

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// containerAttr puts a container's process into a group of its own.
func containerAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// waitEnd returns when the started cmd has ended.
func waitEnd(cmd *exec.Cmd) {
	_ = cmd.Wait() // how it ended is in cmd.ProcessState
}

// identify describes the running process pid.
func identify(pid int) (process, error) {
	session, err := unix.Getsid(pid)
	return process{PID: pid, Session: session}, err
}

// endLeftovers does nothing: without /proc, what a container left behind cannot
// be told from other processes.
func endLeftovers(string, process) error { return nil }
