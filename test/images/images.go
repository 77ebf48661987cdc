package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/jobnetes/jobnetes/test/machine"
)

// Image is one image on this machine.
type Image struct {
	Name    string // to be put into a pod, such as localhost/jobnetes:dev
	Tarball string // path
}

// Builder says how images are built.
type Builder struct {
	// Dir is the folder of the tarballs, NAME.tar each, and of the binaries in
	// them, which spare the next build the linking. It is made if missing.
	Dir string
	// Tag is the tag of the images for users, and the version that their
	// binaries print. Those for tests alone have the tag 1.
	Tag string
	// Revision is the git commit for the label, if known.
	Revision string
	// Arch is the GOARCH of the programs. The default is this machine's.
	Arch string
}

// Build builds the images of those names for tests: with the tag dev, for this
// machine's architecture. The tarballs go to the folder dir. Images come in the
// order of names.
func Build(ctx context.Context, dir string, names ...string) ([]Image, error) {
	return Builder{Dir: dir, Tag: "dev"}.Build(ctx, names...)
}

// Build builds the images of those names, and gives them in that order. A
// tarball is replaced when the new one is complete. One process builds in a
// folder at a time; others wait.
func (b Builder) Build(ctx context.Context, names ...string) ([]Image, error) {
	if b.Arch == "" {
		b.Arch = runtime.GOARCH
	}
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("build images: %w", err)
	}
	release, err := machine.Lock(filepath.Join(b.Dir, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("build images: %w", err)
	}
	defer release()
	base, err := newBase()
	if err != nil {
		return nil, fmt.Errorf("build images: %w", err)
	}
	images := make([]Image, 0, len(names))
	for _, n := range names {
		image, err := b.buildOne(ctx, n, base)
		if err != nil {
			return nil, fmt.Errorf("build image %s: %w", n, err)
		}
		images = append(images, image)
	}
	return images, nil
}

// buildOne builds the image of that name upon a base layer.
func (b Builder) buildOne(ctx context.Context, image string, base []file) (Image, error) {
	recipe, err := b.recipe(image)
	if err != nil {
		return Image{}, err
	}
	tag, err := name.NewTag("localhost/"+image+":"+recipe.tag, name.StrictValidation)
	if err != nil {
		return Image{}, fmt.Errorf("%w: choose another tag", err)
	}
	files, err := recipe.files(ctx)
	if err != nil {
		return Image{}, err
	}
	layered, err := assemble(recipe.config, b.Arch, base, files)
	if err != nil {
		return Image{}, err
	}
	tarball := filepath.Join(b.Dir, image+".tar")
	if err := replace(tarball, func(out *os.File) error { return writeArchive(out, tag, layered) }); err != nil {
		return Image{}, err
	}
	return Image{Name: tag.Name(), Tarball: tarball}, nil
}

// replace writes the file at path, which is the old one until the new one is
// complete.
func replace(path string, write func(*os.File) error) error {
	out, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(write(out), out.Close()); err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return os.Rename(out.Name(), path)
}
