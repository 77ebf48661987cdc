package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// maxExpanded bounds a YAML document with its aliases expanded, in bytes of
// its scalars plus one for each node. A document of MaxDocumentSize without
// aliases stays well below it.
const maxExpanded = 4 * MaxDocumentSize

// yamlToJSON converts a YAML document as kubectl does. It returns false, with
// the reason in the report, if that cannot be done.
func yamlToJSON(doc []byte, r *report) ([]byte, bool) {
	if err := checkYAML(doc); err != nil {
		addYAML(r, err)
		return nil, false
	}
	converted, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		addYAML(r, err)
		return nil, false
	}
	return converted, true
}

// checkYAML looks at what the conversion does not: a second document, which it
// would drop, and aliases that make little text into a huge or endless tree.
func checkYAML(doc []byte) error {
	dec := yamlnode.NewDecoder(bytes.NewReader(doc))
	var root, more yamlnode.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return errors.New("the document is empty; a definition is an object with name and tasks")
	case err != nil:
		return err
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return fmt.Errorf("line %d: a second document begins; apply one definition at a time", more.Line)
	case !errors.Is(err, io.EOF):
		return err
	}
	return (&expansion{}).visit(&root, 0)
}

// expansion measures a tree as it would be with every alias expanded.
type expansion struct{ size int }

func (e *expansion) visit(n *yamlnode.Node, depth int) error {
	e.size += len(n.Value) + 1
	if e.size > maxExpanded {
		return fmt.Errorf("line %d: the document grows beyond %d bytes when its aliases are expanded", n.Line, maxExpanded)
	}
	// Two levels are not the document's own: its node, and an alias's.
	if depth > MaxDepth+1 {
		return fmt.Errorf("line %d: the document is nested more than %d levels deep", n.Line, MaxDepth)
	}
	if isNoNumber(n) {
		return fmt.Errorf("line %d: JSON has no number %s; put it in quotes if it is a text", n.Line, n.Value)
	}
	if n.Kind == yamlnode.AliasNode {
		return e.visit(n.Alias, depth+1)
	}
	for _, child := range n.Content {
		if err := e.visit(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// isNoNumber tells whether YAML takes a scalar for an infinity or not-a-number.
func isNoNumber(n *yamlnode.Node) bool {
	if n.Kind != yamlnode.ScalarNode || n.ShortTag() != "!!float" {
		return false
	}
	switch strings.ToLower(strings.TrimLeft(n.Value, "+-")) {
	case ".inf", ".nan":
		return true
	}
	return false
}

// addYAML reports an error of the YAML libraries, which may hold several.
func addYAML(r *report, err error) {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "yaml: ")
		if line == "" || line == "unmarshal errors:" {
			continue
		}
		r.add(nil, "%s", line)
	}
}
