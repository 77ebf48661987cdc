package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jobnetes/jobnetes/test/machine"
)

// build is a binary of jobnetes.
type build struct {
	name string // for people, and in logs' names
	path string
}

// buildPresent builds the module as it is here.
func buildPresent(ctx context.Context, dir string) (build, error) {
	root, err := machine.Root()
	if err != nil {
		return build{}, err
	}
	b := build{name: "present", path: filepath.Join(dir, "jobnetes")}
	return b, compile(ctx, root, b.path, filepath.Join(dir, "build.log"))
}

// errNoHistory says that the build before cannot be had from the git history.
var errNoHistory = errors.New("the build before is not to be had")

// buildPrevious builds what there was just before the schema got its newest
// version, from the git history. The error wraps errNoHistory if that is not here,
// as in a shallow clone.
func buildPrevious(ctx context.Context) (build, error) {
	root, err := machine.Root()
	if err != nil {
		return build{}, err
	}
	commit, err := previousCommit(ctx, root)
	if err != nil {
		return build{}, fmt.Errorf("%w: %w", errNoHistory, err)
	}
	path, err := machine.Cached("previous-"+commit[:12], "jobnetes", "1 minute", func(target, log string) error {
		source, err := os.MkdirTemp("", "jobnetes-previous-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(source) }()
		archive := filepath.Join(source, "source.tar")
		if _, err := git(ctx, root, "archive", "--output", archive, commit); err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, "tar", "-xf", archive, "-C", source).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack commit %s: %w: %s", commit, err, out)
		}
		return compile(ctx, source, target, log)
	})
	return build{name: "previous-" + commit[:7], path: path}, err
}

// previousCommit gives the newest commit that has not got the newest migration.
func previousCommit(ctx context.Context, root string) (string, error) {
	const folder = "db/migrations/mysql"
	files, err := filepath.Glob(filepath.Join(root, folder, "*.sql"))
	if err != nil || len(files) < 2 {
		return "", fmt.Errorf("there are %d migrations in %s: %w", len(files), folder, err)
	}
	newest := folder + "/" + filepath.Base(slices.Max(files))
	added, err := git(ctx, root, "log", "-1", "--format=%H", "--diff-filter=A", "--", newest)
	if err != nil {
		return "", err
	}
	before := "HEAD" // if the newest migration is not committed yet
	if added != "" {
		before = added + "^"
	}
	commit, err := git(ctx, root, "rev-parse", "--verify", before+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("the history ends with the commit that added %s: %w", newest, err)
	}
	if _, err := git(ctx, root, "cat-file", "-e", commit+":"+newest); err == nil {
		return "", fmt.Errorf("commit %s has %s already", commit, newest)
	}
	return commit, nil
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, nil
}

// compile builds the command of the module in source.
func compile(ctx context.Context, source, target, log string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", target, "./cmd/jobnetes")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	process, err := machine.Start(cmd, log)
	if err != nil {
		return err
	}
	return process.Wait(ctx)
}
