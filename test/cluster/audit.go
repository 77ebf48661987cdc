package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// auditLog is the file that the API server notes writes to Jobs in, before it
// answers them.
const auditLog = "audit.log"

// auditPolicy has every creation and deletion of a Job noted, with the object.
// The Job controller's writes of status are not.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: RequestResponse
    verbs: [create, update, patch, delete, deletecollection]
    resources: [{group: batch, resources: [jobs]}]
  - level: None
`

// JobWrite is a write to a Job that the API server has answered.
type JobWrite struct {
	At              time.Time // when the request arrived
	Verb            string    // create, update, patch, delete or deletecollection
	Namespace, Name string
	UID             types.UID // of the Job; empty if the answer names none
	User            string
	Code            int32 // HTTP status of the answer
}

// JobWrites gives the writes to Jobs of a namespace in the order of the answers.
// The test is skipped on a cluster that KUBECONFIG names: its log is not ours.
func (c *Cluster) JobWrites(t testing.TB, namespace string) []JobWrite {
	t.Helper()
	if c.dir == "" {
		t.Skip("needs the API server's audit log, which is only there for a cluster of the test's own: unset KUBECONFIG")
	}
	file, err := os.Open(c.path(auditLog))
	if errors.Is(err, os.ErrNotExist) {
		return nil // no write yet
	}
	if err != nil {
		t.Fatalf("read the audit log: %v", err)
	}
	defer func() { _ = file.Close() }()
	writes, err := readJobWrites(file, namespace)
	if err != nil {
		t.Fatal(err)
	}
	return writes
}

// AuditLog gives the path of the API server's audit log, which has the writes to
// Jobs of all namespaces. The test is skipped where JobWrites skips it.
func (c *Cluster) AuditLog(t testing.TB) string {
	t.Helper()
	if c.dir == "" {
		t.Skip("needs the API server's audit log, which is only there for a cluster of the test's own: unset KUBECONFIG")
	}
	return c.path(auditLog)
}

// auditEvent is the part that is read of k8s.io/apiserver/pkg/apis/audit/v1.Event.
type auditEvent struct {
	Verb                     string
	RequestReceivedTimestamp time.Time
	User                     struct{ Username string }
	ObjectRef                struct{ Namespace, Name, Subresource string }
	ResponseStatus           struct{ Code int32 }
	ResponseObject           struct {
		Kind     string
		Metadata struct {
			Name string
			UID  types.UID
		}
		Details struct{ UID types.UID }
	}
}

func readJobWrites(log io.Reader, namespace string) ([]JobWrite, error) {
	var writes []JobWrite
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return writes, nil // the rest, if any, is being written
		}
		if err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the audit log: %w: %s", err, line)
		}
		if e.ObjectRef.Namespace != namespace || e.ObjectRef.Subresource != "" {
			continue
		}
		w := JobWrite{
			At: e.RequestReceivedTimestamp, Verb: e.Verb, Namespace: namespace, Name: e.ObjectRef.Name,
			User: e.User.Username, Code: e.ResponseStatus.Code,
		}
		if o := e.ResponseObject; o.Kind == "Job" {
			w.Name, w.UID = o.Metadata.Name, o.Metadata.UID
		} else { // the Status of a deletion
			w.UID = o.Details.UID
		}
		writes = append(writes, w)
	}
}
