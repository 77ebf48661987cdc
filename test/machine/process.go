package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Process is a child process that ends when this process does, even by SIGKILL.
// Its output goes to a log file.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; to be read after done
}

// Start starts cmd with its output appended to the file log.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	name := filepath.Base(cmd.Args[0])
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: open its log: %w", name, err)
	}
	defer func() { _ = out.Close() }() // the child has its own copy
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL

	p := &Process{name: name, log: log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child
		// ends, not the process: so this goroutine keeps the thread until the
		// child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Await polls ready until it gives nil. It fails as soon as the process has
// ended, and when ctx is done; the error holds the last lines of the log.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	const interval = 50 * time.Millisecond
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.Err()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w); its log %s ends:\n%s", p.name, err, context.Cause(ctx), p.log, p.Tail())
		case <-time.After(interval):
		}
	}
}

// Wait waits until the process ends by itself and gives nil if it has succeeded.
// When ctx is done, it kills the process. An error holds the last lines of the
// log.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s took too long: %w; its log %s ends:\n%s", p.name, context.Cause(ctx), p.log, p.Tail())
	}
	if p.err == nil {
		return nil
	}
	return p.Err()
}

// Err gives nil while the process runs, else how it ended and the last lines of
// its log.
func (p *Process) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	ended := p.err
	if ended == nil {
		ended = errors.New("exit status 0")
	}
	return fmt.Errorf("%s has ended: %w; its log %s ends:\n%s", p.name, ended, p.log, p.Tail())
}

// Pid gives the process's id, which is its own until it has ended.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends the process a signal. Its error is os.ErrProcessDone if the
// process has ended.
func (p *Process) Signal(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, p.name, err)
	}
	return nil
}

// Kill ends the process with SIGKILL, as a crash would, and waits until it is
// gone. Killing one that has ended does nothing.
func (p *Process) Kill() {
	// The only error is that it has ended already: done tells.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Tail gives the last lines of the process's log.
func (p *Process) Tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return tail(data)
}

// tail gives the last 20 lines of data.
func tail(data []byte) string {
	const lines = 20
	all := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
