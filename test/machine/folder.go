package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Keep is the environment variable that, set to anything, keeps the folders of
// Folder (data and logs of the servers) after the test.
const Keep = "JOBNETES_TEST_KEEP"

// Folder is a temporary folder that is removed when the process ends, even by
// SIGKILL, if Remove has not done so before.
type Folder struct {
	Path    string
	janitor *exec.Cmd
	// alive is a pipe's end that Remove closes, or the kernel at the process's
	// end. It is a bare descriptor, since the garbage collector closes an
	// *os.File that nobody refers to any more, while servers still use the folder.
	alive int
}

// NewFolder makes a temporary folder whose name contains name.
func NewFolder(name string) (*Folder, error) {
	path, err := os.MkdirTemp("", "jobnetes-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	folder := &Folder{Path: path}
	if os.Getenv(Keep) != "" {
		return folder, nil
	}
	// The shell waits for the end of its standard input, which comes when this
	// process ends. Processes that are ending with it may still write a file
	// while rm is at work: hence the second try.
	folder.janitor = exec.Command("sh", "-c", `cat; rm -rf "$0" || { sleep 1; rm -rf "$0"; }`, path)
	folder.janitor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	var pipe [2]int
	err = syscall.Pipe2(pipe[:], syscall.O_CLOEXEC)
	if err == nil {
		end := os.NewFile(uintptr(pipe[0]), "end of "+path)
		folder.janitor.Stdin, folder.alive = end, pipe[1]
		err = errors.Join(folder.janitor.Start(), end.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the clean-up of %s: %w", path, err), os.RemoveAll(path))
	}
	return folder, nil
}

// Remove removes the folder now, unless Keep is set. Processes that write to it
// must have ended.
func (f *Folder) Remove() error {
	if f.janitor == nil {
		return nil
	}
	if err := syscall.Close(f.alive); err != nil {
		return fmt.Errorf("remove %s: %w", f.Path, err)
	}
	if err := f.janitor.Wait(); err != nil {
		return fmt.Errorf("remove %s: %w", f.Path, err)
	}
	return nil
}
