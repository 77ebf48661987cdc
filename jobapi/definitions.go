package jobapi

import (
	"crypto/sha256"
	"sync"

	"github.com/jobnetes/jobnetes/schema"
)

// maxDefinitions bounds the memory of definitions. It is far above the number of
// definitions that are started often.
const maxDefinitions = 1024

// definitions checks stored definitions and remembers the answers, because a
// workflow is started much more often than it changes. It is safe for
// concurrent use.
type definitions struct {
	mu     sync.Mutex
	errors map[[sha256.Size]byte]error
}

// check returns what schema.Parse says about text.
func (d *definitions) check(text string) error {
	key := sha256.Sum256([]byte(text))
	d.mu.Lock()
	err, known := d.errors[key]
	d.mu.Unlock()
	if known {
		return err
	}
	_, err = schema.Parse([]byte(text))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.errors == nil || len(d.errors) >= maxDefinitions {
		d.errors = make(map[[sha256.Size]byte]error)
	}
	d.errors[key] = err
	return err
}
