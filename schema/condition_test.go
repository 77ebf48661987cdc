package schema

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestConditionEval(t *testing.T) {
	t.Parallel()
	const input = `{"value":4,"half":3.5,"whole":3.0,"big":9007199254740993,"text":"x","on":true,"none":null,
		"list":[1,2.5,"b"],"nested":{"a-b":{"c":1}},"_":7,"if":1,"dollar":"$"}`
	tests := map[string]struct {
		source, input string
		want          bool
		wantErr       string // empty if it can be evaluated
	}{
		"an int":                               {"$.value > 3", `{"value":4}`, true, ""},
		"a smaller int":                        {"$.value > 3", `{"value":3}`, false, ""},
		"a double against an int":              {"$.value > 3", `{"value":3.5}`, true, ""},
		"an int against a double":              {"$.value > 3.5", `{"value":4}`, true, ""},
		"an exponent":                          {"$.value > 3", `{"value":1e2}`, true, ""},
		"3.0 equals 3":                         {"$.whole == 3", input, true, ""},
		"large ints are exact":                 {"$.big == 9007199254740993 && $.big != 9007199254740992", input, true, ""},
		"beyond int64":                         {"$.value > 3", `{"value":92233720368547758070}`, true, ""},
		"a sum of ints":                        {"$.value + 1 == 5", input, true, ""},
		"a product of doubles":                 {"$.half * 2.0 == 7.0", input, true, ""},
		"a boolean":                            {"$.on", input, true, ""},
		"a boolean by itself":                  {"$", `true`, true, ""},
		"a scalar":                             {"$ >= 3", `3`, true, ""},
		"null":                                 {"$ == null", `null`, true, ""},
		"an array":                             {"$[0] == 1 && size($) == 2", `[1,2]`, true, ""},
		"a parallel's output":                  {"$.all(o, o.ok)", `[{"ok":true},{"ok":true}]`, true, ""},
		"a set's output by exists":             {"$.exists(o, o.n > 1)", `[{"n":1},{"n":1.5}]`, true, ""},
		"a key in brackets":                    {`$["nested"]["a-b"].c == 1`, input, true, ""},
		"a missing key, guarded":               {"has($.gone) && $.gone > 3", input, false, ""},
		"a key among keys":                     {`"a-b" in $.nested`, input, true, ""},
		"a key called _":                       {"$._ == 7", input, true, ""},
		"a key that is a word of the language": {"$.if == 1", input, true, ""},
		"$ in a string":                        {`$.dollar == '$' && "$" == $.dollar`, input, true, ""},
		"$ after an escaped quote":             {`'\'$' != $.dollar && "\"$" != $.dollar`, input, true, ""},
		"$ in a raw string":                    {`r'\' != $.dollar && R"$" == $.dollar`, input, true, ""},
		"$ in triple quotes":                   {`'''it's $''' != $.dollar && """$""" == $.dollar`, input, true, ""},
		"$ in bytes":                           {`b'$' == bytes($.dollar) && br'\$' != bytes($.dollar)`, input, true, ""},
		"$ in a comment":                       {"$.on // not $x, and no '\n && $.value > 3", input, true, ""},
		"string functions":                     {`$.text.upperAscii() == "X" && $.text.startsWith("x")`, input, true, ""},
		"an error beside true":                 {"$.gone > 3 || $.on", input, true, ""},

		"a missing key":              {"$.value > 3", `{}`, false, "column 2: there is no key \"value\"; guard it with has($.value) && ..."},
		"a missing key below":        {"$.nested.x.y > 3", input, false, `there is no key "x"; guard it with has($.nested.x) && ...`},
		"a missing key in brackets":  {`$["x y"] > 3`, input, false, `guard it with "key" in ...`},
		"a string against a number":  {"$.text > 3", input, false, `">" does not apply to string and int`},
		"an object against a number": {"$ > 3", input, false, `">" does not apply to map and int`},
		"null against a number":      {"$.none > 3", input, false, `">" does not apply to null_type and int`},
		"an int times a double":      {"$.value * 1.5 > 3", input, false, `"*" does not apply to int and double`},
		"a number as condition":      {"$.value", input, false, "the result is of type int; it must be true or false"},
		"a string as condition":      {"$.text", input, false, "the result is of type string"},
		"null as condition":          {"$.none", input, false, "the result is of type null_type"},
		"a number among booleans":    {"$.value && true", input, false, "does not apply"},
		"out of an array":            {"$.list[3] == 1", input, false, "index out of bounds: 3"},
		"a key of an array":          {"$.list.x == 1", input, false, "list"},
		"division by zero":           {"1 / ($.value - 4) > 0", input, false, "division by zero"},
		"a bad pattern":              {`$.text.matches("(" + $.text)`, input, false, "regexp"},
		"no JSON":                    {"$.value > 3", `{"value":`, false, "the input is not JSON"},
		"more than JSON":             {"$.value > 3", `{"value":4} x`, false, "the input is not JSON"},
		"nothing":                    {"$.value > 3", ``, false, "the input is not JSON"},
		"too large a number":         {"$.value > 3", `{"value":1e999}`, false, "the input's number 1e999 is too large"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := CompileCondition(tc.source)
			if err != nil {
				t.Fatalf("CompileCondition: %v", err)
			}
			if c.String() != tc.source {
				t.Errorf("String() = %q, want the source", c.String())
			}
			got, err := c.Eval([]byte(tc.input))
			switch {
			case tc.wantErr == "" && err != nil:
				t.Errorf("Eval: %v", err)
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Errorf("Eval: %v, %v; want an error with %q", got, err, tc.wantErr)
			case got != tc.want:
				t.Errorf("Eval = %v, want %v", got, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), tc.source) {
				t.Errorf("the error does not quote the condition: %v", err)
			}
		})
	}
}

func TestZeroConditionIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := (Condition{}).Eval([]byte(`{}`)); err == nil {
		t.Error("Eval of the zero Condition is no error")
	}
}

func TestCompileConditionRejects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"nothing":                    {"", "unexpected end"},
		"half an expression":         {"$.value >", "column 10: unexpected end"},
		"a bracket too many":         {"$.value > 3)", "column 12: "},
		"= for ==":                   {"$.value = 3", "column 9: "},
		"a second line":              {"$.on &&\n  $.value = 3", "line 2, column 11: "},
		"after a wide character":     {"'é😀' == $.a && x", "column 16: there is no 'x'"},
		"an open string":             {"$.a == 'x", "column 8: "},
		"an undeclared name":         {"value > 3", "column 1: there is no 'value'"},
		"an undeclared function":     {"$.a.nope()", "there is no 'nope'"},
		"the internal name":          {"_.value > 3", `column 1: there is no "_"; the input is called $`},
		"$ in a name":                {"$.a && a$b", "column 9: $ is the whole input"},
		"$$":                         {"$$.a", "column 1: $ is the whole input"},
		"$ as a key":                 {"$.a.$", "column 5: $ is the whole input"},
		"a string and a number":      {`"x" > 3`, "'>' does not apply to (string, int)"},
		"an int":                     {"1 + 1", "its result is of type int; it must be true or false"},
		"a string":                   {"'true'", "its result is of type string"},
		"a list":                     {"[$.a]", "its result is of type list(dyn)"},
		"null result":                {"null", "it must be true or false"},
		"$ in an operator's message": {"$ ? 1 : true", "'?:' does not apply"},
		"has of nothing":             {"has($)", "has()"},
		"a costly function":          {"$.a.replace('', $.b) == ''", "replace is not available"},
		"too long":                   {"true || " + strings.Repeat("true || ", 600) + "true", "at most 4096"},
		"too deep":                   {strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), "recursion"},
		"a pattern too large":        {`$.a.matches("((x{100}){10}){1,1}")`, "program size"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := CompileCondition(tc.source)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("CompileCondition: %v\nwant an error with %q", err, tc.want)
			}
		})
	}
}

func TestConditionErrorsAreShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("true && ", 400)
	tests := map[string]struct{ source, input, want string }{
		"a syntax error":  {long + "$.value >", `{}`, "…`: column 3210: unexpected end"},
		"a wrong type":    {long + "'é' > 3", `{}`, "…`: column 3205: '>' does not apply to (string, int)"},
		"a missing key":   {long + "$.value > 3", `{}`, "…`: column 3202: there is no key \"value\""},
		"no boolean":      {"$." + strings.Repeat("a", 200), `{"` + strings.Repeat("a", 200) + `":1}`, "…`: the result is of type int"},
		"no JSON":         {long + "$", `{`, "…`: the input is not JSON"},
		"$ out of place":  {long + "$x", `{}`, "…`: column 3201: $ is the whole input"},
		"a long key":      {"$." + strings.Repeat("k", 3000) + " > 3", `{}`, "…`: column 2: there is no key"},
		"a long number":   {`int($) > 3`, `"` + strings.Repeat("1", 5000) + `"`, "condition `int($) > 3`: "},
		"wide characters": {strings.Repeat("'é' == 'é' && ", 100) + "$.a", `{}`, "&& 'é…`: column 1402"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := CompileCondition(tc.source)
			if err == nil {
				_, err = c.Eval([]byte(tc.input))
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v\nwant one with %q", err, tc.want)
			}
			if err != nil && (len(err.Error()) > 1500 || !utf8.ValidString(err.Error())) {
				t.Errorf("the error has %d bytes, or is cut within a character: %v", len(err.Error()), err)
			}
		})
	}
}
