package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/jobnetes/jobnetes/test/machine"
)

// version is the Kubernetes of control/go.mod; the API server reports it.
const version = "1.34.4"

// The programs beside Kubernetes, as `go install` names them.
const (
	coreDNS = "github.com/coredns/coredns@v1.15.0"
	kwok    = "sigs.k8s.io/kwok/cmd/kwok@v0.7.0"
)

// buildControl gives the path of the binary of the module in control/, which is
// every Kubernetes component by the name it is called by.
func buildControl(ctx context.Context) (string, error) {
	root, err := machine.Root()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "test", "cluster", "control")
	hash, err := hashFiles(source, "go.mod", "go.sum", "main.go")
	if err != nil {
		return "", fmt.Errorf("build Kubernetes: %w", err)
	}
	return cached("cluster-"+version+"-"+hash, "control", "8 minutes", func(target, log string) error {
		return goBuild(ctx, source, target, log)
	})
}

// install gives the path of a program that `go install` builds.
func install(ctx context.Context, module string) (string, error) {
	file, _, _ := strings.Cut(path.Base(module), "@")
	return cached(path.Base(module), file, "3 minutes", func(target, log string) error {
		// Into a folder of its own, since go install chooses the file's name.
		dir := target + ".dir"
		cmd := exec.Command("go", "install", "-trimpath", "-ldflags=-s -w", module)
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
		cmd.Dir = filepath.Dir(target) // outside of any module
		process, err := machine.Start(cmd, log)
		if err != nil {
			return err
		}
		if err := process.Wait(ctx); err != nil {
			return err
		}
		return errors.Join(os.Rename(filepath.Join(dir, file), target), os.RemoveAll(dir))
	})
}

// cached gives the path of a binary in a folder of the user's cache. It is built
// unless it is there; other processes wait for the one that builds.
func cached(folder, file, duration string, build func(target, log string) error) (string, error) {
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
	release, err := machine.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return fail(err)
	}
	defer release()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return fail(err)
	}
	slog.Info("building for the test cluster: the first time only", "program", folder, "on_two_cores", duration)
	// Renamed when complete, so that what a killed build left is never run.
	if err := build(binary+".new", filepath.Join(dir, "build.log")); err != nil {
		return fail(err)
	}
	if err := os.Rename(binary+".new", binary); err != nil {
		return fail(err)
	}
	return binary, nil
}

// goBuild builds the binary target. A build whose process is killed dies with
// it, so that no two write the same file; the next one goes on from Go's build
// cache.
func goBuild(ctx context.Context, source, target, log string) error {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	const info = "k8s.io/component-base/version."
	flags := fmt.Sprintf("-s -w -X %sgitVersion=v%s -X %sgitMajor=%s -X %sgitMinor=%s", info, version, info, major, info, minor)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", target, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off") // control is a module of its own
	process, err := machine.Start(cmd, log)
	if err != nil {
		return err
	}
	return process.Wait(ctx)
}

// hashFiles gives a short hash of the contents of files in dir.
func hashFiles(dir string, names ...string) (string, error) {
	hash := sha256.New()
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("hash the source: %w", err)
		}
		_, _ = fmt.Fprintf(hash, "%s %d\n", name, len(data))
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}
