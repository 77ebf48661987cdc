package jobapi

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// limit is how much a value may have, and where that is set.
type limit struct {
	bytes   int
	setting string
}

// maxDepth is how deep the arrays and objects of a value may be nested: far
// above what people write, and far below 10,000, where JSON libraries give up,
// for outputs are put into arrays on their way.
const maxDepth = 1000

// checkJSON refuses data unless it is one JSON value, in UTF-8, within the
// limit. what is its name in the answer.
func checkJSON(what string, data []byte, most limit) error {
	if len(data) > most.bytes {
		return refuse(errInvalid, "the %s has %d bytes, at most %d are allowed: send a reference to where it is kept, or raise %s of jobapi",
			what, len(data), most.bytes, most.setting)
	}
	if !utf8.Valid(data) {
		return refuse(errInvalid, "the %s is not UTF-8", what)
	}
	// Checked, not decoded: it is kept byte for byte.
	if err := json.Unmarshal(data, &json.RawMessage{}); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return refuse(errInvalid, "the %s is not JSON: %v (at byte %d of %d)", what, err, syntax.Offset, len(data))
		}
		return refuse(errInvalid, "the %s is not JSON: %v", what, err)
	}
	if depth := depthOf(data); depth > maxDepth {
		return refuse(errInvalid, "the %s is nested %d levels deep, at most %d are allowed", what, depth, maxDepth)
	}
	return nil
}

// depthOf returns how deep valid JSON is nested.
func depthOf(data []byte) int {
	var (
		depth, deepest int
		inString       bool
	)
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++ // whatever follows does not end the string
		case inString:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}
