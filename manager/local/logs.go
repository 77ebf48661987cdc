package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Logs reads what the container of the pod has written so far, to both of its
// outputs and in all its attempts. The error is apierrors.IsNotFound if there
// is no such pod or container.
func (r *Runner) Logs(_ context.Context, pod, container string) (io.ReadCloser, error) {
	d, err := r.findPod(pod, container)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(d.log(container))
	if errors.Is(err, fs.ErrNotExist) { // not started yet
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("open log of container %s of pod %s: %w", container, pod, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log of container %s of pod %s: %w", container, pod, err), f.Close())
	}
	// So far: who writes faster than the reader reads must not keep it forever.
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, info.Size()), f}, nil
}

// LogTail returns the last limit bytes of what Logs reads, from a line's
// beginning if there is one among them, and whether there is more before. It
// reads no more than that.
func (r *Runner) LogTail(_ context.Context, pod, container string, limit int) (text []byte, truncated bool, err error) {
	d, err := r.findPod(pod, container)
	if err != nil {
		return nil, false, err
	}
	// One byte more tells whether there is more, and where a line begins.
	text, err = tail(d.log(container), int64(limit)+1)
	if err != nil {
		return nil, false, fmt.Errorf("read log of container %s of pod %s: %w", container, pod, err)
	}
	if len(text) <= limit {
		return text, false, nil
	}
	if i := bytes.IndexByte(text[:len(text)-1], '\n'); i >= 0 {
		return text[i+1:], true, nil
	}
	return text[1:], true, nil
}
