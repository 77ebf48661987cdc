package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const broken = `{"name": "broken", "tasks": [{"name": "a", "type": "kube-job", "next": "nowhere", "job": {}}]}`

func TestWorkflowApply(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	path := file(t, "nightly.json", nightly)
	changed := file(t, "changed.json", strings.Replace(nightly, "busybox", "alpine", 1))
	for _, tc := range []struct{ path, want string }{
		{path, "workflow nightly created (id 1, version 1)\n"},
		{path, "workflow nightly unchanged (id 1, version 1)\n"},
		{changed, "workflow nightly updated (id 1, version 2)\n"},
	} {
		if got := s.mustRun("workflow", "apply", "-f", tc.path); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}

	weekly := strings.Replace(nightly, "nightly", "weekly", 1)
	stdout, stderr, err := runCommand(t.Context(), weekly, "workflow", "apply", "-f", "-", "-f", path, "-o", "json",
		"--endpoint", s.endpoint, "--username", "admin", "--password", "secret")
	if err != nil || stderr != "" {
		t.Fatalf("%v, %s", err, stderr)
	}
	var got []appliedView
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	want := []appliedView{{2, "weekly", 1, "created"}, {1, "nightly", 3, "updated"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Both say the same about a broken definition, one line for each problem, and
// go on with the next file.
func TestWorkflowProblems(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	bad, good := file(t, "bad.json", broken), file(t, "good.json", nightly)
	missing := bad + ".missing"
	var said [2]string
	for i, command := range []string{"apply", "validate"} {
		args := []string{"workflow", command, "-f", bad, "-f", missing, "-f", good}
		stdout, stderr, err := s.run(args...)
		if !errors.Is(err, errSaid) {
			t.Errorf("%s: error %v, want errSaid", command, err)
		}
		if !strings.Contains(stdout, "nightly") {
			t.Errorf("%s: stdout %q, want the good one to be there", command, stdout)
		}
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if len(lines) < 3 {
			t.Errorf("%s: stderr %q, want two problems or more, and the missing file", command, stderr)
		}
		for _, line := range lines[:len(lines)-1] {
			if !strings.HasPrefix(line, bad+": $") {
				t.Errorf("%s: line %q, want it to begin with the file and the path", command, line)
			}
		}
		if !strings.Contains(lines[len(lines)-1], missing) {
			t.Errorf("%s: last line %q, want the missing file", command, lines[len(lines)-1])
		}
		said[i] = stderr
	}
	if said[0] != said[1] {
		t.Errorf("apply says\n%s\nvalidate says\n%s", said[0], said[1])
	}
}

func TestWorkflowValidate(t *testing.T) {
	t.Parallel()
	path := file(t, "nightly.json", nightly)
	// Offline: no flag, no credentials, nobody listening.
	stdout, _, err := runCommand(t.Context(), "", "workflow", "validate", "-f", path)
	if want := path + ": workflow nightly is valid\n"; err != nil || stdout != want {
		t.Errorf("got %q, %v, want %q", stdout, err, want)
	}
}

func TestWorkflowListAndGet(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	yamlText := "# by hand\nname: weekly\ntasks:\n- {name: a, type: kube-job, job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}}}\n"
	s.mustRun("workflow", "apply", "-f", file(t, "n.json", nightly), "-f", file(t, "w.yaml", yamlText))

	lines := strings.Split(s.mustRun("workflow", "list"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "1   nightly  1        ") || !strings.HasPrefix(lines[2], "2   weekly   1        ") {
		t.Errorf("list:\n%s", strings.Join(lines, "\n"))
	}
	var listed []workflowView
	if err := json.Unmarshal([]byte(s.mustRun("workflow", "list", "-o", "json")), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 2 || listed[0].Name != "nightly" || listed[1].ID != 2 || listed[0].CreatedAt == nil || listed[0].Definition != nil {
		t.Errorf("list: %+v", listed)
	}

	for _, arg := range []string{"weekly", "2"} {
		if got := s.mustRun("workflow", "get", arg, "--definition"); got != yamlText {
			t.Errorf("get %s --definition: %q, want what was applied", arg, got)
		}
		var got struct {
			Name       string
			Definition struct {
				Tasks []struct{ Name string }
			}
		}
		if err := json.Unmarshal([]byte(s.mustRun("workflow", "get", arg, "-o", "json")), &got); err != nil {
			t.Fatal(err)
		}
		if got.Name != "weekly" || len(got.Definition.Tasks) != 1 || got.Definition.Tasks[0].Name != "a" {
			t.Errorf("get %s: %+v, want the definition as a value", arg, got)
		}
	}
	if got := s.mustRun("workflow", "get", "nightly"); !strings.Contains(got, "version:  1\n") || !strings.HasSuffix(got, nightly+"\n") {
		t.Errorf("get nightly:\n%s", got)
	}
	_, _, err := s.run("workflow", "get", "yearly")
	wantError(t, err, "get workflow yearly", `there is no workflow "yearly"`)
}
