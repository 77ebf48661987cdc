package images

import (
	"os/exec"
	"strings"
	"testing"
)

func TestReadStaticRefusesWhatNeedsLibraries(t *testing.T) {
	t.Parallel()
	linked, err := exec.LookPath("tar") // Debian links its tar to libc
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readStatic(linked); err == nil || !strings.Contains(err.Error(), "must be static") {
		t.Errorf("got error %v for %s, want it to say that it must be static", err, linked)
	}
}
