package machine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Cached gives the path of a file, mostly a binary, in a folder of the user's
// cache (jobnetes/folder). Unless it is there it is built: build writes the file
// target, and may write what it says to the file log. Other processes wait for the
// one that builds. duration is how long that takes on two cores, for the log.
func Cached(folder, file, duration string, build func(target, log string) error) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("build %s: %w", folder, err) }
	cache, err := os.UserCacheDir()
	if err != nil {
		return fail(fmt.Errorf("no folder for the binary: %w", err))
	}
	dir := filepath.Join(cache, "jobnetes", folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	binary := filepath.Join(dir, file)
	release, err := Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return fail(err)
	}
	defer release()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return fail(err)
	}
	slog.Info("building for tests: the first time only", "program", folder, "on_two_cores", duration)
	// Renamed when complete, so that what a killed build left is never run.
	if err := build(binary+".new", filepath.Join(dir, "build.log")); err != nil {
		return fail(err)
	}
	if err := os.Rename(binary+".new", binary); err != nil {
		return fail(err)
	}
	return binary, nil
}
