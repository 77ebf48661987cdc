package chaos

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPreviousCommit(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		prepare func(t *testing.T, repository string) (root string)
		want    string // the message of the commit; empty: there is none
	}{
		"the newest migration is committed": {want: "before", prepare: func(_ *testing.T, repository string) string { return repository }},
		"the newest migration is not committed": {want: "after", prepare: func(t *testing.T, repository string) string {
			write(t, repository, "00003_third.sql")
			return repository
		}},
		"the history is not there": {prepare: func(t *testing.T, repository string) string {
			clone := t.TempDir()
			run(t, clone, "clone", "--quiet", "--depth", "1", "file://"+repository, clone)
			return clone
		}},
		"it is no repository": {prepare: func(t *testing.T, _ string) string {
			root := t.TempDir()
			write(t, root, "00001_first.sql")
			write(t, root, "00002_second.sql")
			return root
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := t.TempDir()
			run(t, repository, "init", "--quiet")
			for _, c := range []struct{ message, migration string }{
				{"first", "00001_first.sql"}, {"before", ""}, {"second", "00002_second.sql"}, {"after", ""},
			} {
				if c.migration != "" {
					write(t, repository, c.migration)
				}
				run(t, repository, "add", ".")
				run(t, repository, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--allow-empty", "-m", c.message)
			}
			root := tc.prepare(t, repository)
			commit, err := previousCommit(t.Context(), root)
			if tc.want == "" {
				if err == nil {
					t.Errorf("got commit %s, want an error", commit)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := run(t, root, "log", "-1", "--format=%s", commit); got != tc.want {
				t.Errorf("got commit %q, want %q", got, tc.want)
			}
		})
	}
}

func write(t *testing.T, root, migration string) {
	t.Helper()
	dir := filepath.Join(root, "db", "migrations", "mysql")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, migration), []byte(migration), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, root string, args ...string) string {
	t.Helper()
	text, err := git(t.Context(), root, args...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
