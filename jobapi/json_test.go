package jobapi

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string { return strings.Repeat(`{"[":[`, depth/2) + strings.Repeat("]}", depth/2) }
	tests := map[string]struct {
		data string
		ok   bool
	}{
		"an object":              {`{"a": [1, 2]}`, true},
		"a string":               {`"a"`, true},
		"null":                   {`null`, true},
		"as deep as it may be":   {nested(maxDepth), true},
		"deeper":                 {nested(maxDepth + 2), false},
		"deeper than any parser": {nested(100_000), false},
		"wide, not deep":         {"[" + strings.Repeat("[],", 2*maxDepth) + "{}]", true},
		"brackets in strings":    {`"` + strings.Repeat("[", 2*maxDepth) + `"`, true},
		"brackets after quotes":  {`"\"` + strings.Repeat("{", 2*maxDepth) + `\\"`, true},
		"no string's end":        {`"\"`, false},
		"a comment":              {`{} // no`, false},
		"NaN":                    {`NaN`, false},
		"a byte order mark":      {"\ufeff{}", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := checkJSON("input", []byte(tc.data), limit{1 << 20, "x"})
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, errInvalid) {
				t.Errorf("error %v, want none: %v", err, tc.ok)
			}
		})
	}
}
