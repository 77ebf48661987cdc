package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// maxDefinitions is how many parsed definitions are kept.
const maxDefinitions = 256

// definitions keeps parsed definitions by version: versions never change.
type definitions struct {
	mu     sync.Mutex
	parsed map[uint64]*schema.Definition
}

func newDefinitions() *definitions {
	return &definitions{parsed: map[uint64]*schema.Definition{}}
}

func (d *definitions) get(versionID uint64) *schema.Definition {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.parsed[versionID]
}

func (d *definitions) put(versionID uint64, def *schema.Definition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.parsed {
		if len(d.parsed) < maxDefinitions {
			break
		}
		delete(d.parsed, id) // any: what is in use is soon parsed again
	}
	d.parsed[versionID] = def
}

// definition returns the parsed definition of a version.
func (m *Manager) definition(ctx context.Context, versionID uint64) (*schema.Definition, error) {
	if def := m.defs.get(versionID); def != nil {
		return def, nil
	}
	v, err := m.store.WorkflowVersion(ctx, versionID)
	if errors.Is(err, dao.ErrNotFound) {
		return nil, &unrunnable{reason: inconsistentRows, err: fmt.Errorf("the version of its workflow (id %d) is missing: was the database restored in part?", versionID)}
	}
	if err != nil {
		return nil, err
	}
	def, err := schema.Parse([]byte(v.Definition))
	if err != nil {
		return nil, &unrunnable{reason: "InvalidDefinition", err: fmt.Errorf("version %d of the workflow is not a valid definition: %w", v.Version, err)}
	}
	m.defs.put(versionID, def)
	return def, nil
}
