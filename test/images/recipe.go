package images

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// recipe is what makes one image differ from another.
type recipe struct {
	tag    string
	files  func(context.Context) ([]file, error) // above the base
	config v1.Config
}

// testTag is the tag of images for tests alone.
const testTag = "1"

// recipe gives the recipe of the image of that name.
func (b Builder) recipe(image string) (recipe, error) {
	switch image {
	case "jobnetes":
		return recipe{tag: b.Tag, files: b.programs("cmd/jobnetes"), config: b.config(image, "/jobnetes")}, nil
	case "jobnetes-example-client":
		return recipe{
			tag:    b.Tag,
			files:  b.programs("example/jobapi-client/start_workflow", "example/jobapi-client/record_task_output"),
			config: b.config(image, "/start_workflow"),
		}, nil
	case "pause":
		return recipe{tag: testTag, files: b.programs("test/cluster/pause"), config: b.config(image, "/pause")}, nil
	case "busybox":
		return recipe{tag: testTag, files: b.busybox, config: v1.Config{
			Cmd:    []string{"sh"},
			Env:    []string{searchPath},
			Labels: map[string]string{"org.opencontainers.image.title": image},
		}}, nil
	}
	return recipe{}, errors.New("no such image: there are jobnetes, jobnetes-example-client, busybox and pause")
}

// searchPath is the default of Docker, which images without one get there, but
// not with every other runtime.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// config is how an image of jobnetes's own programs runs, and what it says of
// itself.
func (b Builder) config(image, entrypoint string) v1.Config {
	labels := map[string]string{
		"org.opencontainers.image.title":    image,
		"org.opencontainers.image.version":  b.Tag,
		"org.opencontainers.image.source":   "https://github.com/jobnetes/jobnetes",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	if b.Revision != "" {
		labels["org.opencontainers.image.revision"] = b.Revision
	}
	return v1.Config{
		// Numbers: runAsNonRoot cannot see that a name is not root's.
		User:       fmt.Sprintf("%d:%d", nonroot, nonroot),
		Entrypoint: []string{entrypoint},
		Env:        []string{searchPath},
		WorkingDir: nonrootHome,
		Labels:     labels,
	}
}
