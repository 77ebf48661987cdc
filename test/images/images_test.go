package images

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/jobnetes/jobnetes/test/machine"
)

// builder builds the images of a test. Only pause is quick.
func builder(t *testing.T, names ...string) Builder {
	t.Helper()
	for _, n := range names {
		if n != "pause" {
			machine.Slow(t)
		}
	}
	return Builder{Dir: t.TempDir(), Tag: "v1.2.3-4-gabc", Revision: "0123abc"}
}

// build builds one image and gives it with its tarball read as Docker's.
func build(t *testing.T, b Builder, image string) (Image, v1.Image) {
	t.Helper()
	built, err := b.Build(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	if len(built) != 1 {
		t.Fatalf("got images %v, want one", built)
	}
	tag, err := name.NewTag(built[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tarball.ImageFromPath(built[0].Tarball, &tag)
	if err != nil {
		t.Fatal(err)
	}
	return built[0], read
}

// content gives the bytes of a file.
func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSameSourcesGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"jobnetes", "jobnetes-example-client", "busybox", "pause"} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			first, _ := build(t, builder(t, image), image)
			second, _ := build(t, builder(t, image), image) // in another folder, so that it is linked again
			if first.Tarball == second.Tarball || !bytes.Equal(content(t, first.Tarball), content(t, second.Tarball)) {
				t.Errorf("%s and %s differ, want two tarballs of the same bytes", first.Tarball, second.Tarball)
			}
		})
	}
}

func TestBuildsInOneFolderDoNotMeet(t *testing.T) {
	t.Parallel()
	b := builder(t)
	want, _ := build(t, builder(t), "pause")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			built, err := b.Build(t.Context(), "pause")
			if err != nil {
				t.Error(err)
				return
			}
			got, err := os.ReadFile(built[0].Tarball)
			if err != nil || !bytes.Equal(got, content(t, want.Tarball)) {
				t.Errorf("got error %v and %d bytes, want the tarball of a build alone", err, len(got))
			}
		})
	}
	group.Wait()
}

func TestBuildForTests(t *testing.T) {
	t.Parallel()
	machine.Slow(t)
	dir := t.TempDir()
	got, err := Build(t.Context(), dir, "pause", "jobnetes-example-client")
	if err != nil {
		t.Fatal(err)
	}
	want := []Image{
		{Name: "localhost/pause:1", Tarball: filepath.Join(dir, "pause.tar")},
		{Name: "localhost/jobnetes-example-client:dev", Tarball: filepath.Join(dir, "jobnetes-example-client.tar")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestOtherArchitecture(t *testing.T) {
	t.Parallel()
	machine.Slow(t)
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	b := builder(t)
	b.Arch = other
	_, image := build(t, b, "pause")
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := config.Platform().String(), "linux/"+other; got != want {
		t.Errorf("got an image for %s, want %s", got, want)
	}
	if _, err := b.Build(t.Context(), "busybox"); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("got error %v, want it to say that there is no busybox for %s", err, other)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		image, tag string
		want       string
	}{
		"unknown image": {image: "nginx", tag: "v1", want: "there are jobnetes"},
		"no tag":        {image: "jobnetes", want: "must specify a tag"},
		"bad tag":       {image: "jobnetes", tag: "v1 v2", want: "choose another tag"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Builder{Dir: t.TempDir(), Tag: tc.tag}.Build(t.Context(), tc.image)
			if got := fmt.Sprint(err); !strings.Contains(got, tc.want) || !strings.Contains(got, tc.image) {
				t.Errorf("got error %q, want %q and the image's name in it", got, tc.want)
			}
		})
	}
}

func TestReplaceKeepsTheOldFileUntilTheNewIsComplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "jobnetes.tar")
	full := fmt.Errorf("disk full")
	for _, tc := range []struct {
		write string
		err   error
		want  string
	}{
		{write: "old", want: "old"},
		{write: "ne", err: full, want: "old"},
		{write: "new", want: "new"},
	} {
		err := replace(path, func(out *os.File) error {
			if _, err := out.WriteString(tc.write); err != nil {
				return err
			}
			return tc.err
		})
		if (err != nil) != (tc.err != nil) {
			t.Fatalf("write %q: got error %v, want %v", tc.write, err, tc.err)
		}
		if got := string(content(t, path)); got != tc.want {
			t.Errorf("after writing %q: got %q, want %q", tc.write, got, tc.want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("got error %v and %v in the folder, want the file alone", err, left)
	}
}
