// Package box runs a command as if on a machine of its own, inside this one: it
// has its own processes, mounts, network and cgroups, while files are this
// machine's. Whatever the command and its descendants do to processes, mounts,
// interfaces and firewall rules ends with the box, however it ends, since the
// kernel takes the namespaces down with the box's first process.
//
// One link leads in: a pair of interfaces, the near end on this machine, the far
// end the box's default route. Two boxes never meet.
//
// It needs Linux, root and the command ip (Debian's iproute2).
package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jobnetes/jobnetes/test/machine"
)

// Config says what runs in a box.
type Config struct {
	// Name is the name of the box's cgroup; no two boxes of a machine have the
	// same at a time.
	Name string
	// Command is a program's path and its arguments. What runs in a box is this
	// executable's own business: its main passes Init the arguments after InitArg.
	Command []string
	// Env is added to the command's environment.
	Env []string
	// Log is the file that the command's output is appended to.
	Log string
}

// InitArg is the first argument of this executable when it is called to be the
// first process of a box; main then calls Init with the others.
const InitArg = "box-init"

// Box is a running box.
type Box struct {
	name    string
	link    link
	process *machine.Process
}

// Start starts a box. It ends when its command does, when Stop is called, or
// when this process ends, by whatever means; what it then leaves on the machine
// is empty cgroups, which the next Start or Clean of that name removes.
func Start(cfg Config) (*Box, error) {
	if err := Clean(cfg.Name); err != nil {
		return nil, err
	}
	if err := makeCgroups(cfg.Name); err != nil {
		return nil, errors.Join(err, Clean(cfg.Name))
	}
	link, err := newLink()
	if err != nil {
		return nil, errors.Join(err, Clean(cfg.Name))
	}
	b := &Box{name: cfg.Name, link: link}
	if err := b.start(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("start box %s: %w", cfg.Name, err), b.Stop())
	}
	return b, nil
}

func (b *Box) start(cfg Config) error {
	// The first process waits for its end of the link before it goes on.
	ready, signal, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = ready.Close() }()
	cmd := exec.Command("/proc/self/exe", append([]string{InitArg, b.link.far, b.link.farAddress(), b.link.near()}, cfg.Command...)...)
	cmd.Env = append(os.Environ(), cfg.Env...)
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
	}
	b.process, err = machine.Start(cmd, cfg.Log)
	if err != nil {
		return errors.Join(err, signal.Close())
	}
	if err := b.link.connect(cmd.Process.Pid); err != nil {
		return errors.Join(err, signal.Close())
	}
	_, err = signal.WriteString("\n")
	return errors.Join(err, signal.Close())
}

// Wait waits for the end of the box. When ctx is done, it ends the box. The
// error is nil if the box's command has succeeded.
func (b *Box) Wait(ctx context.Context) error { return b.process.Wait(ctx) }

// Stop ends all that runs in the box, and removes what the box was on this
// machine. It returns when all is gone.
func (b *Box) Stop() error {
	if b.process != nil {
		b.process.Kill()
	}
	return errors.Join(b.link.remove(), Clean(b.name))
}

// Clean removes the cgroups that a box of that name has left. The box must have
// ended.
func Clean(name string) error {
	if err := removeCgroups(name); err != nil {
		return fmt.Errorf("clean up after box %s: %w", name, err)
	}
	return nil
}

// run runs a command of this machine to its end; the error has its output.
func run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %v: %w: %s", filepath.Base(name), args, err, out)
	}
	return nil
}
