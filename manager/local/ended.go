package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// The pods of a Job that have ended are in ended.jsonl, a line each, so that what
// is written at each change does not grow with them. status.json says how much of
// it counts: what a RunJob that was killed has written beyond that is as if it had
// not been, and the next one writes over it.

// endedPods reads the pods in the bytes of ended.jsonl from one offset to another;
// none if there are no bytes between.
func (d jobDir) endedPods(from, to int64) ([]corev1.Pod, error) {
	if from >= to {
		return nil, nil
	}
	f, err := os.Open(d.endedPath())
	if err != nil {
		return nil, err
	}
	data := make([]byte, to-from)
	_, err = f.ReadAt(data, from)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read bytes %d to %d of %s: %w", from, to, d.endedPath(), err)
	}
	var pods []corev1.Pod
	for line := range bytes.Lines(data) {
		var pod corev1.Pod
		if err := json.Unmarshal(line, &pod); err != nil {
			return nil, fmt.Errorf("decode %s: %w", d.endedPath(), err)
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// addEnded writes the pods to ended.jsonl at the offset, and returns the one behind
// them.
func (d jobDir) addEnded(at int64, pods []corev1.Pod) (int64, error) {
	if len(pods) == 0 {
		return at, nil
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for i := range pods {
		if err := encoder.Encode(&pods[i]); err != nil {
			return at, fmt.Errorf("encode pod %s: %w", pods[i].Name, err)
		}
	}
	f, err := os.OpenFile(d.endedPath(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return at, err
	}
	_, err = f.WriteAt(lines.Bytes(), at)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && at == 0 {
		err = syncDir(string(d)) // status.json is about to rely on the file
	}
	if err != nil {
		return at, fmt.Errorf("write %s: %w", d.endedPath(), err)
	}
	return at + int64(lines.Len()), nil
}

// write brings the Job's files up to date. The pods that have ended get in front of
// those that have not.
func (j *jobRun) write() error {
	var gone, live []corev1.Pod
	for _, pod := range j.state.Pods[j.written:] {
		if podEnded(&pod) {
			gone = append(gone, pod)
		} else {
			live = append(live, pod)
		}
	}
	size, err := j.dir.addEnded(j.state.Ended, gone)
	if err != nil {
		return err
	}
	state := j.state
	state.Ended, state.Pods = size, live
	if err := writeJSON(j.dir.statusPath(), &state); err != nil {
		return err
	}
	j.state.Ended = size
	j.state.Pods = append(append(j.state.Pods[:j.written], gone...), live...)
	j.written += len(gone)
	return nil
}
