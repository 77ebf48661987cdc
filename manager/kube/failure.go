package kube

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	// lastLines and lastLinesBytes bound what a message has of a log.
	lastLines      = 10
	lastLinesBytes = 2 << 10
	// maxDetails bounds, in bytes, what comes before it, so that all together
	// fits what the database keeps of a message (4 KiB).
	maxDetails = 1600
	// maxHead bounds one text of Kubernetes or of a container, in bytes.
	maxHead = 500
	// maxSignal is the greatest of the signals whose names are the same
	// everywhere.
	maxSignal = 31
)

// failureOf says why a Job failed: by the latest pod that failed, since
// Kubernetes' own message names no container and no exit code, and its
// BackoffLimitExceeded only counts failures. Then come the last lines of the log
// of the container that failed or, if no pod is left, of the last log.
func failureOf(job *batchv1.Job, c *batchv1.JobCondition, pods []corev1.Pod, logs []Log) (reason, message string) {
	reason = c.Reason
	f := podsFailure(job, c, pods, logs)
	if reason == batchv1.JobReasonBackoffLimitExceeded {
		reason = cmp.Or(f.reason, reason)
	}
	message = f.details
	switch {
	case message == "":
		message = c.Message
	case c.Reason != batchv1.JobReasonBackoffLimitExceeded && c.Message != "":
		// Of that one the message only repeats the reason.
		message += "; " + c.Message
	}
	message = cut(message, maxDetails)
	if f.details == "" {
		f.log = lastWritten(logs)
	}
	if lines := endOf(f.log.Text); lines != "" && !f.told {
		message += fmt.Sprintf("; last lines of the log of container %s of pod %s:\n%s", f.log.Container, f.log.Pod, lines)
	}
	return reason, message
}

// failure is what a pod says of its failure.
type failure struct {
	reason  string // of the pod or a container; empty if it says no more than that it failed
	details string // empty if nothing is known
	log     Log    // of the container that failed, if it wrote something
	told    bool   // details have the log's last lines
}

// podsFailure says which pod the Job has failed for, and how that failed: one that
// was deleted by hand, or the latest that failed; zero if none says. Pods that were
// ended because the Job had failed come last.
func podsFailure(job *batchv1.Job, c *batchv1.JobCondition, pods []corev1.Pod, logs []Log) failure {
	if c.Reason == batchv1.JobReasonBackoffLimitExceeded {
		if p := deletedByHand(job, pods); p != nil {
			return deletion(*p, c, logs)
		}
	}
	decided := decidedAt(job)
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Compare(deletedSince(a, decided), deletedSince(b, decided))
	})
	for _, p := range pods {
		if p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		if f := podFailure(p, c, logs); f.details != "" {
			f.details = fmt.Sprintf("pod %s: %s", p.Name, f.details)
			return f
		}
	}
	return stillRunning(pods, logs)
}

// podFailure says how a pod failed, but for its name; zero if it does not say.
func podFailure(p corev1.Pod, c *batchv1.JobCondition, logs []Log) failure {
	own, message := ownReason(p)
	f := failure{reason: own}
	var parts []string
	for _, name := range tellingOrder(p) {
		log := find(logs, p.Name, name)
		// What is said of the pod or the Job as a whole is not said of each container.
		reason, text, told := containerFailure(p, name, log.Text, own, c.Reason)
		if text == "" {
			continue
		}
		if len(parts) == 0 {
			f.reason = cmp.Or(own, reason)
		}
		parts = append(parts, text)
		if len(f.log.Text) == 0 {
			f.log, f.told = log, told
		}
	}
	if own == c.Reason {
		own = ""
	}
	if message == c.Message {
		message = ""
	}
	if text := strings.Trim(own+": "+head(message), ": "); text != "" {
		parts = append(parts, text)
	}
	f.details = strings.Join(parts, ", ")
	return f
}

// stillRunning says what ran when the Job was ended, as by its deadline.
func stillRunning(pods []corev1.Pod, logs []Log) failure {
	for _, p := range pods {
		for _, name := range tellingOrder(p) {
			if status(p, name).State.Running != nil {
				return failure{details: fmt.Sprintf("pod %s: container %s was still running", p.Name, name), log: find(logs, p.Name, name)}
			}
		}
	}
	return failure{}
}

