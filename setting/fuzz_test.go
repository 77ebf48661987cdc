package setting

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad checks that whatever the file and a variable of the environment hold,
// the settings are those that pass the check, or the error says where it is, line
// by line, and tells no secret.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("config-example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	keys := Keys()
	for i := range keys {
		f.Add([]byte("log: {level: debug}\n"), byte(i), "1")
	}
	f.Add(example, byte(0), "")
	for _, file := range []string{"", "a", "[]", "a: [", "db: 1", "db:\n  port: {}\n", "db.port: 1", "DB: {Port: 0x10}", "k8s: {job-retention: 1e9h}", "jobapi: {port: 1.5}", "manager: {lease: 99999999h}", "\xff", "a: &a [*a]"} {
		f.Add([]byte(file), byte(3), "x")
	}
	f.Fuzz(func(t *testing.T, file []byte, key byte, value string) {
		if strings.ContainsRune(value, 0) {
			return // no environment has that
		}
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		name := keys[int(key)%len(keys)]
		t.Setenv(Env(name), value)
		s, err := Load(path)
		if err != nil {
			wantPlaces(t, err, path)
			return
		}
		if problems := s.check(); len(problems) > 0 || s.File != path {
			t.Errorf("Load returns settings from %q that do not pass the check: %v", s.File, problems)
		}
		again, err := Load(path)
		if err != nil || again != s {
			t.Errorf("Load first gives %+v and then %+v, %v", s, again, err)
		}
	})
}

// wantPlaces checks that every problem says which key or file has it.
func wantPlaces(t *testing.T, err error, file string) {
	t.Helper()
	problems := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		problems = joined.Unwrap()
	}
	for _, p := range problems {
		key, _, _ := strings.Cut(p.Error(), " (JOBNETES_")
		known := false
		for _, k := range Keys() {
			known = known || k == key
		}
		if !known && !strings.Contains(p.Error(), file) {
			t.Errorf("the problem names neither key nor file: %v", p)
		}
	}
}

// FuzzSecrets checks that no error tells a password, whatever YAML takes it for.
func FuzzSecrets(f *testing.F) {
	const secret = "hunter2"
	for _, value := range []string{"%", "[%]", "{%}", "{%: 1}", "{a: %}", "*%", "!% x", "!!% x", "&%", "@%", "%%%", "|%", `"%`, "'%", "%: x", "-%", "- %", "[%, {", "? %"} {
		f.Add(strings.ReplaceAll(value, "%", secret))
	}
	f.Fuzz(func(t *testing.T, value string) {
		// After another line's beginning it would be a key, which errors tell.
		if !strings.Contains(value, secret) || strings.ContainsAny(value, "\n\r\u0085\u2028\u2029") {
			return
		}
		for _, text := range []string{"db:\n  password: ", "db:\n  dsn:\n    ", "jobapi:\n  password: "} {
			_, err := Load(write(t, text+value))
			if err != nil && strings.Contains(strings.ToLower(err.Error()), secret) {
				t.Errorf("the error for %q tells the secret: %v", text+value, err)
			}
		}
	})
}
