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
	return nil
}
