package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"A": "1", "B": "$(A)", "EMPTY": ""}
	for in, want := range map[string]string{
		"":             "",
		"plain":        "plain",
		"$(A)":         "1",
		"x$(A)y$(A)z":  "x1y1z",
		"$(B)":         "$(A)", // once only
		"<$(EMPTY)>":   "<>",
		"$(NONE)":      "$(NONE)",
		"$$(A)":        "$(A)",
		"$$$(A)":       "$1",
		"$$$$":         "$$",
		"$A ${A} $":    "$A ${A} $",
		"$(A":          "$(A",
		"$(A $(A)":     "$(A $(A)", // the name is "A $(A"
		"$()":          "$()",
		"é$(A)é$é$(A)": "é1é$é1",
	} {
		if got := expand(in, vars); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestBaseEnv is not parallel: it changes this process's environment.
func TestBaseEnv(t *testing.T) {
	t.Setenv("JOBNETES_DB_PASSWORD", "secret")
	t.Setenv("TZ", "Europe/Berlin")
	t.Setenv("PATH", "")
	env := baseEnv()
	if got := strings.Join(env, " "); strings.Contains(got, "secret") {
		t.Errorf("the environment holds this process's secrets: %s", got)
	}
	if got := getenv(env, "TZ"); got != "Europe/Berlin" {
		t.Errorf("TZ = %q", got)
	}
	if got := getenv(env, "PATH"); !strings.Contains(got, "/usr/bin") {
		t.Errorf("PATH = %q, want a default", got)
	}
}

func TestLookPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o700, "text": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct{ name, path, want string }{
		"found":             {"tool", "/nonexistent:" + dir, filepath.Join(dir, "tool")},
		"not executable":    {"text", dir, ""},
		"a folder":          {filepath.Base(dir), filepath.Dir(dir), ""},
		"no PATH":           {"tool", "", ""},
		"relative folder":   {"tool", ".", ""},
		"a path stays":      {"./tool", "", "./tool"},
		"an absolute one":   {"/x/y", dir, "/x/y"},
		"nothing like that": {"none", dir, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := lookPath(tc.name, tc.path)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("lookPath = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestTerminationMessage(t *testing.T) {
	t.Parallel()
	lines := strings.Repeat("line\n", 100)
	tests := map[string]struct {
		output, log string
		policy      corev1.TerminationMessagePolicy
		failed      bool
		want        string
	}{
		"nothing":               {want: ""},
		"the file":              {output: "out\n", log: "log", want: "out\n"},
		"no log by default":     {log: "log", failed: true, want: ""},
		"no log on success":     {log: "log", policy: corev1.TerminationMessageFallbackToLogsOnError, want: ""},
		"the file, not the log": {output: "out", log: "log", policy: corev1.TerminationMessageFallbackToLogsOnError, failed: true, want: "out"},
		"last lines of the log": {log: "first\n" + lines, policy: corev1.TerminationMessageFallbackToLogsOnError, failed: true, want: lines[:80*5]},
		"last bytes of the log": {log: strings.Repeat("x", 3000), policy: corev1.TerminationMessageFallbackToLogsOnError, failed: true, want: strings.Repeat("x", 2048)},
		"last bytes":            {output: "x" + strings.Repeat("y", 4096), want: strings.Repeat("y", 4096)},
		"no UTF-8":              {output: "a\xffb", want: "a?b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := podDir(t.TempDir())
			if err := os.MkdirAll(dir.work("c"), 0o700); err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string]string{dir.output("c"): tc.output, dir.log("c"): tc.log} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := &corev1.Container{Name: "c", TerminationMessagePolicy: tc.policy}
			if got := terminationMessage(c, dir, tc.failed); got != tc.want {
				t.Errorf("message = %q, want %q", got, tc.want)
			}
		})
	}
}

// TestTailOfNoFile: a container may replace its output file by anything.
func TestTailOfNoFile(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "output")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a link": link, "a device": "/dev/zero"} {
		if data, err := tail(path, 10); err == nil {
			t.Errorf("tail of %s = %q, want an error", name, data)
		}
	}
	if data, err := tail(link+"-none", 10); err != nil || len(data) != 0 {
		t.Errorf("tail of a missing file = %q, %v, want nothing", data, err)
	}
}