// tellingOrder names the containers of a pod that have a status, those that tell
// most of how it went first: those that failed, in the order in which they did,
// and then the others. Sidecars (init containers that are restarted) come last:
// Kubernetes ends them when the others have ended.
func tellingOrder(p corev1.Pod) []string {
	const failed, failedSometime, ran, sidecar = 0, 1, 2, 3
	type place struct {
		name string
		rank int
		at   time.Time // when it failed
	}
	var places []place
	for _, c := range containersOf(p) {
		if status(p, c.Name) == nil {
			continue
		}
		l := place{name: c.Name, rank: ran}
		switch t := ownEnd(p, c.Name); {
		case c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways:
			l.rank = sidecar
		case t != nil && t.ExitCode != 0 && t.FinishedAt.IsZero(): // as a node says that was away
			l.rank = failedSometime
		case t != nil && t.ExitCode != 0:
			l.rank, l.at = failed, t.FinishedAt.Time
		}
		places = append(places, l)
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.rank, b.rank), a.at.Compare(b.at)) })
	names := make([]string, len(places))
	for i, l := range places {
		names[i] = l.name
	}
	return names
}

// ownReason is why the pod as a whole was ended, and Kubernetes' words for it, if
// that is not only because of its containers: evicted, its node lost, preempted.
func ownReason(p corev1.Pod) (reason, message string) {
	reason, message = p.Status.Reason, p.Status.Message
	for _, c := range p.Status.Conditions {
		if reason == "" && c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			reason, message = c.Reason, c.Message
		}
	}
	return reason, message
}

// containerFailure says how a container failed: its own reason, if that says
// more than Error, and a text, which is empty if it did not fail. The text leaves
// out reasons that are said elsewhere. told says that it has the end of its log,
// which Kubernetes may take as termination message (FallbackToLogsOnError).
func containerFailure(p corev1.Pod, name string, log []byte, elsewhere ...string) (reason, text string, told bool) {
	if t := ownEnd(p, name); t != nil && t.ExitCode != 0 {
		if t.Reason != "Error" {
			reason = t.Reason
		}
		noted := reason
		if slices.Contains(elsewhere, reason) {
			noted = ""
		}
		text = fmt.Sprintf("container %s exited with code %d%s", name, t.ExitCode, notes(t.ExitCode, noted))
		message := clean([]byte(t.Message))
		told = message != "" && strings.HasSuffix(clean(log), message)
		if told && len(message) > maxHead {
			return reason, text, false // its end counts, which the last lines have
		}
		if message != "" {
			text += ": " + head(message)
		}
		return reason, text, told
	}
	if why, w := cannotStart(p, name); w != nil {
		return why, strings.TrimSuffix(fmt.Sprintf("container %s never ran (%s): %s", name, w.Reason, head(w.Message)), ": "), false
	}
	return "", "", false
}

// notes says in brackets what else is known of an exit: the signal, where a code
// above 128 tells of one as a shell does, and the reason.
func notes(code int32, reason string) string {
	var all []string
	if n := code - 128; n > 0 && n <= maxSignal {
		all = append(all, fmt.Sprintf("signal %d: %s", n, syscall.Signal(n)))
	}
	if reason != "" {
		all = append(all, reason)
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// lastWritten is the last of the logs in which something is.
func lastWritten(logs []Log) Log {
	for _, l := range slices.Backward(logs) {
		if endOf(l.Text) != "" {
			return l
		}
	}
	return Log{}
}

// endOf is the last lines of a log.
func endOf(log []byte) string {
	text := clean(log)
	lines := strings.Split(text, "\n")
	text = strings.Join(lines[max(0, len(lines)-lastLines):], "\n")
	if len(text) <= lastLinesBytes {
		return text
	}
	text = text[len(text)-lastLinesBytes:]
	if _, whole, ok := strings.Cut(text, "\n"); ok {
		return whole
	}
	return strings.ToValidUTF8(text, "")
}

// clean makes a text fit to be shown: valid UTF-8 without control characters
// but for line breaks and tabs, without the marks that turn the direction of
// text, which could make a line look like another, and without space around it.
func clean(text []byte) string {
	printable := bytes.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return -1
		}
		return r
	}, bytes.ToValidUTF8(text, []byte("?")))
	return strings.TrimSpace(string(printable))
}

// head is the beginning of a long text.
func head(s string) string { return cut(clean([]byte(s)), maxHead) }

// cut is the beginning of a text, at most limit bytes and an ellipsis.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
