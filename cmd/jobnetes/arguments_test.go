package main

import (
	"bytes"
	"strings"
	"testing"
)

// What is typed wrong fails, and says what would be right: a job that forgets a
// word must not succeed without its output.
func TestMistypedCommands(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args []string
		want string
	}{
		"output without set":             {[]string{"output", `{"a":1}`}, `jobnetes output has no command "{\"a\":1}"; it has: set`},
		"a misspelt command":             {[]string{"workflow", "aply", "-f", "x.json"}, `jobnetes workflow has no command "aply"; did you mean "apply"?`},
		"apply without -f":               {[]string{"workflow", "apply", "x.json"}, "name the file with -f FILE"},
		"apply of nothing":               {[]string{"workflow", "apply"}, "-f FILE"},
		"validate of nothing":            {[]string{"workflow", "validate"}, "Name its file with -f FILE"},
		"start of nothing":               {[]string{"start"}, "needs the name or id of a workflow"},
		"start of two":                   {[]string{"start", "a", "b"}, "takes one argument"},
		"start with an empty input":      {[]string{"start", "a", "-i", ""}, "--input is empty"},
		"start with an empty request id": {[]string{"start", "a", "--request-id", ""}, "--request-id is empty"},
		"executions with an id":          {[]string{"executions", "7"}, "`jobnetes execution ID`"},
		"dev with a folder":              {[]string{"dev", "data"}, "--data DIR"},
		"an unknown command":             {[]string{"stat"}, `unknown command "stat"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := newRootCommand()
			root.SetArgs(append(tc.args, "--data", t.TempDir()))
			if tc.args[0] == "dev" || tc.args[0] == "output" || tc.args[0] == "stat" {
				root.SetArgs(tc.args)
			}
			root.SetOut(&bytes.Buffer{})
			root.SetErr(&bytes.Buffer{})
			err := root.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestCommandGroupsHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	root := newRootCommand()
	root.SetArgs([]string{"workflow"})
	root.SetOut(&out)
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "validate") {
		t.Errorf("%v: %s", err, out.String())
	}
}
