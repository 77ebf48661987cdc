// Command images builds container images without Docker, for `make images`:
// tarballs that package images describes. It prints the path of each and the
// name of the image in it.
//
//	go run ./test/images/cmd/images -out bin/images -tag v1.2.0
//
// Arguments name the images; without one, it builds those for users.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/jobnetes/jobnetes/test/images"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("images", flag.ExitOnError)
	dir := flags.String("out", filepath.Join("bin", "images"), "folder of the tarballs")
	tag := flags.String("tag", "dev", "tag of the images, and version that their programs print")
	revision := flags.String("revision", "", "git commit for the label of the images")
	platform := flags.String("platform", "linux/"+runtime.GOARCH, "linux/amd64 or linux/arm64")
	if err := flags.Parse(args); err != nil {
		return err
	}
	system, arch, _ := strings.Cut(*platform, "/")
	if system != "linux" || arch == "" {
		return fmt.Errorf("-platform %s: images are for Linux: give linux/amd64 or linux/arm64", *platform)
	}
	names := flags.Args()
	if len(names) == 0 {
		names = []string{"jobnetes", "jobnetes-example-client"}
	}
	built, err := images.Builder{Dir: *dir, Tag: *tag, Revision: *revision, Arch: arch}.Build(ctx, names...)
	if err != nil {
		return err
	}
	for _, image := range built {
		if _, err := fmt.Fprintln(out, image.Tarball, image.Name); err != nil {
			return err
		}
	}
	return nil
}
