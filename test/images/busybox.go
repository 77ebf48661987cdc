package images

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"runtime"
	"strings"

	"github.com/jobnetes/jobnetes/test/machine"
)

// busybox gives Debian's static busybox, with a link where each of its applets
// belongs.
func (b Builder) busybox(ctx context.Context) ([]file, error) {
	if b.Arch != runtime.GOARCH {
		return nil, fmt.Errorf("busybox is Debian's for %s: there is none for %s on this machine", runtime.GOARCH, b.Arch)
	}
	binary, err := machine.Require(ctx, "busybox", "busybox-static")
	if err != nil {
		return nil, err
	}
	data, err := readStatic(binary)
	if err != nil {
		return nil, fmt.Errorf("%w: install the package busybox-static in place of busybox", err)
	}
	applets, err := exec.CommandContext(ctx, binary, "--list-full").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of %s: %w", binary, err)
	}
	const own = "bin/busybox"
	files := []file{{path: own, mode: 0o755, data: data}}
	for applet := range strings.Lines(string(applets)) {
		if p := path.Clean(strings.TrimSpace(applet)); p != own {
			files = append(files, file{path: p, mode: 0o777, target: "/" + own})
		}
	}
	return files, nil
}
