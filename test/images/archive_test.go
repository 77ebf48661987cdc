package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/jobnetes/jobnetes/test/machine"
)

// baseFiles is what `tar --list --verbose` would say of the base's files.
var baseFiles = []string{
	"0755 0 etc/", "0644 0 etc/group", "0644 0 etc/passwd",
	"0755 0 etc/ssl/", "0755 0 etc/ssl/certs/", "0644 0 etc/ssl/certs/ca-certificates.crt",
	"0755 0 home/", "0700 65532 home/nonroot/", "0700 0 root/", "1777 0 tmp/",
}

func TestImages(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		wantName       string
		wantEntrypoint string
		wantPrograms   []string
	}{
		"jobnetes":                {"localhost/jobnetes:v1.2.3-4-gabc", "/jobnetes", []string{"jobnetes"}},
		"jobnetes-example-client": {"localhost/jobnetes-example-client:v1.2.3-4-gabc", "/start_workflow", []string{"record_task_output", "start_workflow"}},
		"pause":                   {"localhost/pause:1", "/pause", []string{"pause"}},
	}
	for image, tc := range cases {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			built, got := build(t, builder(t, image), image)
			if built.Name != tc.wantName {
				t.Errorf("got name %s, want %s", built.Name, tc.wantName)
			}
			config, err := got.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			want := v1.Config{
				User:       "65532:65532",
				Entrypoint: []string{tc.wantEntrypoint},
				Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
				WorkingDir: "/home/nonroot",
				Labels: map[string]string{
					"org.opencontainers.image.title":    image,
					"org.opencontainers.image.version":  "v1.2.3-4-gabc",
					"org.opencontainers.image.revision": "0123abc",
					"org.opencontainers.image.source":   "https://github.com/jobnetes/jobnetes",
					"org.opencontainers.image.licenses": "Apache-2.0",
				},
			}
			if diff := cmp.Diff(want, config.Config); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			// All files there are: so there is no shell.
			files := slices.Clone(baseFiles)
			for _, program := range tc.wantPrograms {
				files = append(files, "0755 0 "+program)
			}
			if diff := cmp.Diff(sorted(files), sorted(list(t, got))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// list gives mode, owner and path of each file of an image.
func list(t *testing.T, image v1.Image) []string {
	t.Helper()
	var files []string
	walk(t, image, func(h *tar.Header, _ io.Reader) {
		if !h.ModTime.Equal(epoch) || h.Uid != h.Gid {
			t.Errorf("%s is of %s and of %d:%d, want %s and a group like the user", h.Name, h.ModTime, h.Uid, h.Gid, epoch)
		}
		files = append(files, fmt.Sprintf("%04o %d %s", h.Mode, h.Uid, h.Name))
	})
	return files
}

// walk gives every file of every layer of an image.
func walk(t *testing.T, image v1.Image, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		packed, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = packed.Close() }()
		walkTar(t, packed, visit)
	}
}

func walkTar(t *testing.T, packed io.Reader, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	for in := tar.NewReader(packed); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		visit(header, in)
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func TestBothFormatsHoldTheSameImage(t *testing.T) {
	t.Parallel()
	built, docker := build(t, builder(t), "pause")
	if err := validate.Image(docker); err != nil {
		t.Errorf("Docker archive: %v", err)
	}
	dir := t.TempDir()
	walkTar(t, bytes.NewReader(content(t, built.Tarball)), func(h *tar.Header, in io.Reader) { unpack(t, dir, h, in) })
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The library's full check holds uncompressed layers, which OCI has, too, for
	// broken; checkLayers checks those.
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Errorf("OCI layout: %v", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("got %d images in the layout, want 1", len(manifest.Manifests))
	}
	oci, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := id(t, oci), id(t, docker); got != want {
		t.Errorf("got image %s in the layout, want %s as in Docker's archive", got, want)
	}
	checkLayers(t, oci)
	want := map[string]string{"io.containerd.image.name": "localhost/pause:1", "org.opencontainers.image.ref.name": "1"}
	if diff := cmp.Diff(want, manifest.Manifests[0].Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// checkLayers checks that layers are what manifest and config say.
func checkLayers(t *testing.T, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var got, digests []v1.Hash
	for _, layer := range layers {
		packed, err := layer.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		hash, _, err := v1.SHA256(packed)
		if err := errors.Join(err, packed.Close()); err != nil {
			t.Fatal(err)
		}
		digest, err := layer.Digest()
		if err != nil {
			t.Fatal(err)
		}
		got, digests = append(got, hash), append(digests, digest)
	}
	if !slices.Equal(got, digests) || !slices.Equal(got, config.RootFS.DiffIDs) {
		t.Errorf("got layers %v, want %v by the manifest and %v by the config", got, digests, config.RootFS.DiffIDs)
	}
}

func id(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()
	got, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// unpack writes one file of a tar into dir.
func unpack(t *testing.T, dir string, h *tar.Header, in io.Reader) {
	t.Helper()
	path := filepath.Join(dir, h.Name)
	var err error
	switch h.Typeflag {
	case tar.TypeDir:
		err = os.MkdirAll(path, 0o755)
	case tar.TypeSymlink:
		err = os.Symlink(h.Linkname, path)
	default:
		var data []byte
		if data, err = io.ReadAll(in); err == nil {
			err = os.WriteFile(path, data, h.FileInfo().Mode())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestProgramsNeedNothingElse runs programs where there is nothing but their
// image, as the user that the image names.
func TestProgramsNeedNothingElse(t *testing.T) {
	t.Parallel()
	machine.Slow(t)
	if os.Geteuid() != 0 {
		t.Skip("only root may change the root folder")
	}
	cases := map[string]struct {
		image   string
		command []string
		want    string
	}{
		"jobnetes":         {"jobnetes", []string{"/jobnetes", "version"}, "jobnetes v1.2.3-4-gabc, "},
		"starting client":  {"jobnetes-example-client", []string{"/start_workflow", "-h"}, "Usage of /start_workflow"},
		"recording client": {"jobnetes-example-client", []string{"/record_task_output", "-h"}, "Usage of /record_task_output"},
		"busybox":          {"busybox", []string{"/bin/sh", "-c", "/usr/bin/printf %s 'a shell' | cat"}, "a shell"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, image := build(t, builder(t, tc.image), tc.image)
			dir := t.TempDir()
			all := mutate.Extract(image)
			defer func() { _ = all.Close() }()
			walkTar(t, all, func(h *tar.Header, in io.Reader) { unpack(t, dir, h, in) })
			cmd := exec.Command(tc.command[0], tc.command[1:]...)
			cmd.Env, cmd.Dir = []string{searchPath}, "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot}}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tc.want) {
				t.Errorf("got error %v and output %q, want %q in it", err, out, tc.want)
			}
		})
	}
}
