package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// Exit codes of a container whose process could not be started, as of a
	// shell.
	exitNotStarted = 126
	exitNotFound   = 127
	// exitLeftover is that of a container whose processes cannot be ended.
	exitLeftover = 137
)

// containerRun runs one container of a pod.
type containerRun struct {
	*podRun
	c     *corev1.Container
	index int
	init  bool
}

// status is the container's part of the pod's status.
func (r *containerRun) status(pod *corev1.PodStatus) *corev1.ContainerStatus {
	if r.init {
		return &pod.InitContainerStatuses[r.index]
	}
	return &pod.ContainerStatuses[r.index]
}

// run runs the container until it succeeds, or fails for good, and tells which.
func (r *containerRun) run(ctx context.Context) bool {
	for failures := 0; ; {
		if ctx.Err() != nil {
			return false
		}
		end, killed := r.once(ctx)
		succeeded := end.ExitCode == 0 && !killed
		retry := !succeeded && ctx.Err() == nil && r.spec.RestartPolicy == corev1.RestartPolicyOnFailure
		r.report(update{restart: retry, apply: func(pod *corev1.PodStatus) {
			s := r.status(pod)
			s.State = corev1.ContainerState{Terminated: &end}
			s.Ready, s.Started = false, new(false)
		}})
		if !retry {
			return succeeded
		}
		failures++
		select {
		case <-ctx.Done():
		case <-time.After(backoff(r.base, failures)):
		}
	}
}

// reportRunning reports the start of the container's process.
func (r *containerRun) reportRunning(started metav1.Time, pid int) {
	r.report(update{apply: func(pod *corev1.PodStatus) {
		s := r.status(pod)
		if last := s.State.Terminated; last != nil {
			s.LastTerminationState = corev1.ContainerState{Terminated: last}
			s.RestartCount++
		}
		s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
		s.ContainerID = containerID(pid)
		s.Ready, s.Started = !r.init, new(true)
		if !r.init {
			pod.Phase = corev1.PodRunning
		}
	}})
}

// containerID lets people find the process.
func containerID(pid int) string { return fmt.Sprintf("process://%d", pid) }

// once runs the container's command and returns how it ended. When ctx ends,
// the command's process group is asked to end, and killed after the grace
// period; killed tells of that.
func (r *containerRun) once(ctx context.Context) (end corev1.ContainerStateTerminated, killed bool) {
	// The process is killed when the thread that started it ends, see
	// containerAttr.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	started := metav1.Now()
	cmd, err := r.start()
	if err != nil {
		return startError(err, started), false
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		waitEnd(cmd)
	}()
	r.reportRunning(started, cmd.Process.Pid)
	killed = r.await(ctx, cmd.Process.Pid, exited)
	r.children.wait(cmd)
	leftover := errors.Join(r.dir.endContainer(r.pod.UID, r.c.Name), r.children.endOrphans(r.pod.UID))

	end = corev1.ContainerStateTerminated{
		ExitCode:    exitCode(cmd.ProcessState),
		Reason:      "Completed",
		StartedAt:   started,
		FinishedAt:  metav1.Now(),
		ContainerID: containerID(cmd.Process.Pid),
	}
	if end.ExitCode != 0 {
		end.Reason = "Error"
	}
	if cause, ok := errors.AsType[*stopCause](context.Cause(ctx)); killed && ok && cause.reason == reasonDeadline {
		end.Reason = reasonDeadline
	}
	end.Message = terminationMessage(r.c, r.dir, end.ExitCode != 0)
	if leftover != nil { // the next attempt must not run beside them
		end.ExitCode, end.Reason, end.Message = exitLeftover, "LeftoverProcesses", leftover.Error()
	}
	return end, killed
}

// startError is the end of a container whose process could not be started.
func startError(err error, started metav1.Time) corev1.ContainerStateTerminated {
	code := int32(exitNotStarted)
	if errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	return corev1.ContainerStateTerminated{
		ExitCode:   code,
		Reason:     "StartError",
		Message:    err.Error(),
		StartedAt:  started,
		FinishedAt: metav1.Now(),
	}
}

// exitCode is the process's exit code, as a shell gives it if a signal ended
// the process.
func exitCode(state *os.ProcessState) int32 {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int32(ws.Signal())
	}
	return int32(state.ExitCode())
}

// await returns when the process pid has ended, and its group with it, and
// tells whether ctx made it end.
func (r *containerRun) await(ctx context.Context, pid int, exited <-chan struct{}) (killed bool) {
	var grace <-chan time.Time
	done := ctx.Done()
	for {
		select {
		case <-exited:
			// Like a container's first process, it takes all others along.
			_ = signalGroup(pid, syscall.SIGKILL)
			return killed
		case <-done:
			done, killed = nil, true
			seconds := min(*r.spec.TerminationGracePeriodSeconds, maxGrace)
			_ = signalGroup(pid, syscall.SIGTERM)
			grace = time.After(time.Duration(seconds) * time.Second)
		case <-grace:
			_ = signalGroup(pid, syscall.SIGKILL)
		}
	}
}

// start starts the container's command in its own process group, with its
// output appended to the container's log.
func (r *containerRun) start() (*exec.Cmd, error) {
	name := r.c.Name
	if err := r.dir.makeWork(name); err != nil {
		return nil, fmt.Errorf("make the container's folder: %w", err)
	}
	if err := os.WriteFile(r.dir.output(name), nil, 0o600); err != nil {
		return nil, fmt.Errorf("make the container's output file: %w", err)
	}
	log, err := os.OpenFile(r.dir.log(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the container's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd, err := r.command()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := r.children.start(cmd, r.pod.UID, containerMark(r.pod.UID, name)); err != nil {
		return nil, fmt.Errorf("start %q in %s: %w", cmd.Args[0], cmd.Dir, err)
	}
	r.note(cmd.Process.Pid)
	return cmd, nil
}

// note keeps the identity of the container's first process, for endLeftovers.
// That it fails, or that RunJob is killed before it, loses only those processes
// that have dropped their environment. It need not survive a power cut, which
// no process does.
func (r *containerRun) note(pid int) {
	p, err := identify(pid)
	if err != nil {
		return
	}
	if data, err := json.Marshal(p); err == nil {
		_ = os.WriteFile(r.dir.process(r.c.Name), data, 0o600)
	}
}

// command builds the container's process, not yet started.
func (r *containerRun) command() (*exec.Cmd, error) {
	vars := containerVars(&r.pod, r.c, r.dir.output(r.c.Name))
	env := processEnv(&r.pod, r.c, vars)
	args := append(expandAll(r.c.Command, vars), expandAll(r.c.Args, vars)...)
	program, err := lookPath(args[0], getenv(env, "PATH"))
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path:        program,
		Args:        args,
		Env:         env,
		Dir:         cmp.Or(r.c.WorkingDir, r.dir.work(r.c.Name)),
		SysProcAttr: containerAttr(),
	}, nil
}
