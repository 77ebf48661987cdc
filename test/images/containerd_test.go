package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/test/machine"
)

// TestContainerdImports has a containerd of its own, as a node has, take images.
func TestContainerdImports(t *testing.T) {
	t.Parallel()
	machine.Slow(t)
	if os.Geteuid() != 0 {
		t.Skip("only root may start containerd")
	}
	ctr := containerd(t)
	images, err := builder(t).Build(t.Context(), "jobnetes-example-client", "busybox")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		if out, err := ctr(t.Context(), "images", "import", image.Tarball); err != nil {
			t.Fatalf("import %s: %v\n%s", image.Tarball, err, out)
		}
	}
	out, err := ctr(t.Context(), "images", "ls", "-q")
	if err != nil {
		t.Fatalf("list images: %v\n%s", err, out)
	}
	got := strings.Fields(string(out))
	if want := []string{"localhost/busybox:1", "localhost/jobnetes-example-client:v1.2.3-4-gabc"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got images %v, want %v", got, want)
	}
	if out, err := ctr(t.Context(), "images", "check"); err != nil || strings.Count(string(out), "complete") != len(images) {
		t.Errorf("got error %v and %s, want %d complete images", err, out, len(images))
	}
}

// containerd starts containerd and gives a function that runs ctr on it.
func containerd(t *testing.T) func(ctx context.Context, args ...string) ([]byte, error) {
	t.Helper()
	daemon, err := machine.Require(t.Context(), "containerd", "containerd")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := machine.NewFolder("containerd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.Remove(); err != nil {
			t.Error(err)
		}
	})
	dir, socket := folder.Path, filepath.Join(folder.Path, "socket")
	settings := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket)
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := machine.Start(exec.Command(daemon, "--config", config), filepath.Join(dir, "containerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	ctr := func(ctx context.Context, args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, "ctr", append([]string{"--address", socket}, args...)...).CombinedOutput()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = process.Await(ctx, func(ctx context.Context) error {
		_, err := ctr(ctx, "version")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ctr
}
