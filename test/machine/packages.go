package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrMissing says that a command is not installed, and cannot be by this user.
var ErrMissing = errors.New("not installed")

// Require gives the path of a command. If it is missing and the process is
// root, it installs Debian's packages first; only one process of the machine
// installs at a time. The error says what to install by hand.
//
// The packages must not start a service: prefer a server's -core package.
func Require(ctx context.Context, command string, packages ...string) (string, error) {
	if path := find(command); path != "" {
		return path, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%w: %s, which only root can install: run: sudo apt-get install --no-install-recommends %s",
			ErrMissing, command, strings.Join(packages, " "))
	}
	release, err := Lock(filepath.Join(os.TempDir(), "jobnetes-install.lock"))
	if err != nil {
		return "", fmt.Errorf("install %s: %w", command, err)
	}
	defer release()
	if path := find(command); path != "" { // another process was faster
		return path, nil
	}
	if err := install(ctx, packages); err != nil {
		return "", fmt.Errorf("install %s: %w", command, err)
	}
	path := find(command)
	if path == "" {
		return "", fmt.Errorf("install %s: the packages %s are installed, but do not contain it", command, strings.Join(packages, " "))
	}
	return path, nil
}

// find looks in $PATH and where Debian keeps servers, which is not in the $PATH
// of every user.
func find(command string) string {
	for _, name := range []string{command, "/usr/sbin/" + command} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// install tries the package lists that are there before it fetches new ones: a
// fresh image has none, a machine in use has them, and fetching takes long.
func install(ctx context.Context, packages []string) error {
	args := append([]string{"install", "--yes", "--no-install-recommends"}, packages...)
	if apt(ctx, args...) == nil {
		return nil
	}
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, args...)
}

func apt(ctx context.Context, args ...string) error {
	// Somebody else's apt may be at work, too: wait for its lock.
	args = append([]string{"--quiet", "-o", "DPkg::Lock::Timeout=600"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w:\n%s", strings.Join(args, " "), err, tail(out))
	}
	return nil
}
