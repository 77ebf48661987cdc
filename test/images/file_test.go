package images

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteTar(t *testing.T) {
	t.Parallel()
	files := []file{
		{path: "usr/bin/env", mode: 0o777, target: "/bin/busybox"},
		{path: "bin/busybox", mode: 0o755, data: []byte("program")},
		{path: "tmp", mode: 0o1777, owner: 7, folder: true},
		{path: "tmp/deep/er/file", mode: 0o600},
	}
	var first, second bytes.Buffer
	if err := writeTar(&first, files); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	if err := writeTar(&second, files); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("files in another order gave other bytes")
	}
	var got []string
	walkTar(t, &first, func(h *tar.Header, in io.Reader) {
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name+h.Linkname+" "+string(data))
	})
	want := []string{
		"drwxr-xr-x bin/ ", "-rwxr-xr-x bin/busybox program",
		"dtrwxrwxrwx tmp/ ", "drwxr-xr-x tmp/deep/ ", "drwxr-xr-x tmp/deep/er/ ", "-rw------- tmp/deep/er/file ",
		"drwxr-xr-x usr/ ", "drwxr-xr-x usr/bin/ ", "Lrwxrwxrwx usr/bin/env/bin/busybox ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
