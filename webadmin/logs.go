package webadmin

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// logTail is how much of a container's log its task's page shows, in bytes.
	logTail = 64 << 10
	// logPods is of how many of a task's pods, the newest, the page shows logs.
	logPods = 3
)

// logView is the end of a container's log on a page.
type logView struct {
	Text string
	Cut  bool   // Text is only the end of what Raw has
	Kept bool   // Text is not the pod's log but what was kept of it
	Note string // why there is no text, or not all of it
	Raw  string // the address of the whole, or of all that was kept; empty: there is none

	HasMessage bool // Text ends with the message that the container left
}

func logURL(taskID uint64, pod, container string) string {
	return fmt.Sprintf("/tasks/%d/pods/%s/%s/log", taskID, url.PathEscape(pod), url.PathEscape(container))
}

// noteOlder is said in place of the logs of all but the newest pods.
const noteOlder = "An older pod: its log is not shown on this page."

// noteBusy is said in place of all logs of a page that there was no room for.
const noteBusy = "Too many logs are being read at once. Load the page again soon, or open the whole log."

// fillLogs reads the ends of the logs of the newest pods, one after the other,
// once there is room for one.
func (s *Server) fillLogs(ctx context.Context, taskID uint64, pods []podView, kept keptLogs) {
	var busy error
	if slices.ContainsFunc(pods[:min(len(pods), logPods)], podView.hasLog) {
		release, err := s.takeRoom(ctx, logTail)
		if busy = err; busy == nil {
			defer release()
		} else {
			s.log.LogAttrs(ctx, slog.LevelWarn, "a page goes without logs", slog.Uint64("task_id", taskID), slog.Any("error", busy))
		}
	}
	live, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	for i, p := range pods {
		for j := range p.Containers {
			c := &p.Containers[j]
			switch {
			case !c.begun:
				c.Log.Note = "The container has not started, so there is no log yet."
				continue
			case i >= logPods:
				c.Log.Note = noteOlder
			case busy != nil:
				c.Log.Note = noteBusy
			default:
				text, cut, err := s.pods.LogTail(live, p.Name, c.Name, logTail)
				if err == nil {
					c.Log = newLogView(text, cut)
				} else {
					c.Log = s.insteadOfLog(ctx, taskID, p.Name, c.Name, kept.has(p.Name, c.Name), err)
				}
				c.mergeMessage()
			}
			c.Log.Raw = logURL(taskID, p.Name, c.Name)
		}
	}
}

// hasLog says whether a container of the pod has run, so that there may be a log.
func (p podView) hasLog() bool {
	return slices.ContainsFunc(p.Containers, func(c containerView) bool { return c.begun })
}

func newLogView(text []byte, cut bool) logView {
	v := logView{Text: cleanText(text), Cut: cut}
	if len(text) == 0 {
		v.Note = "The log is empty."
	}
	return v
}

// mergeMessage leaves the message out if the log ends with it, as it does by
// terminationMessagePolicy FallbackToLogsOnError: once is enough.
func (c *containerView) mergeMessage() {
	message, log := strings.TrimSpace(c.Message), strings.TrimSpace(c.Log.Text)
	if message != "" && strings.HasSuffix("\n"+log, "\n"+message) {
		c.Message, c.Log.HasMessage = "", true
	}
}

// insteadOfLog is what the page shows of a log that could not be read from its
// pod, and why: what was kept, if something was. The rest of the page is worth
// showing in any case.
func (s *Server) insteadOfLog(ctx context.Context, taskID uint64, pod, container string, kept bool, err error) logView {
	gone := apierrors.IsNotFound(err)
	if !gone {
		s.logUnread(ctx, taskID, pod, container, err)
	}
	switch {
	case gone && !kept:
		return logView{Note: "The log is gone, and nothing was kept of it: the pod, or the container on its node, was removed."}
	case !kept:
		return logView{Note: "The log could not be read in time; webadmin's log has the reason. Load the page again, or open the whole log."}
	}
	why := "The pod's log could not be read; webadmin's log has the reason."
	if gone {
		why = "The pod's log is gone."
	}
	return s.readKept(ctx, taskID, pod, container, why+" This is what was kept of it in the database.")
}

// logUnread logs why a log, or a task's pods, could not be read where what was
// kept, or a note, takes the place of an error.
func (s *Server) logUnread(ctx context.Context, taskID uint64, pod, container string, err error) {
	s.log.LogAttrs(ctx, slog.LevelError, "a log could not be read",
		slog.Uint64("task_id", taskID), slog.String("pod", pod), slog.String("container", container), slog.Any("error", err))
}
