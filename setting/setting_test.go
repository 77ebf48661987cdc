package setting

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// The tests set environment variables, so they are not parallel.

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The example says what every setting is by default, and forgets none.
func TestExampleIsComplete(t *testing.T) {
	s, err := Load("config-example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.File = ""
	if diff := cmp.Diff(defaults(), s); diff != "" {
		t.Errorf("the example is not the defaults (-defaults +example):\n%s", diff)
	}
	text, err := os.ReadFile("config-example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var example map[string]map[string]any
	if err := yaml.Unmarshal(text, &example); err != nil {
		t.Fatal(err)
	}
	for _, key := range Keys() {
		section, name, _ := strings.Cut(key, ".")
		if _, ok := example[section][name]; !ok {
			t.Errorf("the example has no %s", key)
		}
	}
}

func TestFileThenEnvironment(t *testing.T) {
	t.Setenv("JOBNETES_DB_PASSWORD", "from the environment")
	t.Setenv("JOBNETES_K8S_JOB_NAMESPACE", "batch")
	t.Setenv("JOBNETES_MANAGER_POLL_INTERVAL", "250ms")
	s, err := Load(write(t, "db:\n  host: mysql\n  password: from the file\nk8s:\n  in-cluster: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.DB.Password != "from the environment" || s.DB.Host != "mysql" || s.DB.Port != 3306 || !s.K8s.InCluster ||
		s.K8s.JobNamespace != "batch" || s.Manager.PollInterval != 250*time.Millisecond {
		t.Errorf("%+v", s)
	}
}

// The original's example file still loads.
func TestOriginalFile(t *testing.T) {
	s, err := Load(write(t, `
log: {level: info}
db: {user: root, password: password, host: mysql, port: 3306}
k8s: {in-cluster: true, job-namespace: default}
jobapi: {port: 50051, username: jobnetesadmin, password: test}
webadmin: {port: 8081, username: jobnetesadmin, password: test}
`))
	if err != nil || s.Jobapi.Password != "test" || s.DB.Name != "jobnetes" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	t.Setenv("JOBNETES_WEBADMIN_PORT", "70000")
	_, err := Load(write(t, "log: {level: loud}\ndb: {drivr: mysql}\nmanager: {lease: 1s, poll-interval: soon, kept-log-bytes: 2097152, max-running-jobs: -1, max-running-jobs-per-namespace: -2}\nk8s: {start-timeout: -1s}\nextra: 1\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`log.level (JOBNETES_LOG_LEVEL): "loud"`, "db.drivr: unknown key", "extra: unknown key", "manager.lease", "manager.kept-log-bytes (JOBNETES_MANAGER_KEPT_LOG_BYTES): 2097152", "manager.max-running-jobs (JOBNETES_MANAGER_MAX_RUNNING_JOBS): -1", "manager.max-running-jobs-per-namespace (JOBNETES_MANAGER_MAX_RUNNING_JOBS_PER_NAMESPACE): -2", "k8s.start-timeout (JOBNETES_K8S_START_TIMEOUT): -1s", `manager.poll-interval (JOBNETES_MANAGER_POLL_INTERVAL): "soon" is not a duration, such as 500ms`, "webadmin.port (JOBNETES_WEBADMIN_PORT): 70000"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "nowhere.yaml")); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("error %v", err)
	}
}

// 0 switches off what may be.
func TestOff(t *testing.T) {
	s, err := Load(write(t, "manager: {kept-log-bytes: 0}\nk8s: {start-timeout: 0s}\n"))
	if err != nil || s.Manager.KeptLogBytes != 0 || s.K8s.StartTimeout != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDevIsItsOwn(t *testing.T) {
	t.Setenv("JOBNETES_DB_DRIVER", "oracle")
	t.Setenv("JOBNETES_K8S_MODE", "moon")
	t.Setenv("JOBNETES_JOBAPI_PORT", "1234")
	s, err := LoadDev("/data", "")
	if err != nil || s.DB.Driver != "sqlite" || s.DB.Path != "/data/jobnetes.db" || s.K8s.Mode != ModeLocal || s.Jobapi.Port != 1234 {
		t.Errorf("%+v, %v", s, err)
	}
}
