package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// jobDir is the folder of one Job. See the package's documentation for what
// it holds.
type jobDir string

// record is job.json: what Create decided, never changed afterwards.
type record struct {
	Job *batchv1.Job `json:"job"`
	// Created orders the Jobs that wait for a slot: the Job's own
	// creationTimestamp has whole seconds only.
	Created time.Time `json:"created"`
	// Backoff is the delay before the first retry.
	Backoff time.Duration `json:"backoff"`
	// Slots is how many indexes of this Job, if it is indexed, run at once, at the most,
	// whatever other Jobs do; 0: as many as it says.
	Slots int `json:"slots,omitempty"`
}

// progress is what has become of the Job.
type progress struct {
	Status batchv1.JobStatus `json:"status"`
	// Pods are all pods so far, without their spec; in status.json only those that
	// have not ended, because it is written as a whole at each change.
	Pods []corev1.Pod `json:"pods"`
	// Ended is how many bytes of ended.jsonl count: the pods that have ended.
	Ended int64 `json:"ended"`
	// Failures counts the pods that failed since the last one that succeeded;
	// LastFailure is when the latest of them did.
	Failures    int       `json:"failures"`
	LastFailure time.Time `json:"lastFailure"`
}

func (d jobDir) path(name string) string { return filepath.Join(string(d), name) }

func (d jobDir) recordPath() string  { return d.path("job.json") }
func (d jobDir) statusPath() string  { return d.path("status.json") }
func (d jobDir) endedPath() string   { return d.path("ended.jsonl") }
func (d jobDir) lockPath() string    { return d.path("lock") }
func (d jobDir) deletedPath() string { return d.path("deleted") }
func (d jobDir) logPath() string     { return d.path("runner.log") }

// pod is the folder of the named pod.
func (d jobDir) pod(name string) podDir {
	return podDir(filepath.Join(string(d), "pods", name))
}

// record reads job.json.
func (d jobDir) record() (record, error) {
	var rec record
	if err := readJSON(d.recordPath(), &rec); err != nil {
		return rec, err
	}
	if rec.Job == nil || rec.Job.Name != filepath.Base(string(d)) {
		return rec, fmt.Errorf("%s does not hold the job that its folder is named after", d.recordPath())
	}
	return rec, nil
}

// progress reads what has become of the Job, with all its pods, oldest first.
func (d jobDir) progress() (progress, error) {
	p, err := d.status()
	if err != nil {
		return p, err
	}
	pods, err := d.endedPods(0, p.Ended)
	p.Pods = append(pods, p.Pods...)
	slices.SortStableFunc(p.Pods, func(a, b corev1.Pod) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return p, err
}

// status reads status.json, which does not have the pods that have ended; a Job
// that was never started has an empty one.
func (d jobDir) status() (progress, error) {
	var p progress
	err := readJSON(d.statusPath(), &p)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return p, err
}

// deleted tells whether the Job is to be deleted.
func (d jobDir) deleted() bool {
	_, err := os.Lstat(d.deletedPath())
	return err == nil
}

// gone tells whether somebody has removed the Job's folder, or enough of it that
// nothing can run the Job.
func (d jobDir) gone() bool {
	for _, path := range []string{d.lockPath(), d.recordPath()} {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// podDir is the folder of one pod; it has a folder for each container.
type podDir string

func (d podDir) log(container string) string     { return d.file(container, "log") }
func (d podDir) output(container string) string  { return d.file(container, "output") }
func (d podDir) process(container string) string { return d.file(container, "process") }
func (d podDir) work(container string) string    { return d.file(container, "work") }

func (d podDir) file(container, name string) string {
	return filepath.Join(string(d), container, name)
}

// makeWork makes the container's folders. It does not make the Job's: one that
// somebody has removed must not come back.
func (d podDir) makeWork(container string) error {
	pods, pod := filepath.Split(string(d))
	pods = filepath.Clean(pods)
	root, err := os.OpenRoot(filepath.Dir(pods))
	if err != nil {
		return err
	}
	err = root.MkdirAll(filepath.Join(filepath.Base(pods), pod, container, "work"), 0o700)
	return errors.Join(err, root.Close())
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces the file at path as a whole, so that readers see the old
// content or the new, also after a power cut.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	tmp := path + ".tmp"
	if err := writeSynced(tmp, data); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	return os.Rename(tmp, path)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the names in a folder survive a power cut.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
