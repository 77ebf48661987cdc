package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// The kubelet's limits on what becomes a termination message. Of more it takes
// the end.
const (
	maxMessage         = 4096 // bytes of the container's file
	maxMessageLog      = 2048 // bytes of its log
	maxMessageLogLines = 80
)

// terminationMessage is the message of a container that has ended: what it left
// in its output file, or the end of its log if it failed, left nothing, and
// wants that.
func terminationMessage(c *corev1.Container, dir podDir, failed bool) string {
	data, err := tail(dir.output(c.Name), maxMessage)
	if err != nil {
		return fmt.Sprintf("read the file named by %s: %v", envOutput, err)
	}
	if len(data) == 0 && failed && c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		data, err = tail(dir.log(c.Name), maxMessageLog)
		if err != nil {
			return fmt.Sprintf("read the log for the termination message: %v", err)
		}
		data = lastLines(data, maxMessageLogLines)
	}
	return strings.ToValidUTF8(string(data), "?")
}

// tail reads at most limit bytes from the end of the file; a missing file is
// empty. The container may have put anything there: what is no regular file is
// an error, and never waited for.
func tail(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-limit), limit))
}

// lastLines is the last n lines of data.
func lastLines(data []byte, n int) []byte {
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}
