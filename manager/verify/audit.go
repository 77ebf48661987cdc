package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jobnetes/jobnetes/manager/kube"
)

// auditEvent is the part that is read of an event of the API server's audit log
// (audit.k8s.io/v1, "Event"). At level Metadata it has no objects.
type auditEvent struct {
	AuditID                  string
	Stage                    string
	RequestURI               string
	Verb                     string
	RequestReceivedTimestamp time.Time
	User                     struct{ Username string }
	ObjectRef                struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	ResponseStatus           struct{ Code int }
	ResponseObject           struct {
		Kind     string
		Metadata struct {
			Name, UID string
			Labels    map[string]string
		}
		Details struct{ UID string } // of the Status that answers a deletion
	}
}

// creation is a Job that was created, as the log has it.
type creation struct {
	// id is the Job's UID or, if the log does not have it, the request's.
	id     string
	hasUID bool
	at     time.Time
	user   string
}

// written is what the logs say of the Jobs of one name.
type written struct {
	created []creation
	refused bool // because the name was taken
	errored bool // a creation was answered with an error of the server (5xx), and may have been carried out
	deleted bool
	deleter string // who deleted it last, and when
	at      time.Time
	gone    string // the UID of the one that was deleted last, if the log has it
	ours    bool   // an answer has this installation's label
	taskID  string
}

// auditLog is what was read of the logs. It keeps some 300 bytes for each Job.
type auditLog struct {
	namespace, installation string
	jobs                    map[string]*written // by name
	users                   map[string]string   // each once, however often it is named
	from, to                time.Time           // of the events about these Jobs
	first, last             time.Time           // of all events
	unreadable              int
}

func newAuditLog(namespace, installation string) *auditLog {
	return &auditLog{namespace: namespace, installation: installation, jobs: map[string]*written{}, users: map[string]string{}}
}

// read reads one log to its end. A last line that is not whole is being written.
func (a *auditLog) read(l Log) error {
	in := bufio.NewReaderSize(l, 1<<20)
	var lines *bufio.Reader
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("read audit log %s: %w", l.Name, err)
		}
		lines = bufio.NewReaderSize(unzipped, 1<<20)
	} else {
		lines = in
	}
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read audit log %s: %w", l.Name, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			a.line(line)
		}
	}
}

// eventBegins is how each event begins in the log.
const eventBegins = `{"kind":"Event"`

// line takes a line. If the API server was killed while it wrote one, the next event
// stands in the same line: that one counts.
func (a *auditLog) line(line []byte) {
	var e auditEvent
	if json.Unmarshal(line, &e) == nil {
		a.event(&e)
		return
	}
	a.unreadable++
	e = auditEvent{}
	if at := bytes.LastIndex(line, []byte(eventBegins)); at > 0 && json.Unmarshal(line[at:], &e) == nil {
		a.event(&e)
	}
}

// event takes an event, if it is about a Job of the namespace.
func (a *auditLog) event(e *auditEvent) {
	o, at := &e.ObjectRef, e.RequestReceivedTimestamp
	widen(&a.first, &a.last, at)
	if e.Stage != "" && e.Stage != "ResponseComplete" || o.Resource != "jobs" || o.APIGroup != "batch" || o.Subresource != "" ||
		o.Namespace != a.namespace || strings.Contains(e.RequestURI, "dryRun=") {
		return
	}
	widen(&a.from, &a.to, at)
	name := o.Name
	if e.ResponseObject.Kind == "Job" && e.ResponseObject.Metadata.Name != "" {
		name = e.ResponseObject.Metadata.Name // a create may leave the name to the server
	}
	if name == "" {
		return // a deletion of many: each Job's own end is not told
	}
	switch e.Verb {
	case "create":
		a.create(name, e)
	case "delete":
		if code := e.ResponseStatus.Code; code < http.StatusMultipleChoices {
			w := a.of(name)
			w.deleted, w.deleter, w.at = true, a.user(e), at
			w.gone = cmp.Or(e.ResponseObject.Details.UID, e.ResponseObject.Metadata.UID)
		}
	}
}

// widen makes a span of time take in at; what is no event has no time.
func widen(from, to *time.Time, at time.Time) {
	if at.IsZero() {
		return
	}
	if from.IsZero() || at.Before(*from) {
		*from = at
	}
	if at.After(*to) {
		*to = at
	}
}

// judges says whether the logs can tell about the tasks that have a Job: either they
// have an event about the Jobs, or none of these tasks began while they were written.
func (a *auditLog) judges(launches map[string]launched) bool {
	if !a.from.IsZero() {
		return true
	}
	for _, task := range launches {
		if a.first.IsZero() || !task.at.Before(a.first) && !task.at.After(a.last) {
			return false
		}
	}
	return true
}

func (a *auditLog) create(name string, e *auditEvent) {
	switch code := e.ResponseStatus.Code; {
	case code == http.StatusConflict:
		a.of(name).refused = true
		return
	case code >= http.StatusInternalServerError:
		a.of(name).errored = true
		return
	case code < http.StatusOK || code >= http.StatusMultipleChoices:
		return
	}
	w, meta := a.of(name), &e.ResponseObject.Metadata
	c := creation{id: meta.UID, hasUID: meta.UID != "", at: e.RequestReceivedTimestamp, user: a.user(e)}
	if !c.hasUID {
		c.id = e.AuditID
	}
	if slices.ContainsFunc(w.created, func(o creation) bool { return o.id == c.id }) {
		return // the same log was given twice
	}
	w.created = append(w.created, c)
	if meta.Labels[kube.LabelInstallation] == a.installation && a.installation != "" {
		w.ours, w.taskID = true, meta.Labels[kube.LabelTaskID]
	}
}

func (a *auditLog) of(name string) *written {
	w := a.jobs[name]
	if w == nil {
		w = &written{}
		a.jobs[name] = w
	}
	return w
}

func (a *auditLog) user(e *auditEvent) string {
	name, ok := a.users[e.User.Username]
	if !ok {
		name = e.User.Username
		a.users[name] = name
	}
	return name
}
