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
	"path/filepath"
	"strings"

	"github.com/jobnetes/jobnetes/test/machine"
)

// version is the Kubernetes of control/go.mod; the API server reports it.
const version = "1.34.4"

// build gives the path of the binary of the module in control/, which is every
// Kubernetes component by the name it is called by. It is built unless the
// user's cache has it; other processes wait for the one that builds.
func build(ctx context.Context) (string, error) {
	root, err := machine.Root()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "test", "cluster", "control")
	hash, err := hashFiles(source, "go.mod", "go.sum", "main.go")
	if err != nil {
		return "", fmt.Errorf("build Kubernetes: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build Kubernetes: no folder for the binary: %w", err)
	}
	dir := filepath.Join(cache, "jobnetes", "cluster-"+version+"-"+hash)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build Kubernetes: %w", err)
	}
	binary := filepath.Join(dir, "control")
	release, err := machine.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("build Kubernetes: %w", err)
	}
	defer release()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("build Kubernetes: %w", err)
	}
	slog.Info("building Kubernetes: about 8 minutes on two cores, the first time only", "version", version, "folder", dir)
	if err := goBuild(ctx, source, binary+".new", filepath.Join(dir, "build.log")); err != nil {
		return "", fmt.Errorf("build Kubernetes in %s: %w", source, err)
	}
	// Renamed when complete, so that what a killed build left is never run.
	if err := os.Rename(binary+".new", binary); err != nil {
		return "", fmt.Errorf("build Kubernetes: %w", err)
	}
	return binary, nil
}

// goBuild builds the binary target. A build whose test process is killed dies
// with it, so that no two write the same file; the next one goes on from Go's
// build cache.
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
