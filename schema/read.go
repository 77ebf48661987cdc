package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	// MaxDocumentSize is the largest document that Parse takes, in bytes. YAML
	// may not grow beyond a small multiple of it when its aliases are expanded.
	MaxDocumentSize = 1 << 20
	// MaxDepth is how deep the arrays and objects of a document may be nested.
	// A parallel takes three levels.
	MaxDepth = 1000
)

// readDocument reads a JSON or YAML document into map[string]any, []any,
// string, json.Number, bool and nil. It returns false if nothing can be made
// of the document; duplicate keys are reported, but let the rest be checked.
func readDocument(doc []byte, r *report) (any, bool) {
	trimmed := bytes.TrimLeft(doc, " \t\r\n")
	switch {
	case len(doc) > MaxDocumentSize:
		r.add(nil, "the document has %d bytes; at most %d are allowed", len(doc), MaxDocumentSize)
	case bytes.HasPrefix(doc, []byte("\xef\xbb\xbf")):
		r.add(nil, "the document begins with a byte order mark; save it as UTF-8 without one")
	case !utf8.Valid(doc):
		r.add(nil, "the document is not UTF-8 text; save it as UTF-8")
	case len(trimmed) == 0:
		r.add(nil, "the document is empty; a definition is an object with name and tasks")
	case trimmed[0] == '{' || trimmed[0] == '[':
		return readJSON(doc, r)
	default:
		if doc, ok := yamlToJSON(doc, r); ok {
			return readJSON(doc, r)
		}
	}
	return nil, false
}

func readJSON(doc []byte, r *report) (any, bool) {
	// The whole syntax is checked first, as the token reader below is lenient
	// about what follows the document.
	if err := json.Unmarshal(doc, &json.RawMessage{}); err != nil {
		r.add(nil, "%s", describeSyntax(doc, err))
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	v, err := (&treeReader{dec: dec, report: r}).value(nil, 0)
	if err != nil {
		r.add(nil, "%v", err)
		return nil, false
	}
	return v, true
}

// describeSyntax says where in the text a JSON error is.
func describeSyntax(doc []byte, err error) string {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return fmt.Sprintf("the document is not JSON: %v", err)
	}
	// Offset counts the bytes read, the offending one included.
	before := doc[:max(0, min(int(syntax.Offset), len(doc))-1)]
	if syntax.Offset >= int64(len(doc)) {
		before = doc
	}
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d: the document is not JSON: %v", line, column, err)
}

// treeReader builds a document's tree from tokens, because decoding at one
// stroke would hide duplicate keys and not bound the depth.
type treeReader struct {
	dec    *json.Decoder
	report *report
}

func (t *treeReader) value(at *path, depth int) (any, error) {
	token, err := t.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == MaxDepth {
		return nil, fmt.Errorf("the document is nested more than %d levels deep", MaxDepth)
	}
	var v any
	if delim == '{' {
		v, err = t.object(at, depth+1)
	} else {
		v, err = t.array(at, depth+1)
	}
	if err != nil {
		return nil, err
	}
	if _, err := t.dec.Token(); err != nil { // the closing delimiter
		return nil, fmt.Errorf("read the document: %w", err)
	}
	return v, nil
}

func (t *treeReader) object(at *path, depth int) (any, error) {
	object := map[string]any{}
	for t.dec.More() {
		token, err := t.dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read the document: %w", err)
		}
		key, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("read the document: %v is no key", token)
		}
		place := at.child(key)
		if _, twice := object[key]; twice {
			t.report.add(place, "the key is given more than once; keep one")
		}
		if object[key], err = t.value(place, depth); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func (t *treeReader) array(at *path, depth int) (any, error) {
	array := []any{}
	for t.dec.More() {
		v, err := t.value(at.at(len(array)), depth)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	return array, nil
}
