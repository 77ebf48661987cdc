package jobapi

import (
	"context"
	"fmt"
	"sync"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// maxDefinitions bounds the memory of definitions. It is far above the number of
// definitions that are started often.
const maxDefinitions = 1024

// definitions remembers what is wrong with versions of workflows, nil or an error: a
// workflow is started much more often than it changes, and a version never does. It is
// safe for concurrent use.
type definitions struct {
	mu     sync.Mutex
	errors map[uint64]error // by the version's id
}

func (d *definitions) known(versionID uint64) (err error, known bool) { //nolint:revive // what was found, as a map gives it
	d.mu.Lock()
	defer d.mu.Unlock()
	err, known = d.errors[versionID]
	return err, known
}

func (d *definitions) remember(versionID uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.errors == nil || len(d.errors) >= maxDefinitions {
		d.errors = make(map[uint64]error)
	}
	d.errors[versionID] = err
}

// checkDefinition returns why a workflow's present definition cannot be run. One that was
// inserted by SQL has not been checked yet.
func (s *Server) checkDefinition(ctx context.Context, p dao.PresentVersion) error {
	invalid, known := s.definitions.known(p.VersionID)
	if !known {
		text, err := s.definition(ctx, p)
		if err != nil {
			return err
		}
		if _, invalid = schema.Parse([]byte(text)); p.VersionID != 0 {
			s.definitions.remember(p.VersionID, invalid)
		}
	}
	if invalid != nil {
		return refuseDefinition(errPrecondition, fmt.Sprintf("the stored definition of workflow %q (id %d) is not valid: correct it and apply it again", p.WorkflowName, p.WorkflowID), invalid)
	}
	return nil
}

// definition reads the text of p.
func (s *Server) definition(ctx context.Context, p dao.PresentVersion) (string, error) {
	if p.VersionID == 0 {
		w, err := s.store.Workflow(ctx, p.WorkflowID)
		return w.Definition, err
	}
	v, err := s.store.WorkflowVersion(ctx, p.VersionID)
	return v.Definition, err
}
