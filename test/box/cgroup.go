package box

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// makeCgroups makes an empty cgroup of that name at the top of each hierarchy,
// with every controller, for the command to make its own in.
func makeCgroups(name string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		own := filepath.Join(dir, name)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return fmt.Errorf("make cgroup %s: %w", own, err)
		}
		if err := delegate(dir, own); err != nil {
			return fmt.Errorf("make cgroup %s: %w", own, err)
		}
	}
	return nil
}

// hierarchies gives the mounted cgroup hierarchies: one of cgroup v2, or one of
// v1 for each controller.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{cgroupRoot}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, fmt.Errorf("find the cgroups of this machine: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		dir := filepath.Join(cgroupRoot, e.Name())
		// Links such as cpu -> cpu,cpuacct name a hierarchy twice.
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil && e.IsDir() {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted at %s: containers need them", cgroupRoot)
	}
	return dirs, nil
}

// delegate makes the controllers of a hierarchy usable below own. A controller
// that cannot be had is the business of whoever needs it.
func delegate(dir, own string) error {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err == nil { // v2
		for _, c := range strings.Fields(string(controllers)) {
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0)
			_ = os.WriteFile(filepath.Join(own, "cgroup.subtree_control"), []byte("+"+c), 0)
		}
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // v1: a new cpuset is empty
		value, err := os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(own, file), value, 0); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes the cgroups of that name and all below. Their processes
// have ended, but the kernel may need a moment to see that they are empty.
func removeCgroups(name string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, dir := range dirs {
		for {
			err := removeTree(filepath.Join(dir, name))
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) { // children before parents
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
	return nil
}
