package webadmin

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jobnetes/jobnetes/dao"
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

// fillLogs reads the ends of the logs of the newest pods.
func (s *Server) fillLogs(ctx context.Context, taskID uint64, pods []podView, kept keptLogs) {
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
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
			default:
				c.Log = s.readTail(ctx, taskID, p.Name, c.Name, kept.find(p.Name, c.Name))
				c.mergeMessage()
			}
			c.Log.Raw = logURL(taskID, p.Name, c.Name)
		}
	}
}

// mergeMessage leaves the message out if the log ends with it, as it does by
// terminationMessagePolicy FallbackToLogsOnError: once is enough.
func (c *containerView) mergeMessage() {
	message, log := strings.TrimSpace(c.Message), strings.TrimSpace(c.Log.Text)
	if message != "" && strings.HasSuffix("\n"+log, "\n"+message) {
		c.Message, c.Log.HasMessage = "", true
	}
}

// readTail reads the end of one log, or returns what was kept of it (nil:
// nothing was). What goes wrong becomes a note: the rest of the page is worth
// showing.
func (s *Server) readTail(ctx context.Context, taskID uint64, pod, container string, kept *dao.TaskLog) logView {
	text, truncated, err := s.pods.LogTail(ctx, pod, container, logTail)
	if err == nil {
		v := logView{Text: cleanText(text), Cut: truncated}
		if len(text) == 0 {
			v.Note = "The log is empty."
		}
		return v
	}
	gone := apierrors.IsNotFound(err)
	if !gone {
		s.logUnread(ctx, taskID, pod, container, err)
	}
	switch {
	case gone && kept == nil:
		return logView{Note: "The log is gone, and nothing was kept of it: the pod, or the container on its node, was removed."}
	case kept == nil:
		return logView{Note: "The log could not be read in time; webadmin's log has the reason. Load the page again, or open the whole log."}
	}
	v, why := newKeptView(*kept), "The pod's log could not be read; webadmin's log has the reason."
	if gone {
		why = "The pod's log is gone."
	}
	v.Note = strings.TrimSpace(why + " This is what was kept of it in the database. " + v.Note)
	return v
}

// logUnread logs why a log, or a task's pods, could not be read where what was
// kept, or a note, takes the place of an error.
func (s *Server) logUnread(ctx context.Context, taskID uint64, pod, container string, err error) {
	s.log.LogAttrs(ctx, slog.LevelError, "a log could not be read",
		slog.Uint64("task_id", taskID), slog.String("pod", pod), slog.String("container", container), slog.Any("error", err))
}
