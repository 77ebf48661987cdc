package schema

import (
	"strings"
	"testing"
)

func TestConditionMapsAreInOrder(t *testing.T) {
	t.Parallel()
	const input = `{"e":{"z":1,"b":2,"m":3,"a":"4","q":[5],"f":null},"n":1}`
	tests := map[string]struct{ source, wantErr string }{
		"keys of the input":      {`$.e.map(k, k) == ["a", "b", "f", "m", "q", "z"]`, ""},
		"the input's own":        {`$.filter(k, true) == ["e", "n"]`, ""},
		"keys of a literal":      {`{"b": $.n, "a": 2, "c": 3}.map(k, k) == ["a", "b", "c"]`, ""},
		"keys of several types":  {`{"b": 1, 2: $.n, true: 3, 1: 4, 7u: 5, false: 6}.map(k, string(k)) == ["false", "true", "1", "2", "b", "7"]`, ""},
		"the last of the errors": {"$.e.exists(k, $.e[k] == 9 || !$.e[k])", `"!" does not apply to int`},
		"a list as a key":        {"{[$.n]: 1}.exists(k, true)", "a key is a boolean, a whole number or a string, and not of type list"},
		"null as a key":          {"{null: 1} == {null: 1}", "not of type null_type"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := CompileCondition(tc.source)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				got, err := c.Eval([]byte(input))
				if tc.wantErr == "" && (err != nil || !got) || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
					t.Fatalf("Eval = %v, %v; want true, or an error with %q", got, err, tc.wantErr)
				}
			}
		})
	}
}
