package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// assemble gives the image with a layer for each list of files.
func assemble(config v1.Config, arch string, layers ...[]file) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range layers {
		var packed bytes.Buffer
		if err := writeTar(&packed, files); err != nil {
			return nil, err
		}
		var err error
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:   static.NewLayer(packed.Bytes(), types.OCIUncompressedLayer),
			History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "make images"},
		})
		if err != nil {
			return nil, fmt.Errorf("add a layer: %w", err)
		}
	}
	settings, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the config: %w", err)
	}
	settings = settings.DeepCopy()
	settings.OS, settings.Architecture, settings.Created, settings.Config = "linux", arch, v1.Time{Time: epoch}, config
	image, err = mutate.ConfigFile(image, settings)
	if err != nil {
		return nil, fmt.Errorf("set the config: %w", err)
	}
	return image, nil
}

// writeArchive writes an image as a tar that is both an OCI layout (oci-layout,
// index.json) and what Docker has always read (manifest.json). Both point to the
// same blobs.
func writeArchive(out io.Writer, tag name.Tag, image v1.Image) error {
	files, err := archive(tag, image)
	if err != nil {
		return fmt.Errorf("pack image %s: %w", tag, err)
	}
	return writeTar(out, files)
}

// archive gives the files of that tar.
func archive(tag name.Tag, image v1.Image) ([]file, error) {
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return nil, err
	}
	files := []file{blob(config), blob(manifest)}
	docker := tarball.Descriptor{Config: files[0].path, RepoTags: []string{tag.Name()}}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		data, err := contents(layer)
		if err != nil {
			return nil, err
		}
		packed := blob(data)
		files = append(files, packed)
		docker.Layers = append(docker.Layers, packed.path)
	}
	list, err := json.Marshal(tarball.Manifest{docker})
	if err != nil {
		return nil, err
	}
	settings, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	index, err := ociIndex(tag, manifest, settings.Platform())
	if err != nil {
		return nil, err
	}
	return append(files,
		file{path: "index.json", mode: 0o644, data: index},
		file{path: "manifest.json", mode: 0o644, data: list},
		file{path: "oci-layout", mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	), nil
}

// blob gives the file of an OCI layout that holds data.
func blob(data []byte) file {
	return file{path: fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(data)), mode: 0o644, data: data}
}

// contents gives a layer's tar.
func contents(layer v1.Layer) ([]byte, error) {
	in, err := layer.Compressed() // as the manifest has it, which is not compressed
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(in)
	return data, errors.Join(err, in.Close())
}

// ociIndex gives the index of an OCI layout that holds one image, whose manifest
// this is. The image's name is where containerd and Podman look for it, and its
// tag where the others do.
func ociIndex(tag name.Tag, manifest []byte, platform *v1.Platform) ([]byte, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return nil, err
	}
	return json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1,
			Digest:    digest,
			Size:      size,
			Platform:  platform,
			Annotations: map[string]string{
				"io.containerd.image.name":          tag.Name(),
				"org.opencontainers.image.ref.name": tag.TagStr(),
			},
		}},
	})
}
