package box

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Init is the first process of a box: it mounts what is the box's own, sets up
// its end of the link, runs the command and reaps what others leave behind. It
// gives the exit code of the command.
func Init(args []string) int {
	if len(args) < 4 {
		fmt.Fprintln(os.Stderr, "box: to be called by a box only")
		return 2
	}
	far, address, near, command := args[0], args[1], args[2], args[3:]
	if err := settle(far, address, near); err != nil {
		fmt.Fprintln(os.Stderr, "box:", err)
		return 1
	}
	process, err := os.StartProcess(command[0], command, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "box: start the command:", err)
		return 1
	}
	return reap(process.Pid)
}

// reap waits for all children, adopted ones too, until the command has ended.
// The kernel kills what is left when this process ends.
func reap(command int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "box: wait for processes:", err)
			return 1
		case pid == command && status.Exited():
			return status.ExitStatus()
		case pid == command:
			return 128 + int(status.Signal())
		}
	}
}

// settle makes the box's own mounts and network.
func settle(far, address, near string) error {
	ip, err := exec.LookPath("ip")
	if err != nil {
		return err
	}
	ready := os.NewFile(3, "ready")
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		return fmt.Errorf("wait for the link: %w", err)
	}
	if err := errors.Join(ready.Close(), mountAll()); err != nil {
		return err
	}
	return arrive(ip, far, address, near)
}

// mountAll keeps the box's mounts from the machine, and gives it a /proc, /run,
// /var/lib and /var/log of its own, where daemons keep what has a fixed path.
// /var/lib and /var/log start as what the machine has there.
func mountAll() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for _, lower := range []string{"/var/lib", "/var/log"} {
		own := filepath.Join("/run/box", filepath.Base(lower))
		upper, work := filepath.Join(own, "upper"), filepath.Join(own, "work")
		if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
			return err
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
		if err := unix.Mount("overlay", lower, "overlay", 0, options); err != nil {
			return fmt.Errorf("mount %s: %w", lower, err)
		}
	}
	if err := shieldSysctls(); err != nil {
		return err
	}
	// Mounts made later must be seen by containers, which have namespaces below.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

// sysctls are settings of the whole machine that a kubelet wants so, and would
// change (k8s.io/kubernetes/pkg/kubelet/cm, setupKernelTunables).
var sysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// shieldSysctls puts files in place of these settings, which read as a kubelet
// wants them.
func shieldSysctls() error {
	for name, value := range sysctls {
		file := filepath.Join("/run/box/sysctl", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, filepath.Join("/proc/sys", name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("shield sysctl %s: %w", name, err)
		}
	}
	return nil
}
