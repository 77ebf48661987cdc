package images

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/jobnetes/jobnetes/test/machine"
)

// programs gives a recipe's files: the binaries of commands of this module, by
// their folders, each at the root of the image.
func (b Builder) programs(folders ...string) func(context.Context) ([]file, error) {
	return func(ctx context.Context) ([]file, error) {
		var files []file
		for _, folder := range folders {
			data, err := b.compile(ctx, folder)
			if err != nil {
				return nil, err
			}
			files = append(files, file{path: path.Base(folder), mode: 0o755, data: data})
		}
		return files, nil
	}
}

// compile builds the command in a folder of this module, and gives its binary.
func (b Builder) compile(ctx context.Context, folder string) ([]byte, error) {
	root, err := machine.Root()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(b.Dir, "linux-"+b.Arch))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, path.Base(folder))
	// As the Makefile's build. The checkout's state is left out: it would make a
	// stray file in the folder change the image.
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.buildVersion="+b.Tag, "-o", binary, "./"+folder)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.Arch)
	log := binary + ".log"
	if err := os.Remove(log); err != nil && !errors.Is(err, os.ErrNotExist) { // the last build's
		return nil, err
	}
	process, err := machine.Start(cmd, log)
	if err != nil {
		return nil, err
	}
	if err := process.Wait(ctx); err != nil {
		return nil, fmt.Errorf("build %s for linux/%s: %w", folder, b.Arch, err)
	}
	return readStatic(binary)
}

// readStatic gives the contents of a binary, and makes sure that it runs where
// there is no library.
func readStatic(binary string) ([]byte, error) {
	program, err := elf.Open(binary)
	if err != nil {
		return nil, fmt.Errorf("read program %s: %w", binary, err)
	}
	defer func() { _ = program.Close() }()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("program %s is linked to libraries, which the image has none of: it must be static", binary)
		}
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	return data, nil
}
