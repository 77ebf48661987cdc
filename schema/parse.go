// Package schema is the definition language: it turns a workflow definition,
// JSON or YAML, into Go types that are known to be right, compiles the
// conditions of its branches, and names the Jobs of its tasks.
package schema

// Parse reads a workflow definition, JSON or YAML. Its structure is checked
// against the JSON Schema, its meaning in Go. The error is of type Problems
// and holds everything that is wrong with the document.
func Parse(doc []byte) (*Definition, error) {
	r := &report{}
	tree, ok := readDocument(doc, r)
	if !ok {
		return nil, r.err()
	}
	d := &decoder{report: r, byName: map[string]*taskNode{}}
	definition := d.definition(tree)
	d.checkReferences()
	// The schema decides what fits, the decoder explains. It is the stricter of
	// the two, so that the schema's own words are a safety net only.
	if err := fitsSchema(tree); err != nil && r.count() == 0 {
		r.add(nil, "the document does not fit the schema of definitions: %v", err)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	definition.byName = make(map[string]*Task, len(d.byName))
	for name, node := range d.byName {
		definition.byName[name] = node.task
	}
	return definition, nil
}
