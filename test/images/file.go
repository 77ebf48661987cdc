package images

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// file is one entry of a tar: a folder if its mode has the directory's bit, a
// symbolic link if it has a target, else a regular file.
type file struct {
	path   string // without a leading slash
	mode   int64  // permissions
	owner  int    // user and group
	folder bool
	target string
	data   []byte
}

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0).UTC()

// writeTar writes files, and the folders that they are in, sorted by path, so
// that the same files give the same bytes.
func writeTar(out io.Writer, files []file) error {
	files = withFolders(files)
	w := tar.NewWriter(out)
	for _, f := range files {
		if err := w.WriteHeader(f.header()); err != nil {
			return fmt.Errorf("pack %s: %w", f.path, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return fmt.Errorf("pack %s: %w", f.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}

func (f file) header() *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     f.path,
		Mode:     f.mode,
		Uid:      f.owner,
		Gid:      f.owner,
		Size:     int64(len(f.data)),
		ModTime:  epoch,
		Format:   tar.FormatUSTAR,
	}
	switch {
	case f.folder:
		h.Typeflag, h.Name = tar.TypeDir, f.path+"/"
	case f.target != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.target
	}
	return h
}

// withFolders adds the folders that files are in unless they are there, and
// sorts: a folder comes before what is in it.
func withFolders(files []file) []file {
	files = slices.Clone(files)
	have := map[string]bool{}
	for _, f := range files {
		have[f.path] = true
	}
	for _, f := range slices.Clone(files) {
		for dir := path.Dir(f.path); dir != "." && !have[dir]; dir = path.Dir(dir) {
			have[dir] = true
			files = append(files, file{path: dir, mode: 0o755, folder: true})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files
}
