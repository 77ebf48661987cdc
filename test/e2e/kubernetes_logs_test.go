package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// talker writes a line, waits until it is told to go on, and writes another.
const talker = `
name: talker
tasks:
- name: main
  type: kube-job
  job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: [sh, -c, 'echo at work; until [ -e /go ]; do sleep 0.1; done; echo at the end']}]}}}}
`

// Logs are there while a job runs and after its pod is gone, on webadmin's pages
// and by the command.
func (in *installation) testLogs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "talker.yaml")
	write(t, file, string(in.definition([]byte(talker))))
	in.command(t, "workflow", "apply", "-f", file)
	id := strings.TrimSpace(in.command(t, "start", "talker"))
	var execution uint64
	if _, err := fmt.Sscan(id, &execution); err != nil {
		t.Fatal(err)
	}
	job := in.runningJob(t, execution)
	task := in.execution(t, execution).GetTasks()[0].GetId()
	everywhere := func() []string {
		return []string{in.command(t, "logs", id), in.webadmin(t, fmt.Sprintf("tasks/%d", task))}
	}
	// A log takes a moment from the container to the node's file.
	await(t, "the log of a running job", func() bool { return strings.Contains(in.command(t, "logs", id), "at work") })
	for _, text := range everywhere() {
		if !strings.Contains(text, "at work") || strings.Contains(text, "at the end") || strings.Contains(text, "kept") {
			t.Errorf("the log of a running job: %s", text)
		}
	}

	in.Kubectl(t, "exec", "--namespace", in.jobs, "job/"+job, "--", "touch", "/go")
	in.ended(t, execution)
	await(t, "the end of k8s.job-retention", func() bool { return in.podsOfJob(t, job) == "" })
	for _, text := range everywhere() {
		if !strings.Contains(text, "at work\nat the end") || !strings.Contains(text, "kept") {
			t.Errorf("the log of a job that is gone: %s", text)
		}
	}
}

// command runs a command of the program, as a user outside of the cluster would,
// and gives what it says. Its failure fails the test.
func (in *installation) command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "JOBNETES_JOBAPI_ENDPOINT="+in.endpoint, "JOBNETES_JOBAPI_USERNAME="+in.username, "JOBNETES_JOBAPI_PASSWORD="+in.password)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("jobnetes %s: %v: %s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// webadmin gives a page.
func (in *installation) webadmin(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, in.page+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(in.username, in.password)
	res, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, res)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", path, res.Status, text)
	}
	return text
}
