package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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
	return machine.Cached("cluster-"+version+"-"+hash, "control", "8 minutes", func(target, log string) error {
		return goBuild(ctx, source, target, log)
	})
}

// install gives the path of a program that `go install` builds.
func install(ctx context.Context, module string) (string, error) {
	file, _, _ := strings.Cut(path.Base(module), "@")
	return machine.Cached(path.Base(module), file, "3 minutes", func(target, log string) error {
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
