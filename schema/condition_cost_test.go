package schema

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// hostileInput has what hostile conditions need: 1 MB in all.
func hostileInput(t *testing.T) []byte {
	t.Helper()
	words := make([]string, 5000)
	index := map[string]int{}
	for i := range words {
		words[i] = fmt.Sprintf("word-%05d", i)
		index[words[i]] = i
	}
	input, err := json.Marshal(map[string]any{
		"s":       strings.Repeat("a", 1000),
		"text":    strings.Repeat("a", 400_000),
		"twin":    strings.Repeat("a", 399_999) + "b",
		"number":  strings.Repeat("1", 50_000),
		"l":       make([]int, 2001),
		"many":    make([]int, 50_000),
		"words":   words,
		"index":   index,
		"pattern": "(x{100}){4}",
		"repeats": strings.Repeat("x{1000}", 140),
		"time":    "2026-01-01T00:00:00Z",
		"deep":    json.RawMessage(strings.Repeat("[", 5000) + strings.Repeat("]", 5000)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return input
}

// nest returns $ -> all(x1, all(x2, ...)) in which every variable holds its
// predecessor twice.
func nest(format string, innermost string) string {
	const depth = 40
	source, last := "", "$.l"
	for i := range depth {
		name := fmt.Sprintf("x%d", i)
		source += "[" + strings.ReplaceAll(format, "x", last) + "].all(" + name + ", "
		last = name
	}
	return source + strings.ReplaceAll(innermost, "x", last) + strings.Repeat(")", depth)
}

// TestConditionEvalIsBounded has each condition stopped by its cost; without
// that most would take hours, or all memory. It is not parallel, as it measures
// what the whole process allocates.
func TestConditionEvalIsBounded(t *testing.T) {
	const memoryLimit = 1 << 30
	times := strings.Repeat
	tests := map[string]struct{ source, want string }{
		"nested loops":          {"$.many.all(a, $.many.all(b, $.many.all(c, a == b && b == c)))", "too much work"},
		"a growing list":        {"size($.l.map(a, $.l.map(b, $.l.map(c, string(c) + string(b))))) > 0", "too much work"},
		"doubled strings":       {"[$.s]" + times(".map(x,x+x)", 23) + `[0] == "x"`, "too much work"},
		"doubled bytes":         {"[bytes($.s)]" + times(".map(x,x+x)", 23) + `[0] == b"x"`, "too much work"},
		"doubled lists":         {"[$.l]" + times(".map(x,x+x)", 23) + `[0] == []`, "too much work"},
		"doubled sums":          {"[$.s]" + times(".map(x,x+x+x+x+x+x+x+x)", 10) + `[0] == "x"`, "too much work"},
		"lists of lists":        {"[$.l]" + times(".map(x,[x,x])", 18) + ".map(x, x == x)[0]", "too much work"},
		"small lists of lists":  {"[[1]]" + times(".map(x,[x,x])", 60) + ".map(x, x == x)[0]", "too much work"},
		"maps of maps":          {"[$.l]" + times(`.map(x,{"a":x,"b":x})`, 60) + ".map(x, x == x)[0]", "too much work"},
		"keys of lists":         {"[$.l]" + times(`.map(x,[x,x])`, 60) + ".map(x, dyn(x) in {1:1})[0]", "too much work"},
		"nested literals":       {nest("[x,x]", "x == x"), "too much work"},
		"nested maps":           {nest("{1:x,2:x}", "x == x"), "too much work"},
		"filtered lists":        {"[[$.l]]" + times(".map(x,[x,x].filter(y,true))", 40) + ".exists(x, x == [x])", "too much work"},
		"a conditional":         {"[$.l]" + times(".map(x,true?[x,x]:x)", 40) + ".exists(x, [x] == x)", "too much work"},
		"printed as a key":      {nest("[x,x]", "{1:true}[dyn(x)]"), "too much work"},
		"printed as an index":   {nest("[x,x]", "[true][dyn(x)]"), "too much work"},
		"the input with itself": {"$.many.all(x, $ == $)", "too much work"},
		"unequal inputs":        {"$.many.all(x, $.words != $.many)", "too much work"},
		"members of a list":     {"$.many.all(x, !($.words in [$.many, $.l]))", "too much work"},
		"members of lists":      {`$.words.all(x, x in $.words)`, "too much work"},
		"nested equality":       {`$.many.all(x, $.deep == $.deep)`, "too much work"},
		"compared texts":        {"$.many.all(x, $.text < $.twin)", "too much work"},
		"equal texts":           {"$.many.all(x, $.text != $.twin)", "too much work"},
		"contained texts":       {`$.many.all(x, !$.text.contains($.twin))`, "too much work"},
		"ends of texts":         {`$.many.all(x, !$.text.endsWith($.twin))`, "too much work"},
		"upper case":            {"$.many.all(x, $.text.upperAscii() != $.s)", "too much work"},
		"split texts":           {`$.many.all(x, $.text.split("") != [])`, "too much work"},
		"characters":            {`$.many.all(x, $.text.charAt(399999) == "a")`, "too much work"},
		"substrings":            {`$.many.all(x, $.text.substring(1) != "a")`, "too much work"},
		"sizes of texts":        {`$.many.all(x, size($.text) > 0)`, "too much work"},
		"reversed texts":        {`$.many.all(x, $.text.reverse() != "a")`, "too much work"},
		"quoted texts":          {`$.many.all(x, strings.quote($.text) != "a")`, "too much work"},
		"trimmed texts":         {`$.many.all(x, $.text.trim() != "a")`, "too much work"},
		"conversions":           {`$.many.all(x, bytes($.text) != b"" && string(bytes($.text)) != "")`, "too much work"},
		"no numbers":            {`$.many.exists(x, int($.number) > 0)`, "too much work"},
		"no times":              {`$.many.exists(x, timestamp($.text) > timestamp($.time))`, "too much work"},
		"no durations":          {`$.many.exists(x, duration($.text) > duration("1s"))`, "too much work"},
		"time zones":            {`$.many.all(x, timestamp($.time).getHours("Europe/Vienna") >= 0)`, "too much work"},
		"a long text's regex":   {`$.text.matches("(a|aa|a*){50}b")`, "too much work"},
		"many regexes":          {`$.many.all(y, $.words.all(x, !x.matches("(a|o|w)*(x{100}){4}")))`, "too much work"},
		"regexes of the input":  {`$.many.all(x, !$.s.matches($.pattern))`, "too much work"},
		"wrong regexes":         {`$.many.exists(x, $.s.matches($.repeats))`, "too much work"},
		"long regexes":          {`$.many.exists(x, $.s.matches($.text))`, "the regexp has 400000 bytes"},
		"missing keys":          {`$.many.exists(x, $[$.text])`, "too much work"},
		"missing computed keys": {`$.many.exists(x, {"a": true}[$.text])`, "too much work"},
		"long sums":             {"[$.l" + times("+[1]", 90) + "].all(c, $.many.all(y, c.all(x, x < 2)))", "too much work"},
		"nested keys":           {`$.many.all(x, ` + times("$.index[", 40) + `"a"` + times("]", 40) + ` == 1)`, "too much work"},
		"sums of sums":          {"[[1]" + times("+[1]", 90) + "].all(c, $.many.all(y, c.all(x, x < 2)))", "too much work"},
	}
	input := hostileInput(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := CompileCondition(tc.source)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = c.Eval(input)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Eval: %v, want %q", err, tc.want)
			}
			allocated := after.TotalAlloc - before.TotalAlloc
			if allocated > memoryLimit {
				t.Errorf("Eval allocated %d MiB", allocated>>20)
			}
			t.Logf("%d MiB", allocated>>20)
		})
	}
}

func TestConditionEvalAllowsTheUsual(t *testing.T) {
	t.Parallel()
	input := hostileInput(t)
	for name, source := range map[string]string{
		"every element":              "$.many.all(x, x == 0)",
		"every text":                 `$.words.all(x, x.startsWith("word"))`,
		"every text's regex":         `$.words.all(x, x.matches("^word-[0-9]+$"))`,
		"every key":                  "$.words.all(x, x in $.index)",
		"every value":                "$.words.all(x, $.index[x] >= 0)",
		"mapped elements":            `size($.words.map(x, x + "!")) == 5000`,
		"filtered elements":          `size($.words.filter(x, x != "word-00000")) == 4999`,
		"an input against nothing":   "$.words.all(x, $.words != null && $.index != {})",
		"a regex over a long text":   `!$.text.matches("^b+$")`,
		"two large values":           "$.words == $.words && $.text != $.twin",
		"a text among constant ones": `$.words.exists(x, x in ["word-04999", "other"])`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := CompileCondition(source)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Eval(input); err != nil || !got {
				t.Errorf("Eval = %v, %v; want true", got, err)
			}
		})
	}
}
