package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--out", dir, "--tag", "v1", "pause"}, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), filepath.Join(dir, "pause.tar")+" localhost/pause:1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunRefusesOtherPlatforms(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"windows/amd64", "linux", "linux/", ""} {
		err := run(t.Context(), []string{"--out", t.TempDir(), "--platform", platform, "pause"}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "give linux/amd64") {
			t.Errorf("%q: got error %v, want it to say what to give", platform, err)
		}
	}
}
